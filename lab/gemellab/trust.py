# SPDX-License-Identifier: Apache-2.0
"""TPMs: a manufacturer for this lab alone, a swtpm for each network element, the launcher.

    RUN/manufacturer/{key,cert}.pem   its authority; cert.pem goes into gemeld's ek_roots
    RUN/elsewhere/{key,cert}.pem      another one, which gemeld does not know (a rogue's)
    RUN/nodes/NODE/tpm/               the TPM's memory
    RUN/nodes/NODE/tpm.sock           commands, locality 0: the agent's line
    RUN/control/NODE.sock             swtpm's control line, at which localities are chosen: the
                                      launcher's alone (lab/launch-agent)
"""

import os
import subprocess
import time

LAUNCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "launch-agent")
READY_S = 10


class TrustError(Exception):
    pass


def _folder(node):
    return "elsewhere" if node.foreign_tpm else "manufacturer"


def authority_file(lab):
    return lab.path("manufacturer", "cert.pem")


def make_authority(lab, name, common_name):
    at = lab.path(name)
    os.makedirs(at)
    _openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{at}/key.pem"])
    os.chmod(f"{at}/key.pem", 0o600)
    _openssl(["req", "-x509", "-new", "-key", f"{at}/key.pem", "-days", "3650", "-subj",
              f"/O=Gemel lab/CN={common_name}", "-addext", "basicConstraints=critical,CA:TRUE",
              "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", f"{at}/cert.pem"])
    _write(f"{at}/localca.conf", f"statedir = {at}\nsigningkey = {at}/key.pem\n"
           f"issuercert = {at}/cert.pem\ncertserial = {at}/serial\n")
    _write(f"{at}/localca.options", "--platform-manufacturer Gemel\n--platform-version 1\n"
           "--platform-model lab\n")
    _write(f"{at}/setup.conf", "create_certs_tool = /usr/bin/swtpm_localca\n"
           f"create_certs_tool_config = {at}/localca.conf\n"
           f"create_certs_tool_options = {at}/localca.options\n")


def _openssl(arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TrustError(f"openssl {arguments[0]}: {done.stderr.strip()[:500]}")


def _write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


class Making:
    """Makes and starts the TPMs of these nodes, a few at a time, beside the caller's other work."""

    AT_ONCE = 4

    def __init__(self, lab, nodes):
        self.lab, self.waiting, self.working = lab, list(nodes), []
        os.makedirs(lab.path("control"), 0o700, exist_ok=True)
        self.step()

    def step(self):
        for node, process in list(self.working):
            if process.poll() is not None:
                self.working.remove((node, process))
                self.lab.processes.stop(node.name, "swtpm_setup")
                _start(self.lab, node, process.returncode)
        while self.waiting and len(self.working) < self.AT_ONCE:
            node = self.waiting.pop(0)
            self.working.append((node, _manufacture(self.lab, node)))

    def finish(self):
        while self.working:
            self.step()
            time.sleep(0.01)


def _manufacture(lab, node):
    os.makedirs(lab.spaces.folder(node.name, "tpm"), 0o700)
    return lab.processes.start(node.name, "swtpm_setup", [
        "swtpm_setup", "--tpm2", "--tpmstate", lab.spaces.folder(node.name, "tpm"), "--ecc",
        "--create-ek-cert", "--pcr-banks", "sha256", "--lock-nvram", "--vmid", node.name,
        "--config", lab.path(_folder(node), "setup.conf"), "--logfile",
        lab.processes.log(node.name, "swtpm_setup")])


def _start(lab, node, made):
    if made != 0:
        raise TrustError(f"{node.name}: swtpm_setup failed, see "
                         f"{lab.processes.log(node.name, 'swtpm_setup')}")
    lab.processes.start(node.name, "swtpm", [
        "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={lab.spaces.folder(node.name, 'tpm')}",
        "--server", f"type=unixio,path={socket_of(lab, node)},mode=0600",
        "--ctrl", f"type=unixio,path={control_of(lab, node)},mode=0600",
        "--flags", "not-need-init,startup-clear"])


def socket_of(lab, node):
    return lab.spaces.folder(node.name, "tpm.sock")


def control_of(lab, node):
    return lab.path("control", f"{node.name}.sock")


def wait_ready(lab, node):
    end = time.monotonic() + READY_S
    while not (os.path.exists(socket_of(lab, node)) and os.path.exists(control_of(lab, node))):
        if time.monotonic() > end or not lab.processes.pid(node.name, "swtpm"):
            raise TrustError(f"{node.name}: swtpm does not run, see "
                             f"{lab.processes.log(node.name, 'swtpm')}")
        time.sleep(0.02)


def launch(lab, node, executable, config):
    wait_ready(lab, node)
    return lab.processes.start(node.name, "agent", [
        LAUNCHER, "--control", control_of(lab, node), "--tpm", socket_of(lab, node), "--agent",
        executable, "--config", config])


def reference(executable):
    done = subprocess.run([LAUNCHER, "--reference", executable], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise TrustError(done.stderr.strip())
    return done.stdout.strip()
