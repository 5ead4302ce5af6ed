# SPDX-License-Identifier: Apache-2.0
"""Gemel's side of the lab: where its programs are, what they are configured with, inventory.

Nothing here starts gemeld: it runs on the host, with its southbound listeners opened in the lab's
management namespace. Programs that are not built are said to be missing; the rest of the lab works.
"""

import csv
import io
import os
import re
import shutil

import yaml

from . import network, routing, trust
from .processes import ProcessError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TELEMETRY, ENROLMENT, WITNESS, CONTROL, API, CONSOLE = 9339, 9340, 9341, 9342, 8443, 8444
AGENT_UID = 62000  # each agent gets users of its own, ten apart
TOKEN_MAX, VKEY_MAX = 1024, 512
VKEY = re.compile(r"[^ +\n]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+")


class GemelError(Exception):
    pass


def program(name):
    """$GEMEL_BUILD, then build/ beside lab/, then PATH. None: not built."""
    builds = [os.environ["GEMEL_BUILD"]] if os.environ.get("GEMEL_BUILD") else [f"{ROOT}/build"]
    places = [os.path.join(os.path.abspath(b), sub, name) for b in builds
              for sub in (f"src/{name.removeprefix('gemel-')}", "src/parent", "src/cli", ".")]
    for place in places:
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    return shutil.which(name)


def _write(path, document, mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        yaml.safe_dump(document, f, sort_keys=False)


# --- agents

def agent_conf(lab, node, device=None):
    at = lambda *more: lab.spaces.folder(node.name, *more)
    conf = {"device": device or node.name,
            "twin": {"address": lab.topology.gemeld, "port": TELEMETRY,
                     "enrolment_port": ENROLMENT},
            "token_file": at("token"), "state": at("agent"), "tpm": trust.socket_of(lab, node),
            "uid_base": AGENT_UID + 10 * node.index}
    if node.element:
        conf["lldp"], conf["frr"] = at("lldpd.sock"), at("run", "frr")
    if node.listen:
        conf["listen"] = {"address": node.management, "port": TELEMETRY}
    return conf


def start_agent(lab, node, executable=None, device=None):
    executable = executable or program("gemel-agent")
    if not executable:
        raise GemelError("gemel-agent is not built: run make, or set GEMEL_BUILD")
    if lab.processes.pid(node.name, "agent"):
        raise GemelError(f"{node.name}: its agent runs already")
    _write(lab.spaces.folder(node.name, "agent.yaml"), agent_conf(lab, node, device))
    return trust.launch(lab, node, executable, lab.spaces.folder(node.name, "agent.yaml"))


def give_token(lab, node, stream):
    """The token's one line, from a stream: it is never an argument."""
    text = stream.read(TOKEN_MAX + 1).strip()
    if not text.startswith("gemel1.") or len(text) > TOKEN_MAX or len(text.split()) != 1:
        raise GemelError("standard input holds no token: one line of `gemel device enrol NAME`")
    path = lab.spaces.folder(node.name, "token")
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as f:
        f.write(text + "\n")
    os.replace(path + ".new", path)


# --- LLDP

def start_lldpd(lab, node):
    """On the links to other elements. Its port ids are interface names, as on switches."""
    t, at = lab.topology, lab.spaces.folder
    ours = [l.a_interface if l.a == node.name else l.b_interface for l in t.links
            if node.name in (l.a, l.b) and t.nodes[l.a].element and t.nodes[l.b].element]
    with open(at(node.name, "lldpd.conf"), "w", encoding="utf-8") as f:
        f.write(f"configure system hostname {node.name}\n"
                f"configure system description 'Gemel lab {node.kind}'\n"
                f"configure system ip management pattern {node.management}\n"
                "configure lldp portidsubtype ifname\n"
                "configure lldp tx-interval 2\nconfigure lldp tx-hold 3\n")
    lab.processes.start(node.name, "lldpd", [
        "lldpd", "-d", "-u", at(node.name, "lldpd.sock"), "-I", ",".join(ours) or "none", "-C",
        "mgmt", "-O", at(node.name, "lldpd.conf")])


# --- witness

def witness_conf(lab, node):
    conf = {"name": f"{node.name}.{lab.topology.domain}",
            "listen": {"address": node.management, "port": WITNESS},
            "state": lab.spaces.folder(node.name, "witness")}
    try:
        with open(lab.path("log.vkey"), encoding="utf-8") as f:
            vkey = f.read().strip()
        conf["logs"] = [{"origin": vkey.split("+")[0], "vkey": vkey}]
    except FileNotFoundError:
        pass  # it does not know the log yet, and cosigns nothing
    return conf


def _witness_ready(lab, node):
    executable = program("gemel-witness")
    if not executable:
        raise GemelError("gemel-witness is not built: run make, or set GEMEL_BUILD")
    path = lab.spaces.folder(node.name, "witness.yaml")
    _write(path, witness_conf(lab, node))
    lab.processes.run(node.name, [executable, "--config", path, "--check-config"])
    return path, executable


def start_witness(lab, node):
    path, executable = _witness_ready(lab, node)
    return lab.processes.start(node.name, "witness", [executable, "--config", path])


def introduce_log(lab, stream):
    """The log's verifier key, one line, to every witness: each starts again with it."""
    vkey = stream.read(VKEY_MAX + 1).strip()
    if not VKEY.fullmatch(vkey) or len(vkey) > VKEY_MAX:
        raise GemelError("standard input holds no verifier key: NAME+ID+BASE64, as "
                         "`gemel ledger vkey` prints it")
    with open(lab.path("log.vkey"), "w", encoding="utf-8") as f:
        f.write(vkey + "\n")
    for node in lab.topology.of_kind("witness"):
        try:
            path, executable = _witness_ready(lab, node)
        except ProcessError:
            os.unlink(lab.path("log.vkey"))  # refused: the witness goes on as it was
            raise
        lab.processes.stop(node.name, "witness")
        lab.processes.start(node.name, "witness", [executable, "--config", path])


def witness_key(lab, node):
    """What gemeld knows it by; None: it is not built, or was not started."""
    executable = program("gemel-witness")
    path = lab.spaces.folder(node.name, "witness.yaml")
    if not executable or not os.path.exists(path):
        return None
    vkey = lab.processes.run(node.name, [executable, "--config", path, "--vkey"]).strip()
    if not VKEY.fullmatch(vkey):
        raise GemelError(f"{node.name}: gemel-witness --vkey printed {vkey[:80]!r}")
    return vkey


# --- gemeld

def gemeld_conf(lab, state):
    """A complete gemel.yaml. Its keys are those of src/lib/ipc/daemon_conf.c."""
    t, listen = lab.topology, {"address": lab.topology.gemeld,
                               "netns": lab.spaces.net(network.MANAGEMENT)}
    conf = {"name": f"gemel.{t.domain}/{t.name}", "state": state,
            "telemetry": {**listen, "port": TELEMETRY}, "enrolment": {**listen, "port": ENROLMENT},
            "control": {**listen, "port": CONTROL},
            "api": {"address": "127.0.0.1", "port": API},
            "console": {"address": "127.0.0.1", "port": CONSOLE},
            "ek_roots": [trust.authority_file(lab)], "memory_budget": "128M"}
    agent = program("gemel-agent")
    if agent:
        conf["reference_values"] = [{"name": "gemel-agent", "pcr17": trust.reference(agent)}]
    witnesses = []
    for n in t.of_kind("witness"):
        vkey = witness_key(lab, n)
        if vkey:
            witnesses.append({"name": vkey.split("+")[0], "vkey": vkey, "address": n.management,
                              "port": WITNESS, "netns": listen["netns"]})
    if witnesses:
        conf["witnesses"] = witnesses
    files = f"{ROOT}/console/dist"
    if os.path.isdir(files):
        conf["console_files"] = files
    return yaml.safe_dump(conf, sort_keys=False)


def missing(lab):
    """What a configuration made now lacks, and what follows."""
    found = []
    if not program("gemel-agent"):
        found.append("gemel-agent is not built: no reference value, so every device is refused")
    if not all(witness_key(lab, n) for n in lab.topology.of_kind("witness")):
        found.append("gemel-witness is not built or not started: its checkpoints have no witness")
    return found


def inventory(lab):
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(("device", "kind", "domain", "site", "role"))
    for n in lab.topology.elements:
        w.writerow((n.name, "agent", n.domain, n.site, n.role))
    return out.getvalue()


def is_converged(lab):
    """(True, "") or (False, what is still missing)."""
    for n in lab.topology.forwarders:
        for what, count in (("OSPF neighbours full", routing.ospf_full),
                            ("BGP peers established", routing.bgp_established)):
            seen, wanted = count(lab, n) if _speaks(lab, n, what) else (0, 0)
            if seen < wanted:
                return False, f"{n.name}: {seen} of {wanted} {what}"
    for start, to in lab.topology.reach:
        if not network.reaches(lab, start, to):
            return False, f"{start} does not reach {to}"
    return True, ""


def _speaks(lab, node, what):
    return routing.speaks_ospf(node) if what.startswith("OSPF") else routing.speaks_bgp(
        lab.topology, node)
