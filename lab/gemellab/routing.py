# SPDX-License-Identifier: Apache-2.0
"""FRR: configuration, start, and what its daemons say of themselves.

Timers are for a lab: OSPF hellos each second on point-to-point links, dead after three, and short
throttles (FRR's own five seconds between two originations of an LSA are most of a cold start).
"""

import json
import os
import pwd
import re
import socket
import time

DAEMONS = "/usr/lib/frr"
ZEBRA_S = 10


class RoutingError(Exception):
    pass


def _owned(path, text):
    user = pwd.getpwnam("frr")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chown(path, user.pw_uid, user.pw_gid)


def staticd_conf(node):
    lines = [f"hostname {node.name}", "log stdout", "!"]
    lines += [f"ip route {network} blackhole 250" for network in node.announces]
    return "\n".join(lines) + "\n"


def ospfd_conf(node):
    lines = [f"hostname {node.name}", "log stdout", "!"]
    for i in node.interfaces.values():
        if not i.ospf:
            continue
        lines += [f"interface {i.name}", " ip ospf area 0", f" ip ospf cost {i.cost}"]
        lines += [" ip ospf passive"] if i.passive else [
            " ip ospf network point-to-point", " ip ospf hello-interval 1",
            " ip ospf dead-interval 3", " ip ospf retransmit-interval 1"]
        lines.append("!")
    lines += ["interface lo", " ip ospf area 0", " ip ospf passive", "!", "router ospf",
              f" ospf router-id {node.loopback}", " timers throttle spf 20 100 1000",
              " timers throttle lsa all 50", " timers lsa min-arrival 0",
              " maximum-paths 8"]
    return "\n".join(lines) + "\n"


def bgpd_conf(topology, node):
    lines = [f"hostname {node.name}", "log stdout", "!"]
    for i, network in enumerate(node.announces):
        lines.append(f"ip prefix-list OWN seq {i + 1} permit {network}")
    lines += ["ip prefix-list ALL seq 1 permit 0.0.0.0/0 le 24", "!", "route-map OUT permit 10",
              " match ip address prefix-list OWN", "route-map IN permit 10",
              " match ip address prefix-list ALL", "!", f"router bgp {node.asn}",
              f" bgp router-id {node.loopback}", " no bgp network import-check"]
    peers = []
    for link in topology.neighbours(node, bgp=True):
        other = topology.nodes[link.b if link.a == node.name else link.a]
        address = other.interfaces[f"to-{node.name}"].address.split("/")[0]
        peers.append(address)
        lines += [f" neighbor {address} remote-as {other.asn}",
                  f" neighbor {address} description {other.name}",
                  f" neighbor {address} timers 1 3", f" neighbor {address} timers connect 1",
                  f" neighbor {address} advertisement-interval 0"]
    lines.append(" address-family ipv4 unicast")
    lines += [f"  network {n}" for n in node.announces]
    for address in peers:
        lines += [f"  neighbor {address} route-map IN in",
                  f"  neighbor {address} route-map OUT out"]
    lines.append(" exit-address-family")
    return "\n".join(lines) + "\n"


def speaks_bgp(topology, node):
    return bool(topology.neighbours(node, bgp=True))


def speaks_ospf(node):
    return any(i.ospf for i in node.interfaces.values())


def _daemons(topology, node):
    """{daemon: configuration}, zebra first."""
    found = {"zebra": f"hostname {node.name}\nlog stdout\n"}
    if node.external and node.announces:
        found["staticd"] = staticd_conf(node)
    if speaks_ospf(node):
        found["ospfd"] = ospfd_conf(node)
        if speaks_bgp(topology, node):  # the provider's default route, while there is one
            found["ospfd"] += " default-information originate metric 10\n"
    if speaks_bgp(topology, node):
        found["bgpd"] = bgpd_conf(topology, node)
    return found


def start(lab, nodes):
    """zebra everywhere, then the others: without zebra one looks again only after 10 s."""
    user, rest = pwd.getpwnam("frr"), []
    for node in nodes:
        os.chown(lab.spaces.folder(node.name, "run", "frr"), user.pw_uid, user.pw_gid)
        folder = lab.spaces.folder(node.name, "etc-frr")
        _owned(os.path.join(folder, "vtysh.conf"), "no service integrated-vtysh-config\n")
        for name, text in _daemons(lab.topology, node).items():
            _owned(os.path.join(folder, f"{name}.conf"), text)
            if name == "zebra":
                _start_daemon(lab, node, name)
            else:
                rest.append((node, name))
    end = time.monotonic() + ZEBRA_S
    for node, name in rest:
        while not os.path.exists(lab.spaces.folder(node.name, "run", "frr", "zserv.api")):
            if time.monotonic() > end or not lab.processes.pid(node.name, "zebra"):
                raise RoutingError(f"{node.name}: zebra does not run, see "
                                   f"{lab.processes.log(node.name, 'zebra')}")
            time.sleep(0.02)
        _start_daemon(lab, node, name)


def _start_daemon(lab, node, name):
    lab.processes.start(node.name, name, [f"{DAEMONS}/{name}", "-A", "127.0.0.1", "-P", "0", "-f",
                                          f"/etc/frr/{name}.conf"])


# --- what a daemon says

def ask(lab, node, daemon, command, timeout=2):
    """`show ... json` over the daemon's VTY socket, as vtysh does it: command, NUL; then text, ended
    by three NULs and a status. None while the daemon is not up."""
    path = lab.spaces.folder(node, "run", "frr", f"{daemon}.vty")
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(path)
            s.sendall(command.encode() + b"\0")
            got = b""
            while not re.search(rb"\0\0\0.\Z", got, re.S):
                piece = s.recv(65536)
                if not piece or len(got) > 1 << 24:
                    return None
                got += piece
        return json.loads(got[:-4].decode(errors="replace"))
    except (OSError, ValueError):
        return None


def ospf_full(lab, node):
    """(neighbours that are full, neighbours that there should be with all links up)"""
    said = ask(lab, node.name, "ospfd", "show ip ospf neighbor json") or {}
    full = [n for peers in said.get("neighbors", {}).values() for n in peers
            if n.get("nbrState", n.get("state", "")).startswith("Full")]
    return len(full), len(lab.topology.neighbours(node, bgp=False))


def bgp_established(lab, node):
    said = ask(lab, node.name, "bgpd", "show bgp ipv4 unicast summary json") or {}
    up = [p for p in said.get("peers", {}).values()
          if p.get("state") == "Established" and p.get("pfxRcd", 0) > 0]
    return len(up), len(lab.topology.neighbours(node, bgp=True))
