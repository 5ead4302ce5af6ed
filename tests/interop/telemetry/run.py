#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gNMI server made with Debian's python3-grpcio and Google's protobuf, unmodified, which knows nothing
of Gemel, is collected from by telemetry: dialled over TLS 1.3 once it is granted, asked for exactly what
is granted, its updates handed on unsigned ("observed by telemetry").

usage: run.py DRIVER FOLDER-OF-PROTO-FILES"""

import os
import queue
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent import futures

import grpc

DRIVER, PROTOS = sys.argv[1], sys.argv[2]
WORK = tempfile.TemporaryDirectory()
STRING, JSON, BYTES = 5, 7, 6
SIGNED, SYNC = 1, 4


def path(name):
    return os.path.join(WORK.name, name)


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=WORK.name)


def certificates():
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in "ca", "other":
        run("openssl", "req", "-x509", *key, "-keyout", ca + ".key", "-out", ca + ".pem", "-subj",
            "/CN=" + ca, "-days", "2")
    with open(path("ext"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:switch.example\n")
    run("openssl", "req", *key, "-keyout", "switch.key", "-out", "switch.csr", "-subj", "/CN=switch")
    run("openssl", "x509", "-req", "-in", "switch.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", "switch.pem", "-days", "2", "-extfile", "ext")


def read(name):
    with open(path(name), "rb") as f:
        return f.read()


def gnmi_path(text):
    """/a/b[k=v]/c as a gnmi.Path"""
    import gnmi_pb2
    p = gnmi_pb2.Path()
    for part in text.strip("/").split("/"):
        name, _, keys = part.partition("[")
        elem = p.elem.add(name=name)
        for pair in keys.rstrip("]").split("][") if keys else []:
            k, v = pair.split("=")
            elem.key[k] = v
    return p


class Switch:
    """A network element: Capabilities, and Subscribe that says what is put into its queue."""

    def __init__(self, encodings=(2,), capabilities=True):
        import gnmi_pb2
        self.pb = gnmi_pb2
        self.encodings, self.capabilities_known = encodings, capabilities
        self.requests, self.out, self.streams = [], queue.Queue(), 0
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        methods = {"Subscribe": grpc.stream_stream_rpc_method_handler(
            self.subscribe, gnmi_pb2.SubscribeRequest.FromString,
            gnmi_pb2.SubscribeResponse.SerializeToString)}
        if capabilities:
            methods["Capabilities"] = grpc.unary_unary_rpc_method_handler(
                self.capabilities, gnmi_pb2.CapabilityRequest.FromString,
                gnmi_pb2.CapabilityResponse.SerializeToString)
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("gnmi.gNMI", methods),))
        credentials = grpc.ssl_server_credentials([(read("switch.key"), read("switch.pem"))])
        self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def capabilities(self, _, __):
        return self.pb.CapabilityResponse(
            supported_models=[self.pb.ModelData(name="openconfig-interfaces", version="3.0.0")],
            supported_encodings=self.encodings, gNMI_version="0.8.0")

    def subscribe(self, requests, context):
        self.streams += 1
        request = next(requests)
        out = self.out = queue.Queue()  # what is said is for the newest stream
        self.requests.append(request)
        while context.is_active():
            try:
                message = out.get(timeout=0.1)
            except queue.Empty:
                continue
            if message is None:
                return
            yield message

    def say(self, updates=(), deletes=(), prefix="", atomic=False):
        n = self.pb.Notification(timestamp=time.time_ns(), atomic=atomic)
        if prefix:
            n.prefix.CopyFrom(gnmi_path(prefix))
        for text, value in updates:
            n.update.add(path=gnmi_path(text), val=self.pb.TypedValue(**value))
        for text in deletes:
            n.delete.add().CopyFrom(gnmi_path(text))
        self.out.put(self.pb.SubscribeResponse(update=n))

    def sync(self):
        self.out.put(self.pb.SubscribeResponse(sync_response=True))

    def stop(self):
        self.out.put(None)
        self.server.stop(None).wait()


class Driver:
    def __init__(self):
        self.process = subprocess.Popen([DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def order(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        rows = []
        for row in self.process.stdout:
            if row == "done\n":
                return rows
            rows.append(tuple(row.rstrip("\n").split("\t")))
        raise AssertionError("the driver ended at: " + line)

    def until(self, condition, what):
        for _ in range(600):
            if condition():
                return
            self.order("run 50")
        raise AssertionError("never came: " + what)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Telemetry(unittest.TestCase):
    def setUp(self):
        self.driver = Driver()
        self.switch = Switch()

    def tearDown(self):
        self.switch.stop()
        self.driver.close()
        self.assertEqual(self.driver.process.returncode, 0)

    def target(self, authority="ca.pem", name="switch.example"):
        self.driver.order(f"target sw1 {self.switch.port} {name} {path(authority)}")

    def subscribed(self, n=1):
        self.driver.until(lambda: len(self.switch.requests) >= n, f"subscription {n}")
        return self.switch.requests[n - 1].subscribe

    def told(self, kind):
        return [row for row in self.driver.order("told") if row[0] == kind]

    def test_nothing_without_a_grant(self):
        self.target()
        self.driver.order("run 1500")
        self.assertEqual(self.told("admit"), [])  # not even a connection
        self.assertEqual(self.switch.requests, [])
        self.driver.order("grant sw1 1 /system/state")
        self.subscribed()
        self.assertEqual(self.told("admit")[0][1:4], ("sw1", "", "dial-in"))
        self.driver.order("revoke sw1")
        self.driver.until(lambda: self.told("end"), "the end of the connection")
        self.driver.order("run 1500")
        self.assertEqual(len(self.told("admit")), 1)

    def test_exactly_the_grant(self):
        self.target()
        self.driver.order("grant sw1 1 /interfaces/interface/state/oper-status "
                          "~/interfaces/interface[name=eth0]/state/counters")
        s = self.subscribed()
        self.assertEqual([x.mode for x in s.subscription], [1, 2])
        self.assertEqual([x.sample_interval for x in s.subscription], [0, 10**9])
        self.assertEqual(s.subscription[0].path, gnmi_path("/interfaces/interface/state/oper-status"))
        self.assertEqual(s.subscription[1].path,
                         gnmi_path("/interfaces/interface[name=eth0]/state/counters"))
        self.assertEqual((s.mode, s.encoding), (0, 2))  # STREAM, PROTO

    def test_values(self):
        pb = self.switch.pb
        self.target()
        self.driver.order("grant sw1 1 /interfaces /system")
        self.subscribed()
        leaves = pb.ScalarArray(element=[pb.TypedValue(string_val="a"), pb.TypedValue(uint_val=7)])
        self.switch.say([("/system/state/hostname", {"string_val": "sw1"}),
                         ("/system/a", {"int_val": -5}), ("/system/b", {"uint_val": 18446744073709551615}),
                         ("/system/c", {"bool_val": True}), ("/system/d", {"double_val": 2.5}),
                         ("/system/e", {"bytes_val": b"\0\1\2"}), ("/system/f", {"json_ietf_val": b"{}"}),
                         ("/system/g", {"leaflist_val": leaves})])
        self.switch.say([("state/counters/in-octets", {"uint_val": 9})],
                        prefix="/interfaces/interface[name=eth0]")
        self.switch.say(deletes=["/interfaces/interface[name=eth1]"])
        got = self.driver.order("await 10")
        self.assertEqual({row[0] for row in got}, {"sw1"})
        self.assertEqual({int(row[6]) & SIGNED for row in got}, {0})  # observed, not proved
        values = {row[2]: (int(row[3]), int(row[4]), row[5]) for row in got}
        self.assertEqual(values["/system/state/hostname"], (STRING, 3, "sw1"))
        self.assertEqual(values["/system/a"][:2], (2, 2**64 - 5))
        self.assertEqual(values["/system/b"][:2], (3, 2**64 - 1))
        self.assertEqual(values["/system/c"][:2], (1, 1))
        self.assertEqual(values["/system/d"][:2], (4, 0x4004000000000000))
        self.assertEqual(values["/system/e"][:2], (BYTES, 3))
        self.assertEqual(values["/system/f"], (JSON, 2, "{}"))
        self.assertEqual(values["/system/g"], (JSON, 9, '["a","7"]'))
        self.assertEqual(values["/interfaces/interface[name=eth0]/state/counters/in-octets"][:2], (3, 9))
        self.assertEqual(got[-1][1:3], ("delete", "/interfaces/interface[name=eth1]"))

    def test_sync_and_atomic(self):
        self.target()
        self.driver.order("grant sw1 1 /interfaces /system")
        self.subscribed()
        self.switch.sync()
        self.switch.say([("name", {"string_val": "eth0"})], prefix="/interfaces/interface[name=eth0]/state",
                        atomic=True)
        got = self.driver.order("await 2")
        self.assertEqual([row[1:3] for row in got],
                         [("delete", "/interfaces/interface[name=eth0]/state"),
                          ("update", "/interfaces/interface[name=eth0]/state/name")])

    def test_unasked_is_left_out(self):
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.subscribed()
        self.switch.say([("/interfaces/interface[name=eth0]/state/mtu", {"uint_val": 1}),
                         ("/system/state/hostname", {"string_val": "sw1"})])
        got = self.driver.order("await 1")
        self.assertEqual([row[2] for row in got], ["/system/state/hostname"])
        self.driver.until(lambda: self.told("observed"), "the alert")
        self.assertEqual(self.told("observed")[0][1:3], ("sw1", "records-left-out"))

    def test_quota(self):
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.subscribed()
        self.switch.say([(f"/system/x[n={i}]", {"uint_val": i}) for i in range(60)])
        self.switch.say([("/system/x[n=3]", {"uint_val": 99})])
        got = self.driver.order("await 51")
        self.assertEqual(len(got), 51)
        self.assertEqual(got[-1][4], "99")

    def test_encoding(self):
        self.switch.stop()
        self.switch = Switch(encodings=(4, 0))
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.assertEqual(self.subscribed().encoding, 4)  # JSON_IETF: it speaks no PROTO

    def test_no_capabilities(self):
        self.switch.stop()
        self.switch = Switch(capabilities=False)
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.assertEqual(self.subscribed().encoding, 2)

    def test_unknown_authority(self):
        self.target(authority="other.pem")
        self.driver.order("grant sw1 1 /system")
        self.driver.until(lambda: self.told("admit"), "the refusal")
        self.assertEqual(self.told("admit")[0][1:3], ("sw1", "certificate-unknown-authority"))
        self.assertEqual(self.switch.requests, [])

    def test_wrong_name(self):
        self.target(name="router.example")
        self.driver.order("grant sw1 1 /system")
        self.driver.until(lambda: self.told("admit"), "the refusal")
        self.assertEqual(self.told("admit")[0][1:3], ("sw1", "name-mismatch"))
        self.assertEqual(self.switch.requests, [])

    def test_regrant_and_stream_end(self):
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.subscribed()
        self.driver.order("grant sw1 2 /interfaces")
        self.assertEqual(self.subscribed(2).subscription[0].path, gnmi_path("/interfaces"))
        self.switch.out.put(None)  # it ends a stream by itself: asked again, on the same connection
        self.subscribed(3)
        self.assertEqual(len(self.told("admit")), 1)

    def test_restart(self):
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.subscribed()
        self.switch.stop()
        self.driver.until(lambda: self.told("end"), "the end of the connection")
        self.switch = Switch()
        self.target()  # management names its new port
        self.subscribed()
        self.switch.say([("/system/state/hostname", {"string_val": "sw1"})])
        self.assertEqual(self.driver.order("await 1")[0][5], "sw1")

    def test_removed(self):
        self.target()
        self.driver.order("grant sw1 1 /system")
        self.subscribed()
        self.driver.order("untarget sw1")
        self.driver.until(lambda: self.told("end"), "the end of the connection")
        self.driver.order("run 1000")
        self.assertEqual(self.switch.streams, 1)


if __name__ == "__main__":
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
    certificates()
    run("protoc", "--proto_path=" + PROTOS, "--python_out=" + WORK.name,
        *(os.path.join(PROTOS, p + ".proto") for p in ("gnmi", "gnmi_ext")))
    sys.path.insert(0, WORK.name)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
