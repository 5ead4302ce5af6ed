# SPDX-License-Identifier: Apache-2.0
"""Copies of the running twin's state, and a gemeld on such a copy: what an attacker with the disk, or a bad disk,
leaves behind is tried there. The running twin itself is not touched."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile

import yaml

from live import Client, hold


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Copy:
    def __init__(self, live, of=None):
        self.live = live
        self.folder = tempfile.mkdtemp(prefix="gemel-copy-", dir="/var/tmp")
        os.chmod(self.folder, 0o711)
        live.on_end.callback(self.remove)
        self.state, self.process, self.client = os.path.join(self.folder, "state"), None, None
        subprocess.run(["cp", "-a", of.state if of else live.state(), self.state], check=True)
        for name in ("lock", "console.json"):
            path = os.path.join(self.state, name)
            if os.path.exists(path):
                os.unlink(path)

    def path(self, *more):
        return os.path.join(self.state, "repository", *more)

    # --- a gemeld on it

    def start(self, witnesses=False):
        """With listeners of its own on loopback. Its sessions are those that the copy holds."""
        conf = self.live.conf()
        conf["state"] = self.state
        for name in ("telemetry", "enrolment", "control", "api", "console"):
            conf[name] = {"address": "127.0.0.1", "port": free_port()}
        conf.pop("targets", None)
        if not witnesses:
            conf.pop("witnesses", None)
            conf["witnesses_mode"] = "none"
        path = os.path.join(self.folder, "gemel.yaml")
        with open(path, "w", encoding="utf-8") as f:
            yaml.safe_dump(conf, f)
        self.log = os.path.join(self.folder, "gemeld.log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.live.program("gemeld"), "--config", path], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        self.client = Client(("127.0.0.1", conf["api"]["port"]), self.live.admin.context, self.live.admin.token,
                             self.live.admin.account)
        self.size = self.live.ledger_size()
        self.live.until("a gemeld on the copy", self._healthy, 20, 0.1)
        return self.client

    def _healthy(self):
        hold(self.process.poll() is None, f"gemeld on the copy ended: {self.said()}")
        try:
            return all(self.client.ask("GET", path, timeout=5)[0] == 200
                       for path in ("/v1/status", "/v1/ledger/entries?limit=1", "/v1/topology"))
        except OSError:
            return False

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-600:]

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- checking it

    def verify(self):
        """(exit status, what was found as [what, record, the rest])"""
        done = subprocess.run([self.live.program("gemeld"), "--verify-store", self.state], capture_output=True, text=True,
                              timeout=120, check=False)
        hold(done.returncode in (0, 1), f"the check of a copy could not be made: {done.stderr or done.stdout}")
        found = re.findall(r"^([a-z-]+): (.*)\n((?:  .*\n)*)", done.stdout, re.M)
        return done.returncode, [(what, record, re.sub(r"\s+", " ", rest).strip()) for what, record, rest in found]

    def alerts(self, seconds=15):
        """The events of alerts that the gemeld on it has raised when it looked at what is there."""
        self.client.ask("GET", "/v1/data:verify", timeout=60)
        return self.live.until(f"an alert of the gemeld on the copy ({self.said()[-300:]})", self.alerted, seconds, 0.3)

    def alerted(self):
        c = self.client.connection(timeout=1)
        seen = []
        try:
            c.request("GET", "/v1/events?type=integrity&last_event_id=0",
                      headers={"Authorization": f"Bearer {self.client.token}"})
            for line in c.getresponse():
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    seen += [event] if event.get("type", "").startswith("integrity") else []
        except OSError:  # that was all, for now
            pass
        finally:
            c.close()
        return seen


# --- what can be done to it

def connect(copy):
    return sqlite3.connect(copy.path("repository.db"))


def flip_data(copy):
    """One bit in the file, inside the largest sealed row of points."""
    db = connect(copy)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bodies = [b for (b,) in db.execute("SELECT body FROM chunk ORDER BY length(body) DESC LIMIT 50")]
    db.close()
    path = copy.path("repository.db")
    with open(path, "r+b") as f:
        content = f.read()
        at = next((content.find(b[:64]) + 40 for b in bodies if b[:64] in content), None)
        hold(at, "no sealed row lies in one piece")
        f.seek(at)
        f.write(bytes([content[at] ^ 0x10]))
    return f"one bit of byte {at} of repository.db"


def delete_row(copy):
    db = connect(copy)
    with contextlib.closing(db):
        row, n = db.execute("SELECT rowid, length(body) FROM chunk ORDER BY length(body) DESC LIMIT 1").fetchone()
        db.execute("DELETE FROM chunk WHERE rowid = ?", (row,))
        db.commit()
    return f"a row of {n} bytes deleted by SQL"


def truncate_row(copy):
    db = connect(copy)
    with contextlib.closing(db):
        row, n = db.execute("SELECT rowid, length(body) FROM chunk ORDER BY length(body) DESC LIMIT 1").fetchone()
        db.execute("UPDATE chunk SET body = substr(body, 1, ?) WHERE rowid = ?", (n // 2, row))
        db.commit()
    return f"a row of {n} bytes cut in half"


def _tiles(copy, level):
    """The tile of this level that holds the oldest entries, the widest there is."""
    folder = copy.path("ledger", "tile", level)
    if os.path.isfile(os.path.join(folder, "000")):
        return os.path.join(folder, "000")
    part = os.path.join(folder, "000.p")
    return os.path.join(part, max(os.listdir(part), key=int))


def flip_log(copy):
    path = _tiles(copy, "entries")
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 0x10]))
    return f"one bit of {os.path.relpath(path, copy.path())}"


def delete_entry(copy):
    db = connect(copy)
    with contextlib.closing(db):
        n = db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        row = db.execute("SELECT rowid FROM ledger ORDER BY key LIMIT 1 OFFSET ?", (n // 2,)).fetchone()[0]
        db.execute("DELETE FROM ledger WHERE rowid = ?", (row,))
        db.commit()
    return f"one of {n} ledger entries deleted by SQL"


def truncate_log(copy):
    """All of the last tile goes, as if the newest entries had never been."""
    folder = copy.path("ledger", "tile", "0")
    path = _tiles(copy, "0")
    parts = [os.path.join(folder, d) for d in os.listdir(folder) if d.endswith(".p")]
    last = max(parts) if parts else path
    for name in os.listdir(last) if os.path.isdir(last) else ():
        at = os.path.join(last, name)
        os.truncate(at, os.path.getsize(at) // 64 * 32)
    return f"{os.path.relpath(last, copy.path())} cut in half"


def roll_back_data(copy, old):
    for name in os.listdir(copy.path()):
        if name.startswith("repository.db"):
            os.unlink(copy.path(name))
    subprocess.run(["cp", "-a", old.path("repository.db"), copy.path()], check=True)
    return "repository.db of an earlier time"
