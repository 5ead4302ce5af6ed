#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lab on this machine: comes up, converges, reroutes round a cut, filters, measures, and goes
away without a trace, also after its processes were killed and when `up` itself was.

Needs root and the kernel's namespaces; says why it does not run (exit 77) otherwise. Prints the
times that it saw; none of them is asserted.
"""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.normpath(os.path.join(HERE, "..", "..", "lab"))
sys.path.insert(0, LAB)
# pylint: disable=wrong-import-position
from gemellab import gemel, lab as labs, network, routing
from gemellab.processes import start_time

RUN = f"/run/gemel-lab-test-{os.getpid()}"
PATIENCE_S = 60  # how long a thing may take that must happen
SIOCGSKNS = 0x894C  # the network namespace of a socket
TPM_RC_LOCALITY = 0x907
PLACES = ("/run/frr", "/var/tmp", "/run/lldpd", "/run/netns", "/var/lib/swtpm-localca", "/etc/frr")


def command(*args, stdin="", code=0):
    done = subprocess.run([f"{LAB}/lab", *args], input=stdin, text=True, capture_output=True,
                          env={**os.environ, "GEMEL_LAB_RUN": RUN}, check=False)
    assert done.returncode == code, f"lab {args}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def until(what, condition):
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE_S, f"not seen: {what}"
        time.sleep(0.05)
    return time.monotonic() - start


def say(text):
    print(f"  {text}", flush=True)


# --- what the host looks like

def swtpm_left():
    """Temporary folders of this kind have no other maker."""
    return sorted(n for n in os.listdir("/tmp") if n.startswith("swtpm"))


def host():
    places = {p: sorted(os.listdir(p)) if os.path.isdir(p) else None for p in PLACES}
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        mounts = [line.split()[4] for line in f if "gemel-lab-test" in line or " nsfs " in line]
    return {"interfaces": sorted(os.listdir("/sys/class/net")), "places": places,
            "mounts": mounts, "run": os.path.lexists(RUN), "swtpm": swtpm_left()}


def without_trace(before, spaces, pids):
    assert host() == before, f"left behind: {host()} instead of {before}"

    def gone():
        for pid in (p for p in os.listdir("/proc") if p.isdigit()):
            for kind in ("net", "uts"):
                try:
                    s = os.stat(f"/proc/{pid}/ns/{kind}")
                except OSError:
                    continue
                if (s.st_dev, s.st_ino) in spaces:
                    return False
        return all(start_time(p) != started for p, started in pids.items())
    until("the end of every process", gone)


def snapshot(at):
    return at.spaces.inodes(), {p: start_time(p) for p in at.spaces.members()}


# --- the parts of the test

def converged(at):
    s = json.loads(command("status", "--json"))
    for name, n in s["nodes"].items():
        assert all(n["programs"].values()), f"{name}: {n['programs']}"
        assert n.get("ospf_full") == n.get("ospf_links"), f"{name}: {n}"
        assert n.get("bgp_established") == n.get("bgp_links"), f"{name}: {n}"
    assert all(l["state"] == "up" for l in s["links"]) and len(s["links"]) == len(at.topology.links)
    command("exec", "guest-1", "ping", "-c", "2", "-W", "2", "10.9.1.10")
    command("exec", "guest-1", "ping", "-c", "2", "-W", "2", "203.0.113.10")
    table = command("exec", "edge-1", "vtysh", "-c", "show ip route bgp")
    assert "203.0.113.0/24" in table, table


def next_hop(node, to):
    out = json.loads(command("exec", node, "ip", "-j", "route", "get", to) or "[]")
    return out[0].get("dev", "") if out else ""


def cut_and_heal(at):
    assert next_hop("access-1", "10.9.1.10") == "to-core-1"
    told = json.loads(command("cut", "access-1", "core-1", "--json"))
    assert abs(time.time_ns() - told["time_ns"]) < PATIENCE_S * 1e9
    for node, interface in (("access-1", "to-core-1"), ("core-1", "to-access-1")):
        assert not network.carrier(at, node, interface), f"{node} sees a carrier"
    took = until("traffic by core-2", lambda: next_hop("access-1", "10.9.1.10") == "to-core-2")
    took += until("answers to guest-1", lambda: network.reaches(at, "guest-1", "10.9.1.10"))
    say(f"rerouted, seen after {took:.2f} s")
    links = json.loads(command("status", "--json"))["links"]
    assert [(l["a"], l["b"]) for l in links if l["state"] == "down"] == [("access-1", "core-1")]
    command("heal", "access-1", "core-1")
    until("traffic by core-1 again", lambda: next_hop("access-1", "10.9.1.10") == "to-core-1")
    command("cut", "core-1", "access-1", "--both")
    command("heal", "core-1", "access-1")
    until("neighbours full", lambda: routing.ospf_full(at, at.node("access-1")) == (2, 2))
    assert "no link between" in command("cut", "access-1", "fw1", code=1)


def flows(at):
    found = {}
    for name, n in json.loads(command("status", "--json"))["nodes"].items():
        for f in n.get("flows", []):
            found[name, f["flow"]] = f
    return found


def filtering(at):
    until("each flow sent", lambda: all(f["sent"] >= 3 for f in flows(at).values()))
    for (name, flow), f in flows(at).items():
        answered = f["answered"] > 0
        assert answered == (f["expect"] == "answered"), f"{name}: {flow}: {f}"
    rules = json.loads(command("exec", "fw1", "nft", "-j", "list", "ruleset"))["nftables"]
    dropped = [r["rule"] for r in rules if "rule" in r and "guest never" in
               r["rule"].get("comment", "")]
    packets = [e["counter"]["packets"] for e in dropped[0]["expr"] if "counter" in e]
    assert packets[0] > 0, "the firewall has not seen the guest's tries"


def neighbours_by_lldp(at):
    socket_of = at.spaces.folder("core-1", "lldpd.sock")
    wanted = {"core-2", "access-1", "access-2", "fw1", "edge-1"}

    def seen():
        text = command("exec", "core-1", "lldpcli", "-u", socket_of, "-f", "json0", "show",
                       "neighbors")
        found = json.loads(text)["lldp"][0].get("interface", [])
        return {i["chassis"][0]["name"][0]["value"] for i in found} == wanted
    until("LLDP neighbours of core-1", seen)


def management_is_apart(at):
    """Elements reach gemeld's address, and by that network nobody else; hosts do not, even one
    that takes a management address as its source."""
    gemeld, core2 = at.topology.gemeld, at.topology.nodes["core-2"].management
    assert network.reaches(at, "core-1", gemeld)
    assert not network.reaches(at, "core-1", core2)
    received = lambda: int(json.loads(command("exec", "mgmt", "nstat", "-asz", "-j", "IcmpInEchos"))
                           ["kernel"]["IcmpInEchos"])
    before = received()
    assert not network.reaches(at, "guest-1", gemeld)
    command("exec", "guest-1", "ip", "address", "add", f"{core2}/32", "dev", "eth0")
    command("exec", "guest-1", "ping", "-c", "1", "-W", "1", "-I", core2, gemeld, code=1)
    command("exec", "guest-1", "ip", "address", "del", f"{core2}/32", "dev", "eth0")
    assert received() == before, "a host's packet came to gemeld"


def tpm_command(path, body, tag=0x8002):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(struct.pack(">HI", tag, len(body) + 6) + body)
        answer = s.recv(4096)
    return struct.unpack(">I", answer[6:10])[0]


def measured(at):
    """The launcher with other executables in the agent's place."""
    tpm, control = at.spaces.folder("dc-2", "tpm.sock"), at.path("control", "dc-2.sock")
    config, status = at.path("probe.conf"), at.path("probe.out")
    launch = lambda program: command("exec", "dc-2", f"{LAB}/launch-agent", "--control", control,
                                     "--tpm", tpm, "--agent", program, "--config", config)
    command("agent", "stop", "dc-2")
    right = launch("/bin/true").split()[-1]
    assert right == command("reference", "/bin/true").strip()
    altered = at.path("true")
    with open("/bin/true", "rb") as f, open(altered, "wb") as g:
        g.write(f.read() + b"\n")
    os.chmod(altered, 0o755)
    wrong = launch(altered).split()[-1]
    assert wrong != right and wrong == command("reference", altered).strip()
    assert launch("/bin/true").split()[-1] == right  # reset at each start, not piled up

    empty_password = struct.pack(">I", 9) + struct.pack(">IHBH", 0x40000009, 0, 0, 0)
    extend = struct.pack(">II", 0x182, 17) + empty_password + struct.pack(">IH", 1, 11) + bytes(32)
    reset = struct.pack(">II", 0x13D, 17) + empty_password
    assert tpm_command(tpm, extend) == TPM_RC_LOCALITY
    assert tpm_command(tpm, reset) == TPM_RC_LOCALITY

    # What was launched is root, and yet has neither the control line nor the means to uncover it.
    with open(config, "w", encoding="utf-8") as f:
        f.write(f'url = "file:///proc/self/status"\noutput = "{status}"\n')
    launch("/usr/bin/curl")
    with open(status, encoding="utf-8") as f:
        fields = dict(line.split(":", 1) for line in f)
    for capability in (19, 21):  # CAP_SYS_PTRACE, CAP_SYS_ADMIN
        for kind in ("CapEff", "CapBnd"):
            assert not int(fields[kind], 16) >> capability & 1, f"{kind} {fields[kind]}"
    with open(config, "w", encoding="utf-8") as f:
        f.write(f'url = "http://x/"\nunix-socket = "{control}"\n')
    done = subprocess.run([f"{LAB}/lab", "exec", "dc-2", f"{LAB}/launch-agent", "--control",
                           control, "--tpm", tpm, "--agent", "/usr/bin/curl", "--config", config],
                          env={**os.environ, "GEMEL_LAB_RUN": RUN}, capture_output=True, check=False)
    assert b"PCR 17 is" in done.stdout and done.returncode == 7, done  # curl: could not connect
    if gemel.program("gemel-agent"):
        command("agent", "start", "dc-2")


def launcher_fails_closed(at):
    tpm = at.spaces.folder("dc-1", "tpm.sock")
    said = subprocess.run([f"{LAB}/launch-agent", "--control", at.path("control", "none.sock"),
                           "--tpm", tpm, "--agent", "/bin/echo", "--config", "started"],
                          capture_output=True, text=True, check=False)
    assert said.returncode != 0 and "started" not in said.stdout, said


def documents(at):
    rows = command("inventory").splitlines()
    assert rows[0] == "device,kind,domain,site,role" and len(rows) == 1 + len(at.topology.elements)
    import yaml
    conf = yaml.safe_load(command("config", "--state", "/nowhere"))
    assert conf["telemetry"]["netns"] == at.spaces.net("mgmt") and os.path.exists(conf["ek_roots"][0])
    assert "holds no token" in command("token", "core-1", stdin="nonsense\n", code=1)
    command("token", "core-1", stdin="gemel1.core-1.id.secret.hash\n")
    token = at.spaces.folder("core-1", "token")
    assert not os.path.exists(token) or os.stat(token).st_mode & 0o777 == 0o600


def hold_listener(at):
    """As gemeld: a process on the host whose listening socket is in the management namespace."""
    ready, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc = __import__("ctypes").CDLL(None, use_errno=True)
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(at.spaces.net("mgmt"), os.O_RDONLY)
        ok = libc.setns(there, 0) == 0
        s = socket.create_server(("10.255.0.1", 9339))
        ok = ok and libc.setns(home, 0) == 0
        os.close(there)
        os.write(into, b"1" if ok else b"0")
        signal.pause()
        print(s)
    assert os.read(ready, 1) == b"1"
    return pid


def bridge_is_gone(pid):
    """Through the socket that still holds the namespace: nothing is in it."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
            fd = os.pidfd_open(pid)
            libc = __import__("ctypes").CDLL(None, use_errno=True)
            copy = libc.syscall(438, fd, int(name), 0)  # pidfd_getfd
            assert copy >= 0
            space = fcntl.ioctl(copy, SIOCGSKNS, 0)
            out = subprocess.run(["nsenter", f"--net=/proc/self/fd/{space}", "ip", "-j", "link"],
                                 capture_output=True, check=True, pass_fds=(space,)).stdout
            assert [l["ifname"] for l in json.loads(out)] == ["lo"], out
            return
    raise AssertionError("the process has no socket")


def whole_life(before):
    at = labs.Lab(RUN)
    assert "no lab" in command("down")
    print(command("up"), end="", flush=True)
    assert "exists" in command("up", code=1)
    for part in (converged, cut_and_heal, filtering, neighbours_by_lldp, management_is_apart,
                 measured, launcher_fails_closed, documents):
        part(at)
        say(f"{part.__name__} ok")
    spaces, pids = snapshot(at)
    listener = hold_listener(at)
    try:
        print(command("down"), end="", flush=True)
        bridge_is_gone(listener)
    finally:
        os.kill(listener, signal.SIGKILL)
        os.waitpid(listener, 0)
    without_trace(before, spaces, pids)
    assert "no lab" in command("down")


def killed_processes(before):
    at = labs.Lab(RUN)
    command("up", "--no-agents")
    spaces, pids = snapshot(at)
    assert len(pids) > 40, pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    print(command("down"), end="", flush=True)
    without_trace(before, spaces, pids)


def killed_up(before, after_s):
    """SIGKILL in the middle of `up`, as far as it got."""
    at = labs.Lab(RUN)
    up = subprocess.Popen([f"{LAB}/lab", "up"], env={**os.environ, "GEMEL_LAB_RUN": RUN},
                          stdout=subprocess.DEVNULL)
    until("the run folder", lambda: os.path.exists(at.path("topology.yaml")))
    time.sleep(after_s)
    up.kill()
    up.wait()
    spaces, pids = snapshot(at)
    command("down")
    without_trace(before, spaces, pids)


def main():
    try:
        labs.check()
    except labs.LabError as e:
        print(f"skipped: {e}")
        sys.exit(77)
    before = host()
    try:
        whole_life(before)
        say("down leaves no trace")
        killed_processes(before)
        say("down after kill -9 of all processes leaves no trace")
        for after_s in (0.1, 0.6, 2, 4):
            killed_up(before, after_s)
        say("down after kill -9 of up leaves no trace")
    finally:
        subprocess.run([f"{LAB}/lab", "down"], env={**os.environ, "GEMEL_LAB_RUN": RUN},
                       stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
