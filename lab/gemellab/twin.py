# SPDX-License-Identifier: Apache-2.0
"""gemeld on the lab's machine and gemel(1) as its client: what the demo and the system tests share."""

import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import time
import urllib.request

from . import gemel

ADMINISTRATOR = "admin"


class TwinError(Exception):
    pass


class Refused(TwinError):
    """gemel(1) said no: `code` is its exit code, `problem` what it said."""

    def __init__(self, argv, code, problem):
        super().__init__(f"gemel {' '.join(argv)}: {problem}")
        self.code, self.problem = code, problem


def wait(what, probe, seconds=30, every=0.1):
    """What `probe` returns as soon as it is true; TwinError names what did not come."""
    until = time.monotonic() + seconds
    while True:
        try:
            found, why = probe(), ""
        except (TwinError, OSError) as e:
            found, why = None, f" ({e})"
        if found:
            return found
        if time.monotonic() > until:
            raise TwinError(f"{what}: not within {seconds} s{why}")
        time.sleep(every)


class Twin:
    def __init__(self, run, programs=None):
        self.run, self.programs = run, programs or gemel.program
        self.state, self.conf = f"{run}/state", f"{run}/gemel.yaml"
        self.home, self.log = f"{run}/home", f"{run}/gemeld.log"
        self.process = None
        os.makedirs(self.home, exist_ok=True)

    # --- gemeld

    def start(self, configuration, environment=None):
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(configuration)
        return self.resume(environment)

    def resume(self, environment=None):
        executable = self.programs("gemeld")
        if not executable:
            raise TwinError("gemeld is not built: run make")
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([executable, "--config", self.conf], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True,
                                            env={**os.environ, **(environment or {})})
        with open(f"{self.run}/gemeld.pid", "w", encoding="ascii") as f:
            f.write(str(self.process.pid))
        wait("gemeld answers", self.healthy, 60, 0.05)
        return time.monotonic() - began

    def pid(self):
        try:
            with open(f"{self.run}/gemeld.pid", encoding="ascii") as f:
                pid = int(f.read())
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                return pid if f.read().startswith("gemeld") else None
        except (OSError, ValueError):
            return None

    def addresses(self):
        with open(f"{self.state}/console.json", encoding="utf-8") as f:
            return json.load(f)

    def _context(self):
        return ssl.create_default_context(cafile=f"{self.state}/authority.pem")

    def healthy(self):
        if self.process and self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise SystemExit(f"gemeld ended with {self.process.returncode}:\n{f.read()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{self.addresses()['api']}/healthz", timeout=5,
                                        context=self._context()) as r:
                return r.status == 200
        except (OSError, ValueError, KeyError):
            return False

    def stop(self):
        pid = self.pid()
        if not pid:
            return
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 15
        while self.pid() and time.monotonic() < until:
            if self.process:
                self.process.poll()
            time.sleep(0.05)
        if self.pid():
            os.killpg(pid, signal.SIGKILL)
        if self.process:
            self.process.wait(timeout=5)
        self.process = None

    def processes(self):
        return {p["name"]: p for p in self.gemel("status")["processes"]}

    # --- gemel(1)

    def environment(self):
        return {**os.environ, "XDG_CONFIG_HOME": self.home, "NO_COLOR": "1"}

    def gemel_raw(self, *argv, stdin=None, timeout=120):
        return subprocess.run([self.programs("gemel"), *argv], input=stdin, capture_output=True, text=True,
                              timeout=timeout, env=self.environment(), check=False)

    def gemel(self, *argv, stdin=None, timeout=120):
        """The answer's JSON; Refused when it is a refusal."""
        done = self.gemel_raw(*argv, "--json", stdin=stdin, timeout=timeout)
        if done.returncode != 0:
            raise Refused(argv, done.returncode, done.stderr.strip() or done.stdout.strip())
        return json.loads(done.stdout) if done.stdout.strip() else None

    def text(self, *argv):
        done = self.gemel_raw(*argv)
        if done.returncode != 0:
            raise Refused(argv, done.returncode, done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def login(self, account, password):
        self.gemel_raw("login", account, "--password-stdin", "--state", self.state, stdin=password + "\n")
        done = self.gemel_raw("whoami", "--json")
        if done.returncode != 0:
            raise Refused(("login", account), done.returncode, done.stderr.strip())
        return json.loads(done.stdout)

    def first_password(self):
        """Of the administrator that the first start made."""
        with open(f"{self.state}/management/first-login.json", encoding="utf-8") as f:
            word = json.load(f).get("password")
        if word:
            return word
        raise TwinError("the first administrator's pass phrase is not told any more")

    def ledger(self, kind, **more):
        argv = ["ledger", "tail", "--kind", kind]
        for k, v in more.items():
            argv += [f"--{k}", str(v)]
        return self.gemel(*argv)["items"]

    def states(self):
        return {d["id"]: d for d in self.gemel("device", "list", "--limit", "1000")["items"]}

    # --- joining

    def join(self, lab, nodes):
        """Tokens into the nodes' token files; their agents are running or will be started."""
        for n in nodes:
            answer = self.gemel("device", "enrol", n.name)
            gemel.give_token(lab, n, Text(answer["token"]))
            if not lab.processes.pid(n.name, "agent"):
                gemel.start_agent(lab, n)


class Attached(Twin):
    """A gemeld that someone else has started: gemel(1) with the session that this process's environment has."""

    def __init__(self, programs=None):  # pylint: disable=super-init-not-called
        self.programs, self.process = programs or gemel.program, None

    def environment(self):
        return {**os.environ, "NO_COLOR": "1"}


class Text:
    """A secret as the one line of a stream."""

    def __init__(self, text):
        self.text = text

    def read(self, most):
        return self.text[:most]


def pass_phrase():
    return "-".join(secrets.token_hex(3) for _ in range(4))


def without_escapes(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
