# SPDX-License-Identifier: Apache-2.0
"""Links, addresses, bridges, packet filters: from a topology to a network that carries packets."""

import json
import subprocess
import time

MANAGEMENT = "mgmt"  # the node that holds the management bridge, and the interface on each element
BRIDGE = "mgmt0"

FORWARDER = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv4/conf/all/rp_filter": 0,
             "ipv4/fib_multipath_hash_policy": 1, "ipv4/conf/default/arp_notify": 1}
QUIET = {"ipv6/conf/default/accept_ra": 0, "ipv6/conf/default/router_solicitations": 0}


class NetworkError(Exception):
    pass


def settings(node):
    """Of a node's namespace when it is made; None: the management network's. There only sources of
    that network are believed (RFC 3704), as on each segment (see _guards)."""
    if node is None:
        return {**QUIET, "ipv4/conf/all/rp_filter": 1}
    return {**QUIET, **FORWARDER} if node.forwards else QUIET


def _guards(node):
    """Hosts do not send in others' names, and what comes from the management network stays here."""
    guarded = [i.name for i in node.interfaces.values() if i.ports]
    lines = [f"net.ipv4.conf.{name}.rp_filter=1" for name in guarded]
    if node.management:
        lines += ["net.ipv4.conf.mgmt.rp_filter=1", "net.ipv4.conf.mgmt.forwarding=0"]
    return lines


def _batch(lines):
    return "\n".join(lines) + "\n"


def connect(lab):
    """All veth pairs at once, each end made in its namespace: none is ever seen on the host."""
    net, lines = lab.spaces.net, []
    pair = "link add {} netns {} type veth peer name {} netns {}".format
    for l in lab.topology.links:
        lines.append(pair(l.a_interface, net(l.a), l.b_interface, net(l.b)))
    for n in lab.topology.nodes.values():
        if n.kind == "host":
            lines.append(pair("eth0", net(n.name), f"to-{n.name}", net(_gateway(lab, n).name)))
        if n.management:
            lines.append(pair("mgmt", net(n.name), n.name, net(MANAGEMENT)))
    done = subprocess.run(["ip", "-batch", "-"], input=_batch(lines), text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise NetworkError(f"ip: {done.stderr.strip()[:2000]}")


def _gateway(lab, host):
    return lab.topology.nodes[host.interfaces["eth0"].peer]


def configure(lab, node):
    lines = ["link set lo up"]
    if node.loopback:
        lines.append(f"address add {node.loopback}/32 dev lo")
    for i in node.interfaces.values():
        if i.ports:
            lines.append(f"link add {i.name} type bridge forward_delay 0")
            for port in i.ports:
                lines += [f"link set {port} master {i.name}", f"link set {port} up"]
        lines += [f"address add {i.address} dev {i.name}", f"link set {i.name} up"]
    if node.gateway:
        lines.append(f"route add default via {node.gateway}")
    lab.processes.run(node.name, ["ip", "-batch", "-"], stdin=_batch(lines))
    if node.forwards and _guards(node):
        lab.processes.run(node.name, ["sysctl", "-qw", *_guards(node)])
    if node.nftables:
        lab.processes.run(node.name, ["nft", "-f", "-"], stdin=node.nftables)


def configure_management(lab):
    """The bridge's ports are isolated: elements reach gemeld, never each other, by this network."""
    t = lab.topology
    lines = ["link set lo up", f"link add {BRIDGE} type bridge forward_delay 0",
             f"address add {t.gemeld}/{t.management.prefixlen} dev {BRIDGE}",
             f"link set {BRIDGE} up"]
    for n in t.nodes.values():
        if n.management:
            lines += [f"link set {n.name} master {BRIDGE}", f"link set {n.name} up",
                      f"link set {n.name} type bridge_slave isolated on"]
    lab.processes.run(MANAGEMENT, ["ip", "-batch", "-"], stdin=_batch(lines))


def disconnect_management(lab):
    """gemeld's listeners may keep the bridge's namespace alive: its links go now."""
    for name in _links(lab, MANAGEMENT):
        if name != "lo":
            lab.processes.run(MANAGEMENT, ["ip", "link", "del", name], check=False)


def _links(lab, node):
    text = lab.processes.run(node, ["ip", "-j", "link"], check=False)
    return {l["ifname"]: l for l in json.loads(text or "[]")}


def link_between(lab, a, b):
    for l in lab.topology.links:
        if {a, b} == {l.a, l.b}:
            return [(l.a, l.a_interface), (l.b, l.b_interface)]
    nodes = lab.topology.nodes
    for host, gateway in ((a, b), (b, a)):
        if nodes[host].kind == "host" and nodes[host].interfaces["eth0"].peer == gateway:
            return [(host, "eth0"), (gateway, f"to-{host}")]
    known = sorted({l.a if l.b == a else l.b for l in lab.topology.links if a in (l.a, l.b)})
    raise NetworkError(f"there is no link between {a} and {b}; {a} has links with "
                       f"{', '.join(known) or 'nobody'}")


def set_link(lab, a, b, up, both):
    """Sets the end at `a` (or both) down or up, and waits until both ends' kernels have seen it.
    Returns the time at which the kernel was told, in ns since the epoch."""
    ends = link_between(lab, a, b)
    ends.sort(key=lambda e: e[0] != a)
    told = time.time_ns()
    for node, interface in ends if both or up else ends[:1]:
        lab.processes.run(node, ["ip", "link", "set", interface, "up" if up else "down"])
    end = time.monotonic() + 5
    while any(carrier(lab, *e) != up for e in ends):
        if time.monotonic() > end:
            raise NetworkError(f"an end of {a} - {b} has not seen it within 5 s")
        time.sleep(0.01)
    return told


def carrier(lab, node, interface):
    return "LOWER_UP" in _links(lab, node).get(interface, {}).get("flags", [])


def links_state(lab):
    """Every link with its ends: [{a, b, state, ends: {node: {interface, oper, admin}}}]"""
    wanted = sorted({n for l in lab.topology.links for n in (l.a, l.b)})
    seen = {n: _links(lab, n) for n in wanted}
    found = []
    for l in lab.topology.links:
        ends = {}
        for node, name in ((l.a, l.a_interface), (l.b, l.b_interface)):
            at = seen[node].get(name, {})
            ends[node] = {"interface": name, "oper": at.get("operstate", "ABSENT"),
                          "admin": "UP" if "UP" in at.get("flags", []) else "DOWN"}
        up = all(e["oper"] == "UP" for e in ends.values())
        found.append({"a": l.a, "b": l.b, "state": "up" if up else "down", "ends": ends})
    return found


def reaches(lab, node, address, timeout=0.5):
    out = lab.processes.run(node, ["ping", "-n", "-q", "-c", "1", "-W", str(timeout), address],
                            check=False)
    return " 1 received" in out
