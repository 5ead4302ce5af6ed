# SPDX-License-Identifier: Apache-2.0
"""Clause 8.3.3: users, what they may do, and what becomes of those who alter what is kept."""

import http.client
import json

from gemellab import twin

import store
from live import hold, words


# --- 8.3.3-1

def users(live):
    """Accounts with roles, sessions that end, and a lock-out after guesses, from an address of its own."""
    since = live.ledger_size()
    who = live.account("user", ["viewer"])
    hold(who.get("/v1/sessions/current")["roles"] == ["viewer"], "the session has other roles")
    status, said = live.admin.ask("POST", "/v1/access/accounts", {
        "name": f"c-{live.run}-both", "password": twin.pass_phrase(), "roles": ["approver", "administrator"]})
    hold(status == 400, f"separated duties were given to one account: {status}")
    refused = who.ask("POST", "/v1/access/accounts", {"name": f"c-{live.run}-x", "password": twin.pass_phrase(),
                                                      "roles": ["viewer"]})
    hold(refused[0] == 403, f"a viewer may make accounts: {refused[0]}")
    live.see("accounts and roles", account=who.account, separated=words(said), not_his=words(refused[1]))
    _sessions(live, who)
    _lock_out(live)
    kinds = {e["kind"]: e["index"] for e in live.entries(since) if e["subject"].startswith(f"c-{live.run}-")}
    hold({"account.created", "account.login", "account.logout", "account.changed"} <= set(kinds), f"the ledger: {kinds}")
    live.see("written down", entries=kinds)


def _sessions(live, who):
    second = live.login(who.account, who.phrase)
    hold(second.ask("DELETE", "/v1/sessions/current")[0] // 100 == 2, "it cannot log out")
    hold(second.ask("GET", "/v1/topology")[0] == 401, "a session goes on after the log-out")
    hold(who.ask("GET", "/v1/topology")[0] == 200, "another session ended with it")
    live.admin.post(f"/v1/access/accounts/{who.account}", {"disabled": True}, "PATCH")
    status, said = who.ask("GET", "/v1/topology")
    again, locked = live.login_status(who.account, who.phrase)
    hold(status == 401 and again == 401, f"a locked account goes on: {status}, {again}")
    live.see("sessions end with the log-out and when the account is locked", session=words(said), log_in=words(locked))


GUESSES = 12


def _lock_out(live):
    who = live.account("guess", ["viewer"])

    def login(phrase):
        c = http.client.HTTPSConnection(live.admin.host, live.admin.port, timeout=20, context=live.admin.context,
                                        source_address=("127.9.0.1", 0))
        try:
            c.request("POST", "/v1/sessions", body=json.dumps({"account": who.account, "password": phrase}),
                      headers={"Content-Type": "application/json"})
            r = c.getresponse()
            return r.status, json.loads(r.read())
        finally:
            c.close()
    said = []
    while len(said) < GUESSES and (not said or said[-1] == 401):
        said.append(login(twin.pass_phrase())[0])
    status, answer = login(who.phrase)
    hold(status == 429, f"after the guesses {said} the right pass phrase is taken at once: {status}")
    elsewhere, _ = live.login_status(who.account, who.phrase)
    hold(elsewhere // 100 == 2, f"the owner is locked out too, from another address: {elsewhere}")
    live.see("lock-out", guesses=said, then=words(answer), from_another_address=elsewhere)


# --- 8.3.3-4

def verbs(live):
    """Each verb on each kind that there is, permitted and refused."""
    since = live.ledger_size()
    name, other = f"c-{live.run}-crud", f"c-{live.run}-crud2"
    viewer = live.account("viewer", ["viewer"])
    for n in (name, other):
        live.on_end.callback(lambda n=n: live.admin.ask("DELETE", f"/v1/access/accounts/{n}"))
    device = f"c-{live.run}-device"
    new = lambda n: {"name": n, "password": twin.pass_phrase(), "roles": ["viewer"]}
    some = live.lab.topology.elements[0]
    local = live.account("local", ["viewer"], next(n.domain for n in live.lab.topology.elements if n.domain != some.domain))
    some = some.name
    secret = live.admin.get("/v1/data:query", **{"class": "confidential", "limit": 1,
                                                 "purpose": f"conformance {live.nonce}"})["items"][0]
    cells = {
        "users": [("create", "POST", "/v1/access/accounts", new(name), new(other)),
                  ("read", "GET", "/v1/access/accounts", None, None),
                  ("update", "PATCH", f"/v1/access/accounts/{name}", {"disabled": True}, {"disabled": True}),
                  ("delete", "DELETE", f"/v1/access/accounts/{name}", None, None)],
        "devices": [("create", "POST", "/v1/devices", {"id": device}, {"id": device + "2"}),
                    ("read", "GET", f"/v1/devices/{some}", None, None),
                    ("delete", "POST", f"/v1/devices/{device}:revoke", {"reason": live.nonce}, {})],
        "data": [("read", "GET", f"/v1/data:lineage?device={secret['device']}&path={secret['path']}", None, None)],
    }
    for kind, rows in cells.items():
        seen = {}
        for verb, method, path, good, bad in rows:
            target = path.replace("[", "%5B").replace("]", "%5D")
            who = local if (kind, verb) == ("devices", "read") else viewer  # a viewer may read those
            status, said = who.ask(method, target, bad)
            hold(status in (403, 404), f"{who.account} may {verb} {kind}: {status} {words(said)}")
            hold(status == 404 or (said.get("decision") or {}).get("policy"), f"no decision with the refusal: {said}")
            permitted, answer = live.admin.ask(method, target, good)
            hold(permitted // 100 == 2, f"{live.admin.account} may not {verb} {kind}: {permitted} {words(answer)}")
            seen[verb] = f"permitted {permitted}, refused {status}"
        live.see(f"verbs on {kind}", **seen)
    denied = [e["index"] for e in live.entries(since) if "denied" in e["kind"] and viewer.account in json.dumps(e)]
    live.see("refusals written down", entries=denied[:8])
    live.lacks("models", r"models\.(create|update|delete|upload|deploy)")
    live.lacks("applications", r"applications\.")
    live.lacks("creating, changing and deleting data", r"data\.(create|update|delete|erase)")


# --- 8.3.3-9

def tampering(live):
    """The four ways to alter what is kept, of data and of the log, each on a copy of the running twin's state: found
    and located by the check of a copy, alerted by a gemeld that runs on it."""
    status, whole = live.admin.ask("GET", "/v1/data:verify", timeout=60)
    hold(status == 200 and whole["ok"], f"the running store itself: {status} {words(whole)}")
    old = _settled(live)
    new = _settled(live, old)
    hold(new.verify()[0] == 0, "a copy that nobody has touched is found altered")
    for way, acts in (("byte flip", (store.flip_data, store.flip_log)),
                      ("row deletion", (store.delete_row, store.delete_entry)),
                      ("truncation", (store.truncate_row, store.truncate_log)),
                      ("roll-back", (lambda c: store.roll_back_data(c, old),))):
        copy = store.Copy(live, new)
        done = [act(copy) for act in acts]
        status, found = copy.verify()
        logs = [f for f in found if "ledger" in f[1] or "ledger" in f[0]]
        data = [f for f in found if f not in logs]
        hold(status == 1 and data and (len(acts) == 1 or logs), f"{way}: {done}: only {found} found")
        copy.start()
        alerts = copy.alerts()
        live.see(way, done=done, found=[f"{w}: {r}: {t}"[:160] for w, r, t in (data[:1] + logs[:1])],
                 alerts=len(alerts), alert=alerts[0]["data"]["text"][:200])
        copy.remove()
    _rolled_back(live, old)


def _settled(live, of=None):
    """A copy on which a gemeld has run, so that what was in memory lies in rows, as after any restart."""
    copy = store.Copy(live, of)
    client = copy.start()
    for i in range(3):  # entries that the one before does not have
        client.ask("POST", "/v1/sessions", {"account": f"nobody-{i}", "password": live.nonce})
    copy.stop()
    return copy


def _rolled_back(live, old):
    """All of it, data and log, as it was some time ago: whole in itself. The witness has seen more."""
    if not live.conf().get("witnesses"):
        live.lacks("a witness that has seen more than a copy of an earlier time (none is configured)")
        return
    before = live.ledger_size()
    for i in range(40):  # the running log goes on, and is witnessed, beyond what the copy can reach
        live.admin.get("/v1/data:query", limit=1, **{"class": "confidential", "purpose": f"{live.nonce} {i}"})
    live.until("the running log's growth, witnessed", lambda: _witnessed(live) >= before + 30, 30, 0.3)
    copy = store.Copy(live, old)
    copy.start(witnesses=True)
    alert = live.until("the witness's objection", lambda: next(
        (e for e in copy.alerted() if "rolled back" in json.dumps(e)), None), 25, 0.2)
    live.see("roll-back of everything", copy_has=old.size, witnessed=_witnessed(live), alert=alert["data"]["text"])
    copy.remove()


def _witnessed(live):
    status, text = live.admin.ask("GET", "/v1/ledger/checkpoint")
    hold(status == 200, f"no checkpoint: {status}")
    return int(text.split("\n")[1]) if text.count("\n— ") > 1 else 0


# --- 8.3.3-10

WEAK = ("password1234", "Administrator1!", "qwertyuiopasdf", "aaaaaaaaaaaaaa", "gemel-2026-gemel", "short")


def pass_phrases(live):
    """Weak ones at creation and at change; another's guess is slowed (8.3.3-1)."""
    name, said = f"c-{live.run}-weak", {}
    live.on_end.callback(lambda: live.admin.ask("DELETE", f"/v1/access/accounts/{name}"))
    for phrase in (*WEAK, f"{name}-{name}"):
        status, answer = live.admin.ask("POST", "/v1/access/accounts",
                                        {"name": name, "password": phrase, "roles": ["viewer"]})
        hold(status == 400, f"a pass phrase that is tried first was taken: {phrase} ({status})")
        said[phrase] = words(answer)[:80]
    who = live.account("change", ["viewer"])
    status, answer = who.ask("PATCH", f"/v1/access/accounts/{who.account}", {"password": WEAK[0]})
    hold(status == 400, f"a weak pass phrase was taken at a change: {status}")
    fresh = twin.pass_phrase()
    status, answer = who.ask("PATCH", f"/v1/access/accounts/{who.account}", {"password": fresh})
    hold(status // 100 == 2, f"a good one was refused: {words(answer)}")
    hold(live.login_status(who.account, who.phrase)[0] == 401, "the old one goes on")
    live.see("weak pass phrases are refused when an account is made and when it is changed", refused=said)
    live.lacks("expiry of pass phrases, dormant accounts")
