#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py PROBE GEMELD: supervision, DIAL, listeners, breaches and stopping with the probe's processes;
then gemeld itself on loopback: every process killed comes back, each behind its sandbox."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROBE, GEMELD = sys.argv[1:3]
ROOT = os.geteuid() == 0
PATIENCE = 60  # seconds: only ends a run that hangs
failed = 0


def check(what, good, detail=""):
    global failed
    failed += not good
    print(("ok      " if good else "FAILED  ") + what + ("" if good else f"  [{detail}]"), flush=True)
    return good


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Daemon:
    """A parent under test and what it logs."""

    def __init__(self, arguments):
        self.lines, self.changed = [], threading.Condition()
        self.p = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.p.stderr:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip())
                self.changed.notify_all()

    def mark(self):
        return len(self.lines)

    def wait(self, pattern, since=0, times=1):
        """Waits for the pattern in the log; its last match, or None after PATIENCE."""
        end = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                found = [m for m in (re.search(pattern, l) for l in self.lines[since:]) if m]
                if len(found) >= times:
                    return found[times - 1]
                if time.monotonic() > end or (self.p.poll() is not None and not self.reader.is_alive()):
                    return None
                self.changed.wait(0.5)

    def process(self, name):
        """The pid of one of its processes, or None."""
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if parent == self.p.pid and words[1:3] == [b"--process", name.encode()]:
                return int(pid)
        return None

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            return self.p.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            return None
        finally:
            self.reader.join(PATIENCE)


def write_conf(folder, ports, more=""):
    path = os.path.join(folder, "gemel.yaml")
    names = ["telemetry", "enrolment", "control", "api", "console"]
    with open(path, "w") as f:
        f.write("name: gemel.example/test\nstate: state\nwitnesses_mode: none\n")
        for name, port in zip(names, ports):
            f.write(f"{name}: {{address: 127.0.0.1, port: {port}}}\n")
        f.write(more)
    return path


def say(port, word):
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
        s.sendall(word.encode())
        s.recv(1)


class Speaker:
    """A listener that says a word to whoever connects."""

    def __init__(self, word, port=0):
        self.s = socket.create_server(("127.0.0.1", port))
        self.word, self.port = word, self.s.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            c.sendall(self.word.encode() + b"\n")
            c.close()

    def close(self):
        self.s.close()


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)


def breaches(d, ports):
    """Each thing that control must not do ends control (or who is to blame), and it comes back."""
    for word, end in [("forbidden", r"control ended: signal 31 .*: a system call outside its list"),
                      ("abort", r"control ended: signal 6 "), ("exit", r"control ended: exit status 7"),
                      ("raw parent", r"control is ended: control may not send message \d+ \(CONFIG\) to parent"),
                      ("raw management", r"control is ended: broke its contract with management: .*\(FEED\)"),
                      ("content", r"control is ended: broke its contract with management: .*breaks its contract"),
                      ("metrics", r"control is ended: METRICS from control: .*malformed")]:
        at = d.mark()
        say(ports[2], word)
        check(f"control does \"{word}\": ended", d.wait(end, at), d.lines[at:])
        check(f"and comes back after \"{word}\"", d.wait(r"control runs: ", at), d.lines[at:])
    at = d.mark()
    for i in range(6):
        before = d.mark()
        say(ports[2], "accuse")
        d.wait(r"management is ended: broke its contract with control: a lie", before)
        d.wait(r"management runs: ", before)
    check("who accuses without end is ended", d.wait(r"control is ended: accused others without end", at),
          d.lines[at:])
    check("and comes back", d.wait(r"control runs: ", at))


def probe_conf(folder, ports, witness, target, netns):
    closed = free_ports(1)[0]
    more = (f"witnesses: [{{name: w, vkey: v, address: 127.0.0.1, port: {witness.port}}}]\ntargets:\n"
            f"  - {{device: a, address: 127.0.0.1, port: {target.port}, authority: ca.pem}}\n"
            f"  - {{device: b, address: 127.0.0.1, port: {closed}, authority: ca.pem}}\n")
    if netns:
        more += f"  - {{device: c, address: 127.0.0.1, port: 7, netns: {netns}, authority: ca.pem}}\n"
    with open(os.path.join(folder, "ca.pem"), "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    return write_conf(folder, ports, more)


class Namespace:
    """A network namespace with a speaker in it, or None's worth of nothing without the rights."""

    def __init__(self):
        self.name, self.inside = f"gemel-test-{os.getpid()}", None
        if not ROOT or subprocess.run(["ip", "netns", "add", self.name], capture_output=True).returncode:
            self.name = None

    def __enter__(self):
        if not self.name:
            return None
        try:
            subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
            self.inside = subprocess.Popen(
                ["ip", "netns", "exec", self.name, sys.executable, "-c",
                 "import socket\ns = socket.create_server(('127.0.0.1', 7))\nprint('up', flush=True)\n"
                 "while True:\n c, _ = s.accept()\n c.sendall(b'inside\\n')\n c.close()\n"],
                stdout=subprocess.PIPE)
            self.inside.stdout.readline()
        except BaseException:
            self.__exit__()
            raise
        return self.name

    def __exit__(self, *_):
        if self.inside:
            self.inside.kill()
            self.inside.wait()
        if self.name:
            subprocess.run(["ip", "netns", "del", self.name])


def probe(folder):
    with Namespace() as netns:
        probe_in(folder, netns)


def probe_in(folder, netns):
    witness, target = Speaker("witness"), Speaker("target")
    ports = free_ports(5)
    d = Daemon([PROBE, probe_conf(folder, ports, witness, target, netns)])
    try:
        for name in ["telemetry", "northbound", "management", "control", "keys"]:
            check(f"{name} runs", d.wait(rf"{name} runs: uid \d+.*, seccomp \d+ calls, "), d.lines)
        check("telemetry reaches a target", d.wait(r"telemetry: dial 1: said target"))
        check("a closed port is an error", d.wait(r"telemetry: dial 2: refused: Connection refused"))
        if netns:
            check("a target in another network namespace", d.wait(r"telemetry: dial 3: said inside"), d.lines)
        check("names are not resolved", d.wait(r"telemetry: dial 50: refused: .*no numeric address"))
        check("only configured namespaces", d.wait(r"telemetry: dial 51: refused: .*not in the configuration"))
        check("port 0", d.wait(r"telemetry: dial 52: refused: port 0"))
        check("northbound reaches its witness", d.wait(r"northbound: dial 1: said witness"))
        check("and nothing else", d.wait(r"northbound: dial 2: refused: .*no configured witness"))
        check("figures reach northbound", d.wait(r"northbound: metric probe_total of control: 5"))
        check("with memory", d.wait(r"metric gemel_process_resident_bytes of control: \d{6}"))
        check("the parent's too", d.wait(r"metric gemel_process_resident_bytes of parent: \d{6}"))
        check("status reaches management", d.wait(r"status keys pid [1-9]\d* uid \d+ restarts 0 running 1 rss \d{6}"))
        check("the parent is in it", d.wait(r"status parent pid [1-9]"))
        with open(os.path.join(folder, "state", "authority.pem")) as f:
            check("published file", f.read() == "PEM\n")
        mode = os.stat(os.path.join(folder, "state", "authority.pem")).st_mode & 0o777
        check("for clients to read", mode == 0o644, oct(mode))

        waits = [d.wait(r"models ended: exit status 1; it is started again in (\d+) ms", times=i + 1)
                 for i in range(4)]
        check("back-off doubles", [w and w.group(1) for w in waits] == ["100", "200", "400", "800"], waits)
        check("a process that cannot start is not running",
              d.wait(r"status models pid \d+ uid 0 restarts [1-9]\d* running 0 .*last \"exit status 1\""))

        old = d.process("telemetry")
        at = d.mark()
        os.kill(old, signal.SIGKILL)
        with socket.create_connection(("127.0.0.1", ports[0]), PATIENCE) as s:  # in between, or just after
            s.settimeout(PATIENCE)
            check("who connects meanwhile is served", s.recv(16) == b"here\n")
        check("telemetry came back", d.wait(r"telemetry runs: ", at) and d.process("telemetry") != old)
        check("its end is told", d.wait(r"status telemetry .* restarts 1 running 1 .*last \"signal 9 ", at), d.lines[at:])

        breaches(d, ports)
        at = d.mark()
        d.p.send_signal(signal.SIGHUP)
        check("SIGHUP changes nothing", d.wait(r"SIGHUP: the configuration is read at start only", at))
        at = d.mark()
        check("stops in order", d.stop() == 0, d.p.returncode)
        told = [l.split()[1].rstrip(":") for l in d.lines[at:] if "told to stop" in l]
        check("who faces outside first, keys last",
              sorted(told[:3]) == ["control", "northbound", "telemetry"] and told[3:] == ["management", "keys"], told)
    finally:
        d.stop()
        witness.close()
        target.close()


def probe_hang(folder):
    """A process that does not stop is ended when its time is over."""
    witness, target, ports = Speaker("w"), Speaker("t"), free_ports(5)
    d = Daemon([PROBE, probe_conf(folder, ports, witness, target, None)])
    try:
        d.wait(r"control runs: ")
        d.wait(r"keys runs: ")
        at = d.mark()
        say(ports[2], "hang")
        d.wait(r"told: hang", at)
        check("stops in spite of it", d.stop() == 0, d.p.returncode)
        check("and says whom it ended", d.wait(r"control is ended: it did not stop in time", at), d.lines[at:])
    finally:
        d.stop()
        witness.close()
        target.close()


def refusals(folder, gemeld_conf):
    r = subprocess.run([GEMELD, "--check-config", gemeld_conf], capture_output=True, text=True)
    check("--check-config", r.returncode == 0 and "good" in r.stdout, r)
    bad = os.path.join(folder, "bad.yaml")
    with open(bad, "w") as f:
        f.write("name: x\nstate: s\napi: {port: 70000}\n")
    for flag in ["--check-config", "--config"]:
        r = subprocess.run([GEMELD, flag, bad], capture_output=True, text=True)
        check(f"{flag} names line, key and what is allowed",
              r.returncode == 2 and "bad.yaml:3: api.port: 70000 is too large; 1 to 65535" in r.stderr, r)
    r = subprocess.run([GEMELD, "--describe-config"], capture_output=True, text=True)
    check("--describe-config", r.returncode == 0 and "certificate_days: 7" in r.stdout, r.stdout[:200])
    check("no option", subprocess.run([GEMELD], capture_output=True).returncode == 2)
    check("--version", subprocess.run([GEMELD, "--version"], capture_output=True).stdout.startswith(b"gemeld "))
    r = subprocess.run([GEMELD, "--process", "keys"], capture_output=True, stdin=subprocess.DEVNULL)
    check("--process without a parent ends", r.returncode != 0 and r.returncode > 0, r)


def real(folder):
    ports = free_ports(5)
    conf = write_conf(folder, ports)
    refusals(folder, conf)
    d = Daemon([GEMELD, "--config", conf])
    order = ["telemetry", "control", "repository", "models", "management", "northbound", "keys"]
    try:
        names = [n for n in order if d.wait(rf"gemeld: {n} runs: ") or not print(f"        no {n}")]
        names = [n for n in order if any(re.search(rf"gemeld: {n} runs: ", l) for l in d.lines)]
        check("all seven run", names == order, d.lines)
        for n in names:
            s = status(d.process(n))
            fence = s["Seccomp"] == "2" and s["NoNewPrivs"] == "1" and int(s["CapEff"], 16) == 0
            check(f"{n} is behind seccomp, without capabilities", fence, s)
            if ROOT:
                want = str(61200 + 1 + order.index(n))
                check(f"{n} has a user of its own", set(s["Uid"].split()) == {want} and set(s["Gid"].split()) == {want}
                      and s["Groups"].strip() == "", s["Uid"])
            if ROOT:
                folder_of = f"/proc/{d.process(n)}/fd"
                links = [os.readlink(f"{folder_of}/{f}") for f in os.listdir(folder_of)]
                check(f"{n} holds no file of another's", not [l for l in links if l.startswith(folder) and
                                                              f"/state/{n}" not in l], links)
        for n in ["repository", "management", "keys"]:
            path = os.path.join(folder, "state", n)
            if n in names:
                st = os.stat(path)
                check(f"state/{n} is its own",
                      st.st_mode & 0o777 == 0o700 and (not ROOT or st.st_uid == 61201 + order.index(n)), st)
        r = subprocess.run([GEMELD, "--config", conf], capture_output=True, text=True)
        check("a second one on the same state is refused",
              r.returncode == 1 and "another gemeld runs on this state folder" in r.stderr, r)
        for n in names:
            others = {o: d.process(o) for o in names if o != n}
            at = d.mark()
            os.kill(d.process(n), signal.SIGKILL)
            check(f"{n} killed: it comes back", d.wait(rf"gemeld: {n} runs: ", at), d.lines[at:])
            check(f"{n} killed: the others go on", others == {o: d.process(o) for o in others}, d.lines[at:])
        bad = [l for l in d.lines if "broke its contract" in l or "outside its list" in l or "is ended" in l]
        check("nobody broke a contract", not bad, bad)
        check("stops", d.stop() == 0, d.p.returncode)
        at = d.mark()
        again = Daemon([GEMELD, "--config", conf])
        check("starts again on its state", all(again.wait(rf"gemeld: {n} runs: ") for n in names), again.lines)
        check("and stops at once after two signals",
              again.p.send_signal(signal.SIGTERM) is None and again.stop() == 0, again.p.returncode)
    finally:
        d.stop()


for part in [probe, probe_hang, real]:
    # Not below a private folder: the processes' users must reach the console's files and nothing else.
    where = tempfile.mkdtemp(prefix="gemel-parent-")
    os.chmod(where, 0o755)
    try:
        part(where)
    finally:
        shutil.rmtree(where)
sys.exit(1 if failed else 0)
