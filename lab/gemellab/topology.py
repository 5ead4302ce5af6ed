# SPDX-License-Identifier: Apache-2.0
"""A topology file, read, checked and given addresses.

The file says what there is; this module works out every interface: its name (`to-PEER`, `mgmt`, or
the segment's name for a bridge), its address, its peer. Everything else reads only the result. A
mistake is a TopologyError that names file and key and says what is allowed there.
"""

import ipaddress
import os
import re
from dataclasses import dataclass, field

import yaml

KINDS = ("router", "firewall", "host", "witness", "rogue")
NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")  # with "to-" before it still an interface's name
NODES_MAX = 200
SEGMENT_HOSTS_MAX = 64
FLOWS_PER_SECOND_MAX = 50  # each host
FLOW_BYTES_MAX = 1 << 20


class TopologyError(Exception):
    pass


@dataclass
class Interface:
    name: str
    address: str = ""  # with its prefix length
    peer: str = ""  # node at the other end
    cost: int = 0  # OSPF
    passive: bool = False  # its subnet is announced, no neighbour is looked for
    ospf: bool = False
    ports: list = field(default_factory=list)  # of a bridge


@dataclass
class Node:
    name: str
    kind: str
    domain: str
    site: str = ""
    role: str = ""
    loopback: str = ""
    asn: int = 0
    external: bool = False  # somebody else's: no agent, no LLDP
    listen: bool = False  # its agent takes gNMI clients that dial in
    foreign_tpm: bool = False  # a rogue's TPM that another manufacturer made
    nftables: str = ""
    announces: list = field(default_factory=list)
    interfaces: dict = field(default_factory=dict)  # name -> Interface
    management: str = ""  # address, without a prefix length
    index: int = 0
    segment: str = ""  # of a host
    gateway: str = ""
    serves: list = field(default_factory=list)  # of a host: (protocol, port)
    flows: list = field(default_factory=list)

    @property
    def forwards(self):
        return self.kind in ("router", "firewall")

    @property
    def element(self):
        """A network element of the twin: it runs an agent, has a TPM and speaks LLDP."""
        return self.forwards and not self.external

    @property
    def has_tpm(self):
        return self.element or self.kind == "rogue"


@dataclass
class Link:
    a: str
    b: str
    a_interface: str
    b_interface: str
    bgp: bool = False


@dataclass
class Topology:
    name: str
    description: str
    domain: str
    management: ipaddress.IPv4Network
    gemeld: str
    nodes: dict
    links: list
    reach: list

    def of_kind(self, *kinds):
        return [n for n in self.nodes.values() if n.kind in kinds]

    @property
    def elements(self):
        return [n for n in self.nodes.values() if n.element]

    @property
    def forwarders(self):
        return [n for n in self.nodes.values() if n.forwards]

    def neighbours(self, node, bgp):
        """Links of a node that carry BGP, or those that carry OSPF."""
        return [l for l in self.links if node.name in (l.a, l.b) and l.bgp == bgp]


class _Reader:
    """One mapping of the file: takes keys out by type, then refuses what is left."""

    def __init__(self, where, mapping):
        if not isinstance(mapping, dict):
            raise TopologyError(f"{where}: a mapping is expected here")
        self.where, self.left, self.known = where, dict(mapping), []

    def take(self, key, kind, fallback=None, required=False):
        self.known.append(key)
        if key not in self.left:
            if required:
                raise TopologyError(f"{self.where}.{key}: is missing")
            return fallback
        value = self.left.pop(key)
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise TopologyError(f"{self.where}.{key}: {value!r} is no {kind.__name__}")
        return value

    def address(self, key, required=False):
        text = self.take(key, str, "", required)
        return str(_ip(ipaddress.IPv4Address, f"{self.where}.{key}", text)) if text else ""

    def network(self, key, required=True):
        text = self.take(key, str, "", required)
        return _ip(ipaddress.IPv4Network, f"{self.where}.{key}", text) if text else None

    def end(self):
        if self.left:
            raise TopologyError(f"{self.where}.{next(iter(self.left))}: unknown key; "
                                f"allowed: {', '.join(sorted(self.known))}")


def _ip(kind, where, text):
    try:
        return kind(text)
    except ValueError as e:
        raise TopologyError(f"{where}: {e}") from None


def _name(where, text):
    if not isinstance(text, str) or not NAME.fullmatch(text):
        raise TopologyError(f"{where}: {text!r} is no name: a to z, 0 to 9 and -, at most 12, "
                            "a letter first")
    return text


def seconds(where, text):
    """A time as in gemel.yaml: 250ms, 10s, 5m."""
    m = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)", str(text))
    if not m:
        raise TopologyError(f"{where}: {text!r} is no time: 250ms, 10s, 5m")
    return float(m[1]) * {"ms": 0.001, "s": 1, "m": 60}[m[2]]


def _node(where, name, mapping):
    r = _Reader(f"{where}.{name}", mapping)
    n = Node(name=_name(f"{where}.{name}", name), kind=r.take("kind", str, required=True),
             domain=r.take("domain", str, required=True), site=r.take("site", str, ""),
             role=r.take("role", str, ""), loopback=r.address("loopback"),
             asn=r.take("asn", int, 0), external=r.take("external", bool, False),
             listen=r.take("listen", bool, False), nftables=r.take("nftables", str, ""),
             foreign_tpm=r.take("foreign_tpm", bool, False))
    for i, text in enumerate(r.take("announces", list, [])):
        n.announces.append(str(_ip(ipaddress.IPv4Network, f"{r.where}.announces.{i}", text)))
    r.end()
    if n.kind not in KINDS or n.kind == "host":
        raise TopologyError(f"{r.where}.kind: {n.kind!r} is not router, firewall, witness or rogue"
                            " (hosts stand under segments)")
    if n.forwards and not n.loopback:
        raise TopologyError(f"{r.where}.loopback: a {n.kind} needs one, it is its router id")
    return n


def _ring(where, mapping):
    """Nodes and links, in the form of the file, of a generated ring."""
    r = _Reader(where, mapping)
    prefix, count = r.take("prefix", str, "r"), r.take("routers", int, required=True)
    loopbacks, cost = r.network("loopbacks"), r.take("cost", int, 10)
    chords = r.take("chords", list, [])
    r.end()
    if not 3 <= count <= NODES_MAX or loopbacks.num_addresses <= count:
        raise TopologyError(f"{where}.routers: {count} is not 3 to {NODES_MAX} or more than "
                            f"{loopbacks} has addresses")
    nodes = {f"{prefix}{i}": {"kind": "router", "domain": prefix, "site": "ring", "role": "ring",
                              "loopback": str(loopbacks[i])} for i in range(1, count + 1)}
    pairs = [[i, i % count + 1] for i in range(1, count + 1)] + chords
    for i, pair in enumerate(pairs[count:]):
        if not isinstance(pair, list) or len(pair) != 2 or not all(p in range(1, count + 1)
                                                                   for p in pair):
            raise TopologyError(f"{where}.chords.{i}: {pair!r} is no pair of 1 to {count}")
    return nodes, [{"between": [f"{prefix}{a}", f"{prefix}{b}"], "cost": cost} for a, b in pairs]


def _flow(where, mapping):
    r = _Reader(where, mapping)
    flow = {"to": r.address("to", required=True), "name": r.take("name", str, required=True),
            "every": seconds(f"{where}.every", r.take("every", str, "1s")),
            "bytes": r.take("bytes", int, 56), "expect": r.take("expect", str, "answered")}
    icmp, tcp, udp = r.take("icmp", bool, False), r.take("tcp", int, 0), r.take("udp", int, 0)
    r.end()
    if bool(icmp) + bool(tcp) + bool(udp) != 1:
        raise TopologyError(f"{where}: exactly one of icmp: true, tcp: PORT, udp: PORT")
    if flow["expect"] not in ("answered", "refused"):
        raise TopologyError(f"{where}.expect: {flow['expect']!r} is not answered or refused")
    most = 1400 if icmp or udp else FLOW_BYTES_MAX
    if not 0 < flow["bytes"] <= most or flow["every"] < 0.02:
        raise TopologyError(f"{where}: bytes 1 to {most}, every 20ms or more")
    flow["protocol"] = "icmp" if icmp else "tcp" if tcp else "udp"
    flow["port"] = tcp or udp
    return flow


def _service(where, text):
    m = re.fullmatch(r"(tcp|udp)/([0-9]{1,5})", str(text))
    if not m or not 0 < int(m[2]) < 65536:
        raise TopologyError(f"{where}: {text!r} is not tcp/PORT or udp/PORT")
    return m[1], int(m[2])


def _host(where, name, mapping, segment, network, gateway):
    r = _Reader(where, mapping)
    h = Node(name=_name(where, name), kind="host", domain=segment, site=gateway.site, role="host",
             segment=segment, gateway=str(network[1]))
    address = r.address("address", required=True)
    h.serves = [_service(f"{where}.serves", s) for s in r.take("serves", list, [])]
    h.flows = [_flow(f"{where}.flows.{i}", f) for i, f in enumerate(r.take("flows", list, []))]
    r.end()
    if ipaddress.IPv4Address(address) not in network or address == h.gateway:
        raise TopologyError(f"{where}.address: {address} is not a host's in {network}")
    if sum(1 / f["every"] for f in h.flows) > FLOWS_PER_SECOND_MAX:
        raise TopologyError(f"{where}.flows: more than {FLOWS_PER_SECOND_MAX} exchanges a second")
    h.interfaces["eth0"] = Interface("eth0", f"{address}/{network.prefixlen}", gateway.name)
    return h


def _segment(where, name, mapping, nodes):
    r = _Reader(where, mapping)
    network, at = r.network("network"), r.take("gateway", str, required=True)
    hosts = r.take("hosts", dict, required=True)
    r.end()
    gateway = nodes.get(at)
    if not gateway or not gateway.forwards:
        raise TopologyError(f"{where}.gateway: {at!r} is no router or firewall here")
    if len(hosts) > SEGMENT_HOSTS_MAX:
        raise TopologyError(f"{where}.hosts: more than {SEGMENT_HOSTS_MAX}")
    bridge = Interface(_name(where, name), f"{network[1]}/{network.prefixlen}", passive=True,
                       ospf=not gateway.external, cost=10)
    for host, mapping in hosts.items():
        if host in nodes:
            raise TopologyError(f"{where}.hosts.{host}: there is another node of this name")
        nodes[host] = _host(f"{where}.hosts.{host}", host, mapping, name, network, gateway)
        bridge.ports.append(f"to-{host}")
    gateway.interfaces[name] = bridge


def _link(where, mapping, nodes, pool):
    r = _Reader(where, mapping)
    between, cost = r.take("between", list, required=True), r.take("cost", int, 10)
    network, bgp = r.network("network", required=False), r.take("bgp", bool, False)
    r.end()
    ends = [nodes.get(n) for n in between]
    if len(ends) != 2 or not all(e and e.forwards for e in ends) or ends[0] is ends[1]:
        raise TopologyError(f"{where}.between: {between!r} is no pair of routers or firewalls")
    if not 1 <= cost <= 65535:
        raise TopologyError(f"{where}.cost: {cost} is not 1 to 65535")
    network = network or next(pool, None)
    if network is None or network.num_addresses < 4:
        raise TopologyError(f"{where}: links_from has no /30 left, or network is smaller")
    names = [f"to-{ends[1].name}", f"to-{ends[0].name}"]
    for end, peer, name, host in zip(ends, reversed(ends), names, (1, 2)):
        if name in end.interfaces:
            raise TopologyError(f"{where}: {end.name} and {peer.name} are joined already")
        end.interfaces[name] = Interface(name, f"{network[host]}/{network.prefixlen}", peer.name,
                                         cost, ospf=not bgp)
    return Link(ends[0].name, ends[1].name, names[0], names[1], bgp)


def _manage(management, gemeld, nodes):
    """Addresses on the management network, in the file's order, not for hosts and others' nodes."""
    free = (a for a in management.hosts() if str(a) != gemeld)
    for n in nodes.values():
        if n.element or n.kind in ("witness", "rogue"):
            address = next(free, None)
            if address is None:
                raise TopologyError(f"management.network: {management} is too small")
            n.management = str(address)
            n.interfaces["mgmt"] = Interface("mgmt", f"{address}/{management.prefixlen}")


def _reach(where, mapping, nodes):
    r = _Reader(where, mapping)
    start, to = r.take("from", str, required=True), r.address("to", required=True)
    r.end()
    if start not in nodes:
        raise TopologyError(f"{where}.from: there is no node {start!r}")
    return start, to


def parse(where, document):
    r = _Reader(where, document)
    name = _name(f"{where}.name", r.take("name", str, required=True))
    description, domain = r.take("description", str, ""), r.take("domain", str, required=True)
    asn, pool = r.take("asn", int, 65001), r.network("links_from").subnets(new_prefix=30)
    m = _Reader(f"{where}.management", r.take("management", dict, required=True))
    management, gemeld = m.network("network"), m.address("gemeld", required=True)
    m.end()
    raw_nodes, raw_links = dict(r.take("nodes", dict, {})), list(r.take("links", list, []))
    g = _Reader(f"{where}.generate", r.take("generate", dict, {}))
    ring = g.take("ring", dict)
    g.end()
    if ring:
        more, links = _ring(f"{where}.generate.ring", ring)
        raw_nodes, raw_links = {**more, **raw_nodes}, links + raw_links
    nodes = {n: _node(f"{where}.nodes", n, v) for n, v in raw_nodes.items()}
    for n in nodes.values():
        n.asn = n.asn or asn
    links = [_link(f"{where}.links.{i}", v, nodes, pool) for i, v in enumerate(raw_links)]
    for s, v in r.take("segments", dict, {}).items():
        _segment(f"{where}.segments.{s}", s, v, nodes)
    if len(nodes) > NODES_MAX:
        raise TopologyError(f"{where}: more than {NODES_MAX} nodes")
    for i, n in enumerate(nodes.values()):
        n.index = i
    _manage(management, gemeld, nodes)
    reach = [_reach(f"{where}.reach.{i}", v, nodes)
             for i, v in enumerate(r.take("reach", list, []))]
    r.end()
    return Topology(name, description, domain, management, gemeld, nodes, links, reach)


def load(path):
    try:
        with open(path, encoding="utf-8") as f:
            document = yaml.safe_load(f)
    except OSError as e:
        raise TopologyError(f"{path}: {e.strerror}") from None
    except yaml.YAMLError as e:
        raise TopologyError(f"{path}: {e}") from None
    return parse(os.path.basename(path), document)
