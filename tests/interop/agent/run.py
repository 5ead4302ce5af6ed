#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gemel-agent read by Debian's python3-grpcio, unmodified, over mutual TLS: Capabilities, Get,
Subscribe in all its modes, on a network element of its own (a network namespace with veth links, a
bridge, addresses, routes and, where there is nft, a ruleset). The certificate is given by file.
Needs root, because it makes network namespaces; without it the test is skipped (exit status 77).

usage: run.py AGENT-PROGRAM FOLDER-OF-PROTO-FILES"""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

AGENT, PROTOS = os.path.abspath(sys.argv[1]), sys.argv[2]
PORT = 9339
WAIT = 30
NAME = "gia%d" % os.getpid()  # of the namespace that this run makes


def run(*argv, **more):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, **more)


def path(name):
    return os.path.join(WORK, name)


def read(name):
    with open(path(name), "rb") as f:
        return f.read()


def write(name, text):
    with open(path(name), "w", encoding="ascii") as f:
        f.write(text)


# --- the authority, and who has a certificate of it


def certificate(name, extensions):
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        path(name + ".key"), "-out", path(name + ".csr"), "-subj", "/CN=" + name,
        stderr=subprocess.DEVNULL)
    write(name + ".ext", "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n" +
          extensions + "authorityKeyIdentifier=keyid\n")
    run("openssl", "x509", "-req", "-in", path(name + ".csr"), "-CA", path("ca.pem"), "-CAkey",
        path("ca.key"), "-CAcreateserial", "-out", path(name + ".pem"), "-days", "2", "-extfile",
        path(name + ".ext"), stderr=subprocess.DEVNULL)


def authority():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", path("ca.key"), "-out", path("ca.pem"), "-subj", "/CN=test authority", "-days", "2",
        "-addext", "basicConstraints=critical,CA:true", "-addext",
        "keyUsage=critical,keyCertSign,cRLSign", stderr=subprocess.DEVNULL)
    certificate("device", "extendedKeyUsage=serverAuth,clientAuth\n"
                "subjectAltName=URI:urn:gemel:device:r1,DNS:r1\n")
    for name, role in ("client", "telemetry-client"), ("stranger", "application"):
        certificate(name, "extendedKeyUsage=clientAuth\n"
                    "subjectAltName=URI:urn:gemel:role:%s\n" % role)


# --- the network element


def network():
    run("ip", "netns", "add", NAME)
    for words in ("link set lo up", "link add eth0 type veth peer name far0",
                  "link add br0 type bridge", "link set eth0 up", "link set far0 up",
                  "link set br0 up", "addr add 192.0.2.1/24 dev eth0",
                  "addr add 2001:db8::1/64 dev eth0 nodad", "addr add 198.51.100.1/24 dev br0",
                  "route add 203.0.113.0/24 via 192.0.2.9"):
        run("ip", "-n", NAME, *words.split())
    if NFT:
        run("ip", "netns", "exec", NAME, NFT, "-f", "-", text=True, input="""
            table inet filter { chain forward { type filter hook forward priority 0; policy drop;
                ip saddr 192.0.2.0/24 tcp dport 22 counter accept
            }
            }""")


def swtpm():
    """A software TPM as swtpm_setup makes it, and what the launcher does: docs/contracts.md."""
    os.mkdir(path("tpm"))
    write("localca.conf", "statedir = @/tpm\nsigningkey = @/tpm/k.pem\nissuercert = @/tpm/i.pem\n"
          "certserial = @/tpm/s\n".replace("@", WORK))
    write("localca.options", "")
    write("setup.conf", "create_certs_tool = /usr/bin/swtpm_localca\n"
          "create_certs_tool_config = @/localca.conf\ncreate_certs_tool_options = @/localca.options\n"
          .replace("@", WORK))
    run("swtpm_setup", "--tpm2", "--tpmstate", path("tpm"), "--create-ek-cert", "--ecc", "--pcr-banks",
        "sha256", "--config", path("setup.conf"), "--vmid", "r1", "--logfile", "/dev/null")
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + path("tpm"), "--server",
         "type=unixio,path=" + path("tpm.sock"), "--ctrl", "type=unixio,path=" + path("tpm.ctrl"),
         "--flags", "not-need-init,startup-clear"])
    until(lambda: os.path.exists(path("tpm.ctrl")))
    with open(AGENT, "rb") as program:
        run("swtpm_ioctl", "--unix", path("tpm.ctrl"), "-h", "-", stdin=program)
    return process


def agent():
    os.makedirs(path("state/keys"), mode=0o700)
    os.chmod(WORK, 0o711)
    with open(path("state/keys/identity.pem"), "wb") as f:
        f.write(read("device.key") + read("device.pem"))
    shutil.copy(path("ca.pem"), path("state/keys/authority.pem"))
    write("agent.yaml", "device: r1\ntwin:\n  address: 127.0.0.1\n  port: 9345\nstate: state\ntpm: tpm.sock\n"
          "listen:\n  address: 127.0.0.1\n")
    return subprocess.Popen(["ip", "netns", "exec", NAME, AGENT, "--config", path("agent.yaml")])


def until(true, what="condition"):
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


# --- the client

CLONE_NEWNET = 0x40000000


def enter():
    """This process into the namespace: the client is on the network element's own loopback."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/run/netns/" + NAME, "rb") as f:
        if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def channel(name):
    keys = grpc.ssl_channel_credentials(read("ca.pem"), read(name + ".key"), read(name + ".pem"))
    return grpc.secure_channel("127.0.0.1:%d" % PORT, keys,
                               [("grpc.ssl_target_name_override", "r1")])


def to_path(text):
    out = gnmi_pb2.Path()
    for part in text.strip("/").split("/"):
        if not part:
            continue
        name, *keys = part.replace("]", "").split("[")
        elem = out.elem.add(name=name)
        for key in keys:
            k, v = key.split("=", 1)
            elem.key[k] = v
    return out


def to_text(p):
    return "".join("/" + e.name + "".join("[%s=%s]" % kv for kv in sorted(e.key.items()))
                   for e in p.elem)


def value(val):
    kind = val.WhichOneof("value")
    v = getattr(val, kind)
    if kind in ("json_val", "json_ietf_val"):
        return json.loads(v)
    if kind == "leaflist_val":
        return [value(e) for e in v.element]
    return v


def leaves(notifications):
    return {to_text(u.path): value(u.val) for n in notifications for u in n.update}


class Stream:
    """One Subscribe call: sends what it is given, keeps what comes."""

    def __init__(self, stub, *subscriptions, mode="STREAM", encoding="PROTO", **more):
        self.out, self.responses = queue.Queue(), queue.Queue()
        lists = gnmi_pb2.SubscriptionList(
            mode=mode, encoding=encoding,
            subscription=[gnmi_pb2.Subscription(path=to_path(p), **s) for p, s in subscriptions], **more)
        self.out.put(gnmi_pb2.SubscribeRequest(subscribe=lists))
        self.call = stub.Subscribe(iter(self.out.get, None))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for r in self.call:
                self.responses.put(r)
        except grpc.RpcError as e:
            self.responses.put(e)
        self.responses.put(None)

    def next(self):
        r = self.responses.get(timeout=WAIT)
        if isinstance(r, grpc.RpcError):
            raise r
        return r

    def to_sync(self):
        """All updates up to sync_response."""
        seen = {}
        while True:
            r = self.next()
            if r is None or r.sync_response:
                return seen
            seen.update(leaves([r.update]))

    def until(self, leaf, wanted):
        """Reads on until this leaf has this value; all that came."""
        while True:
            n = self.next().update
            got = leaves([n])
            if got.get(leaf) == wanted:
                return n

    def poll(self):
        self.out.put(gnmi_pb2.SubscribeRequest(poll=gnmi_pb2.Poll()))

    def end(self):
        self.out.put(None)
        self.call.cancel()


IF = "/interfaces/interface[name=eth0]"
OPER = IF + "/state/oper-status"


class Agent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = channel("client")
        cls.stub = gnmi_pb2_grpc.gNMIStub(cls.channel)

        def answers():
            try:
                return cls.stub.Get(gnmi_pb2.GetRequest(path=[to_path(OPER)], encoding="PROTO"))
            except grpc.RpcError:
                return None

        until(answers, "the agent answers")

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()

    def setUp(self):
        run("ip", "-n", NAME, "link", "set", "eth0", "up")
        until(lambda: self.get(OPER)[OPER] == "UP")

    def get(self, *paths, encoding="PROTO", **more):
        answer = self.stub.Get(gnmi_pb2.GetRequest(path=[to_path(p) for p in paths],
                                                   encoding=encoding, **more))
        return leaves(answer.notification)

    def refused(self, code, call):
        with self.assertRaises(grpc.RpcError) as e:
            call()
        self.assertEqual(e.exception.code(), code, e.exception.details())
        return e.exception.details()

    def test_capabilities(self):
        c = self.stub.Capabilities(gnmi_pb2.CapabilityRequest())
        self.assertEqual(c.gNMI_version, "0.10.0")
        self.assertIn("openconfig-interfaces", [m.name for m in c.supported_models])
        self.assertEqual(sorted(gnmi_pb2.Encoding.Name(e) for e in c.supported_encodings),
                         ["JSON", "JSON_IETF", "PROTO"])

    def test_get(self):
        got = self.get(IF)
        self.assertEqual(got[OPER], "UP")
        self.assertEqual(got[IF + "/state/mtu"], 1500)
        self.assertEqual(got[IF + "/state/type"], "ethernetCsmacd")
        v4 = IF + "/subinterfaces/subinterface[index=0]/ipv4/addresses/address[ip=192.0.2.1]/state"
        self.assertEqual(got[v4 + "/prefix-length"], 24)
        self.assertTrue(any("ipv6/addresses/address[ip=2001:db8::1]" in p for p in got))
        self.assertEqual(self.get("/system/state/hostname")["/system/state/hostname"],
                         socket.gethostname())

    def test_get_routes(self):
        ni = "/network-instances/network-instance[name=default]/afts"
        got = self.get(ni)
        entry = ni + "/ipv4-unicast/ipv4-entry[prefix=203.0.113.0/24]/state"
        self.assertEqual(got[entry + "/origin-protocol"], "STATIC")
        group = got[entry + "/next-hop-group"]
        hops = [v for p, v in got.items()
                if p.startswith("%s/next-hop-groups/next-hop-group[id=%d]" % (ni, group))
                and p.endswith("/index")]
        self.assertEqual(len(hops), 1)
        hop = ni + "/next-hops/next-hop[index=%d]" % hops[0]
        self.assertEqual(got[hop + "/state/ip-address"], "192.0.2.9")
        self.assertEqual(got[hop + "/interface-ref/state/interface"], "eth0")
        self.assertEqual(got[ni + "/state/not-modelled"], [])

    def test_get_json(self):
        names = self.get("/interfaces/interface[name=*]/state/name", encoding="JSON_IETF")
        self.assertEqual(sorted(names.values()), ["br0", "eth0", "far0", "lo"])
        state = self.get(IF, encoding="JSON_IETF")[IF]
        self.assertEqual(state["name"], "eth0")
        self.assertEqual(state["openconfig-interfaces:state"]["mtu"], 1500)
        self.assertIsInstance(state["openconfig-interfaces:state"]["counters"]["in-octets"], str)
        address = state["openconfig-interfaces:subinterfaces"]["subinterface"][0]
        self.assertEqual(address["index"], 0)
        self.assertEqual([a["ip"] for a in
                          address["openconfig-if-ip:ipv4"]["addresses"]["address"]], ["192.0.2.1"])
        whole = self.get("/", encoding="JSON")["" or ""]
        self.assertLessEqual({"interfaces", "network-instances", "system", "components", "gemel"},
                             set(whole))
        self.assertIsInstance(whole["interfaces"]["interface"][0]["state"]["counters"]["in-octets"], int)

    @unittest.skipUnless(shutil.which("nft") or os.path.exists("/usr/sbin/nft"), "nft is not installed")
    def test_get_acl(self):
        entry = ("/acl/acl-sets/acl-set[name=inet:filter:forward][type=ACL_MIXED]/acl-entries/"
                 "acl-entry[sequence-id=%s]")
        got = self.get("/acl")
        self.assertIn("DROP", [v for p, v in got.items() if p.endswith("/default-action")])
        self.assertIn("192.0.2.0/24", [v for p, v in got.items() if p.endswith("/source-address")])
        self.assertTrue(entry)

    def test_get_refusals(self):
        code = grpc.StatusCode
        self.refused(code.NOT_FOUND, lambda: self.get("/routing-policy"))
        self.refused(code.NOT_FOUND, lambda: self.get("/interfaces/interface[name=none]"))
        self.refused(code.INVALID_ARGUMENT, lambda: self.get(IF, encoding="ASCII"))
        self.refused(code.INVALID_ARGUMENT, lambda: self.get(
            IF, use_models=[gnmi_pb2.ModelData(name="acme")]))
        self.refused(code.NOT_FOUND, lambda: self.get(
            IF, prefix=gnmi_pb2.Path(target="other")))
        self.assertEqual(self.get(IF, type="CONFIG"), {})

    def test_set(self):
        said = self.refused(grpc.StatusCode.UNIMPLEMENTED, lambda: self.stub.Set(gnmi_pb2.SetRequest()))
        self.assertIn("control tunnel", said)

    def test_once(self):
        s = Stream(self.stub, ("/interfaces", {}), mode="ONCE")
        self.assertEqual(s.to_sync()[OPER], "UP")
        self.assertIsNone(s.next())  # and the call has ended

    def test_poll(self):
        s = Stream(self.stub, (IF + "/state", {}), mode="POLL")
        self.assertEqual(s.to_sync()[OPER], "UP")
        run("ip", "-n", NAME, "link", "set", "eth0", "down")
        until(lambda: self.get(OPER)[OPER] == "DOWN")
        s.poll()
        self.assertEqual(s.to_sync()[OPER], "DOWN")
        s.end()

    def test_on_change(self):
        """A link goes down: an update comes, with all that follows from it."""
        s = Stream(self.stub, ("/interfaces/interface[name=*]/state/oper-status", {"mode": "ON_CHANGE"}),
                   ("/network-instances", {"mode": "ON_CHANGE"}))
        self.assertEqual(s.to_sync()[OPER], "UP")
        for state in "DOWN", "UP":
            run("ip", "-n", NAME, "link", "set", "eth0", state.lower())
            n = s.until(OPER, state)
            self.assertLess(abs(time.time_ns() - n.timestamp), WAIT * 10**9)
        run("ip", "-n", NAME, "route", "add", "203.0.113.128/25", "via", "192.0.2.7")
        prefix = ("/network-instances/network-instance[name=default]/afts/ipv4-unicast/"
                  "ipv4-entry[prefix=203.0.113.128/25]")
        s.until(prefix + "/state/prefix", "203.0.113.128/25")
        run("ip", "-n", NAME, "route", "del", "203.0.113.128/25")
        while prefix not in [to_text(p) for p in getattr(s.next().update, "delete")]:
            pass
        s.end()

    def test_on_change_json(self):
        s = Stream(self.stub, (IF + "/state", {"mode": "ON_CHANGE"}), encoding="JSON_IETF",
                   updates_only=True)
        self.assertEqual(s.to_sync(), {})
        run("ip", "-n", NAME, "link", "set", "eth0", "mtu", "1400")
        s.until(IF + "/state/mtu", 1400)
        run("ip", "-n", NAME, "link", "set", "eth0", "mtu", "1500")
        s.until(IF + "/state/mtu", 1500)
        s.end()

    def test_on_change_of_counters_is_refused(self):
        s = Stream(self.stub, (IF + "/state/counters", {"mode": "ON_CHANGE"}))
        self.assertIn("SAMPLE", self.refused(grpc.StatusCode.INVALID_ARGUMENT, s.to_sync))

    def test_sample(self):
        """Counters come by themselves, and count."""
        leaf = IF + "/state/counters/out-octets"
        s = Stream(self.stub, (IF + "/state/counters", {"mode": "SAMPLE", "sample_interval": 200 * 10**6}))
        last = s.to_sync()[leaf]
        stamps = []
        for _ in range(3):
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) as k:  # RFC 3692: experiments
                k.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                k.sendto(b"x" * 100, ("192.0.2.255", 0))
            while True:
                n = s.next().update
                now = leaves([n])[leaf]
                self.assertGreaterEqual(now, last)
                if now > last:
                    break
            last = now
            stamps.append(n.timestamp)
        self.assertEqual(stamps, sorted(set(stamps)))
        s.end()

    def test_sample_suppresses_what_is_the_same(self):
        leaf = IF + "/state/mtu"
        s = Stream(self.stub, (leaf, {"mode": "SAMPLE", "sample_interval": 10**8,
                                      "suppress_redundant": True}))
        s.to_sync()
        came = [leaves([s.next().update])[leaf]]  # the first sample
        for mtu in 1400, 1450, 1500:
            run("ip", "-n", NAME, "link", "set", "eth0", "mtu", str(mtu))
            came.append(leaves([s.next().update])[leaf])
            time.sleep(0.35)  # some samples in which nothing is new
        self.assertEqual(came, [1500, 1400, 1450, 1500])
        s.end()

    def test_subscribe_refusals(self):
        bad = grpc.StatusCode.INVALID_ARGUMENT
        self.refused(bad, Stream(self.stub, (IF, {"mode": "SAMPLE", "sample_interval": 1})).to_sync)
        self.refused(bad, Stream(self.stub, mode="ONCE").to_sync)
        s = Stream(self.stub, (IF, {}), mode="POLL")
        s.to_sync()
        s.out.put(gnmi_pb2.SubscribeRequest(subscribe=gnmi_pb2.SubscriptionList()))
        self.refused(bad, s.to_sync)

    def test_another_role_is_refused(self):
        with channel("stranger") as c:
            stub = gnmi_pb2_grpc.gNMIStub(c)
            for call in (lambda: stub.Capabilities(gnmi_pb2.CapabilityRequest()),
                         lambda: stub.Get(gnmi_pb2.GetRequest()),
                         lambda: stub.Set(gnmi_pb2.SetRequest()),
                         Stream(stub, (IF, {})).to_sync):
                self.assertIn("listen.roles", self.refused(grpc.StatusCode.PERMISSION_DENIED, call))

    def test_no_certificate_is_refused(self):
        keys = grpc.ssl_channel_credentials(read("ca.pem"))
        with grpc.secure_channel("127.0.0.1:%d" % PORT, keys,
                                 [("grpc.ssl_target_name_override", "r1")]) as c:
            self.refused(grpc.StatusCode.UNAVAILABLE,
                         lambda: gnmi_pb2_grpc.gNMIStub(c).Capabilities(gnmi_pb2.CapabilityRequest()))

    def test_the_status_file_says_how_it_stands(self):
        self.assertIn("device: r1\n", read("state/status").decode())
        self.assertIn("certificate: ", read("state/status").decode())
        self.assertEqual(os.stat(path("state/status")).st_mode & 0o777, 0o644)

    def test_zz_a_dead_process_comes_back(self):
        """Last: wire and apply are killed; the agent answers again."""
        for name in "apply", "wire":
            pids = subprocess.run(["pgrep", "-f", "--", "--process %s --config %s" %
                                   (name, path("agent.yaml"))], capture_output=True, text=True,
                                  check=True).stdout.split()
            self.assertEqual(len(pids), 1)
            os.kill(int(pids[0]), signal.SIGKILL)

        def again():
            try:
                return self.get(OPER)[OPER] == "UP"
            except grpc.RpcError:
                return False

        until(again, "the agent answers again")


def stubs():
    run("protoc", "--proto_path=" + PROTOS, "--python_out=" + WORK, "gnmi.proto", "gnmi_ext.proto")
    sys.path.insert(0, WORK)
    import gnmi_pb2 as messages

    class Stub:
        """What grpc_tools would generate, which Debian does not have."""

        def __init__(self, c):
            def unary(name, q, a):
                call = c.unary_unary("/gnmi.gNMI/" + name, q.SerializeToString, a.FromString)
                return lambda m: call(m, timeout=WAIT)
            m = messages
            self.Capabilities = unary("Capabilities", m.CapabilityRequest, m.CapabilityResponse)
            self.Get = unary("Get", m.GetRequest, m.GetResponse)
            self.Set = unary("Set", m.SetRequest, m.SetResponse)
            self.Subscribe = c.stream_stream("/gnmi.gNMI/Subscribe",
                                             m.SubscribeRequest.SerializeToString,
                                             m.SubscribeResponse.FromString)

    grpc_module = type(sys)("gnmi_pb2_grpc")
    grpc_module.gNMIStub = Stub
    return messages, grpc_module


def main():
    processes = []
    try:
        authority()
        network()
        processes.append(swtpm())
        processes.append(agent())
        enter()
        return not unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False).result.wasSuccessful()
    finally:
        for p in reversed(processes):
            p.terminate()
            p.wait()
        subprocess.run(["ip", "netns", "del", NAME], check=False)
        shutil.rmtree(WORK)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("makes network namespaces: needs root")
        sys.exit(77)
    NFT = next((p for p in ("/usr/sbin/nft", "/sbin/nft") if os.path.exists(p)), None)
    WORK = tempfile.mkdtemp(prefix="gemel-agent-")
    gnmi_pb2, gnmi_pb2_grpc = stubs()
    sys.exit(main())
