# SPDX-License-Identifier: Apache-2.0
"""What every check stands on: the gemeld that runs on this machine, the caller's session with it, the lab around
it, and what the check has seen."""

import contextlib
import http.client
import json
import os
import re
import secrets
import ssl
import time
import urllib.parse

import yaml

from gemellab import gemel, lab as labs, twin

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


class NotHeld(Exception):
    """The requirement does not hold: what was seen instead."""


class NoLab(Exception):
    """The check cannot be made here: what is missing for it."""


def hold(true, words):
    if not true:
        raise NotHeld(words)


def find_lab():
    named = os.environ.get("GEMEL_LAB_RUN")
    demo = os.path.join(os.environ.get("GEMEL_DEMO_RUN", "/run/gemel-demo"), "lab")
    places = [named] if named else [demo, *labs.running()]
    for place in places:
        if os.path.exists(os.path.join(place, "topology.yaml")):
            return labs.Lab(place)
    raise NoLab("no lab runs: the attack is carried out on a lab network; make demo, or name it by GEMEL_LAB_RUN")


class Client:
    """One session with the API, as any application has it."""

    def __init__(self, address, context, token=None, account=""):
        self.host, self.port = address
        self.context, self.token, self.account = context, token, account

    def connection(self, timeout=30):
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)

    def ask(self, method, target, body=None, headers=None, timeout=30):
        """(status, JSON or text)"""
        c = self.connection(timeout)
        try:
            send = {"User-Agent": "gemel-conformance", **(headers or {})}
            if self.token:
                send.setdefault("Authorization", f"Bearer {self.token}")
            text = None if body is None else json.dumps(body)
            if text is not None:
                send["Content-Type"] = "application/json"
            c.request(method, target, body=text, headers=send)
            r = c.getresponse()
            data = r.read()
        finally:
            c.close()
        kind = r.getheader("Content-Type") or ""
        return r.status, json.loads(data) if "json" in kind and data else data.decode(errors="replace")

    def get(self, path, /, **query):
        """The answer's JSON; NotHeld when it is none."""
        status, answer = self.status("GET", path, **query)
        hold(status == 200, f"GET {path}: {status} {words(answer)}")
        return answer

    def status(self, method, path, /, body=None, **query):
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        return self.ask(method, target, body)

    def post(self, path, body=None, method="POST"):
        status, answer = self.ask(method, path, {} if body is None and method == "POST" else body)
        hold(status // 100 == 2, f"{method} {path}: {status} {words(answer)}")
        return answer


def words(answer):
    """A refusal in one line."""
    if isinstance(answer, dict):
        return str(answer.get("detail") or answer.get("title") or answer)[:300]
    return str(answer)[:300]


class Live:
    def __init__(self, check):
        self.check = check
        self.nonce = os.environ.get("GEMEL_RUN") or secrets.token_hex(16)
        self.evidence, self.lacking = [], []
        self.begun_ns = time.time_ns()
        self.on_end = contextlib.ExitStack()
        self._lab = None
        session = self._session()
        url = urllib.parse.urlsplit(session["url"])
        context = ssl.create_default_context(cadata=session["authority"])
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # what is agreed on is the twin's to say
        self.authority = session["authority"]
        self.admin = Client((url.hostname, url.port), context, session["token"], session["account"])
        self.twin = twin.Attached()
        self._since = None

    @staticmethod
    def _session():
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        try:
            with open(os.path.join(home, "gemel", "session.json"), encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError) as e:
            raise NoLab(f"no session: log in with gemel login ({e})") from None

    # --- what was seen

    def see(self, what, **facts):
        self.evidence.append({"seen": what, **facts})

    def lacks(self, what, operation=None):
        """A part of the requirement that this version does not have, and so cannot show. `operation`: begins the ids of
        the API's operations that it would have; once they are there, that they are not tried is what is said."""
        status, document = self.anonymous().ask("GET", "/v1/openapi.json") if operation else (0, {})
        ids = [o["operationId"] for path in document.get("paths", {}).values() for o in path.values() if "operationId" in o]
        there = [i for i in ids if re.match(operation, i)] if operation else []
        self.lacking.append(f"{what}: {', '.join(there)} are there, and this check does not try them yet" if there else
                            f"{what}: not in this version")
        hold(not operation or status == 200, f"no OpenAPI document: {status}")

    # --- what is there

    @property
    def lab(self):
        if self._lab is None:
            self._lab = find_lab()
        return self._lab

    @property
    def run(self):
        return self.nonce[:8]

    def conf(self):
        """gemeld's configuration, by the process that runs."""
        pid = next(p["pid"] for p in self.status()["processes"] if p["name"] == "parent")
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().decode().split("\0")
            with open(argv[argv.index("--config") + 1], encoding="utf-8") as f:
                return yaml.safe_load(f)
        except (OSError, ValueError) as e:
            raise NoLab(f"gemeld does not run on this machine as far as can be seen ({e})") from None

    def state(self):
        return self.conf()["state"]

    def status(self):
        return self.admin.get("/v1/status")

    def log(self):
        """gemeld's log, where the lab's twin keeps it; empty when it is elsewhere."""
        path = os.path.join(os.path.dirname(self.state()), "gemeld.log")
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def metrics(self):
        """{name{labels}: value}"""
        status, text = self.admin.ask("GET", "/metrics")
        hold(status == 200, f"/metrics: {status}")
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def metric(self, name, label=""):
        """The sum over what has this name and, in its labels, this text."""
        return sum(v for k, v in self.metrics().items() if k.split("{")[0] == name and label in k)

    # --- ledger

    def ledger_size(self):
        items = self.admin.get("/v1/ledger/entries", limit=1)["items"]
        return items[0]["index"] + 1 if items else 0

    def entries(self, since, **query):
        items = self.admin.get("/v1/ledger/entries", limit=1000, **query)["items"]
        return [e for e in items if e["index"] >= since]

    def entry(self, since, subject, reason, seconds=15):
        """The entry about this subject that gives this reason, written since."""
        def found():
            for e in self.entries(since):
                if subject in json.dumps(e) and reason in json.dumps(e.get("body", {})):
                    return e
            return None
        return self.until(f"a ledger entry on {subject} with the reason {reason}", found, seconds, 0.1)

    # --- time

    @staticmethod
    def until(what, probe, seconds=15, every=0.05):
        """What `probe` returns as soon as it is true; NotHeld names what did not come."""
        end = time.monotonic() + seconds
        while True:
            found = probe()
            if found:
                return found
            hold(time.monotonic() < end, f"not seen within {seconds} s: {what}")
            time.sleep(every)

    # --- accounts

    def account(self, name, roles, domain=None):
        """A client of an account that ends with the check."""
        name, phrase = f"c-{self.run}-{name}", twin.pass_phrase()
        body = {"name": name, "password": phrase, "roles": roles}
        if domain:
            body["domain"] = domain
        self.admin.post("/v1/access/accounts", body)
        self.on_end.callback(lambda: self.admin.ask("DELETE", f"/v1/access/accounts/{name}"))
        client = self.login(name, phrase)
        client.phrase = phrase
        return client

    def anonymous(self, token=None):
        return Client((self.admin.host, self.admin.port), self.admin.context, token)

    def login_status(self, name, phrase):
        return self.anonymous().ask("POST", "/v1/sessions", {"account": name, "password": phrase})

    def login(self, name, phrase):
        status, answer = self.login_status(name, phrase)
        hold(status // 100 == 2, f"{name} cannot log in: {status} {words(answer)}")
        return Client((self.admin.host, self.admin.port), self.admin.context, answer["token"], name)

    # --- devices

    def device(self, name):
        return self.admin.get(f"/v1/devices/{name}")

    def value(self, device, path):
        items = self.admin.get("/v1/data:query", device=device, path=path,
                               purpose=f"conformance {self.nonce}")["items"]
        return items[0] if items else None

    def rogues(self):
        """Nodes that an attacker holds, with a TPM whose maker the twin knows."""
        found = [n for n in self.lab.topology.of_kind("rogue") if not n.foreign_tpm]
        if not found:
            raise NoLab("the lab has no rogue node with a TPM of the known manufacturer")
        return found

    def program(self, name):
        found = gemel.program(name)
        if not found:
            raise NoLab(f"{name} is not built")
        return found
