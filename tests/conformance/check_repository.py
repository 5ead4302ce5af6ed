# SPDX-License-Identifier: Apache-2.0
"""Clause 8.3.1: the repository."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile

from live import hold, words
from probe import Probe


# --- 8.3.1-2

def outside_grant(live):
    """What a device has in its spool from when it might be collected, sent when it may not be any more."""
    p = Probe(live, live.rogues()[0], "grant")
    p.join()
    name = f"g{live.run}"
    path = f"/interfaces/interface[name={name}]/state/admin-status"
    live.on_end.callback(lambda: p.lab.processes.run(p.node.name, ["ip", "link", "del", name], check=False))
    live.until("its first values", lambda: live.value(p.id, "/interfaces/interface[name=lo]/state/name"))
    p.data.sever()
    p.command("ip", "link", "add", name, "type", "bridge")
    since = live.ledger_size()
    p.quarantine()
    grant = live.until("the narrower grant", lambda: next(
        (e for e in live.entries(since, subject=p.id, kind="grant.given") if e["body"]["state"] == "quarantine"), None))
    p.data.mend()

    def refusal():
        hold(live.value(p.id, path) is None, f"{path} was stored, outside grant {grant['body']['grant']}")
        return next((e for e in live.entries(since, subject=p.id) if e["kind"] == "data.refused" and
                     "collection-outside-grant" in json.dumps(e["body"])), None)
    e = live.until("the refusal of what is outside the grant", refusal, 20, 0.2)
    hold(live.value(p.id, path) is None, f"{path} was stored")
    live.see("collection outside its grant is refused", device=p.id, covers=grant["body"]["covers"],
             grant=grant["body"]["grant"], refused=e["body"].get("path"), reason="collection-outside-grant",
             ledger=[grant["index"], e["index"]])


# --- 8.3.1-3

def fine_grained(live):
    """Permits and refusals at the data, by what is asked for."""
    t = live.lab.topology
    domain = t.elements[0].domain
    inside = next(n.name for n in t.elements if n.domain == domain)
    outside = next(n.name for n in t.elements if n.domain != domain)
    path = "/interfaces/interface[name=lo]/state/oper-status"
    viewer, local = live.account("viewer", ["viewer"]), live.account("local", ["operator"], domain)
    ask = lambda client, **query: client.status("GET", "/v1/data:query", purpose=f"conformance {live.nonce}", **query)
    rows = lambda a: len(a[1]["items"]) if a[0] == 200 else 0
    # device and domain
    mine, others = ask(local, device=inside, path=path), ask(local, device=outside, path=path)
    hold(rows(mine) == 1 and rows(others) == 0, f"{local.account} of {domain}: {mine}, {others}")
    live.see("by device and domain", domain=domain, permitted=inside, refused=outside)
    # path and class
    secret = live.admin.get("/v1/data:query", **{"class": "confidential", "limit": 1,
                                                 "purpose": f"conformance {live.nonce}"})["items"][0]
    plain, closed = ask(viewer, device=inside, path=path), ask(viewer, device=secret["device"], path=secret["path"])
    hold(rows(plain) == 1 and rows(closed) == 0, f"{viewer.account}: {plain[0]}, {closed[0]} {words(closed[1])}")
    hold(ask(live.admin, device=secret["device"], path=secret["path"])[0] == 200, "nobody may read it")
    named = ask(viewer, **{"class": "confidential"})
    hold(named[0] == 403, f"a viewer may ask for class confidential: {named[0]}")
    live.see("by path and class", permitted=path, refused=secret["path"], said=words(closed[1] if closed[0] != 200 else
                                                                                     named[1]))
    live.lacks("a decision by time range and by purpose", r"policies\.")


# --- 8.3.1-5

def traceable(live):
    """One confidential record, read by two accounts: source, signature, route and both readers are listed."""
    admin = live.admin
    v = admin.get("/v1/data:query", limit=1, purpose=f"conformance {live.nonce}", **{"class": "confidential"})["items"]
    hold(v, "there is no confidential record")
    v = v[0]
    reader = live.account("reader", ["operator"])
    purpose = f"second reader {live.nonce}"
    got = reader.get("/v1/data:query", device=v["device"], path=v["path"], purpose=purpose)["items"]
    hold(len(got) == 1, f"{reader.account} cannot read {v['path']}")
    since = live.begun_ns
    lineage = live.until("both readers in the lineage", lambda: (
        lambda a: a if {live.admin.account, reader.account} <= {r["actor"] for r in a["readers"]} and
        any(r.get("purpose") == purpose for r in a["readers"]) else None)(
        admin.get("/v1/data:lineage", device=v["device"], path=v["path"])), 8, 0.3)
    hold(since and lineage["source"] == "signed by the device" and len(lineage["route"]) >= 3, f"{lineage}")
    batch = lineage["batch"]
    verify_signature(live, lineage)
    keys = {k["id"] for k in live.device(v["device"])["batch_keys"]}
    hold(batch["key_id"] in keys, f"key {batch['key_id']} is none that {v['device']}'s TPM has certified: {keys}")
    live.see("source and signature, verified by openssl", device=v["device"], path=v["path"], batch=batch["seq"],
             key=batch["key_id"], algorithm=batch["algorithm"], grant=lineage["grant"], **{"class": lineage["class"]})
    live.see("route", route=lineage["route"], stored=lineage["stored"])
    live.see("readers", readers=[{"actor": r["actor"], "purpose": r.get("purpose"), "ledger": r["entry"]}
                                 for r in lineage["readers"][:4]])


ED25519 = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: a SubjectPublicKeyInfo but for the key


def verify_signature(live, lineage):
    """By another program than ours; and with one bit changed it must not verify."""
    batch = lineage["batch"]
    raw = base64.b64decode(batch["public_key"])
    hold(batch["algorithm"] == "Ed25519", f"algorithm {batch['algorithm']}")
    hold(hashlib.sha256(b"\1" + raw).digest()[:8].hex() == batch["key_id"], "the key is not the one that is named")
    message = bytes.fromhex(batch["hash"])
    with tempfile.TemporaryDirectory() as folder:
        put = lambda name, data: open(os.path.join(folder, name), "wb").write(data)  # pylint: disable=consider-using-with
        put("key", ED25519 + raw)
        put("signature", base64.b64decode(batch["signature"]))

        def good(bytes_):
            put("message", bytes_)
            return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin",
                                   "-in", "message", "-sigfile", "signature"], cwd=folder, capture_output=True,
                                  check=False).returncode == 0
        hold(good(message), "openssl does not verify the batch's signature")
        hold(not good(bytes([message[0] ^ 1]) + message[1:]), "openssl verifies everything")
