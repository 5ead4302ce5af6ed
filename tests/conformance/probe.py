# SPDX-License-Identifier: Apache-2.0
"""A device of our own on a node that an attacker holds: gemel-agent with a new TPM, joined over a relay of ours. What
is done to it harms no device of the network. At the end it is revoked."""

import os
import shutil
import tempfile

import grpc
import yaml

from gemellab import gemel, trust, twin

from live import hold
from wire import Authority, Relay


class Probe:
    def __init__(self, live, node, name, *, enrolments=None):
        self.live, self.lab, self.node = live, live.lab, node
        self.id = f"probe-{live.run}-{name}"
        self.state = self.lab.spaces.folder(node.name, "agent")
        to = self.lab.topology.gemeld
        self.data = Relay(self.lab, node.name, to, gemel.TELEMETRY)
        self.enrolment = Relay(self.lab, node.name, to, gemel.ENROLMENT, only=enrolments)
        live.on_end.callback(self.end)
        self.created = False
        self.new_tpm()

    # --- what it is made of

    def new_tpm(self):
        self.stop()
        self.lab.processes.stop(self.node.name, "swtpm")
        for path in (self.lab.spaces.folder(self.node.name, "tpm"), self.state):
            shutil.rmtree(path, ignore_errors=True)
        for path in (trust.socket_of(self.lab, self.node), trust.control_of(self.lab, self.node)):
            if os.path.exists(path):
                os.unlink(path)
        trust.Making(self.lab, [self.node]).finish()
        trust.wait_ready(self.lab, self.node)

    def invite(self, **more):
        if not self.created:
            self.live.admin.post("/v1/devices", {"id": self.id, "kind": "agent", "role": "probe"})
            self.created = True
        answer = self.live.admin.post(f"/v1/devices/{self.id}:enrol", more)
        self.token = answer["token"]
        return self.token

    def start(self, *, token=None, executable=None, device=None, listen=None):
        """Its agent, measured and started by the lab's launcher."""
        at = lambda *more: self.lab.spaces.folder(self.node.name, *more)
        if token:
            gemel.give_token(self.lab, self.node, twin.Text(token))
        conf = {"device": device or self.id,
                "twin": {"address": "127.0.0.1", "port": self.data.port, "enrolment_port": self.enrolment.port},
                "token_file": at("token"), "state": self.state, "tpm": trust.socket_of(self.lab, self.node),
                "uid_base": gemel.AGENT_UID + 10 * self.node.index}
        if listen:
            conf["listen"] = listen
        with open(at("agent.yaml"), "w", encoding="utf-8") as f:
            yaml.safe_dump(conf, f, sort_keys=False)
        self.log_from = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        sabotage = os.environ.get("GEMEL_SABOTAGE")
        self.lab.processes.start(
            self.node.name, "agent",
            [trust.LAUNCHER, "--control", trust.control_of(self.lab, self.node), "--tpm",
             trust.socket_of(self.lab, self.node), "--agent", executable or self.live.program("gemel-agent"), "--config",
             at("agent.yaml")], environment={"GEMEL_SABOTAGE": sabotage} if sabotage else None)

    def stop(self):
        self.lab.processes.stop(self.node.name, "agent")

    def join(self, seconds=25, **more):
        self.start(token=self.invite(**more))
        return self.wait("production", seconds)

    # --- how it stands

    @property
    def log_path(self):
        return self.lab.processes.log(self.node.name, "agent")

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                f.seek(self.log_from)
                return f.read()
        except OSError:
            return ""

    def wait(self, state, seconds=20):
        last = [None]

        def there():
            d = self.live.device(self.id)
            last[0] = (d["state"], d.get("reason"))
            return d if d["state"] == state else None
        return self.live.until(f"{self.id} in {state} (it is in {last})", there, seconds, 0.1)

    def wait_log(self, text, seconds=15):
        self.live.until(f"\"{text}\" in the log of {self.id}", lambda: text in self.log(), seconds)

    def identity(self):
        """Path of its key and certificate chain, as it lies on its disk."""
        path = os.path.join(self.state, "keys", "identity.pem")
        hold(os.path.exists(path), f"{self.id} has no certificate")
        return path

    def command(self, *argv):
        return self.lab.processes.run(self.node.name, list(argv))

    def quarantine(self):
        self.live.admin.post(f"/v1/devices/{self.id}:quarantine", {"reason": f"conformance {self.live.nonce}"})

    def revoke(self):
        self.live.admin.post(f"/v1/devices/{self.id}:revoke", {"reason": f"conformance {self.live.nonce}"})

    def end(self):
        self.stop()
        if self.created:
            self.live.admin.ask("POST", f"/v1/devices/{self.id}:revoke", {"reason": f"conformance {self.live.nonce}"})
        self.data.close()
        self.enrolment.close()
        shutil.rmtree(self.state, ignore_errors=True)


class Reachable(Probe):
    """An agent that was given its certificate by file and is dialled: no twin has a part in it. `authority` is its
    operator's."""

    def __init__(self, live, node, name):
        super().__init__(live, node, name)
        folder = tempfile.mkdtemp(prefix="gemel-conformance-")
        live.on_end.callback(shutil.rmtree, folder, ignore_errors=True)
        self.authority = Authority(folder, "an operator's authority")
        chain, key = self.authority.issue("device", f"URI:urn:gemel:device:{self.id},DNS:{self.id}",
                                          "serverAuth,clientAuth")
        keys = os.path.join(self.state, "keys")
        os.makedirs(keys, mode=0o700)
        with open(os.path.join(keys, "identity.pem"), "w", encoding="ascii") as f:
            f.write(read(key) + read(chain))
        shutil.copy(self.authority.pem, os.path.join(keys, "authority.pem"))
        self.data.sever()
        self.address = (node.management, gemel.TELEMETRY)
        self.start(listen={"address": node.management, "port": gemel.TELEMETRY})

    def channel(self, port, chain, key):
        """grpc's, over mutual TLS, by a forwarder's port."""
        credentials = grpc.ssl_channel_credentials(read(self.authority.pem).encode(), read(key).encode(),
                                                   read(chain).encode())
        return grpc.secure_channel(f"127.0.0.1:{port}", credentials, [("grpc.ssl_target_name_override", self.id)])


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()
