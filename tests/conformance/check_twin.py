# SPDX-License-Identifier: Apache-2.0
"""Clause 6: the twin itself."""

import contextlib
import http.client
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from concurrent import futures

import grpc

from gemellab import network

import protos
import wire
from live import HERE, TOP, NoLab, hold
from probe import Reachable


# --- 6-data

def records(live):
    """Every answer about the network names the record it came from; the repository has each of them."""
    names = [d["id"] for d in live.admin.get("/v1/devices", state="production", limit=1000)["items"]]
    hold(len(names) > 1, f"only {len(names)} devices are in production")
    named = {}  # (device, path of the record): the answers that name it

    def take(answer, device, row, path=None):
        path = path or row.get("record")
        hold(path, f"{answer} says {json.dumps(row)[:200]} of {device} and names no record")
        named.setdefault((device, path), set()).add(answer)

    device = names[0]
    pattern = "/interfaces/interface[name=*]/state/oper-status"
    purpose = f"conformance {live.nonce}"
    for answer in ("data:query", "data:series"):
        items = live.admin.get(f"/v1/{answer}", device=device, path=pattern, purpose=purpose)["items"]
        hold(items, f"{answer} of {device} is empty")
        for v in items:
            hold(v.get("device") and v.get("path") and v.get("time"), f"{answer}: {v}")
            take(answer, v["device"], v, v["path"])
    lineage = live.admin.get("/v1/data:lineage", device=device, path=items[0]["path"])
    hold(lineage["path"] == items[0]["path"] and lineage["time"] and lineage["batch"], f"lineage: {lineage}")
    topology = live.admin.get("/v1/topology")
    for link in topology["links"]:
        for end in (link["a"], link["b"]):
            take("topology", end["device"], end)
    state = live.admin.get(f"/v1/devices/{device}/state")
    for kind in ("interfaces", "routes", "neighbours", "lldp", "acls"):
        for row in state[kind] or []:
            take(f"device state: {kind}", device, row)
    trace = live.admin.get("/v1/paths:trace", **{"from": names[0], "to": names[-1]})
    for hop in trace["hops"]:
        for row in [hop["route"]] if hop.get("route") else []:
            take("trace: routes", hop["device"], row)
        for out in hop["out"]:
            if out.get("next_hop_record"):
                take("trace: next hops", hop["device"], out, out["next_hop_record"])
    for answer in (topology, state, trace):
        hold(answer.get("as_of") and answer.get("revision"), f"an answer of no time: {list(answer)}")
    _in_repository(live, named, purpose)
    live.see("every row names device, path and time, and the repository has the record", run=live.nonce,
             records=len(named), answers=sorted({a for answers in named.values() for a in answers}),
             as_of=trace["as_of"], revision=trace["revision"])


def _in_repository(live, named, purpose):
    """All of a device's records at once, then each of the names below them."""
    have = {}
    for device in sorted({d for d, _ in named}):
        cursor, paths = None, []
        while True:
            more = {"cursor": cursor} if cursor else {}
            answer = live.admin.get("/v1/data:query", device=device, limit=1000, purpose=purpose, **more)
            paths += [(v["path"], v["time"]) for v in answer["items"]]
            cursor = answer["next"]
            if not cursor:
                break
        have[device] = paths
    for device, path in named:
        found = [t for p, t in have[device] if p == path or p.startswith(path.rstrip("/") + "/")]
        hold(found and all(found), f"{device} {path} is named by {named[device, path]} and the repository has none")


# --- 6-interface

def third_parties(live):
    """Programs that are not ours: grpc of Google's as a client of an agent, curl and Prometheus northbound, and
    grpc's server as a device that telemetry dials."""
    with _grpc_device(live) as collected:  # it is dialled meanwhile
        _curl(live)
        _prometheus(live)
        _grpc_client(live)
        collected()


def _curl(live):
    if not shutil.which("curl"):
        raise NoLab("curl is not installed")
    with tempfile.TemporaryDirectory() as folder:
        ca = os.path.join(folder, "ca.pem")
        with open(ca, "w", encoding="ascii") as f:
            f.write(live.authority)
        config = f'header = "Authorization: Bearer {live.admin.token}"\n'  # not an argument: others see those
        base = f"https://{live.admin.host}:{live.admin.port}"
        seen = {}
        for path in ("/v1/topology", "/restconf/data/ietf-network:networks", "/v1/openapi.json"):
            done = subprocess.run(["curl", "-sS", "--fail", "--cacert", ca, "-K", "-", base + path], input=config,
                                  capture_output=True, text=True, timeout=30, check=False)
            hold(done.returncode == 0, f"curl {path}: {done.stderr.strip()}")
            seen[path] = json.loads(done.stdout)
    networks = seen["/restconf/data/ietf-network:networks"]["ietf-network:networks"]["network"]
    nodes = [n for net in networks for n in net.get("node", [])]
    hold(nodes, "RFC 8345: no node")
    live.see("curl reads JSON, RFC 8345 and OpenAPI", nodes=len(nodes), openapi=seen["/v1/openapi.json"]["openapi"])


SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(,[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*")*\})? '
                    r"[-+]?(?:\d|NaN|\+?Inf)\S*")


def _prometheus(live):
    """Prometheus itself where it is installed, else its published form, line by line."""
    status, text = live.admin.ask("GET", "/metrics")
    hold(status == 200, f"/metrics: {status}")
    typed, lines = {}, 0
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            hold(kind in ("counter", "gauge", "histogram", "summary"), f"/metrics: {line}")
            typed[name] = kind
        elif line and not line.startswith("# HELP "):
            hold(SAMPLE.fullmatch(line), f"/metrics is not of Prometheus' form: {line[:120]!r}")
            name = re.split(r"[ {]", line)[0]
            hold(name in typed, f"/metrics: {name} has no TYPE before it")
            lines += 1
    hold(lines > 20, f"/metrics: {lines} samples")
    tool = shutil.which("promtool")
    if tool:
        done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30,
                              check=False)
        hold(done.returncode in (0, 3), f"promtool: {done.stderr[:300]}")  # 3: only style
    live.see("Prometheus' form" + (", by promtool" if tool else ""), samples=lines, metrics=len(typed))


def _grpc_client(live):
    """An agent whose certificate was given to it by file, on a node of the lab; its client is grpc."""
    p = Reachable(live, live.rogues()[0], "grpc")
    client = p.authority.issue("reader", "URI:urn:gemel:role:telemetry-client", "clientAuth")
    with wire.Forward(live.lab, network.MANAGEMENT, *p.address) as port, p.channel(port, *client) as channel:
        _read_gnmi(live, channel, p)
    p.stop()


def _read_gnmi(live, channel, p):
    pb, stubs = protos.gnmi()
    stub = stubs(channel)
    what = pb.Path(elem=[pb.PathElem(name="interfaces"), pb.PathElem(name="interface", key={"name": "lo"}),
                         pb.PathElem(name="state"), pb.PathElem(name="oper-status")])
    first = [None]

    def answers():
        try:
            first[0] = stub.Get(pb.GetRequest(path=[what], encoding="PROTO"), timeout=5)
        except grpc.RpcError as e:
            first[0] = e
            return None
        return first[0]
    got = live.until(f"an answer of the agent ({first})", answers, 20, 0.2)
    known = stub.Capabilities(pb.CapabilityRequest(), timeout=5)
    hold(re.fullmatch(r"\d+\.\d+\.\d+", known.gNMI_version), f"Capabilities: {known.gNMI_version!r}")
    name = f"x{live.run}"
    alike = pb.Path(elem=[pb.PathElem(name="interfaces"), pb.PathElem(name="interface", key={"name": name}),
                          pb.PathElem(name="state"), pb.PathElem(name="admin-status")])
    asked = queue.Queue()
    asked.put(pb.SubscribeRequest(subscribe=pb.SubscriptionList(
        mode="STREAM", encoding="PROTO", subscription=[pb.Subscription(path=alike, mode="ON_CHANGE")])))
    call = stub.Subscribe(iter(asked.get, None))
    for r in call:
        if r.sync_response:
            break
    p.command("ip", "link", "add", name, "type", "bridge")
    told = time.monotonic()
    live.on_end.callback(lambda: p.lab.processes.run(p.node.name, ["ip", "link", "del", name], check=False))
    threading.Timer(10, call.cancel).start()
    try:
        update = next(r.update for r in call if r.update.update)
    except (grpc.RpcError, StopIteration):
        update = None
    took = time.monotonic() - told
    asked.put(None)
    call.cancel()
    hold(update is not None, "Subscribe ON_CHANGE told nothing of a new interface")
    live.see("grpc (python3-grpcio) over mutual TLS: Capabilities, Get, Subscribe", gnmi=known.gNMI_version,
             models=len(known.supported_models), lo=got.notification[0].update[0].val.string_val,
             on_change_ms=round(took * 1000, 1))


class _Device:
    """A gNMI device made with grpc: says two values to whoever subscribes."""

    def __init__(self, pb, value, files):
        self.pb, self.value, self.asked = pb, value, queue.Queue()
        methods = {
            "Subscribe": grpc.stream_stream_rpc_method_handler(
                self.subscribe, pb.SubscribeRequest.FromString, pb.SubscribeResponse.SerializeToString),
            "Capabilities": grpc.unary_unary_rpc_method_handler(
                lambda *_: pb.CapabilityResponse(supported_encodings=[2], gNMI_version="0.8.0"),
                pb.CapabilityRequest.FromString, pb.CapabilityResponse.SerializeToString)}
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("gnmi.gNMI", methods),))
        keys = []
        for kind in (".key", ".server"):
            with open(files + kind, "rb") as f:
                keys.append(f.read())
        self.port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([tuple(keys)]))
        self.server.start()

    def subscribe(self, requests, context):
        pb = self.pb
        self.asked.put(next(requests))
        path = pb.Path(elem=[pb.PathElem(name=n) for n in ("system", "state", "software-version")])
        n = pb.Notification(timestamp=time.time_ns())
        n.update.add(path=path, val=pb.TypedValue(string_val=self.value))
        yield pb.SubscribeResponse(update=n)
        yield pb.SubscribeResponse(sync_response=True)
        while context.is_active():
            time.sleep(0.1)


@contextlib.contextmanager
def _grpc_device(live):
    """`targets` of the configuration names it; the lab that runs the tests does, and has its key beside."""
    target = next((t for t in live.conf().get("targets", []) if os.path.exists(t["authority"] + ".key")), None)
    if not target:
        yield lambda: live.lacks("a standard device to dial (`targets` of this gemeld names none that could be "
                                 "played here)")
        return
    node = next(n for n in live.lab.topology.nodes.values() if n.management == target["address"])
    device = _Device(protos.gnmi()[0], f"third-party {live.nonce}", target["authority"])
    path = "/system/state/software-version"

    def collected():
        seen = live.until(f"what {target['device']} says", lambda: (lambda v: v and v["value"] == device.value and v)(
            live.value(target["device"], path)), 75, 0.3)  # it is dialled each minute at least
        lineage = live.admin.get("/v1/data:lineage", device=target["device"], path=path)
        hold(lineage["source"] == "observed by telemetry", f"source: {lineage['source']}")
        live.see("a gNMI server made with grpc is dialled and collected from", device=target["device"],
                 value=seen["value"], subscriptions=len(device.asked.get(timeout=1).subscribe.subscription),
                 source=lineage["source"])
    try:
        with wire.Forward(live.lab, None, "127.0.0.1", device.port, at=(node.name, node.management, target["port"])):
            yield collected
    finally:
        device.server.stop(None)


# --- 6-state

def state_live(live):
    """A port, a link and a logical port change on devices; API and console show it, and the event comes by itself."""
    lab = live.lab
    t = lab.topology
    links = [l for l in t.links if t.nodes[l.a].element and t.nodes[l.b].element]
    way = {l["id"]: max(l["load"]["a_to_b_bps"] or 0, l["load"]["b_to_a_bps"] or 0)
           for l in live.admin.get("/v1/topology")["links"]}
    of = lambda l: next((v for k, v in way.items() if f"{l.a}:{l.a_interface}" in k.split("--")), 0)
    link = min(links, key=of)  # traffic does not miss it
    ends = {link.a, link.b}

    def seen_by(ask):
        for l in ask("/v1/topology")["links"]:
            if {l["a"]["device"], l["b"]["device"]} == ends:
                return l
        return {}
    console = _console(live)
    page = _Page(live)
    hold(seen_by(live.admin.get).get("state") == "up", f"{ends}: not up at the start")
    with _events(live) as events:
        live.on_end.callback(lambda: network.set_link(lab, link.a, link.b, True, False))
        told = network.set_link(lab, link.a, link.b, False, False)
        down = live.until(f"the cut of {link.a} - {link.b} in the twin", lambda: (
            lambda l: l.get("state") == "down" and l)(seen_by(live.admin.get)), 10, 0.01)
        api_ms = (time.time_ns() - told) / 1e6
        hold(seen_by(console)["state"] == "down", "the console's own door still says up")
        at, event = live.until("an event of the cut", lambda: next(
            ((at, e) for at, e in events if at >= told and "link" in e.get("type", "") and link.a in json.dumps(e)
             and "down" in json.dumps(e).lower()), None), 10, 0.01)
        port = next(i for i in live.admin.get(f"/v1/devices/{link.a}/state")["interfaces"]
                    if i["name"] == link.a_interface)
        hold(port["admin_status"] == "DOWN" or port["oper_status"] != "UP", f"the port: {port}")
        shown = page.ask(f"({link.a}.{{1,3}}{link.b}|{link.b}.{{1,3}}{link.a}) down")
        hold(shown is None or shown.get("summary"), f"the console's page: {shown}")
        network.set_link(lab, link.a, link.b, True, False)
        live.until("the link up again", lambda: seen_by(live.admin.get).get("state") == "up", 15, 0.02)
    _logical_port(live, link.a)
    health = live.device(link.a)
    hold(health["state"] == "production" and all(c["verdict"] == "pass" for c in health["checks"]),
         f"the health of {link.a}: {health['state']}")
    live.see("a cut link: API, console and event", link=down["id"], api_ms=round(api_ms, 1),
             event=event.get("type"), event_ms=round((at - told) / 1e6, 1),
             port=f"{link.a} {port['name']} {port['oper_status']}", page=shown and shown["summary"])


def _logical_port(live, device):
    name = f"v{live.run}"
    run = lambda *argv, **more: live.lab.processes.run(device, list(argv), **more)
    run("ip", "link", "add", name, "type", "bridge")
    live.on_end.callback(lambda: run("ip", "link", "del", name, check=False))
    run("ip", "link", "set", name, "up")
    found = live.until(f"{device} {name} in the twin", lambda: next(
        (i for i in live.admin.get(f"/v1/devices/{device}/state")["interfaces"]
         if i["name"] == name and i["admin_status"] == "UP"), None), 10, 0.02)
    run("ip", "link", "del", name)
    live.until(f"the end of {device} {name} in the twin", lambda: all(
        i["name"] != name for i in live.admin.get(f"/v1/devices/{device}/state")["interfaces"]), 10, 0.02)
    live.see("a logical port comes and goes", device=device, port=name, type=found["type"],
             status=found["admin_status"])


def _console(live):
    """What the console's page reads, over the console's own door, with a log-in of its own."""
    conf = live.conf()["console"]
    who = live.account("console", ["operator"])
    context = live.admin.context

    def ask(method, path, body=None, headers=None):
        c = http.client.HTTPSConnection(conf.get("address", "127.0.0.1"), conf["port"], timeout=20, context=context)
        with contextlib.closing(c):
            send = {"X-Gemel": "1", "Content-Type": "application/json", **(headers or {})}
            c.request(method, path, body=json.dumps(body) if body else None, headers=send)
            r = c.getresponse()
            return r, r.read()
    r, data = ask("POST", "/v1/sessions", {"account": who.account, "password": who.phrase})
    hold(r.status // 100 == 2, f"the console's log-in: {r.status} {data[:200]}")
    cookie = r.getheader("Set-Cookie").split(";")[0]
    hold(b"token" not in data and "HttpOnly" in r.getheader("Set-Cookie"), "the console's token can be read by scripts")

    def get(path):
        r, data = ask("GET", path, headers={"Cookie": cookie})
        hold(r.status == 200, f"the console's {path}: {r.status}")
        return json.loads(data)
    live.console_login = (who.account, who.phrase, f"https://{conf.get('address', '127.0.0.1')}:{conf['port']}")
    return get


@contextlib.contextmanager
def _events(live):
    """Events as they come, with the time at which each came, over the API's stream."""
    c = live.admin.connection(timeout=60)
    c.request("GET", "/v1/events", headers={"Authorization": f"Bearer {live.admin.token}"})
    r = c.getresponse()
    hold(r.status == 200, f"/v1/events: {r.status}")
    seen = []

    def read():
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            for line in r:
                if line.startswith(b"data:"):
                    seen.append((time.time_ns(), json.loads(line[5:])))
    threading.Thread(target=read, daemon=True).start()
    try:
        yield seen
    finally:
        with contextlib.suppress(OSError):
            c.sock.shutdown(2)
        c.close()


class _Page:
    """The console in Chromium, where the browser tests' parts are installed; else nothing is said of it."""

    def __init__(self, live):
        account, phrase, url = live.console_login
        self.process = None
        if not shutil.which("node") or not os.path.isdir(os.path.join(TOP, "tests/console/node_modules")):
            return
        self.process = subprocess.Popen(["node", os.path.join(HERE, "page.mjs"), url, account], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        live.on_end.callback(self.end)
        answer = self.ask(phrase)
        hold(answer.get("ready"), f"the console's page: {answer}")

    def ask(self, line):
        if not self.process:
            return None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or "{}")

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
