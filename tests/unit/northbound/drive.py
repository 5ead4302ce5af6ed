#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drives the northbound process over HTTPS with curl, raw TLS and gemel(1). Arguments: the driver
program, the gemel program."""
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

DRIVER, GEMEL = sys.argv[1:3]
FOLDER = tempfile.mkdtemp(prefix="gemel-drive-")
failures = []


def check(name, condition, shown=""):
    print(("ok   " if condition else "FAIL ") + name + ("" if condition else f": {shown!r}"))
    if not condition:
        failures.append(name)


class Driver:
    def __init__(self, witness_port):
        self.child = subprocess.Popen([DRIVER, FOLDER, str(witness_port)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.api, self.console = map(int, self.child.stdout.readline().split())

    def order(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        while (said := self.child.stdout.readline().strip()) != "done":
            assert said, "the driver is gone"
            self.said = said

    def line(self):
        return self.child.stdout.readline().strip()


class Answer:
    def __init__(self, text):
        head, _, self.body = text.partition("\r\n\r\n")
        while head.startswith("HTTP/1.1 100"):
            head, _, self.body = self.body.partition("\r\n\r\n")
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {k.lower(): v.strip() for k, _, v in (l.partition(":") for l in lines[1:])}

    def json(self):
        return json.loads(self.body)


def curl(port, target, *more, token=None, cookie=None, data=None):
    command = ["curl", "-si", "--noproxy", "*", "--cacert", f"{FOLDER}/authority.pem", "--tlsv1.3",
               "--path-as-is", *more]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    if cookie:
        command += ["-H", f"Cookie: gemel_session={cookie}"]
    if data is not None:
        command += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
    run = subprocess.run(command + [f"https://127.0.0.1:{port}{target}"], capture_output=True,
                         input=(data or "").encode())
    return Answer(run.stdout.decode(errors="replace"))


def tls(port):
    context = ssl.create_default_context(cafile=f"{FOLDER}/authority.pem")
    raw = socket.create_connection(("127.0.0.1", port))
    raw.settimeout(100)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def raw(port, data, end=False):
    with tls(port) as s:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        out = b""
        try:
            while part := s.recv(65536):
                out += part
                if b"\r\n\r\n" in out and not end:
                    break
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass
        return out.decode(errors="replace")


def is_problem(a, status, says):
    p = a.json() if a.headers.get("content-type") == "application/problem+json" else {}
    return a.status == status and p.get("status") == status and says in p.get("detail", "")


def witness(server):
    while True:
        try:
            s, _ = server.accept()
        except OSError:
            return
        got = b""
        while b"old 0\n\n" not in got:
            got += s.recv(4096)
        witness.got = got.decode()
        s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\ncosigned")
        s.close()


def wait_serving(d):
    for _ in range(200):
        if curl(d.api, "/healthz").status:
            return
        time.sleep(0.05)
    sys.exit("northbound does not serve")


def basics(d):
    a = curl(d.api, "/healthz")
    check("health", a.status == 200 and a.json() == {"status": "ok", "away": []}, a.body)
    check("no session", is_problem(curl(d.api, "/v1/devices"), 401, "needs a session"))
    check("unknown token", is_problem(curl(d.api, "/v1/devices", token="bad"), 401, "not known"))
    a = curl(d.api, "/v1/devices?limit=5&at=-5m", token="good")
    check("relayed", a.status == 200 and a.json()["operation"] == "devices.list"
          and a.json()["params"] == {"limit": 5, "at": "-5m"} and a.json()["ticket"], a.body)
    check("not stored", a.headers.get("cache-control") == "no-store", a.headers)
    check("etag", curl(d.api, "/v1/devices/r1", "-H", 'If-None-Match: "v1"', token="good").status == 304)
    a = curl(d.api, "/v1/devices/r1:revoke", "-H", 'If-Match: "v1"', "-H", "Idempotency-Key: k1",
             token="good", data='{"reason":"stolen"}')
    check("headers pass", a.json()["if_match"] == '"v1"' and a.json()["idempotency_key"] == "k1", a.body)
    a = curl(d.api, "/v1/devices?nothing=1", token="good")
    check("unknown member", is_problem(a, 400, '"nothing": not known in the query'), a.body)
    a = curl(d.api, "/v1/nothing", token="good")
    check("404", is_problem(a, 404, "/v1/nothing"), a.body)
    a = curl(d.api, "/v1/topology", "-X", "DELETE", token="good")
    check("405", a.status == 405 and a.headers.get("allow") == "GET", a.headers)
    check("head", curl(d.api, "/v1/topology", "-I", token="good").body == "")
    a = curl(d.api, "/v1/devices/denied", token="good")
    check("refusal unchanged", is_problem(a, 403, "ann may not"), a.body)
    check("openapi", len(curl(d.api, "/v1/openapi.json").json()["paths"]) > 30)
    check("large answer", len(curl(d.api, "/v1/devices/big", token="good").body) == 7 << 20)
    a = curl(d.api, "/v1/devices/parts", token="good")
    check("answer in parts", len(a.body) == 40 * 4096 and a.headers["transfer-encoding"] == "chunked")


def log_in(d):
    a = curl(d.api, "/v1/sessions", data='{"account":"ann","password":"right"}')
    check("log-in at the API", a.status == 200 and a.json()["token"] == "good"
          and "set-cookie" not in a.headers, a.body)
    a = curl(d.api, "/v1/sessions", data='{"account":"ann","password":"wrong"}')
    check("wrong pass phrase", a.status == 401, a.body)
    a = curl(d.console, "/v1/sessions", data='{"account":"ann","password":"right"}')
    check("changing call without X-Gemel", is_problem(a, 403, "X-Gemel"), a.body)
    a = curl(d.console, "/v1/sessions", "-H", "X-Gemel: 1", "-H", "Origin: https://evil.example",
             data='{"account":"ann","password":"right"}')
    check("other origin", is_problem(a, 403, "another site"), a.body)
    a = curl(d.console, "/v1/sessions", "-H", "X-Gemel: 1", data='{"account":"ann","password":"right"}')
    cookie = a.headers.get("set-cookie", "")
    check("log-in at the console", a.status == 200 and "token" not in a.json()
          and cookie.startswith("gemel_session=good;")
          and all(w in cookie for w in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/")), cookie)
    check("cookie", curl(d.console, "/v1/devices", cookie="good").status == 200)
    check("cookie is nothing at the API", curl(d.api, "/v1/devices", cookie="good").status == 401)
    check("bearer is nothing at the console", curl(d.console, "/v1/devices", token="good").status == 401)
    a = curl(d.console, "/v1/sessions/current", "-X", "DELETE", "-H", "X-Gemel: 1", cookie="viewer")
    check("log-out", "Max-Age=0" in a.headers.get("set-cookie", ""), a.headers)


def files(d):
    a = curl(d.console, "/")
    check("console page", a.status == 200 and a.body == "<p>hello" and "default-src 'none'" in
          a.headers["content-security-policy"] and a.headers["x-content-type-options"] == "nosniff", a.headers)
    check("console link", curl(d.console, "/device/r1").body == "<p>hello")
    check("console script", curl(d.console, "/assets/app.js").headers["content-type"].startswith("text/javascript"))
    check("console etag", curl(d.console, "/", "-H", f"If-None-Match: {a.headers['etag']}").status == 304)
    check("no such file", curl(d.console, "/assets/none.js").status == 404)
    check("not outside", curl(d.console, "/../authority.pem").status == 404)
    check("not hidden", curl(d.console, "/.secret.html").status == 404)
    check("no files at the API", curl(d.api, "/").status == 404)


def bad_requests(d):
    r = raw(d.api, b"NONSENSE\r\n\r\n")
    check("malformed request line", r.startswith("HTTP/1.1 400"), r)
    r = raw(d.api, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    check("two hosts", " 400 " in r and "Host" in r, r)
    r = raw(d.api, b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    check("two lengths", " 400 " in r, r)
    r = raw(d.api, b"GET /" + b"a" * 30000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    check("long request line", r[9:12] in ("400", "413", "414"), r)
    r = raw(d.api, b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 30000 + b"\r\n\r\n")
    check("long header", r[9:12] in ("400", "413"), r)
    a = curl(d.api, "/v1/devices:import", token="good", data="x" * 3000000)
    check("large body", a.status == 413, a.status)
    a = curl(d.api, "/v1/sessions", data="[" * 5000)
    check("deep body", is_problem(a, 400, "nested deeper"), a.body)
    with socket.create_connection(("127.0.0.1", d.api)) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        s.settimeout(30)
        try:
            got = s.recv(100)
        except ConnectionError:
            got = b""
    check("no plain text", not got.startswith(b"HTTP"), got)
    old = subprocess.run(["curl", "-s", "--noproxy", "*", "--tls-max", "1.2", "--cacert",
                          f"{FOLDER}/authority.pem", f"https://127.0.0.1:{d.api}/healthz"], capture_output=True)
    check("no TLS 1.2", old.returncode == 35, old.returncode)
    with tls(d.api) as s:
        s.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"acc")
        # goes away in the middle
    check("lives on", curl(d.api, "/healthz").status == 200)


def stream_open(d, target, token="good", last=None):
    s = tls(d.api)
    extra = f"Last-Event-ID: {last}\r\n" if last is not None else ""
    s.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{extra}\r\n".encode())
    return s


def stream_read(s, until):
    got = b""
    while until.encode() not in got:
        part = s.recv(65536)
        if not part:
            break
        got += part
    return got.decode()


def events(d):
    s = stream_open(d, "/v1/events?type=topology&subject=r1")
    check("stream begins", "text/event-stream" in stream_read(s, ": gemel\n\n"))
    d.order("event ledger.entry r1 internal")
    d.order("event topology.link.up r2 internal")
    d.order("event topology.link.down r1:e0--r2:e1 internal")
    got = stream_read(s, "link.down")
    check("filtered", "ledger.entry" not in got and "link.up" not in got and "link.down" in got, got)
    first = int(re.search(r"id: (\d+)", got)[1])
    s.close()
    s = stream_open(d, "/v1/events", last=first - 2)
    got = stream_read(s, "link.down")
    check("resumed", "link.up" in got and "ledger.entry" not in got and "event: gap" not in got, got)
    s.close()
    s = stream_open(d, "/v1/events", last=5)
    got = stream_read(s, "link.down")
    check("gap told", "event: gap" in got and "ledger.entry" in got, got)
    s.close()
    s = stream_open(d, "/v1/events", last="x")
    check("bad Last-Event-ID", " 400 " in stream_read(s, "\r\n\r\n"))
    s.close()
    s = stream_open(d, "/v1/events", token="viewer")
    stream_read(s, ": gemel\n\n")
    d.order("event device.secret r9 restricted")
    d.order("event topology.link.up r9 internal")
    got = stream_read(s, "link.up")
    check("class hidden from a viewer", "device.secret" not in got and "link.up" in got, got)
    s.close()
    s = stream_open(d, "/v1/events")
    stream_read(s, ": gemel\n\n")
    d.order("end")
    got = stream_read(s, "\r\n0\r\n\r\n")
    check("stream ends with its session", got.endswith("0\r\n\r\n"), got)
    s.close()


def stalled(d):
    s = stream_open(d, "/v1/events?type=flood")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream_read(s, ": gemel\n\n")
    d.order("flood 60000")
    total, ended = 0, False
    try:
        while part := s.recv(65536):
            total += len(part)
        ended = True
    except (ConnectionError, ssl.SSLError):
        ended = True
    check("stalled stream is cut", ended, total)
    check("lives on after it", curl(d.api, "/healthz").status == 200)


def neighbours(d):
    d.order("down models")
    a = curl(d.api, "/v1/topology", token="good")
    check("owner away", is_problem(a, 503, "away") and "fix" in a.json()
          and a.headers["retry-after"] == "1", a.body)
    check("health says so", curl(d.api, "/healthz").json() == {"status": "degraded", "away": ["models"]})
    d.order("up models")
    check("owner back", curl(d.api, "/v1/topology", token="good").status == 200)
    got = []
    t = threading.Thread(target=lambda: got.append(curl(d.api, "/v1/devices/never/state", token="good")))
    t.start()
    time.sleep(0.5)
    d.order("down models")
    t.join()
    check("owner goes while asked", is_problem(got[0], 503, "went away"), got[0].body)
    d.order("up models")
    d.order("metrics")
    a = curl(d.api, "/metrics", token="good")
    check("figures", 'gemel_test_total{process="models",device="r1"} 42' in a.body
          and "# TYPE gemel_test_total counter" in a.body, a.body)
    check("figures need a session", curl(d.api, "/metrics").status == 401)
    d.order("witness")
    said = getattr(d, "said", "")
    if not said.startswith("witness"):
        said = d.line()
    check("witness asked", said == "witness 200 cosigned", said)
    check("witness's request", witness.got.startswith("POST /add-checkpoint HTTP/1.0\r\n")
          and witness.got.endswith("\r\n\r\nold 0\n\n"), witness.got)


def bounds(d):
    got = []

    def one():
        got.append(curl(d.api, "/v1/devices/never", "-m", "3", token="viewer").status)
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("concurrent requests of a session", got.count(429) == 4, got)
    codes = [curl(d.api, "/v1/devices", token=f"guess{i}").status for i in range(60)]
    check("guessing is slowed", 429 in codes, codes)


def command_line(d):
    env = dict(os.environ, XDG_CONFIG_HOME=FOLDER, GEMEL_URL=f"https://127.0.0.1:{d.api}")

    def gemel(*args, given=""):
        return subprocess.run([GEMEL, *args], env=env, input=given, capture_output=True, text=True)
    r = gemel("device")
    check("gemel: not trusted", r.returncode == 4 and "--authority" in r.stderr, (r.returncode, r.stderr))
    r = gemel("login", "ann", "--password-stdin", "--authority", f"{FOLDER}/authority.pem", given="wrong\n")
    check("gemel: wrong pass phrase", r.returncode == 4 and "try" in r.stderr, (r.returncode, r.stderr))
    r = gemel("login", "ann", "--password-stdin", "--authority", f"{FOLDER}/authority.pem", given="right\n")
    check("gemel: login", r.returncode == 0 and "logged in" in r.stderr, (r.returncode, r.stderr))
    mode = os.stat(f"{FOLDER}/gemel/session.json").st_mode & 0o777
    check("gemel: session is private", mode == 0o600, oct(mode))
    r = gemel("device", "show", "r1", "--json")
    check("gemel: show", r.returncode == 0 and json.loads(r.stdout)["params"] == {"id": "r1"}
          and json.loads(r.stdout)["cli"] is True, r.stdout + r.stderr)
    r = gemel("device", "show", "denied")
    check("gemel: refusal", r.returncode == 4 and r.stderr == "not permitted: ann may not\n  try      Ask.\n",
          (r.returncode, r.stderr))
    r = gemel("device", "revoke", "r1")
    check("gemel: asks first", r.returncode == 2 and "--yes" in r.stderr, (r.returncode, r.stderr))
    r = gemel("device", "revoke", "r1", "--yes", "--reason", "stolen", "--json")
    check("gemel: revoke", json.loads(r.stdout)["params"] == {"id": "r1", "reason": "stolen"}, r.stdout)
    with open(f"{FOLDER}/devices.csv", "w") as f:
        f.write("id,site\nr1,a\n")
    r = gemel("device", "import", f"{FOLDER}/devices.csv", "--json")
    check("gemel: import", json.loads(r.stdout)["params"] == {"format": "csv", "text": "id,site\nr1,a\n"}, r.stdout)
    r = gemel("events", "--type", "topology")
    check("gemel: events", r.returncode == 0 and "topology.link.down" in r.stdout
          and "ledger.entry" not in r.stdout, r.stdout + r.stderr)
    r = gemel("status", "--url", "https://127.0.0.1:1")
    check("gemel: unreachable", r.returncode == 3, (r.returncode, r.stderr))
    r = gemel("logout")
    check("gemel: logout", r.returncode == 0 and not os.path.exists(f"{FOLDER}/gemel/session.json"), r.stderr)
    r = gemel("status")
    check("gemel: logged out", r.returncode == 4, (r.returncode, r.stderr))


def slow(d):
    """A request that never ends is answered with 408, whatever drips in."""
    with tls(d.api) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nX")
        got = b""
        s.settimeout(2)
        while True:
            try:
                part = s.recv(4096)
                if not part:
                    break
                got += part
            except TimeoutError:
                try:
                    s.sendall(b"x")
                except (OSError, ssl.SSLError):
                    break
            except (OSError, ssl.SSLError):
                break
    check("slow request", got.startswith(b"HTTP/1.1 408") and b"not complete in time" in got, got)


def main():
    os.makedirs(f"{FOLDER}/console/assets")
    for name, text in (("index.html", "<p>hello"), ("assets/app.js", "1"), (".secret.html", "no")):
        with open(f"{FOLDER}/console/{name}", "w") as f:
            f.write(text)
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=witness, args=(server,), daemon=True).start()
    d = Driver(server.getsockname()[1])
    wait_serving(d)
    parts = [basics, log_in, files, bad_requests, events, command_line, neighbours, stalled, bounds, slow]
    for part in parts if len(sys.argv) < 4 else [globals()[n] for n in sys.argv[3:]]:
        part(d)
    d.child.stdin.close()
    check("ends in order", d.child.wait(30) == 0, d.child.returncode)
    server.close()
    subprocess.run(["rm", "-rf", FOLDER])
    sys.exit(f"{len(failures)} failed: {failures}" if failures else 0)


main()
