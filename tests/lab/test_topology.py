#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Topology files: what they come to, and that each mistake is named. Needs no root."""

import copy
import ipaddress
import os
import sys
import unittest

import yaml

sys.dont_write_bytecode = True
LAB = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
from gemellab import routing, topology  # pylint: disable=wrong-import-position


def shipped(name):
    return os.path.join(LAB, "topologies", f"{name}.yaml")


class Shipped(unittest.TestCase):
    def check_addresses(self, t):
        seen = set()
        for n in t.nodes.values():
            for i in n.interfaces.values():
                self.assertNotIn(i.address, seen)
                self.assertLess(len(i.name), 16)
                seen.add(i.address)
        for l in t.links:
            a = ipaddress.ip_interface(t.nodes[l.a].interfaces[l.a_interface].address)
            b = ipaddress.ip_interface(t.nodes[l.b].interfaces[l.b_interface].address)
            self.assertEqual(a.network, b.network)
            self.assertNotEqual(a.ip, b.ip)

    def test_campus(self):
        t = topology.load(shipped("campus"))
        self.check_addresses(t)
        self.assertGreaterEqual(len(t.elements), 8)
        self.assertEqual({n.segment for n in t.of_kind("host")},
                         {"guest", "staff", "servers", "finance", "internet"})
        self.assertEqual([n.name for n in t.of_kind("firewall")], ["fw1"])
        self.assertFalse(t.nodes["isp-1"].element)
        self.assertEqual(t.nodes["isp-1"].management, "")
        self.assertTrue(all(n.management for n in t.elements))

    def test_ring32(self):
        t = topology.load(shipped("ring32"))
        self.check_addresses(t)
        self.assertEqual(len(t.elements), 32)
        self.assertEqual(len(t.links), 36)
        self.assertEqual({len(t.neighbours(n, bgp=False)) for n in t.elements}, {2, 3})

    def test_routing(self):
        t = topology.load(shipped("campus"))
        text = routing.ospfd_conf(t.nodes["access-1"])
        self.assertEqual(text.count("ip ospf network point-to-point"), 2)
        self.assertIn("interface guest\n ip ospf area 0\n ip ospf cost 10\n ip ospf passive", text)
        self.assertNotIn("interface mgmt", text)
        self.assertNotIn("to-isp-1", routing.ospfd_conf(t.nodes["edge-1"]))
        self.assertIn("neighbor 192.0.2.2 remote-as 65010",
                      routing.bgpd_conf(t, t.nodes["edge-1"]))


class Mistakes(unittest.TestCase):
    def setUp(self):
        with open(shipped("campus"), encoding="utf-8") as f:
            self.good = yaml.safe_load(f)

    def refused(self, change, *words):
        d = copy.deepcopy(self.good)
        change(d)
        with self.assertRaises(topology.TopologyError) as e:
            topology.parse("x.yaml", d)
        for word in words:
            self.assertIn(word, str(e.exception))

    def test_good(self):
        topology.parse("x.yaml", self.good)

    def test_each(self):
        r = self.refused
        node = lambda d, n="core-1": d["nodes"][n]
        r(lambda d: d.update(colour="red"), "x.yaml.colour", "unknown key", "segments")
        r(lambda d: d.pop("domain"), "x.yaml.domain", "missing")
        r(lambda d: node(d).update(kind="ruter"), "nodes.core-1.kind", "firewall")
        r(lambda d: node(d).update(kind="host"), "hosts stand under segments")
        r(lambda d: node(d).update(loopback="10.0.0.300"), "core-1.loopback", "10.0.0.300")
        r(lambda d: node(d).pop("loopback"), "core-1.loopback", "router id")
        r(lambda d: node(d).update(asn="x"), "core-1.asn", "int")
        r(lambda d: node(d).update(asn=True), "core-1.asn", "int")
        r(lambda d: node(d).update(external=1), "core-1.external", "bool")
        r(lambda d: d["nodes"].update({"../x": node(d)}), "is no name")
        r(lambda d: d["nodes"].update({"a-much-too-long-name": node(d)}), "is no name")
        r(lambda d: d["links"].append({"between": ["core-1", "nobody"]}), "links.12.between")
        r(lambda d: d["links"].append({"between": ["core-1", "core-1"]}), "links.12.between")
        r(lambda d: d["links"].append({"between": ["core-1", "core-2"]}), "joined already")
        r(lambda d: d["links"].append({"between": ["fw1", "web"]}), "links.12.between")
        r(lambda d: d["links"][0].update(cost=0), "links.0.cost")
        r(lambda d: d.update(links_from="10.0.128.0/29"), "no /30 left")
        r(lambda d: d["management"].update(network="10.255.0.0/30"), "too small")
        r(lambda d: d["segments"]["guest"].update(gateway="web"), "segments.guest.gateway")
        r(lambda d: d["reach"].append({"from": "nobody", "to": "10.9.1.10"}), "reach.2.from")
        r(lambda d: d.update(generate={"ring": {"routers": 2, "loopbacks": "10.1.0.0/24"}}),
          "generate.ring.routers")
        r(lambda d: d.update(generate={"ring": {"routers": 4, "loopbacks": "10.1.0.0/24",
                                                "chords": [[1, 9]]}}), "chords.0")

    def test_hosts_and_flows(self):
        host = lambda d: d["segments"]["guest"]["hosts"]["guest-1"]
        flow = lambda d: host(d)["flows"][0]
        r = self.refused
        r(lambda d: host(d).update(address="10.9.9.9"), "guest-1.address")
        r(lambda d: host(d).update(address="10.2.128.1"), "guest-1.address")
        r(lambda d: host(d).update(serves=["tcp/0"]), "tcp/0")
        r(lambda d: flow(d).update(tcp=80), "exactly one of")
        r(lambda d: flow(d).update(every="soon"), "flows.0.every", "is no time")
        r(lambda d: flow(d).update(every="1ms"), "every 20ms or more")
        r(lambda d: flow(d).update(bytes=1401), "bytes 1 to 1400")
        r(lambda d: flow(d).update(expect="maybe"), "answered or refused")
        r(lambda d: host(d).update(flows=[dict(flow(d), every="50ms")] * 3), "exchanges a second")
        r(lambda d: d["segments"]["staff"]["hosts"].update({"guest-1": host(d)}), "another node")

    def test_files(self):
        with self.assertRaises(topology.TopologyError):
            topology.load("/nonexistent.yaml")
        for text in ("", "[]", "a: [", "a: &b 1\nc: *d"):
            with self.subTest(text):
                with self.assertRaises((topology.TopologyError, yaml.YAMLError)):
                    topology.parse("x.yaml", yaml.safe_load(text))


if __name__ == "__main__":
    unittest.main()
