# SPDX-License-Identifier: Apache-2.0
"""Clause 8.2: the interfaces. What passes a wire is hurt, heard, and sent again."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import statistics
import tempfile
import threading
import time

import grpc

from gemellab import gemel, network, twin

import protos
import wire
from live import Client, hold, words
from probe import Probe, Reachable


# --- 8.2.1-1

def credentials(live):
    """Each interface with no, wrong and right credentials; and the twin's own, which is not believed either."""
    nodes = live.rogues()
    p = Probe(live, nodes[0], "keys")
    p.join()
    _api(live)
    _console(live)
    _telemetry(live, p)
    _enrolment(live, p)
    _witness(live)
    _false_twin(live, p)
    _agent(live, nodes[-1])
    _control(live)


def _three(live, interface, none, wrong, right):
    """Each (let in, what was said)."""
    for kind, (let_in, said) in (("no", none), ("wrong", wrong)):
        hold(not let_in, f"{interface}: let in with {kind} credentials: {said}")
    hold(right[0], f"{interface}: not let in with the right credentials: {right[1]}")
    live.see(interface, none=none[1], wrong=wrong[1], right=right[1])


def _answer(status, body):
    return status // 100 == 2, f"{status} {words(body) if status >= 300 else ''}".strip()[:100]


def _api(live):
    who = live.account("api", ["viewer"])
    login = lambda phrase: live.anonymous().ask("POST", "/v1/sessions", {"account": who.account, "password": phrase})
    _three(live, "API: log-in", _answer(*login("")), _answer(*login(twin.pass_phrase())), _answer(*login(who.phrase)))
    ask = lambda client: client.ask("GET", "/v1/topology")
    _three(live, "API: calls", _answer(*ask(live.anonymous())), _answer(*ask(live.anonymous("f" * len(who.token)))),
           _answer(*ask(who)))
    status, said = who.ask("POST", "/v1/devices", {"id": f"c-{live.run}-none"})
    hold(status == 403, f"a viewer may add devices: {status} {said}")
    live.see("API: right credentials, no right", said=words(said), policy=(said.get("decision") or {}).get("policy"))


def _console(live):
    conf = live.conf()["console"]
    door = Client((conf.get("address", "127.0.0.1"), conf["port"]), live.admin.context)
    who = live.account("page", ["operator"])
    c = door.connection()
    with contextlib.closing(c):
        c.request("POST", "/v1/sessions", body=json.dumps({"account": who.account, "password": who.phrase}),
                  headers={"Content-Type": "application/json", "X-Gemel": "1"})
        r = c.getresponse()
        r.read()
        cookie = (r.getheader("Set-Cookie") or "").split(";")[0]
    ask = lambda cookie, **more: door.ask("GET", "/v1/topology", headers={"Cookie": cookie, **more} if cookie else more)
    _three(live, "console", _answer(*ask(None)), _answer(*ask("gemel_session=" + "f" * 64)), _answer(*ask(cookie)))
    status, said = door.ask("DELETE", "/v1/sessions/current", headers={"Cookie": cookie})
    hold(status == 403, f"a call as another site could make it was taken: {status} {said}")
    live.see("console: a call that another site made the browser make", said=words(said))


def _tls(live, node, port, chain=None, key=None, **more):
    with wire.dial(live.lab, node, live.lab.topology.gemeld, port) as s:
        return wire.handshake(s, wire.context(chain, key, **more))


def _telemetry(live, p):
    node = p.node.name
    with tempfile.TemporaryDirectory() as folder:
        chain, key = wire.Authority(folder).issue(p.id, f"URI:urn:gemel:device:{p.id}", "clientAuth")
        since = live.ledger_size()
        _three(live, "telemetry", _tls(live, node, gemel.TELEMETRY), _tls(live, node, gemel.TELEMETRY, chain, key),
               _tls(live, node, gemel.TELEMETRY, p.identity()))
    at = p.node.management
    live.see("telemetry: written down", reasons={r: live.entry(since, at, r)["index"] for r in (
        "certificate-missing", "certificate-unknown-authority")})


def _enrolment(live, p):
    pb = protos.enrolment()
    with wire.Forward(live.lab, p.node.name, live.lab.topology.gemeld, gemel.ENROLMENT) as port:
        channel = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(live.authority.encode()),
                                      [("grpc.ssl_target_name_override", "localhost")])
        begin = channel.unary_unary("/gemel.enrolment.v1.Enrolment/Begin", pb.BeginRequest.SerializeToString,
                                    pb.BeginAnswer.FromString)

        def ask(token, proof):
            body = pb.BeginBody(device_id=p.id, token_id=token).SerializeToString()
            try:
                begin(pb.BeginRequest(body=body, token_proof=proof), timeout=10)
                return True, "answered"
            except grpc.RpcError as e:
                return False, f"{e.code().name}: {e.details()}"[:80]
        with channel:
            _three(live, "enrolment", ask("", b""), ask("0123456789abcdef", os.urandom(32)),
                   (True, f"{p.id} has enrolled with its token"))


def _checkpoint(live):
    status, text = live.admin.ask("GET", "/v1/ledger/checkpoint")
    hold(status == 200, f"no checkpoint: {status}")
    return text


def ask_witness(live, witness, old, note, proof=()):
    """(status, answer) of add-checkpoint, c2sp.org/tlog-witness."""
    body = f"old {old}\n" + "".join(f"{base64.b64encode(h).decode()}\n" for h in proof) + "\n" + note
    with wire.dial(live.lab, network.MANAGEMENT, witness.management, gemel.WITNESS) as s:
        c = http.client.HTTPConnection(witness.management)
        c.sock = s
        c.request("POST", "/add-checkpoint", body=body.encode())
        r = c.getresponse()
        return r.status, r.read().decode()


def _witness(live):
    witness = live.lab.topology.of_kind("witness")[0]
    note = live.until("a witnessed checkpoint", lambda: (lambda t: t if t.count("\n— ") > 1 else None)(_checkpoint(live)))
    text, signatures = note.split("\n\n", 1)
    size = int(text.split("\n")[1])
    own = signatures.split("\n")[0]
    name, blob = own[2:].rsplit(" ", 1)
    key = base64.b64decode(blob)
    forged = f"— {name} {base64.b64encode(key[:4] + os.urandom(len(key) - 4)).decode()}\n"
    said = lambda a: (a[0] == 200, f"{a[0]} {a[1].strip()[:60] if a[0] != 200 else 'cosigned'}")
    ask = lambda signed: said(ask_witness(live, witness, size, f"{text}\n\n{signed}"))
    right = live.until("the witness's answer", lambda: (lambda a: a if a[0] else None)(_again(live, witness)), 10, 0.2)
    _three(live, "witness", ask(""), ask(forged), right)


def _again(live, witness):
    """The newest checkpoint as the log signed it, to the witness that has cosigned it already."""
    note = _checkpoint(live)
    text, signatures = note.split("\n\n", 1)
    status, answer = ask_witness(live, witness, int(text.split("\n")[1]), f"{text}\n\n" + signatures.split("\n")[0] + "\n")
    return status == 200, f"{status} {'cosigned' if status == 200 else answer.strip()[:60]}"


def _false_twin(live, p):
    """The agent is led to a server with a certificate of another authority, as role telemetry."""
    with tempfile.TemporaryDirectory() as folder:
        chain, key = wire.Authority(folder).issue("telemetry", "URI:urn:gemel:role:telemetry,DNS:localhost",
                                                  "serverAuth,clientAuth")
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(chain, key)
        c.set_alpn_protocols(["h2"])
        server, said = wire.listen(live.lab, p.node.name), []

        def serve():
            with contextlib.suppress(OSError):
                s, _ = server.accept()
                try:
                    with c.wrap_socket(s, server_side=True) as t:
                        said.append(f"its agent spoke {len(t.recv(64))} bytes")
                except OSError as e:
                    said.append(getattr(e, "reason", None) or str(e))
        threading.Thread(target=serve, daemon=True).start()
        to, p.data.to = p.data.to, ("127.0.0.1", server.getsockname()[1])
        p.data.sever()
        p.data.mend()
        live.until("the agent at the false twin", lambda: said, 15)
        p.data.to = to
        server.close()
    hold("ALERT" in said[0], f"a false twin was believed: {said[0]}")
    live.see("a false twin to an agent", said=said[0])


def _agent(live, node):
    p = Reachable(live, node, "read")
    reader = p.authority.issue("reader", "URI:urn:gemel:role:telemetry-client", "clientAuth")
    other = p.authority.issue("other", "URI:urn:gemel:role:application", "clientAuth")
    pb, stubs = protos.gnmi()

    def ask(chain, key):
        with wire.Forward(live.lab, network.MANAGEMENT, *p.address) as port, p.channel(port, chain, key) as channel:
            try:
                return True, stubs(channel).Capabilities(pb.CapabilityRequest(), timeout=4).gNMI_version
            except grpc.RpcError as e:
                return False, f"{e.code().name}: {e.details()}"[:90]
    right = live.until("the agent's answer", lambda: (lambda a: a if a[0] else None)(ask(*reader)), 20, 0.2)
    with tempfile.TemporaryDirectory() as folder:
        foreign = wire.Authority(folder).issue("reader", "URI:urn:gemel:role:telemetry-client", "clientAuth")

        def raw(chain=None, key=None):
            with wire.dial(live.lab, network.MANAGEMENT, *p.address) as s:
                return wire.handshake(s, wire.context(chain, key))
        _three(live, "agent, dialled", raw(), raw(*foreign), (True, f"gNMI {right[1]}"))
    denied = ask(*other)
    hold(not denied[0] and "PERMISSION_DENIED" in denied[1], f"agent: another role reads it: {denied[1]}")
    live.see("agent, dialled: right certificate, no right", said=denied[1])


def _control(live):
    """The management plane's listener: what it does with a stranger."""
    port = live.conf().get("control", {}).get("port", gemel.CONTROL)
    try:
        let_in, said = _tls(live, network.MANAGEMENT, port)
    except OSError as e:
        let_in, said = False, str(e)
    hold(not let_in or said == "no refusal", f"control: {said}")
    live.see("control: no credentials", said=said if not let_in else "no TLS is spoken there yet: nothing was answered")


# --- 8.2.1-2

def flipped_byte(live):
    """One bit of what an agent sends, changed on the way. Who ends the connection, and what has come of it?"""
    p = Probe(live, live.rogues()[0], "flip")
    p.join()
    since = live.ledger_size()
    name = f"z{live.run}"
    path = f"/interfaces/interface[name={name}]/state/admin-status"
    live.on_end.callback(lambda: p.lab.processes.run(p.node.name, ["ip", "link", "del", name], check=False))
    p.data.ended.clear()
    p.data.flip_next(150)
    p.command("ip", "link", "add", name, "type", "bridge")
    live.until("a changed bit", lambda: p.data.flipped)
    who = live.until("the end of the connection", lambda: p.data.ended and p.data.ended[0][0], 5)
    hold(who == "twin", f"the {who} ended it, the twin would have gone on")
    v = live.until("the change, sent again over a new connection", lambda: live.value(p.id, path), 20)
    lineage = live.admin.get("/v1/data:lineage", device=p.id, path=path)
    refusals = [e for e in live.entries(since, subject=p.id) if e["kind"] == "data.refused"]
    hold(v["value"] == "DOWN" and lineage["batch"]["verified"] and not refusals, f"{v}, {lineage}, {refusals}")
    values = {v["value"] for v in live.admin.get("/v1/data:series", device=p.id, path=path)["items"]}
    hold(values == {"DOWN"}, f"{path} has the values {values}")
    live.see("a changed bit ended the session and changed nothing", device=p.id, ended_by=who, path=path, values=["DOWN"],
             batch=lineage["batch"]["seq"], verified=True)


# --- 8.2.1-3

def nothing_readable(live):
    """A capture of the management network while a device enrols and sends what we know."""
    node = live.rogues()[0]
    p = Probe(live, node, "secret")
    name = f"s{live.run}"
    live.on_end.callback(lambda: p.lab.processes.run(node.name, ["ip", "link", "del", name], check=False))
    capture = wire.Capture(live.lab, os.path.join(tempfile.gettempdir(), f"gemel-{live.run}.pcap"))
    try:
        mark = f"in clear {live.nonce}".encode()
        with wire.dial(live.lab, node.name, live.lab.topology.gemeld, gemel.TELEMETRY) as s:
            s.sendall(mark)  # what a capture can see, it sees
        p.join()
        p.command("ip", "link", "add", name, "type", "bridge")
        v = live.until("the new port in the twin",
                       lambda: live.value(p.id, f"/interfaces/interface[name={name}]/state/name"))
    finally:
        data = capture.stop()
    hold(mark in data, "the capture does not see what passes")
    known = {"device id": p.id, "name of a port": name, "enrolment secret": p.token.split(".")[3], "a path": "oper-status",
             "gRPC method": "/gnmi.gNMI/Subscribe", "host name": f"CN={p.id}"}
    found = [what for what, text in known.items() if text.encode() in data]
    hold(not found, f"readable in the capture: {', '.join(found)}")
    live.see("a capture holds none of what passed", bytes=len(data), looked_for=sorted(known), received=v["value"])


# --- 8.2.1-4

def replays(live):
    nodes = live.rogues()
    p = Probe(live, nodes[0], "again")
    p.join()
    _replay_batch(live, p)
    _replay_token(live, p, nodes[-1])
    _replay_call(live)
    live.lacks("a captured instruction", "instructions|intents|control")


def _replay_batch(live, p):
    """Batches are taken off the device's disk before they are acknowledged, and put back afterwards."""
    name, spool = f"r{live.run}", os.path.join(p.state, "spool")
    path = f"/interfaces/interface[name={name}]/state/admin-status"
    live.on_end.callback(lambda: p.lab.processes.run(p.node.name, ["ip", "link", "del", name], check=False))
    p.data.sever()
    p.command("ip", "link", "add", name, "type", "bridge")
    live.until("a batch in the spool", lambda: "spool" in os.listdir(p.state) and any(
        os.path.getsize(os.path.join(spool, f)) > 200 for f in os.listdir(spool)))
    time.sleep(1)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(spool, os.path.join(folder, "spool"))
        p.data.mend()
        live.until("the batch in the repository", lambda: live.value(p.id, path), 20)
        time.sleep(1)
        p.stop()
        points = _points(live, p.id, path)
        resent = live.metric("gemel_telemetry_batches_resent_total")
        owner = os.stat(spool)
        shutil.rmtree(spool)
        shutil.copytree(copy, spool)
    for at in (spool, *(os.path.join(spool, f) for f in os.listdir(spool))):
        os.chown(at, owner.st_uid, owner.st_gid)
    p.start()
    p.wait_log("registered with the twin")
    p.wait_log("the twin asks for")
    time.sleep(2)
    refused = live.metric("gemel_telemetry_batches_resent_total") - resent
    hold(refused > 0, "captured batches were sent again and taken as new")
    now = _points(live, p.id, path)
    hold(now[:len(points)] == points and all(t > points[-1][0] for t, _ in now[len(points):]), f"{points} became {now}")
    live.see("captured telemetry batches, sent again", batches=int(refused), taken=0, path=path,
             points=len(points))


def _points(live, device, path):
    items = live.admin.get("/v1/data:series", device=device, path=path)["items"]
    return [(v["time"], v["revision"]) for v in items]


def _replay_token(live, p, node):
    since = live.ledger_size()
    other = Probe(live, node, "thief")
    other.start(token=p.token, device=p.id)
    e = live.entry(since, p.id, "token-used")
    other.stop()
    live.see("a captured enrolment token", token=p.token.split(".")[2], reason="token-used", ledger=e["index"])


def _replay_call(live):
    """The bytes of a call on the wire; and the bearer token of a session that has ended."""
    sent, names = [], f"c-{live.run}-twice"
    address = (live.admin.host, live.admin.port)
    ours, theirs = socket.socketpair()
    far = socket.create_connection(address, 5)

    def pump(source, to, keep):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if keep:
                    sent.append(piece)
                to.sendall(piece)
    for args in ((theirs, far, True), (far, theirs, False)):
        threading.Thread(target=pump, args=args, daemon=True).start()
    since = live.ledger_size()
    c = http.client.HTTPConnection(live.admin.host, live.admin.port)
    c.sock = live.admin.context.wrap_socket(ours, server_hostname=live.admin.host)
    phrase = twin.pass_phrase()
    live.on_end.callback(lambda: live.admin.ask("DELETE", f"/v1/access/accounts/{names}"))
    c.request("POST", "/v1/access/accounts", headers={"Authorization": f"Bearer {live.admin.token}",
                                                      "Content-Type": "application/json"},
              body=json.dumps({"name": names, "password": phrase, "roles": ["viewer"]}))
    hold(c.getresponse().status == 201, "the call itself was refused")
    for s in (ours, theirs, far):
        s.close()
    live.admin.post(f"/v1/access/accounts/{names}", method="DELETE")
    with socket.create_connection(address, 5) as s:
        s.settimeout(5)
        with contextlib.suppress(OSError):
            s.sendall(b"".join(sent))
        said = b""
        with contextlib.suppress(OSError):
            while piece := s.recv(65536):
                said += piece
    made = [e for e in live.entries(since, subject=names) if e["kind"] == "account.created"]
    status, _ = live.login_status(names, phrase)
    hold(len(made) == 1 and status == 401, f"the replayed call made {names} again: {made}")
    live.see("a captured API call, sent again byte for byte", bytes=sum(map(len, sent)), answered=len(said),
             entries=[e["index"] for e in made])
    who = live.account("left", ["viewer"])
    hold(who.ask("DELETE", "/v1/sessions/current")[0] // 100 == 2, "it cannot log out")
    status, said = who.ask("GET", "/v1/topology")
    hold(status == 401, f"the token of a session that has ended is taken: {status}")
    live.see("a captured bearer token after the log-out", said=f"{status} {words(said)}")


# --- 8.2.2-1

FLOOD = 200  # connections from each node


def flood(live):
    """Connections without end from every rogue node, while another device changes and a small memory is watched."""
    nodes = live.lab.topology.of_kind("rogue")
    device = live.lab.topology.elements[-1].name
    before = _delays(live, device, 5)
    rss = _rss(live)
    limited = live.metric("gemel_telemetry_handshakes_total", "limited")
    stop, counts, since = threading.Event(), {n.name: 0 for n in nodes}, live.ledger_size()
    threads = [threading.Thread(target=_flooder, args=(live, n, stop, counts), daemon=True) for n in nodes for _ in (0, 1)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    try:
        during = _delays(live, device, 8)
        most = _rss(live)
        live.until(f"a flood from each ({counts})", lambda: min(counts.values()) >= FLOOD, 30, 0.2)
    finally:
        stop.set()
        for t in threads:
            t.join(10)
    refused = live.until("a throttled connection", lambda: max(0, live.metric(  # processes tell their figures now and then
        "gemel_telemetry_handshakes_total", "limited") - limited), 12, 0.5)
    hold(max(during) < 2.0, f"the delay of {device} was {during} during the flood, {before} before")
    hold(live.device(device)["state"] == "production", f"{device} fell")
    grown = {k: most[k] - rss[k] for k in rss}
    hold(max(grown.values()) < 64 << 20, f"memory grew: {grown}")
    named = {n.name: live.until(f"{n.name} named as a flooder", lambda n=n: next(
        (e for e in live.entries(since, subject=n.management) if "flood" in json.dumps(e["body"])), None), 15, 0.3)
             for n in nodes}
    live.see("a flood from every rogue node", connections=counts, throttled=int(refused),
             named={k: {"reason": e["body"].get("reason", e["kind"]), "ledger": e["index"]} for k, e in named.items()})
    live.see("another device meanwhile", device=device, delay_ms_before=round(1000 * statistics.median(before), 1),
             delay_ms_during=round(1000 * statistics.median(during), 1), worst_ms=round(1000 * max(during), 1),
             grown_kib={k: v >> 10 for k, v in grown.items() if v > 1 << 20})


def _rss(live):
    return {p["name"]: _rss_of(p["pid"]) for p in live.status()["processes"]}


def _rss_of(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _flooder(live, node, stop, counts):
    hello = bytes.fromhex("160301020001")  # of a handshake that is never finished
    held = []
    while not stop.is_set():
        for port in (gemel.TELEMETRY, gemel.ENROLMENT):
            try:
                s = wire.dial(live.lab, node.name, live.lab.topology.gemeld, port, 1)
                s.sendall(hello)
                held.append(s)
                counts[node.name] += 1
            except OSError:
                pass
        if len(held) > 400:
            for s in held[:200]:
                s.close()
            del held[:200]
    for s in held:
        s.close()


def _delays(live, device, times):
    """From the kernel's change on the device to the northbound answer."""
    name, found = f"f{live.run}", []
    path = f"/interfaces/interface[name={name}]/state/mtu"
    run = lambda *argv, **more: live.lab.processes.run(device, list(argv), **more)
    run("ip", "link", "add", name, "type", "bridge")
    live.on_end.callback(lambda: run("ip", "link", "del", name, check=False))
    live.until(f"{device} {name}", lambda: live.value(device, path))
    for i in range(times):
        mtu = 1400 + (i + int(time.time()) % 50) % 90
        run("ip", "link", "set", name, "mtu", str(mtu))
        told = time.monotonic()
        live.until(f"mtu {mtu} of {device} {name}", lambda m=mtu: str(live.value(device, path)["value"]) == str(m),
                   10, 0.002)
        found.append(time.monotonic() - told)
    run("ip", "link", "del", name)
    return found
