# SPDX-License-Identifier: Apache-2.0
"""Clause 9: countermeasures."""

import base64
import hashlib
import json
import os
import shutil
import socket
import ssl

from gemellab import gemel, network

import store
import wire
from check_devices import refused
from check_interfaces import ask_witness
from check_repository import verify_signature
from live import NoLab, hold
from probe import Probe


# --- 9.1-ledger: RFC 9162's trees over the hashes of the tiles

def _node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def _root(hashes):
    if len(hashes) == 1:
        return hashes[0]
    k = _split(len(hashes))
    return _node(_root(hashes[:k]), _root(hashes[k:]))


def _split(n):
    return 1 << (n - 1).bit_length() - 1


def _consistency(m, hashes, whole=True):
    """RFC 9162 2.1.4.1: SUBPROOF(m, D_n, b)."""
    n = len(hashes)
    if m == n:
        return [] if whole else [_root(hashes)]
    k = _split(n)
    if m <= k:
        return _consistency(m, hashes[:k], whole) + [_root(hashes[k:])]
    return _consistency(m - k, hashes[k:], False) + [_root(hashes[:k])]


def _leaves(client, size):
    """Hashes of the entries, from the tiles as any verifier reads them."""
    out = []
    for n in range((size + 255) // 256):
        width = min(256, size - 256 * n)
        name = "".join(f"x{g}/" for g in [f"{n // 1000:03d}"] if n >= 1000) + f"{n % 1000:03d}"
        path = f"/v1/ledger/tile/0/{name}" + (f".p/{width}" if width < 256 else "")
        c = client.connection()
        c.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
        r = c.getresponse()
        data = r.read()
        c.close()
        hold(r.status == 200 and len(data) == 32 * width, f"{path}: {r.status}, {len(data)} bytes")
        out += [data[i:i + 32] for i in range(0, len(data), 32)]
    return out


def _checkpoint(client):
    status, note = client.ask("GET", "/v1/ledger/checkpoint")
    hold(status == 200, f"no checkpoint: {status}")
    return note, int(note.split("\n")[1])


def forked_history(live):
    """A second gemeld on a copy of the state signs another history with the log's own key. The partner's witness has
    seen the first."""
    witnesses = live.lab.topology.of_kind("witness")
    if not witnesses or not live.conf().get("witnesses"):
        raise NoLab("no witness cosigns this ledger")
    witness = witnesses[0]
    copy = store.Copy(live)
    fork = copy.start()
    start = copy.size
    live.account("grows", ["viewer"])

    def cosigned():
        note, size = _checkpoint(live.admin)
        return (note, size) if size > start + 1 and note.count("\n— ") > 1 else None
    note, size = live.until("the history's growth, cosigned", cosigned, 30, 0.3)
    names = [line.split(" ")[1] for line in note.split("\n\n", 1)[1].splitlines()]
    hold(live.conf()["witnesses"][0]["name"] in names, f"no witness of ours among {names}")
    live.see("the ledger's checkpoint is cosigned", size=size, by=names)
    for i in range(24):  # beyond what the running log may grow to meanwhile
        fork.post("/v1/devices", {"id": f"other-{live.run}-{i}"})
    forked, length = live.until("the fork's own checkpoint", lambda: (
        lambda c: c if c[1] > size + 20 else None)(_checkpoint(fork)), 20, 0.3)
    leaves = _leaves(fork, length)
    hold(_root(leaves) == base64.b64decode(forked.split("\n")[2]), "the fork's tiles do not give its root")
    hold(_leaves(live.admin, size) != leaves[:size], "the two histories are one")
    own = "\n".join(line for line in forked.split("\n\n", 1)[1].splitlines() if line.split(" ")[1] == names[0])
    status, said = _show(live, witness, f"{forked.split(chr(10) * 2, 1)[0]}\n\n{own}\n", leaves, size)
    hold(status == 422, f"the witness does not refuse a forked history: {status} {said}")
    hold(_checkpoint(live.admin)[1] >= size, "the ledger itself was harmed")
    live.see("a forked history, signed by the log's own key", fork_size=length, common=start, shown_to=witness.name,
             refused=f"{status} {said.strip()[:160]}")
    copy.remove()


def _show(live, witness, note, leaves, size):
    """With the proof from the size that the witness says it has seen."""
    for _ in range(3):
        status, said = ask_witness(live, witness, size, note, _consistency(size, leaves))
        if status != 409 or not said.strip().isdigit():
            break
        size = int(said)
        hold(size < len(leaves), f"the running log has grown to {size} meanwhile")
    return status, said


# --- 9.2-source

def source_evidence(live):
    """The kinds of evidence about a source: its TPM's endorsement, what runs, its certificate, its batches' key."""
    foreign = [n for n in live.lab.topology.of_kind("rogue") if n.foreign_tpm]
    if not foreign:
        raise NoLab("the lab has no node with a TPM of an unknown manufacturer")
    since = live.ledger_size()
    bad = Probe(live, foreign[0], "maker")
    bad.start(token=bad.invite())
    e = refused(live, bad, "ek-unknown-authority", since)
    bad.stop()
    live.see("TPM of an unknown manufacturer: refused", reason="ek-unknown-authority", ledger=e["index"])
    good = Probe(live, live.rogues()[0], "source")
    d = good.join()
    live.see("TPM of a known manufacturer: accepted", manufacturer=d["tpm"]["manufacturer"], ek=d["tpm"]["ek_sha256"][:16],
             software=d["evidence"]["software"], certificate=d["certificate"]["serial"])
    path = "/system/state/hostname"
    live.until("a value of its own", lambda: live.value(good.id, path))
    lineage = live.admin.get("/v1/data:lineage", device=good.id, path=path)
    verify_signature(live, lineage)
    hold(lineage["batch"]["key_id"] in {k["id"] for k in d["batch_keys"]}, "the batch's key was not certified by the TPM")
    live.see("batches signed by a key that this TPM has certified: accepted", key=lineage["batch"]["key_id"])
    thief = Probe(live, live.rogues()[-1], "twin")
    shutil.copytree(os.path.join(good.state, "keys"), os.path.join(thief.state, "keys"))
    thief.start(device=good.id)
    e = live.entry(since, good.id, "key-mismatch", 20)
    live.see("X.509 certificate with another TPM behind it: refused", reason="key-mismatch", ledger=e["index"])


# --- 9.2-transit

def transit(live):
    """Which versions of TLS each listener agrees on, and what a device's connection really uses."""
    conf, t = live.conf(), live.lab.topology
    doors = {"device to repository (telemetry)": (network.MANAGEMENT, t.gemeld, gemel.TELEMETRY, "h2"),
             "enrolment": (network.MANAGEMENT, t.gemeld, gemel.ENROLMENT, "h2"),
             "API": (None, conf["api"].get("address", "127.0.0.1"), conf["api"]["port"], "http/1.1"),
             "console": (None, conf["console"].get("address", "127.0.0.1"), conf["console"]["port"], "http/1.1")}
    for name, (node, address, port, alpn) in doors.items():
        spoken = {}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            s = wire.dial(live.lab, node, address, port) if node else socket.create_connection((address, port), 5)
            with s:
                try:
                    with wire.context(alpn=(alpn,), most=version).wrap_socket(s) as c:
                        spoken[version.name] = c.cipher()[0]
                except OSError as e:
                    spoken[version.name] = getattr(e, "reason", None) or "closed"
        hold(spoken["TLSv1_3"].startswith("TLS_"), f"{name}: TLS 1.3 is not spoken: {spoken}")
        hold(not spoken["TLSv1_2"].startswith(("ECDHE", "DHE", "AES")), f"{name}: TLS 1.2 is taken: {spoken}")
        live.see(name, **spoken)
    live.lacks("domain to domain", r"(exchange|products|peers)\.")
    live.lacks("repository to model over a network (both are on one machine, joined by a socket that only they hold)")


# --- 9.2-storage

def scrub(live):
    """Damage and loss on a copy; the check of the copy names each, by device, path and time. The running store is whole."""
    status, whole = live.admin.ask("GET", "/v1/data:verify", timeout=60)
    hold(status == 200 and whole["ok"] and whole["checked"]["ledger_entries"] > 0, f"the running store: {status} {whole}")
    copy = store.Copy(live)
    copy.start()
    copy.stop()
    hold(copy.verify() == (0, []), "an untouched copy is found damaged")
    missing, damaged = store.delete_row(copy), store.flip_data(copy)
    status, found = copy.verify()
    kinds = {what: text for what, record, text in found if record == "chunk"}
    hold(status == 1 and set(kinds) == {"missing", "altered"}, f"{missing}, {damaged}: {found}")
    hold(all("device" in text and "/" in text and "time" in text for text in kinds.values()), f"not located: {kinds}")
    live.see("damage", done=damaged, found=kinds["altered"][:240])
    live.see("loss", done=missing, found=kinds["missing"][:240])
    live.see("the running store", checked=whole["checked"], ok=True)


# --- 9.2-trace

def lineage_both_ways(live):
    """From a record to its origin and its readers; from a reader to the records. Signature and log."""
    who = live.account("tracer", ["operator"])
    purpose = f"traced {live.nonce}"
    v = who.get("/v1/data:query", purpose=purpose, limit=1, **{"class": "confidential"})["items"][0]
    back = live.until("the reader in the record's lineage", lambda: (lambda a: a if any(
        r["actor"] == who.account and r.get("purpose") == purpose for r in a["readers"]) else None)(
        live.admin.get("/v1/data:lineage", device=v["device"], path=v["path"])), 8, 0.3)
    verify_signature(live, back)
    forward = [e for e in live.entries(0, actor=who.account) if e["kind"] == "data.read" and e["subject"] == v["device"]]
    hold(forward and purpose in json.dumps(forward[0]["body"]), f"the ledger does not say what {who.account} read")
    live.see("record to origin and readers", device=v["device"], path=v["path"], signed_by=back["batch"]["key_id"],
             readers=len(back["readers"]))
    live.see("reader to records", actor=who.account, ledger=forward[0]["index"], read=forward[0]["body"])
    live.lacks("a watermark in exported data", r"data\.export")
