#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC interoperability: Debian's python3-grpcio (C-core) against our library, both ways, over mutual
TLS 1.3; gNMI messages read by Google's protobuf; the tunnel between our two ends, and between our
collector and a network element made of grpcio and a byte forwarder.

usage: run.py PEER-PROGRAM FOLDER-OF-PROTO-FILES"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent import futures

import grpc

PEER, PROTOS = sys.argv[1], sys.argv[2]
WORK = tempfile.TemporaryDirectory()
NAMES = ["unary", "large", "stream", "flow", "refused", "missing", "deadline", "cancelled", "after"]


def path(name):
    return os.path.join(WORK.name, name)


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=WORK.name)


def certificates():
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca",
        "-days", "2")
    with open(path("ext"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost\n")
    for name in "c", "python":
        run("openssl", "req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj",
            "/CN=" + name)
        run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", name + ".pem", "-days", "2", "-extfile", "ext")
    run("openssl", "req", "-x509", *key, "-keyout", "other.key", "-out", "other.pem", "-subj",
        "/CN=other", "-days", "2")


def read(name):
    with open(path(name), "rb") as f:
        return f.read()


def peer(mode, *more):
    return subprocess.Popen([PEER, mode, path("c.pem"), path("c.key"), path("ca.pem"), *more],
                            stdout=subprocess.PIPE, text=True)


def port_of(process):
    word, port = process.stdout.readline().split()
    assert word == "port"
    return port


def findings(lines):
    """name -> (status, messages, bytes, text)"""
    out = {}
    for line in lines:
        name, status, messages, size, *text = line.rstrip("\n").split(" ", 4)
        out[name] = (status, int(messages.split("=")[1]), int(size.split("=")[1]),
                     text[0] if text else "")
    return out


def methods():
    """The same service as peer.c's, on grpcio."""
    def flow(_, __):
        for i in range(500):
            yield bytes([i % 256]) * 20000

    def refuse(_, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the path is für others: 100%")

    def never(_, context):
        done = threading.Event()
        context.add_callback(done.set)
        done.wait()
        return b""

    return grpc.method_handlers_generic_handler("t.T", {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda m, c: m),
        "Stream": grpc.stream_stream_rpc_method_handler(lambda ms, c: (m for m in ms)),
        "Flow": grpc.unary_stream_rpc_method_handler(flow),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "Never": grpc.unary_unary_rpc_method_handler(never),
    })


class Interop(unittest.TestCase):
    def check_findings(self, got):
        self.assertEqual(list(got), NAMES)
        self.assertEqual(got["unary"], ("OK", 1, 5, ""))
        self.assertEqual(got["large"], ("OK", 1, 3 << 20, ""))
        self.assertEqual(got["stream"], ("OK", 50, 50000, ""))
        self.assertEqual(got["flow"], ("OK", 500, 10000000, ""))
        self.assertEqual(got["refused"][0], "FAILED_PRECONDITION")
        self.assertEqual(got["refused"][3], "the path is für others: 100%")
        self.assertEqual(got["missing"][0], "UNIMPLEMENTED")
        self.assertEqual(got["deadline"][0], "DEADLINE_EXCEEDED")
        self.assertEqual(got["cancelled"], ("CANCELLED", 3, 60000, "by us"))
        self.assertEqual(got["after"], ("OK", 1, 5, ""))


class PythonClient(Interop):
    """grpcio's client, our server."""

    def setUp(self):
        self.process = peer("server")
        self.port = port_of(self.process)
        self.channel = self.dial("python", "ca.pem")

    def dial(self, name, authority):
        credentials = grpc.ssl_channel_credentials(read(authority), read(name + ".key"),
                                                   read(name + ".pem"))
        return grpc.secure_channel("localhost:" + self.port, credentials,
                                   [("grpc.max_send_message_length", -1)])

    def tearDown(self):
        self.channel.close()
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def unary(self, name, message, timeout=20):
        return self.channel.unary_unary(name)(message, timeout=timeout)

    def refused(self, code, name, message, timeout=20):
        with self.assertRaises(grpc.RpcError) as raised:
            self.unary(name, message, timeout)
        self.assertEqual(raised.exception.code(), code)
        return raised.exception.details()

    def test_unary(self):
        self.assertEqual(self.unary("/t.T/Echo", b"hello"), b"hello")
        self.assertEqual(self.unary("/t.T/Echo", b""), b"")

    def test_large(self):
        message = os.urandom(4 << 20)
        self.assertEqual(self.unary("/t.T/Echo", message), message)

    def test_oversized(self):
        text = self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "/t.T/Echo", bytes((4 << 20) + 1))
        self.assertIn("4194305", text)
        self.assertEqual(self.unary("/t.T/Echo", b"next"), b"next")  # the connection goes on

    def test_stream(self):
        sent = [os.urandom(n) for n in range(0, 3000, 10)]
        self.assertEqual(list(self.channel.stream_stream("/t.T/Stream")(iter(sent))), sent)

    def test_flow(self):
        got = list(self.channel.unary_stream("/t.T/Flow")(b"go"))
        self.assertEqual(got, [bytes([i % 256]) * 20000 for i in range(500)])

    def test_concurrent(self):
        calls = [self.channel.unary_unary("/t.T/Echo").future(b"%d" % i) for i in range(300)]
        self.assertEqual([c.result() for c in calls], [b"%d" % i for i in range(300)])

    def test_refused(self):
        text = self.refused(grpc.StatusCode.FAILED_PRECONDITION, "/t.T/Refuse", b"x")
        self.assertEqual(text, "the path is für others: 100%")
        self.refused(grpc.StatusCode.UNIMPLEMENTED, "/t.T/Nothing", b"x")

    def test_deadline_and_cancel(self):
        self.refused(grpc.StatusCode.DEADLINE_EXCEEDED, "/t.T/Never", b"x", 0.2)
        call = self.channel.unary_unary("/t.T/Never").future(b"x")
        self.unary("/t.T/Echo", b"x")
        call.cancel()
        while self.unary("/t.T/Ended", b"") != b"2":  # the server's handlers heard of both
            pass

    def test_wrong_certificate(self):
        other = self.dial("other", "ca.pem")
        with self.assertRaises(grpc.RpcError) as raised:
            other.unary_unary("/t.T/Echo")(b"x", timeout=20)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
        other.close()
        self.assertEqual(self.unary("/t.T/Echo", b"hello"), b"hello")

    def test_gnmi(self):
        import gnmi_pb2, gemel_pb2
        call = self.channel.stream_stream(
            "/gnmi.gNMI/Subscribe", gnmi_pb2.SubscribeRequest.SerializeToString,
            gnmi_pb2.SubscribeResponse.FromString)
        got = list(call(iter([gnmi_pb2.SubscribeRequest(poll=gnmi_pb2.Poll())])))
        self.assertEqual(len(got), 2)
        note = got[0].update
        self.assertEqual(note.timestamp, 1700000000000000000)
        self.assertEqual([u.val.uint_val for u in note.update], [123456789012] * 3)
        elems = note.update[0].path.elem
        self.assertEqual([e.name for e in elems],
                         ["interfaces", "interface", "state", "counters", "in-octets"])
        self.assertEqual(dict(elems[1].key), {"name": "eth0"})
        registered = got[0].extension[0].registered_ext
        self.assertEqual(registered.id, 999)
        proof = gemel_pb2.GnmiPayload.FromString(registered.msg).proof
        self.assertEqual((proof.seq, proof.device, len(proof.signature)), (7, "r1", 64))
        self.assertTrue(got[1].sync_response)


class PythonServer(Interop):
    """Our client, grpcio's server."""

    def test_all(self):
        server = grpc.server(futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((methods(),))
        credentials = grpc.ssl_server_credentials([(read("python.key"), read("python.pem"))],
                                                  read("ca.pem"), True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        with peer("client", str(port)) as client:
            got = findings(client.stdout)
        server.stop(None).wait()
        self.assertEqual(client.returncode, 0)
        self.check_findings(got)


class Tunnel(Interop):
    def test_ours(self):
        """Our collector and our network element, in two processes."""
        with peer("collector") as collector:
            element = peer("element", port_of(collector))
            got = findings(collector.stdout)
        said = element.stdout.read()
        element.stdout.close()
        element.wait()
        self.check_findings(got)
        self.assertIn("r1 registered", said)
        self.assertIn("r2 tunnel: target r2 refused: only r1 may register here", said)

    def test_python_element(self):
        """Our collector; the element speaks the tunnel by grpcio and forwards to a grpcio server."""
        import grpctunnel_pb2 as pb
        inner = grpc.server(futures.ThreadPoolExecutor(8))
        inner.add_generic_rpc_handlers((methods(),))
        inner_port = inner.add_insecure_port("127.0.0.1:0")
        inner.start()
        with peer("collector") as collector:
            credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("python.key"),
                                                       read("python.pem"))
            channel = grpc.secure_channel("localhost:" + port_of(collector), credentials)
            threading.Thread(target=self.element, args=(pb, channel, inner_port), daemon=True).start()
            got = findings(collector.stdout)
        channel.close()
        inner.stop(None).wait()
        self.check_findings(got)

    @staticmethod
    def element(pb, channel, inner_port):
        stop = threading.Event()

        def requests():
            yield pb.RegisterOp(target=pb.Target(op=pb.Target.ADD, target="r1",
                                                 target_type="GNMI_GNOI"))
            stop.wait()

        register = channel.stream_stream("/grpctunnel.Tunnel/Register",
                                         pb.RegisterOp.SerializeToString, pb.RegisterOp.FromString)
        tunnel = channel.stream_stream("/grpctunnel.Tunnel/Tunnel", pb.Data.SerializeToString,
                                       pb.Data.FromString)

        def forward(tag):
            with socket.create_connection(("127.0.0.1", inner_port)) as s:
                def up():
                    yield pb.Data(tag=tag)
                    try:
                        while data := s.recv(65536):
                            yield pb.Data(tag=tag, data=data)
                    except OSError:
                        pass

                try:
                    for message in tunnel(up()):
                        if message.close:
                            break
                        s.sendall(message.data)
                except grpc.RpcError:
                    pass  # the collector is done
                s.shutdown(socket.SHUT_RDWR)

        try:
            for op in register(requests()):
                if op.HasField("session"):
                    threading.Thread(target=forward, args=(op.session.tag,), daemon=True).start()
        except grpc.RpcError:
            pass  # the collector is done
        stop.set()


if __name__ == "__main__":
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
    certificates()
    run("protoc", "--proto_path=" + PROTOS, "--python_out=" + WORK.name,
        *(os.path.join(PROTOS, p + ".proto") for p in ("gnmi", "gnmi_ext", "grpctunnel", "gemel")))
    sys.path.insert(0, WORK.name)
    unittest.main(argv=sys.argv[:1])
