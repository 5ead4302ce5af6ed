# SPDX-License-Identifier: Apache-2.0
"""Clause 8.1: what a device must prove, and what may be asked of it. The attackers are the lab's rogue nodes."""

import json
import os
import re
import shutil
import tempfile
import time

import grpc

from gemellab import gemel, trust

import protos
import wire
from live import hold
from probe import Probe


def refused(live, probe, reason, since, seconds=20):
    """The entry of this probe's refusal; at once NotHeld when it is let in instead."""
    def found():
        for e in live.entries(since, subject=probe.id):
            if e["kind"] == "device.refused" and reason in json.dumps(e["body"]):
                return e
        d = live.device(probe.id)
        hold(d["state"] not in ("quarantine", "tested", "attested", "production") or d["version"] == before,
             f"{probe.id} was let in ({d['state']}): {reason} was expected")
        return None
    before = live.device(probe.id)["version"]
    return live.until(f"the refusal of {probe.id} for {reason}", found, seconds, 0.1)


# --- 8.1.1-1

def software(live):
    """One device, one TPM, one token, and two executables: the right one with one byte more, then the right one."""
    p = Probe(live, live.rogues()[0], "tpm")
    right = live.program("gemel-agent")
    since = live.ledger_size()
    with tempfile.TemporaryDirectory(dir=live.lab.spaces.folder(p.node.name)) as folder:
        os.chmod(folder, 0o755)
        altered = shutil.copy(right, os.path.join(folder, "gemel-agent"))
        with open(altered, "ab") as f:
            f.write(b"\n")
        wrong, expected = trust.reference(altered), trust.reference(right)
        p.start(token=p.invite(), executable=altered)
        e = refused(live, p, "software-unknown", since)
        hold(wrong in json.dumps(e["body"]), f"entry {e['index']} does not name the measurement {wrong}")
        p.wait_log("software-unknown")
        p.stop()
    live.see("an agent of one byte more is refused", device=p.id, pcr17=wrong, reason="software-unknown",
             ledger=e["index"])
    p.start(token=p.token)
    d = p.wait("production")
    quote = next(s["detail"] for s in d["story"] if s["step"] == "appraised")
    hold(d["evidence"]["pcr17"] == quote["pcr17"] == expected, f"the quote of PCR 17: {quote['pcr17']}, not {expected}")
    hold(quote["tpm_clock_ms"] > 0, "no quote of a TPM")
    live.see("the same device with the right agent is let in", pcr17=quote["pcr17"], software=quote["software"],
             tpm_clock_ms=quote["tpm_clock_ms"], manufacturer=d["tpm"]["manufacturer"],
             entries=[e["index"] for e in live.entries(since, subject=p.id)][:8])


# --- 8.1.1-2

def identity(live):
    """Unknown, expired, copied, name stolen, revoked: each refused with its own reason and ledger entry."""
    nodes = live.rogues()
    since = live.ledger_size()
    short = Probe(live, nodes[0], "short", enrolments=1)
    short.data.sever()  # it can enrol, once; neither connect nor renew
    short.start(token=short.invite(certificate_s=12))
    until = time.monotonic() + 12
    whole = Probe(live, nodes[-1], "whole")
    whole.join()
    _unknown(live, nodes[0], since)
    _expired(live, short, until, since)
    _copied(live, whole, nodes[0], since)
    _stolen_name(live, whole, since)
    _revoked(live, whole, since)


def _try(live, node, chain, key=None):
    with wire.dial(live.lab, node.name, live.lab.topology.gemeld, gemel.TELEMETRY) as s:
        return wire.handshake(s, wire.context(chain, key))


def _unknown(live, node, since):
    victim = live.lab.topology.elements[0].name
    with tempfile.TemporaryDirectory() as folder:
        a = wire.Authority(folder)
        chain, key = a.issue(victim, f"URI:urn:gemel:device:{victim}", "clientAuth")
        let_in, said = _try(live, node, chain, key)
    hold(not let_in, f"a certificate of an unknown authority was let in: {said}")
    e = live.entry(since, node.management, "certificate-unknown-authority", 6)
    hold(live.device(victim)["state"] == "production", f"{victim} itself was harmed")
    live.see("unknown: a certificate in a device's name by another authority", claims=victim, said=said,
             reason="certificate-unknown-authority", ledger=e["index"])


def _expired(live, short, until, since):
    live.until("a certificate of 12 seconds", lambda: os.path.exists(os.path.join(short.state, "keys/identity.pem")), 20)
    short.stop()
    time.sleep(max(0, until + 1.5 - time.monotonic()))
    ended = live.device(short.id)["certificate"]["until"]
    let_in, said = _try(live, short.node, short.identity())
    hold(not let_in, f"a certificate that ended {ended} was let in: {said}")
    e = live.entry(since, short.id, "certificate-expired")
    live.see("expired: a certificate of this twin", until=ended, said=said, reason="certificate-expired",
             ledger=e["index"])


def _copied(live, whole, node, since):
    """Certificate and key on another machine, which has a TPM of its own."""
    other = Probe(live, node, "copy")
    shutil.copytree(os.path.join(whole.state, "keys"), os.path.join(other.state, "keys"))
    other.start(device=whole.id)
    e = live.entry(since, whole.id, "key-mismatch", 20)
    other.stop()
    hold(live.device(whole.id)["state"] == "production", "the device itself was harmed")
    live.see("copied: its certificate and key on another machine", reason="key-mismatch", ledger=e["index"])


def _stolen_name(live, whole, since):
    """With its own certificate it asks for a challenge in another's name, as before an attestation."""
    victim = live.lab.topology.elements[0].name
    pb = protos.enrolment()
    with open(whole.identity(), "rb") as f:
        pem = f.read()
    credentials = grpc.ssl_channel_credentials(live.authority.encode(), pem, pem[pem.index(b"-----BEGIN CERT"):])
    with wire.Forward(live.lab, whole.node.name, live.lab.topology.gemeld, gemel.TELEMETRY) as port:
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials,
                                 [("grpc.ssl_target_name_override", "localhost")]) as channel:
            ask = channel.unary_unary("/gemel.enrolment.v1.Enrolment/Challenge",
                                      pb.ChallengeRequest.SerializeToString, pb.ChallengeAnswer.FromString)
            try:
                ask(pb.ChallengeRequest(device_id=victim, purpose=1), timeout=10)
                said = None
            except grpc.RpcError as e:
                said = f"{e.code().name}: {e.details()}"
    hold(said, f"{whole.id} was given {victim}'s challenge")
    e = live.entry(since, victim, "name-stolen")
    hold(live.device(victim)["state"] == "production", f"{victim} itself was harmed")
    live.see("stolen name: a device of this twin calls itself by another's", claims=victim, said=said[:120],
             reason="name-stolen", ledger=e["index"])


def _revoked(live, whole, since):
    whole.revoke()
    let_in, said = _try(live, whole.node, whole.identity())
    hold(not let_in, f"a revoked certificate was let in: {said}")
    e = live.until("the refusal of a revoked certificate in the ledger", lambda: next(
        (e for e in live.entries(since, subject=whole.id)
         if e["kind"] == "device.refused" and "certificate-revoked" in json.dumps(e["body"])), None))
    live.see("revoked", said=said, reason="certificate-revoked", ledger=e["index"])


# --- 8.1.2-1

ASKED = re.compile(r"the twin asks for (\d+) paths:(.*)")


def permit_first(live):
    """What the agent says that it was asked, against what was permitted at that time."""
    p = Probe(live, live.rogues()[0], "permit")
    asked = lambda: [(int(n), paths.split()) for n, paths in ASKED.findall(p.log())]
    since = live.ledger_size()
    p.start(token=p.invite())
    p.wait("production")
    live.until("a subscription", asked)
    n, paths = live.until("a subscription to the interfaces", lambda: next(
        (a for a in asked() if any("/interfaces" in x for x in a[1])), None))
    grants = [e["body"] for e in live.entries(since, subject=p.id, kind="grant.given")]
    hold(any(g["state"] == "production" for g in grants), f"asked without a grant: {grants}")
    live.see("permitted as in production: it is asked", paths=n, grants=len(grants))
    before = len(asked())
    p.quarantine()
    live.until("a new subscription", lambda: len(asked()) > before, 15)
    time.sleep(1)  # nothing more may follow
    later = asked()[before:]
    outside = sorted({x for _, paths in later for x in paths if not x.startswith(("/system/state", "/gemel"))})
    hold(not outside, f"without a permit it was asked for {outside}")
    grant = live.entries(since, subject=p.id, kind="grant.given")[0]
    live.see("in quarantine: it is asked for its health and nothing else", paths=later[-1][1],
             grant=grant["body"]["covers"], ledger=grant["index"])
    before = len(asked())
    p.revoke()
    e = live.entry(since, p.id, "certificate-revoked", 20)  # it has tried again
    hold(len(asked()) == before, "a revoked device was asked")
    live.see("revoked: it is asked for nothing any more", ledger=e["index"])
