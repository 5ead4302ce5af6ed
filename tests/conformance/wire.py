# SPDX-License-Identifier: Apache-2.0
"""Wires of the lab: sockets of its nodes, a relay that can hurt what passes, a capture of what passes, and TLS
handshakes with whatever credentials."""

import contextlib
import ctypes
import os
import socket
import ssl
import subprocess
import threading
import time

from gemellab import network

from live import NoLab

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(lab, node):
    """This thread in the node's network: sockets that it makes stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(lab.spaces.net(node), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {node}")
        yield
    finally:
        if _libc.setns(home, CLONE_NEWNET) != 0:
            os._exit(3)  # nothing else may run in the wrong network
        os.close(there)
        os.close(home)


def dial(lab, node, address, port, timeout=5):
    with inside(lab, node):
        return socket.create_connection((address, port), timeout=timeout)


def listen(lab, node, address="127.0.0.1", port=0):
    with inside(lab, node):
        return socket.create_server((address, port))


class Relay:
    """TCP between a program in a node and the twin. It can be cut; it can change one bit of what passes; it tells
    which side ended a connection first."""

    def __init__(self, lab, node, address, port, only=None):
        self.lab, self.node, self.to = lab, node, (address, port)
        self.only = only  # so many connections and no more
        self.server = listen(lab, node)
        self.port = self.server.getsockname()[1]
        self.cut = False
        self.pairs, self.ended, self.passed = [], [], 0
        self._flip = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def flip_next(self, least):
        """One bit of the next piece of at least so many bytes from the node's side."""
        with self._lock:
            self._flip = least

    @property
    def flipped(self):
        return self._flip is False

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            if self.cut or self.only == 0:
                near.close()
                continue
            if self.only:
                self.only -= 1
            try:
                far = dial(self.lab, self.node, *self.to)
            except OSError:
                near.close()
                continue
            near.settimeout(None)
            far.settimeout(None)
            self.pairs.append((near, far))
            for source, to, who in ((near, far, "device"), (far, near, "twin")):
                threading.Thread(target=self._pump, args=(source, to, who), daemon=True).start()

    def _pump(self, source, to, who):
        try:
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                self.passed += len(piece)
                to.sendall(self._hurt(piece) if who == "device" else piece)
        except OSError:
            pass
        with self._lock:
            self.ended.append((who, time.monotonic()))
        for s in (source, to):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def _hurt(self, piece):
        with self._lock:
            if not self._flip or len(piece) < self._flip:
                return piece
            self._flip = False
        at = len(piece) // 2
        return piece[:at] + bytes([piece[at] ^ 0x01]) + piece[at + 1:]

    def sever(self):
        """What is connected ends; what comes is refused until `mend`."""
        self.cut = True
        for pair in self.pairs:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()

    def mend(self):
        self.cut = False

    def close(self):
        self.sever()
        self.server.close()


class Capture:
    """All that passes the twin's management network, by tcpdump."""

    def __init__(self, lab, path):
        self.path = path
        try:
            self.process = subprocess.Popen(
                ["tcpdump", "-i", network.BRIDGE, "-s", "0", "-U", "-w", path, "tcp"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                preexec_fn=lambda: lab.spaces.enter(network.MANAGEMENT))
        except OSError as e:
            raise NoLab(f"tcpdump: {e}") from None
        line = self.process.stderr.readline()
        while line and "listening on" not in line:
            line = self.process.stderr.readline()

    def stop(self):
        time.sleep(0.3)  # what the kernel still holds
        self.process.terminate()
        self.process.wait(timeout=10)
        with open(self.path, "rb") as f:
            data = f.read()
        os.unlink(self.path)
        return data


# --- TLS with whatever credentials

def context(chain=None, key=None, *, alpn=("h2",), most=None, authority=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if authority:
        c.load_verify_locations(cadata=authority)
        c.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if most:
        c.minimum_version = c.maximum_version = most
    if chain:
        c.load_cert_chain(chain, key)
    return c


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def handshake(connection, ctx, say=PREFACE, wait=4):
    """(let in, what was said). A TLS 1.3 client hears of its refusal only after its own handshake, so an answer is
    waited for: frames of HTTP/2, or the end."""
    connection.settimeout(wait)
    try:
        with ctx.wrap_socket(connection) as t:
            t.sendall(say)
            got = t.recv(9)
            return bool(got), f"{t.version()}, {'answered' if got else 'closed'}"
    except ssl.SSLEOFError:
        return False, "closed"
    except ssl.SSLError as e:
        return False, e.reason or str(e)
    except TimeoutError:
        return True, "no refusal"  # it waits for more: it did not end
    except OSError as e:
        return False, str(e)
    finally:
        connection.close()


def openssl(*arguments, stdin=None):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, input=stdin, check=False)
    if done.returncode != 0:
        raise NoLab(f"openssl {arguments[0]}: {done.stderr.strip()[:300]}")
    return done.stdout


class Authority:
    """One that nobody knows, and certificates of it."""

    def __init__(self, folder, name="someone else's authority"):
        self.folder = folder
        self.pem = f"{folder}/ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{folder}/ca.key", "-out", self.pem, "-subj", f"/CN={name}", "-days", "2", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, san, usage):
        base = f"{self.folder}/{name}"
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write("basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
                    f"extendedKeyUsage={usage}\nsubjectAltName={san}\nauthorityKeyIdentifier=keyid\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base + ".key",
                "-out", base + ".csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.pem, "-CAkey", f"{self.folder}/ca.key",
                "-CAcreateserial", "-out", base + ".pem", "-days", "2", "-extfile", base + ".ext")
        return base + ".pem", base + ".key"


class Forward:
    """A port of this machine whose connections go to an address as a node reaches it; or, with `at` (node, address,
    port), a port of that node whose connections come to a program of this machine."""

    def __init__(self, lab, node, address, port, at=None):
        self.lab, self.node, self.to = lab, node, (address, port)
        self.server = listen(lab, *at) if at else socket.create_server(("127.0.0.1", 0))
        self.open = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self.server.getsockname()[1]

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            try:
                far = dial(self.lab, self.node, *self.to) if self.node else socket.create_connection(self.to, 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(source, to):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                to.sendall(piece)
        for s in (source, to):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_):
        self.server.close()
        for s in self.open:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
                s.close()
