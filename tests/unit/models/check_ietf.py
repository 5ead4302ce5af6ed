#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the RFC 8345 / RFC 8346 document that test_topology makes against the structure of those
modules: every member is one that the module defines, keys and mandatory leaves are there, types are
RFC 7951's, references lead somewhere. Written from the RFCs' trees, apart from the code."""
import ipaddress, json, os, re, subprocess, sys, tempfile

URI = re.compile(r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+$")


def uri(v):
    assert isinstance(v, str) and URI.match(v), f"not an inet:uri: {v!r}"


def text(v):
    assert isinstance(v, str)


def domain_name(v):
    assert isinstance(v, str) and re.match(r"^[A-Za-z0-9_.:-]{1,253}$", v), v


def address(v):
    ipaddress.ip_address(v)


def prefix(v):
    ipaddress.ip_network(v, strict=True)


def router_id(v):
    ipaddress.IPv4Address(v)


def boolean(v):
    assert v is True or v is False


def status(v):
    assert v in ("unknown", "up", "down", "lower-layer-down"), v


def presence(v):
    assert v == {}, v


def leaf_list(of):
    def check(v):
        assert isinstance(v, list) and v, "an empty leaf-list is left out"
        assert len(set(v)) == len(v), f"a leaf-list's values are unique: {v}"
        for x in v:
            of(x)
    return check


def container(mandatory=(), **members):
    members = {k.replace("__", ":").replace("_", "-"): v for k, v in members.items()}
    def check(v):
        assert isinstance(v, dict), v
        for k in mandatory:
            assert k in v, f"mandatory {k} is missing in {sorted(v)}"
        for k, x in v.items():
            assert k in members, f"unknown member {k}; {sorted(members)} are defined"
            members[k](x)
    return check


def entries(key, of):
    def check(v):
        assert isinstance(v, list)
        keys = [x.get(key) for x in v]
        assert None not in keys, f"a list entry without its key {key}"
        assert len(set(keys)) == len(keys), f"key {key} repeats: {keys}"
        for x in v:
            of(x)
    return check


L3 = "ietf_l3_unicast_topology__"
NT = "ietf_network_topology__"
ends = dict(source=container(source_node=uri, source_tp=uri),
            destination=container(dest_node=uri, dest_tp=uri))
tp = container(["tp-id"], tp_id=uri, gemel_topology__oper_status=status, **{
    L3 + "l3_termination_point_attributes": container(ip_address=leaf_list(address),
                                                      interface_name=text)})
node = container(["node-id"], node_id=uri, gemel_topology__stale=boolean, **{
    NT + "termination_point": entries("tp-id", tp),
    L3 + "l3_node_attributes": container(
        name=domain_name, router_id=leaf_list(router_id),
        prefix=entries("prefix", container(["prefix"], prefix=prefix)))})
link = container(["link-id"], link_id=uri, gemel_topology__oper_status=status, **ends, **{
    L3 + "l3_link_attributes": container(name=text)})
network = container(["network-id"], network_id=uri, node=entries("node-id", node), **{
    "network_types": container(**{L3 + "l3_unicast_topology": presence}),
    L3 + "l3_topology_attributes": container(name=text),
    NT + "link": entries("link-id", link),
    "gemel_topology__unconfirmed_link": entries("link-id", container(["link-id"], link_id=uri, **ends))})
document = container(["ietf-network:networks"], ietf_network__networks=container(
    network=entries("network-id", network)))


def references(net):
    tps = {(n["node-id"], t["tp-id"]) for n in net["node"]
           for t in n.get("ietf-network-topology:termination-point", [])}
    links = net.get("ietf-network-topology:link", [])
    pairs = set()
    for l in links:
        a = (l["source"]["source-node"], l["source"]["source-tp"])
        b = (l["destination"]["dest-node"], l["destination"]["dest-tp"])
        assert a in tps and b in tps, f"{l['link-id']} leads nowhere"
        pairs.add((a, b))
    assert links and all((b, a) in pairs for a, b in pairs), "links come in pairs (RFC 8345 4.4.5)"
    for t in (t for n in net["node"] for t in n.get("ietf-network-topology:termination-point", [])):
        choice = t["ietf-l3-unicast-topology:l3-termination-point-attributes"]
        assert len(choice) == 1, "one case of the choice termination-point-type"


def main():
    handle, path = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    try:
        subprocess.run(sys.argv[1:], env=dict(os.environ, IETF_DOCUMENT=path), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
    finally:
        os.unlink(path)
    document(doc)
    for net in doc["ietf-network:networks"]["network"]:
        assert "ietf-l3-unicast-topology:l3-unicast-topology" in net["network-types"]
        references(net)
    # a checker that accepts anything is worth nothing
    del doc["ietf-network:networks"]["network"][0]["node"][0]["node-id"]
    try:
        document(doc)
    except AssertionError:
        return
    sys.exit("a node without its key was accepted")


main()
