# SPDX-License-Identifier: Apache-2.0
"""The whole system under measurement: the lab network with its agents, gemeld as it is installed, and
simulated devices beside them that really join (simulated_devices.c)."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import time

import mapping
import yaml
from gemellab import gemel, lab, network, twin

RUN = os.environ.get("GEMEL_BENCH_RUN", "/run/gemel-bench")
DEVICE, INTERFACE, PEER = "core-1", "to-core-2", "core-2"
ADDRESS, PREFIX = "198.51.100.77", "198.51.100.128"
JOIN_S, SETTLE_S = 300, 25
MEMORY_BUDGET = "96M"  # of points that are not in chunks yet; reached while this runs


class BenchError(Exception):
    pass


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Simulated:
    """The process of the simulated devices."""

    def __init__(self, program, netns, address, pcr17, interfaces):
        self.authority = f"{RUN}/simulated-manufacturer.pem"
        self.counts, self.rest = {}, b""
        self.process = subprocess.Popen([program, "--authority", self.authority, "--address", address, "--pcr17", pcr17,
                                         "--interfaces", str(interfaces), "--netns", netns], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline().strip() != b"ready":
            raise BenchError("the simulated devices did not start")
        os.set_blocking(self.process.stdout.fileno(), False)

    def join(self, tokens):
        with self.process.stdin as f:
            f.write("".join(t + "\n" for t in tokens).encode())

    def look(self):
        """Its last report."""
        if self.process.poll() is not None:
            raise BenchError(f"the simulated devices ended with {self.process.returncode}")
        with contextlib.suppress(BlockingIOError):
            self.rest += os.read(self.process.stdout.fileno(), 1 << 20)
        *lines, self.rest = self.rest.split(b"\n")
        if lines:
            words = lines[-1].decode().split()
            self.counts = {n: int(v) for n, v in zip(words[::2], words[1::2])}
        return self.counts

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class System:
    def __init__(self, programs, devices=1000, interfaces=50):
        self.programs, self.devices, self.interfaces = programs, devices, interfaces
        self.lab = lab.Lab(os.path.join(RUN, "lab"))
        self.twin = twin.Twin(RUN)
        self.simulated = self.connection = self.password = None
        self.worst_mb = 0

    # --- up and down

    def raise_lab(self):
        self.lab.up(lab.topologies()["campus"], False, say=lambda s: None)
        at = yaml.safe_load(gemel.gemeld_conf(self.lab, self.twin.state))
        if "reference_values" not in at:
            raise BenchError("gemel-agent is not built")
        self.simulated = Simulated(self.programs("simulated_devices"), self.lab.spaces.net(network.MANAGEMENT),
                                   self.lab.topology.gemeld, at["reference_values"][0]["pcr17"], self.interfaces)

    def configuration(self):
        conf = yaml.safe_load(gemel.gemeld_conf(self.lab, self.twin.state))
        conf["ek_roots"].append(self.simulated.authority)
        conf["memory_budget"] = MEMORY_BUDGET
        return yaml.safe_dump(conf, sort_keys=False)

    def start_times(self, runs):
        """Seconds from gemeld's start, with an empty state folder, until /healthz says ok."""
        times = []
        for i in range(runs):
            shutil.rmtree(self.twin.state, ignore_errors=True)
            began = time.monotonic()
            with open(self.twin.conf, "w", encoding="utf-8") as f:
                f.write(self.configuration())
            with open(self.twin.log, "ab") as log:
                self.twin.process = subprocess.Popen([self.programs("gemeld"), "--config", self.twin.conf], stdout=log,
                                                     stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)
            began = time.monotonic()
            with open(f"{RUN}/gemeld.pid", "w", encoding="ascii") as f:
                f.write(str(self.twin.process.pid))
            twin.wait("gemeld answers", self.twin.healthy, 60, 0.005)
            times.append(time.monotonic() - began)
            if i + 1 < runs:
                self.twin.stop()
        return times

    def log_in(self):
        self.password = self.twin.first_password()
        self.twin.login(twin.ADMINISTRATOR, self.password)
        gemel.introduce_log(self.lab, twin.Text(self.twin.text("ledger", "vkey")))
        self.connect()

    def connect(self):
        """Northbound ends connections that nobody uses: called before each use."""
        token = self.connection.token if self.connection else None
        self.connection = mapping.Connection(self.twin.addresses()["api"], f"{self.twin.state}/authority.pem")
        if token:
            self.connection.token = token
        else:
            self.connection.login(twin.ADMINISTRATOR, self.password)

    def join_lab(self):
        path = os.path.join(RUN, "inventory.csv")
        with open(path, "w", encoding="utf-8") as f:
            f.write(gemel.inventory(self.lab))
        self.twin.gemel("device", "import", path)
        elements = self.lab.topology.elements
        self.twin.join(self.lab, elements)
        names = [n.name for n in elements]
        twin.wait("the lab's devices in production",
                  lambda: all(self.twin.states().get(n, {}).get("state") == "production" for n in names), 120, 0.5)

    def join_simulated(self):
        """Devices joined per second: enrolled, attested, registered, in production and sampling."""
        names = [f"sim{i:04}" for i in range(self.devices)]
        path = os.path.join(RUN, "simulated.csv")
        with open(path, "w", encoding="utf-8") as f:
            f.write("device,kind,domain,site,role\n" + "".join(f"{n},agent,simulated,simulated,switch\n" for n in names))
        self.twin.gemel("device", "import", path)
        self.connect()
        tokens = [self.connection.json("POST", f"/v1/devices/{n}:enrol", {})["token"] for n in names]
        say(f"{len(tokens)} tokens")
        began = time.monotonic()
        self.simulated.join(tokens)
        told = 0
        while self.simulated.look().get("streaming", 0) < self.devices:
            self.note_memory()
            if time.monotonic() - began > JOIN_S:
                raise BenchError(f"the simulated devices did not join: {self.simulated.counts}")
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"joining: {self.simulated.counts}")
            time.sleep(0.2)
        return self.devices / (time.monotonic() - began)

    def down(self):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if self.simulated:
                self.simulated.stop()
        self.twin.stop()
        self.lab.down(say=lambda s: None)
        shutil.rmtree(RUN, ignore_errors=True)

    # --- what it costs

    def pids(self):
        parent = self.twin.pid()
        if not parent:
            raise BenchError("gemeld has ended")
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as f:
            return [parent, *map(int, f.read().split())]

    def memory_mb(self):
        """VmRSS of gemeld's processes, by name."""
        found = {}
        for pid in self.pids():
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                kib = next(int(l.split()[1]) for l in f if l.startswith("VmRSS:"))
            with open(f"/proc/{pid}/cmdline", encoding="ascii") as f:
                words = f.read().split("\0")
            found[words[2] if "--process" in words else "parent"] = kib / 1024
        return found

    def note_memory(self):
        self.worst_mb = max(self.worst_mb, sum(self.memory_mb().values()))

    def settle(self):
        """Until every series has been told several times over."""
        for _ in range(SETTLE_S):
            time.sleep(1)
            self.note_memory()
            self.simulated.look()

    # --- mapping delay

    def mapping(self, links, others):
        """{kind: [ms, ...]}; the delays of `event` end with the server-sent event."""
        libc = ctypes.CDLL(None, use_errno=True)
        kernel = mapping.Kernel(self.lab.spaces.net(DEVICE), libc)
        events = mapping.Events(self.twin.addresses()["api"], f"{self.twin.state}/authority.pem", self.connection.token,
                                "topology.link")
        found = {"link": [], "address": [], "route": [], "event": [], "kernel": [], "asked": []}
        plain = {"address": mapping.address_probe(kernel, DEVICE, "lo", ADDRESS),
                 "route": mapping.route_probe(kernel, DEVICE, INTERFACE, PREFIX, 25)}
        for i in range(others):
            for kind, probe in plain.items():
                self._one(found, kind, probe, i % 2 == 0)
                time.sleep(0.1)
        probe = mapping.link_probe(kernel, DEVICE, INTERFACE)
        for i in range(links):
            events.drain()
            if i % 2:
                self._one(found, "link", probe, False)
            else:
                before, _ = kernel.link(INTERFACE, False)
                found["event"].append((self._event(events, "down", before) - before) / 1e6)
                probe.wait(self.connection, False)  # the other end's report may have been the first
            time.sleep(0.5)
            self._one(found, "link", probe, True)
            self._event(events, "up", time.monotonic_ns())  # when LLDP has seen the neighbour again
            time.sleep(0.5)
        return found

    @staticmethod
    def _event(events, state, since):
        at = mapping.link_event(events, INTERFACE, DEVICE, state, since)
        if at is None:
            raise BenchError(f"no event told that the link is {state}")
        return at

    def _one(self, found, kind, probe, present):
        ms, kernel_ms, asked = probe.run(self.connection, present)
        found[kind].append(ms)
        found["kernel"].append(kernel_ms)
        found["asked"].append(asked)
        self.note_memory()

    def floor(self, runs):
        """What no such system can do without, in ms: one sync to this disk and one answer of this size."""
        self.connect()
        path = os.path.join(self.twin.state, "bench-floor")
        probe, sync, answer = f"/v1/devices/{DEVICE}/state", [], []
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(runs):
                began = time.monotonic_ns()
                os.write(fd, b"x" * 512)
                os.fdatasync(fd)
                between = time.monotonic_ns()
                self.connection.ask("GET", probe)
                answer.append((time.monotonic_ns() - between) / 1e6)
                sync.append((between - began) / 1e6)
                time.sleep(0.02)
        finally:
            os.close(fd)
            os.unlink(path)
        return sync, answer
