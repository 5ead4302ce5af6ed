# SPDX-License-Identifier: Apache-2.0
"""How long it takes from an event in a device's kernel until the northbound answer has changed.

Both ends are in one process, on one clock: the event is a netlink request that this process sends in
the device's network namespace, so its beginning is known to the microsecond; the answer is that of
GET /v1/devices/DEVICE/state, asked for over a connection that stays open, again and again from the
event on until it tells the new state. The round trip in which it does is part of the delay. For
links the server-sent event that tells the change is timed too.
"""

import json
import os
import select
import socket
import ssl
import struct
import time
import urllib.parse

GIVE_UP_S = 10
CLONE_NEWNET = 0x40000000
RTM_NEWLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE = 16, 20, 21, 24, 25
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL = 1, 4, 0x400, 0x200
NLMSG_ERROR, IFF_UP = 2, 1
IFA_LOCAL, IFA_ADDRESS, RTA_DST, RTA_OIF = 2, 1, 1, 4
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST = 254, 4, 253, 1


class MappingError(Exception):
    pass


# --- the kernel's end

class Kernel:
    """A netlink socket in a namespace."""

    def __init__(self, netns, libc):
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(fd, CLONE_NEWNET) != 0:
                raise MappingError(f"{netns}: cannot be entered")
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            self.index = {name: i for i, name in socket.if_nameindex()}
        finally:
            if libc.setns(own, CLONE_NEWNET) != 0:
                os._exit(1)  # half in another namespace: nothing good can follow
            os.close(fd)
            os.close(own)
        self.socket.bind((0, 0))
        self.sequence = 0

    def _ask(self, kind, flags, body):
        """Returns the time just before the kernel was told, and just after it had done it."""
        self.sequence += 1
        message = struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, self.sequence, 0) + body
        before = time.monotonic_ns()
        self.socket.send(message)
        answer = self.socket.recv(65536)
        after = time.monotonic_ns()
        kind, = struct.unpack_from("=H", answer, 4)
        error, = struct.unpack_from("=i", answer, 16)
        if kind != NLMSG_ERROR or error != 0:
            raise MappingError(f"netlink: {os.strerror(-error)}")
        return before, after

    @staticmethod
    def _attribute(kind, value):
        return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)

    def link(self, interface, up):
        flags = IFF_UP if up else 0
        return self._ask(RTM_NEWLINK, 0, struct.pack("=BBHiII", 0, 0, 0, self.index[interface], flags, IFF_UP))

    def address(self, interface, address, present):
        value = socket.inet_aton(address)
        body = struct.pack("=BBBBi", socket.AF_INET, 32, 0, 0, self.index[interface])
        body += self._attribute(IFA_LOCAL, value) + self._attribute(IFA_ADDRESS, value)
        return self._ask(RTM_NEWADDR if present else RTM_DELADDR, NLM_F_CREATE | NLM_F_EXCL if present else 0, body)

    def route(self, interface, prefix, length, present):
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK,
                           RTN_UNICAST, 0)
        body += self._attribute(RTA_DST, socket.inet_aton(prefix))
        body += self._attribute(RTA_OIF, struct.pack("=i", self.index[interface]))
        return self._ask(RTM_NEWROUTE if present else RTM_DELROUTE, NLM_F_CREATE | NLM_F_EXCL if present else 0, body)


# --- northbound's end

class Connection:
    """HTTP/1.1 over one TLS connection that stays open."""

    def __init__(self, url, authority):
        parts = urllib.parse.urlsplit(url)
        self.host = parts.netloc
        raw = socket.create_connection((parts.hostname, parts.port), timeout=GIVE_UP_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = ssl.create_default_context(cafile=authority).wrap_socket(raw, server_hostname=parts.hostname)
        self.token, self.rest = None, b""

    def _head(self, method, path, body):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _more(self):
        got = self.socket.recv(262144)
        if not got:
            raise MappingError("northbound closed the connection")
        self.rest += got

    def _line(self):
        while b"\n" not in self.rest:
            self._more()
        line, self.rest = self.rest.split(b"\n", 1)
        return line.rstrip(b"\r")

    def _take(self, n):
        while len(self.rest) < n:
            self._more()
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken

    def _body(self, headers):
        if b"content-length" in headers:
            return self._take(int(headers[b"content-length"]))
        if headers.get(b"transfer-encoding", b"").lower() != b"chunked":
            return b""
        parts = []
        while True:
            n = int(self._line(), 16)
            parts.append(self._take(n))
            self._line()
            if n == 0:
                return b"".join(parts)

    def start(self, method, path, body=None):
        body = json.dumps(body).encode() if body is not None else None
        self.socket.sendall(self._head(method, path, body) + (body or b""))
        status = int(self._line().split(b" ")[1])
        headers = {}
        while line := self._line():
            name, value = line.split(b":", 1)
            headers[name.lower()] = value.strip()
        return status, headers

    def ask(self, method, path, body=None):
        status, headers = self.start(method, path, body)
        answer = self._body(headers)
        if status >= 300:
            raise MappingError(f"{method} {path}: {status} {answer[:300].decode(errors='replace')}")
        return answer

    def json(self, method, path, body=None):
        return json.loads(self.ask(method, path, body) or b"null")

    def login(self, account, password):
        self.token = self.json("POST", "/v1/sessions", {"account": account, "password": password})["token"]


class Events(Connection):
    """The event stream: next() gives the time of arrival and the event."""

    def __init__(self, url, authority, token, types):
        super().__init__(url, authority)
        self.token = token
        status, _ = self.start("GET", f"/v1/events?type={types}")
        if status != 200:
            raise MappingError(f"the event stream: {status}")
        self.text = b""
        self.socket.setblocking(False)

    def _read(self):
        """What has come: takes HTTP's chunks apart."""
        try:
            while True:
                got = self.socket.recv(262144)
                if not got:
                    raise MappingError("northbound ended the event stream")
                self.rest += got
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        while b"\r\n" in self.rest:
            head, after = self.rest.split(b"\r\n", 1)
            n = int(head, 16)
            if len(after) < n + 2:
                return
            self.text += after[:n]
            self.rest = after[n + 2:]

    def next(self, until_ns):
        while True:
            at = time.monotonic_ns()
            if b"\n\n" in self.text:
                block, self.text = self.text.split(b"\n\n", 1)
                data = b"".join(line[5:] for line in block.split(b"\n") if line.startswith(b"data:"))
                if data:
                    return at, json.loads(data)
                continue
            if at > until_ns:
                return None, None
            select.select([self.socket], [], [], (until_ns - at) / 1e9)
            self._read()

    def drain(self):
        self._read()
        self.text = b""


# --- measuring

def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * (len(ordered) - 1) + 0.5))]


class Probe:
    """One kind of change on one device: `change` makes it or takes it back, `told` finds it in the answer."""

    def __init__(self, device, change, told):
        self.path, self.change, self.told = f"/v1/devices/{device}/state", change, told

    def wait(self, connection, present):
        """When the answer told it first, and how often it was asked for."""
        asked, until = 0, time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            body = connection.ask("GET", self.path)
            at = time.monotonic_ns()
            asked += 1
            if self.told(body, present):
                return at, asked
        raise MappingError(f"{self.path}: no change within {GIVE_UP_S} s")

    def run(self, connection, present):
        before, after = self.change(present)
        at, asked = self.wait(connection, present)
        return (at - before) / 1e6, (after - before) / 1e6, asked


def address_probe(kernel, device, interface, address):
    text = f'"{address}/32"'.encode()
    return Probe(device, lambda present: kernel.address(interface, address, present),
                 lambda body, present: (text in body) == present)


def route_probe(kernel, device, interface, prefix, length):
    text = f'"{prefix}/{length}"'.encode()
    return Probe(device, lambda present: kernel.route(interface, prefix, length, present),
                 lambda body, present: (text in body) == present)


def link_probe(kernel, device, interface):
    def told(body, present):
        status = next(i["oper_status"] for i in json.loads(body)["interfaces"] if i["name"] == interface)
        return (status == "UP") == present
    return Probe(device, lambda present: kernel.link(interface, present), told)


def link_event(events, interface, device, state, before_ns):
    """When the event came that tells that this interface's link is up or down; None: it did not."""
    until = before_ns + int(GIVE_UP_S * 1e9)
    while True:
        at, event = events.next(until)
        if at is None:
            return None
        data = event.get("data", event)
        if event.get("type", "").endswith(f".{state}") and any(data.get(end, {}).get("device") == device and data.get(end, {}).get("interface") == interface
               for end in ("a", "b")):
            return at
