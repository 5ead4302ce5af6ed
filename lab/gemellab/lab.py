# SPDX-License-Identifier: Apache-2.0
"""A lab: its run folder, its coming and going.

    RUN/topology.yaml      the file that it was made from (a copy: the original may change)
    RUN/net, RUN/uts       namespaces (spaces.py)
    RUN/nodes/NODE/        logs, pid files, sockets, configuration and state of a node
    RUN/manufacturer, RUN/elsewhere, RUN/control   trust.py

All that the lab makes is in the run folder, in its namespaces, or a process in these. `down`
therefore needs to know nothing of what `up` had got to: it ends the processes, unmounts, deletes.
"""

import fcntl
import json
import os
import shutil
import time

from . import gemel, network, routing, topology, trust
from .processes import Processes
from .spaces import Spaces, allowed

HOME = "/run/gemel-lab"
TOPOLOGIES = os.path.join(gemel.ROOT, "lab", "topologies")
TRAFFIC = os.path.join(gemel.ROOT, "lab", "traffic")
CONVERGE_S = 60
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    pass


class Lab:
    def __init__(self, run):
        self.run = os.path.realpath(run)
        if self.run.startswith("/var/tmp/") or len(self.run) > 60 or self.run.count("/") < 2:
            raise LabError(f"{self.run}: a run folder is at most 60 characters long (socket paths) "
                           "and not at the root or in /var/tmp")
        self.spaces = Spaces(self.run)
        self.processes = Processes(self.spaces)
        self._topology = self._lock = None

    def path(self, *more):
        return os.path.join(self.run, *more)

    @property
    def topology(self):
        if self._topology is None:
            if not os.path.exists(self.path("topology.yaml")):
                raise LabError(f"no lab runs at {self.run}: lab up")
            self._topology = topology.load(self.path("topology.yaml"))
        return self._topology

    def node(self, name):
        if name not in self.topology.nodes:
            raise LabError(f"there is no node {name!r}; there are "
                           f"{', '.join(self.topology.nodes)}")
        return self.topology.nodes[name]

    def lock(self):
        """One up or down at a time. Held until this process ends (not by its children)."""
        if self._lock is not None:
            return
        fd = os.open(self.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise LabError(f"another lab up or down works on {self.run}") from None
        self._lock = fd

    # --- up

    def up(self, source, with_agents=True, say=print):
        check()
        t = topology.load(source)  # before anything is made
        start = time.monotonic()
        os.makedirs(os.path.dirname(self.run), exist_ok=True)
        try:
            os.mkdir(self.run, 0o755)
        except FileExistsError:
            raise LabError(f"{self.run} exists: a lab runs, or one crashed; lab down") from None
        self.lock()
        shutil.copyfile(source, self.path("topology.yaml"))
        self._topology = t
        times = {}

        def step(name, work):
            before = time.monotonic()
            work()
            times[name] = round(time.monotonic() - before, 2)
            say(f"  {name}: {times[name]:.2f} s")
        step("namespaces", self._namespaces)
        step("links and addresses", self._links)
        step("programs", lambda: self._programs(with_agents, say))
        step("convergence", self._converge)
        step("traffic", self._traffic)
        times["all"] = round(time.monotonic() - start, 2)
        with open(self.path("times.json"), "w", encoding="utf-8") as f:
            json.dump(times, f)
        say(f"  all: {times['all']:.2f} s")
        return times

    def _namespaces(self):
        for name in [network.MANAGEMENT, *self.topology.nodes]:
            self.spaces.create(name, network.settings(self.topology.nodes.get(name)))

    def _links(self):
        network.connect(self)
        network.configure_management(self)
        for n in self.topology.nodes.values():
            network.configure(self, n)

    def _programs(self, with_agents, say):
        """Routing first: it converges while the rest starts."""
        t = self.topology
        routing.start(self, t.forwarders)
        trust.make_authority(self, "manufacturer", "Gemel lab TPM manufacturer")
        trust.make_authority(self, "elsewhere", "Another TPM manufacturer")
        with_tpm = [n for n in t.nodes.values() if n.has_tpm]
        making = trust.Making(self, with_tpm)
        for n in t.elements:
            gemel.start_lldpd(self, n)
            making.step()
        for n in t.of_kind("witness"):
            try:
                gemel.start_witness(self, n)
            except gemel.GemelError as e:
                say(f"  {n.name}: {e}")
        making.finish()
        if with_agents and not gemel.program("gemel-agent"):
            say("  agents are not started: gemel-agent is not built (make, or GEMEL_BUILD)")
        elif with_agents:
            for n in t.elements:
                gemel.start_agent(self, n)

    def _converge(self):
        end = time.monotonic() + CONVERGE_S
        while True:
            done, missing = gemel.is_converged(self)
            if done:
                return
            if time.monotonic() > end:
                raise LabError(f"no convergence within {CONVERGE_S} s: {missing}")
            time.sleep(0.1)

    def _traffic(self):
        for n in sorted(self.topology.of_kind("host"), key=lambda n: not n.serves):
            at = self.spaces.folder(n.name, "traffic.json")
            with open(at, "w", encoding="utf-8") as f:
                json.dump({"serves": n.serves, "flows": n.flows}, f)
            self.processes.start(n.name, "traffic", [
                "/usr/bin/python3", "-I", TRAFFIC, at,
                self.spaces.folder(n.name, "traffic-seen.json")])

    # --- down

    def down(self, say=print):
        """Also after a crash, at any point of up or down. Nothing there: nothing to do."""
        if not os.path.isdir(self.run):
            say(f"no lab at {self.run}")
            return False
        if os.listdir(self.run) and not any(os.path.exists(self.path(n)) for n in
                                            ("topology.yaml", "net")):
            raise LabError(f"{self.run} is no lab's run folder: nothing is deleted")
        self.lock()
        start = time.monotonic()
        ended = self.processes.kill_all()
        if os.path.ismount(self.spaces.net(network.MANAGEMENT)):
            network.disconnect_management(self)
        self.processes.kill_all()
        self.spaces.unmount_all()
        shutil.rmtree(self.run)
        if self.run.startswith(HOME + "/"):
            try:
                os.rmdir(HOME)
            except OSError:
                pass  # another lab is there
        say(f"down: {ended} processes ended, {time.monotonic() - start:.2f} s")
        return True

    # --- state

    def status(self):
        t, nodes = self.topology, {}
        for n in t.nodes.values():
            ran = self.processes.named(n.name)
            at = {"kind": n.kind, "programs": {k: bool(v) for k, v in ran.items()}}
            if n.forwards and routing.speaks_ospf(n):
                at["ospf_full"], at["ospf_links"] = routing.ospf_full(self, n)
            if n.forwards and routing.speaks_bgp(t, n):
                at["bgp_established"], at["bgp_links"] = routing.bgp_established(self, n)
            if n.flows:
                at["flows"] = self._flows(n)
            nodes[n.name] = at
        return {"name": t.name, "run": self.run, "nodes": nodes,
                "links": network.links_state(self)}

    def _flows(self, node):
        try:
            with open(self.spaces.folder(node.name, "traffic-seen.json"), encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return []


NEEDED = {"frr": "/usr/lib/frr/ospfd", "iproute2": "ip", "iputils-ping": "ping", "lldpd": "lldpd",
          "nftables": "nft", "openssl": "openssl", "procps": "sysctl", "swtpm": "swtpm",
          "swtpm-tools": "swtpm_setup"}


def check():
    """LabError says why a lab cannot run on this machine, and how to mend it."""
    missing = [package for package, at in NEEDED.items() if not shutil.which(at, path=PATH)]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}; make deps")
    why = allowed()
    if why:
        raise LabError(f"the lab cannot run: {why}")


def topologies():
    return {os.path.splitext(f)[0]: os.path.join(TOPOLOGIES, f)
            for f in sorted(os.listdir(TOPOLOGIES)) if f.endswith(".yaml")}


def running():
    """Run folders of labs in the usual place."""
    folder = HOME
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.join(folder, n) for n in names if os.path.isdir(os.path.join(folder, n))]
