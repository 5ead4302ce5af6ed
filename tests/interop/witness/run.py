#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gemel-witness against a log that is written here: Merkle trees by hashlib, signatures by openssl(1),
HTTP by raw sockets. c2sp.org/tlog-witness 1.0.0 says what each answer must be.

usage: run.py GEMEL-WITNESS"""

import base64
import hashlib
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

WITNESS = os.path.abspath(sys.argv[1])
WORK = tempfile.TemporaryDirectory()
ORIGIN, NAME = "twin.example/log", "witness.example/w1"
FORM = {"seconds": 60}  # how long a socket may be silent before the test gives up


# --- a log

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    if not leaves:
        return sha()
    if len(leaves) == 1:
        return sha(b"\0", leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha(b"\1", root(leaves[:k]), root(leaves[k:]))


def consistency(m, leaves, whole=True):
    """RFC 6962 section 2.1.2, word for word."""
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return consistency(m, leaves[:k], whole) + [root(leaves[k:])]
    return consistency(m - k, leaves[k:], False) + [root(leaves[:k])]


def b64(data):
    return base64.b64encode(data).decode()


def openssl(*argv, data=None):
    return subprocess.run(("openssl",) + argv, input=data, check=True, capture_output=True).stdout


class Key:
    """An Ed25519 key that openssl holds."""

    def __init__(self, name, kind=1):
        self.name, self.kind = name, kind
        fd, self.path = tempfile.mkstemp(dir=WORK.name)
        os.close(fd)
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:]
        self.id = sha(name.encode(), b"\n", bytes([kind]), self.public)[:4]

    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    def sign(self, text):
        with tempfile.NamedTemporaryFile(dir=WORK.name) as f:
            f.write(text.encode())
            f.flush()
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", f.name)

    def line(self, text):
        return f"— {self.name} {b64(self.id + self.sign(text))}\n"


def ed25519_good(public, message, signature):
    der = bytes.fromhex("302a300506032b6570032100") + public
    with tempfile.TemporaryDirectory(dir=WORK.name) as d:
        for name, data in ("key", der), ("message", message), ("signature", signature):
            with open(os.path.join(d, name), "wb") as f:
                f.write(data)
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey",
                               d + "/key", "-in", d + "/message", "-sigfile", d + "/signature"],
                              capture_output=True, check=False).returncode == 0


LOG, SECOND, STRANGER = Key(ORIGIN), Key(ORIGIN), Key(ORIGIN)
LEAVES = [b"entry %d" % i for i in range(40)]
FORK = LEAVES[:20] + [b"other %d" % i for i in range(20)]


def checkpoint(leaves, key=LOG, origin=ORIGIN, more=""):
    text = f"{origin}\n{len(leaves)}\n{b64(root(leaves))}\n{more}"
    return text + "\n" + key.line(text)


def body(old, leaves, proof=None, **how):
    if proof is None:
        proof = consistency(old, leaves) if 0 < old < len(leaves) else []
    return f"old {old}\n" + "".join(b64(h) + "\n" for h in proof) + "\n" + checkpoint(leaves, **how)


# --- HTTP

class Answer:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.body = status, headers, data


def read_answer(f):
    line = f.readline()
    while line.startswith(b"HTTP/1.1 100 "):
        assert f.readline() == b"\r\n"
        line = f.readline()
    if not line:
        return None
    m = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [^\r\n]+\r\n", line)
    assert m, line
    headers = {}
    while (line := f.readline()) != b"\r\n":
        name, value = line.decode().rstrip("\r\n").split(": ", 1)
        assert name.lower() not in headers, name
        headers[name.lower()] = value
    return Answer(int(m[1]), headers, f.read(int(headers["content-length"])).decode())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    def __init__(self, logs, state=None):
        self.folder = tempfile.mkdtemp(dir=WORK.name)
        os.chmod(self.folder, 0o755)
        self.state = state or os.path.join(self.folder, "state")
        self.port = free_port()
        self.conf = os.path.join(self.folder, "witness.yaml")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(f"name: {NAME}\nstate: {self.state}\nlisten: {{address: 127.0.0.1, port: {self.port}}}\n")
            if logs:
                f.write("logs:\n")
            for origin, vkey in logs:
                f.write(f"  - origin: \"{origin}\"\n    vkey: \"{vkey}\"\n")
        self.process = None

    def start(self):
        self.process = subprocess.Popen([WITNESS, "--config", self.conf], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert " on 127.0.0.1 port" in line, line
        return self

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait()
        self.process.stderr.close()
        return code

    def refused_to_start(self):
        r = subprocess.run([WITNESS, "--config", self.conf], capture_output=True, text=True, check=False)
        return r.stderr if r.returncode else ""

    def vkey(self):
        return subprocess.run([WITNESS, "--config", self.conf, "--vkey"], check=True, capture_output=True,
                              text=True).stdout

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=FORM["seconds"])

    def raw(self, data):
        """Everything that comes back until the end."""
        with self.connect() as s, s.makefile("rb") as f:
            s.sendall(data)
            return read_answer(f)

    def ask(self, text, path="/add-checkpoint"):
        data = text.encode() if isinstance(text, str) else text
        # As src/northbound/witness.c asks.
        head = (f"POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: gemel\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(data)}\r\n\r\n")
        with self.connect() as s, s.makefile("rb") as f:
            s.sendall(head.encode() + data)
            answer = read_answer(f)
            assert f.read() == b"", "the connection must end with the answer"
            return answer


LOGS = [(ORIGIN, LOG.vkey()), (ORIGIN, SECOND.vkey())]


def cosigned(test, answer, text, vkey):
    """The answer is one good cosignature of the text."""
    test.assertEqual(answer.status, 200, answer.body)
    m = re.fullmatch(f"— {re.escape(NAME)} ([A-Za-z0-9+/=]+)\n", answer.body)
    test.assertIsNotNone(m, answer.body)
    blob = base64.b64decode(m[1], validate=True)
    test.assertEqual(len(blob), 76)
    name, key_id, key = vkey.strip().split("+", 2)
    public = base64.b64decode(key)
    test.assertEqual((name, public[0], blob[:4].hex()), (NAME, 4, key_id))
    test.assertEqual(sha(name.encode(), b"\n\x04", public[1:])[:4].hex(), key_id)
    when = struct.unpack(">Q", blob[4:12])[0]
    message = f"cosignature/v1\ntime {when}\n".encode() + text.encode()
    test.assertTrue(ed25519_good(public[1:], message, blob[12:]))
    return when


def text_of(body_text):
    note = body_text.split("\n\n", 1)[1]
    return note[:note.rindex("\n\n") + 1]


class Protocol(unittest.TestCase):
    def setUp(self):
        self.d = Daemon(LOGS).start()
        self.addCleanup(self.d.stop)

    def good(self, b):
        before = int(time.time())
        when = cosigned(self, self.d.ask(b), text_of(b), self.d.vkey())
        self.assertTrue(before <= when <= int(time.time()))

    def size_is(self, n, answer):
        self.assertEqual((answer.status, answer.headers["content-type"], answer.body),
                         (409, "text/x.tlog.size", f"{n}\n"))

    def test_growth(self):
        self.good(body(0, LEAVES[:5]))
        self.good(body(5, LEAVES[:5]))  # again
        for old, new in ((5, 6), (6, 8), (8, 20), (20, 33), (33, 40)):
            self.good(body(old, LEAVES[:new]))
        self.size_is(40, self.d.ask(body(0, LEAVES)))  # how a log learns the size
        self.size_is(40, self.d.ask(body(33, LEAVES)))
        self.size_is(40, self.d.ask(body(20, LEAVES[:33])))

    def test_roll_back_and_fork(self):
        self.good(body(0, LEAVES[:30]))
        self.size_is(30, self.d.ask(body(20, LEAVES[:25])))
        self.assertEqual(self.d.ask(body(30, LEAVES[:25])).status, 400)
        self.size_is(30, self.d.ask(body(30, FORK[:30])))  # another root of this size
        for proof in (consistency(30, FORK), consistency(29, LEAVES), [], [sha(b"x")] * 63):
            self.assertEqual(self.d.ask(body(30, FORK, proof)).status, 422)
        flipped = consistency(30, LEAVES)
        flipped[-1] = bytes([flipped[-1][0] ^ 1]) + flipped[-1][1:]
        self.assertEqual(self.d.ask(body(30, LEAVES, flipped)).status, 422)
        self.assertEqual(self.d.ask(body(30, LEAVES[:30], [sha(b"x")])).status, 422)
        self.good(body(30, LEAVES))  # nothing of that was remembered

    def test_first(self):
        self.assertEqual(self.d.ask(body(0, LEAVES[:5], [sha(b"x")])).status, 422)
        self.size_is(0, self.d.ask(body(3, LEAVES[:5])))
        wrong = f"{ORIGIN}\n0\n{b64(sha(b'x'))}\n"
        self.assertEqual(self.d.ask("old 0\n\n" + wrong + "\n" + LOG.line(wrong)).status, 422)
        self.good(body(0, []))
        self.good(body(0, LEAVES[:5]))

    def test_who_signed(self):
        self.assertEqual(self.d.ask(body(0, LEAVES, key=STRANGER)).status, 403)
        self.assertEqual(self.d.ask(body(0, LEAVES, key=Key("twin.example/else"))).status, 403)
        self.assertEqual(self.d.ask(body(0, LEAVES, origin="twin.example/other")).status, 404)
        note = checkpoint(LEAVES[:7])
        text = note[:note.index("\n\n") + 1]
        bad = text + "\n" + LOG.line(text + "x\n")
        self.assertEqual(self.d.ask("old 0\n\n" + bad).status, 403)
        both = note + f"— {ORIGIN} {b64(SECOND.id + bytes(64))}\n"  # one good, one forged
        self.assertEqual(self.d.ask("old 0\n\n" + both).status, 403)
        self.good("old 0\n\n" + note + STRANGER.line(text) + Key("pq.example").line(text))
        self.good(body(7, LEAVES[:9], key=SECOND))  # the second key of the same log
        self.good(body(9, LEAVES[:9], more="an extension\n"))

    def test_forms(self):
        good = body(0, LEAVES[:5])
        for bad in ("", "\n", "old\n\n" + good, good.replace("old 0", "old 00"), good.replace("old 0", "old -1"),
                    good.replace("\n\n", "\n", 1), good[:-1], good.replace("\n5\n", "\n05\n"),
                    good.replace("old 0\n", "old 0\r\n"), "old 0\n" + "AAAA\n" + good[6:],
                    "old 0\n" + (b64(sha(b"x")) + "\n") * 64 + good[6:], good.replace("—", "-"),
                    good.encode() + b"\xff\n", good.encode().replace(b"twin", b"tw\0n")):
            self.assertEqual(self.d.ask(bad).status, 400, bad)
        self.good(good)


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(LOGS).start()
        cls.d.ask(body(0, LEAVES[:5]))
        cls.again = body(5, LEAVES[:5]).encode()

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def head(self, *fields, line="POST /add-checkpoint HTTP/1.1", host="Host: w"):
        return "".join(f + "\r\n" for f in (line, host, *fields, "") if f is not None).encode()

    def status(self, *fields, data=None, **how):
        data = self.again if data is None else data
        answer = self.d.raw(self.head(*fields, **how) + data)
        if answer.status != 200:
            self.assertEqual(answer.headers["connection"], "close")
        return answer.status

    def test_statuses(self):
        n = f"Content-Length: {len(self.again)}"
        self.assertEqual(self.status(n), 200)
        for line in ("POST /add-checkpoint HTTP/1.0", "POST http://w.example:1/add-checkpoint HTTP/1.1"):
            self.assertEqual(self.status(n, line=line), 200)
        self.assertEqual(self.status(n, line="POST /add-checkpoint HTTP/1.0", host=None), 200)
        for path in "/", "/add-checkpoint/", "/add-checkpoint?x", "/x", "*", "http://w.example", "add-checkpoint":
            self.assertEqual(self.status(n, line=f"POST {path} HTTP/1.1"), 404)
        for method in "GET", "PUT", "DELETE", "post":
            answer = self.d.raw(self.head(line=f"{method} /add-checkpoint HTTP/1.1"))
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST"))
        self.assertEqual(self.status(), 411)
        self.assertEqual(self.status("Transfer-Encoding: chunked"), 411)
        self.assertEqual(self.status(n, "Transfer-Encoding: chunked"), 411)
        self.assertEqual(self.status("Content-Length: 999999"), 413)
        self.assertEqual(self.status("Expect: a miracle", n), 417)
        self.assertEqual(self.status(n, line="POST /add-checkpoint HTTP/2.0"), 505)
        self.assertEqual(self.status(n, "X: " + "y" * 9000), 431)
        self.assertEqual(self.status(n, *["X: y"] * 80), 431)

    def test_malformed(self):
        n = f"Content-Length: {len(self.again)}"
        for fields in ((n, n), ("Content-Length: +5",), ("Content-Length: 5, 5",), ("Content-Length:",),
                       ("Content-Length: 99999999999999999999",), (n, "Host: other"), (n, "no colon"),
                       (n, "Bad name: x"), (n, " folded: x"), (n, "X : y"), (n, ": y"), (n, "X: a\x01b"), (n, "X: \x7f"),
                       (n, "X: a\nb")):
            self.assertEqual(self.status(*fields), 400, fields)
        self.assertEqual(self.status(n, host=None), 400)
        for line in ("POST", "POST /add-checkpoint", "POST  /add-checkpoint HTTP/1.1", " POST /add-checkpoint HTTP/1.1",
                     "POST /add-checkpoint HTTP/1.1 ", "POST /add-checkpoint HTTP/11", "P@ST /add-checkpoint HTTP/1.1"):
            self.assertEqual(self.status(n, line=line), 400, line)
        bare = self.head(n).replace(b"\r\nHost", b"\nHost")
        self.assertEqual(self.d.raw(bare + self.again).status, 400)

    def test_head_has_no_body(self):
        with self.d.connect() as s:
            s.sendall(self.head(line="HEAD /add-checkpoint HTTP/1.1"))
            data = b""
            while more := s.recv(4096):
                data += more
        self.assertTrue(data.startswith(b"HTTP/1.1 405 ") and data.endswith(b"\r\n\r\n"), data)

    def test_kept_alive(self):
        request = self.head(f"Content-Length: {len(self.again)}") + self.again
        with self.d.connect() as s, s.makefile("rb") as f:
            s.sendall(request * 20)  # pipelined
            for _ in range(20):
                self.assertEqual(read_answer(f).status, 200)
            last = self.head(f"Content-Length: {len(self.again)}", "Connection: close") + self.again
            s.sendall(last)
            self.assertEqual(read_answer(f).status, 200)
            self.assertEqual(f.read(), b"")

    def test_byte_by_byte(self):
        request = self.head(f"Content-Length: {len(self.again)}") + self.again
        with self.d.connect() as s, s.makefile("rb") as f:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(request)):
                s.sendall(request[i:i + 1])
            self.assertEqual(read_answer(f).status, 200)

    def test_expects_continue(self):
        with self.d.connect() as s, s.makefile("rb") as f:
            s.sendall(self.head(f"Content-Length: {len(self.again)}", "Expect: 100-continue"))
            self.assertEqual(f.readline() + f.readline(), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(self.again)
            self.assertEqual(read_answer(f).status, 200)

    def test_half_closed(self):
        with self.d.connect() as s, s.makefile("rb") as f:
            s.sendall(self.head(f"Content-Length: {len(self.again)}") + self.again)
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(read_answer(f).status, 200)

    def test_large_body_gets_its_answer(self):
        with self.d.connect() as s, s.makefile("rb") as f:
            s.sendall(self.head("Content-Length: 4000000"))
            try:
                s.sendall(b"x" * 4000000)
            except OSError:
                pass
            self.assertEqual(read_answer(f).status, 413)

    def test_slow_clients_are_cut(self):
        start = [self.d.connect() for _ in range(3)]
        start[1].sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n")
        start[2].sendall(self.head("Content-Length: 100") + b"old 0\n")
        for s in start:  # each ends by itself, without an answer
            with s:
                self.assertEqual(s.recv(1), b"")

    def test_idle_crowd_gives_way(self):
        crowd = [self.d.connect() for _ in range(200)]
        self.assertEqual(self.d.ask(self.again).status, 200)
        for s in crowd:
            s.close()


class State(unittest.TestCase):
    def test_key_and_files(self):
        d = Daemon(LOGS)
        vkey = d.vkey()  # made at the first start, whatever asks first
        self.assertEqual(d.vkey(), vkey)
        self.assertTrue(re.fullmatch(re.escape(NAME) + r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}\n", vkey))
        d.start()
        self.assertEqual(d.vkey(), vkey)
        self.assertEqual(d.ask(body(0, LEAVES[:5])).status, 200)
        self.assertEqual(stat.S_IMODE(os.stat(d.state).st_mode), 0o700)
        self.assertEqual(sorted(os.listdir(d.state)), ["key.sealed", "pins", "seal.key"])
        for name in os.listdir(d.state):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(d.state, name)).st_mode), 0o600, name)
        self.assertIn("another gemel-witness", Daemon(LOGS, d.state).refused_to_start())
        self.assertEqual(d.stop(), 0)

    def test_sandbox(self):
        d = Daemon(LOGS).start()
        with open(f"/proc/{d.process.pid}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f)
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
        self.assertEqual(int(status["CapEff"], 16), 0)
        if os.geteuid() == 0:
            self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {"61400"})
            self.assertEqual(status["Groups"].split(), [])
        d.stop()

    def test_memory_outlives_a_kill(self):
        d = Daemon(LOGS).start()
        vkey = d.vkey()
        for old, new in ((0, 5), (5, 12), (12, 30)):
            self.assertEqual(d.ask(body(old, LEAVES[:new])).status, 200)
            d.stop(signal.SIGKILL)
            d.start()
            self.assertEqual(d.vkey(), vkey)
            self.assertEqual(d.ask(body(0, LEAVES[:4])).body, f"{new}\n")
        d.stop()

    def test_lost_or_altered_memory_is_no_memory(self):
        d = Daemon(LOGS).start()
        self.assertEqual(d.ask(body(0, LEAVES[:5])).status, 200)
        d.stop()
        for name in "pins", "key.sealed", "seal.key":
            path = os.path.join(d.state, name)
            os.rename(path, path + ".aside")
            self.assertRegex(d.refused_to_start(), "is missing")
            with open(path + ".aside", "rb") as f:
                data = f.read()
            with open(path, "wb") as f:
                f.write(data[:20] + bytes([data[20] ^ 1]) + data[21:])
            os.chmod(path, 0o644)
            self.assertNotEqual(d.refused_to_start(), "", name)
            os.replace(path + ".aside", path)
        d.start()
        self.assertEqual(d.ask(body(0, LEAVES[:5])).body, "5\n")
        d.stop()

    def test_unwritable_memory_cosigns_nothing(self):
        d = Daemon(LOGS).start()
        self.assertEqual(d.ask(body(0, LEAVES[:5])).status, 200)
        os.mkdir(os.path.join(d.state, ".pins.new"))  # stands in the way of the next write
        self.assertEqual(d.ask(body(5, LEAVES[:9])).status, 500)
        os.rmdir(os.path.join(d.state, ".pins.new"))
        self.assertEqual(d.ask(body(5, LEAVES[:9])).status, 200)
        d.stop()

    def test_rivals(self):
        """Two histories at once, many times: one of them is cosigned, never both."""
        d = Daemon(LOGS).start()
        self.assertEqual(d.ask(body(0, LEAVES[:20])).status, 200)
        bodies = [body(20, LEAVES), body(20, FORK)]
        statuses = [[], []]

        def rival(which):
            for _ in range(10):
                statuses[which].append(d.ask(bodies[which]).status)
        threads = [threading.Thread(target=rival, args=(i % 2,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(len(s) for s in statuses), [40, 40])
        self.assertEqual(sum(200 in s for s in statuses), 1)
        self.assertEqual(sum(s.count(200) for s in statuses), 1)  # then `old` no longer matches
        self.assertEqual(set(statuses[0] + statuses[1]), {200, 409})
        d.stop()


class Configuration(unittest.TestCase):
    def refused(self, text):
        with tempfile.NamedTemporaryFile("w", dir=WORK.name, suffix=".yaml") as f:
            f.write(text)
            f.flush()
            r = subprocess.run([WITNESS, "--config", f.name, "--check-config"], capture_output=True, text=True,
                               check=False)
            self.assertEqual(r.returncode, 2, text)
            return r.stderr

    def test_errors(self):
        base = f"name: {NAME}\nstate: /nowhere\nlisten: {{address: 127.0.0.1}}\n"
        self.assertIn("state", self.refused(f"name: {NAME}\nlisten: {{address: 127.0.0.1}}\n"))
        self.assertIn("key name", self.refused(base.replace(NAME, "a b")))
        self.assertIn("logs 1: vkey", self.refused(base + "logs: [{origin: o, vkey: nonsense}]\n"))
        w = Key("w", 4)
        self.assertIn("witness's key", self.refused(base + f"logs: [{{origin: o, vkey: \"{w.vkey()}\"}}]\n"))
        self.assertIn("origin", self.refused(base + f"logs: [{{origin: \"\", vkey: \"{LOG.vkey()}\"}}]\n"))

    def test_no_logs(self):
        d = Daemon([]).start()
        self.assertEqual(d.ask(body(0, LEAVES)).status, 404)
        d.stop()

    def test_usage(self):
        self.assertEqual(subprocess.run([WITNESS], capture_output=True, check=False).returncode, 2)
        out = subprocess.run([WITNESS, "--describe-config"], capture_output=True, text=True, check=True).stdout
        self.assertIn("vkey", out)


if __name__ == "__main__":
    os.chmod(WORK.name, 0o755)
    unittest.main(argv=[sys.argv[0], "-v"])
