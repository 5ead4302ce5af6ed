# SPDX-License-Identifier: Apache-2.0
"""The lab's processes: started in their node, found again, ended.

A process belongs to the lab when it is in one of its namespaces: daemons that fork, and what a
person started with `lab exec`, are found too. RUN/nodes/NODE/pids/NAME (pid and start time) says
which is which, and finds a process also when the namespaces' files were unmounted by hand.
"""

import os
import signal
import subprocess
import time

END_S = 10  # a process that SIGKILL has not ended by then hangs in the kernel


class ProcessError(Exception):
    pass


def start_time(pid):
    """Clock ticks since boot at which it started; None: there is no such process (or a zombie)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    def __init__(self, spaces):
        self.spaces = spaces
        self._children = []

    def _pid_file(self, node, name):
        return self.spaces.folder(node, "pids", name)

    def log(self, node, name):
        return self.spaces.folder(node, f"{name}.log")

    def start(self, node, name, argv, *, stdin=None, environment=None):
        """A process that stays; its output goes to the node's NAME.log."""
        os.makedirs(self.spaces.folder(node, "pids"), exist_ok=True)
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TMPDIR": "/var/tmp",
               **(environment or {})}
        with open(self.log(node, name), "ab") as log:
            try:
                child = subprocess.Popen(argv, stdin=stdin or subprocess.DEVNULL, stdout=log,
                                         stderr=log, env=env, cwd="/", start_new_session=True,
                                         preexec_fn=lambda: self.spaces.enter(node))
            except (OSError, subprocess.SubprocessError) as e:
                raise ProcessError(f"{node}: {argv[0]}: {e}") from None
        with open(self._pid_file(node, name), "w", encoding="ascii") as f:
            f.write(f"{child.pid} {start_time(child.pid) or 0}\n")
        self._children.append(child)
        return child

    def run(self, node, argv, *, stdin="", check=True, timeout=20):
        """A command in the node, to its end; returns its output."""
        try:
            done = subprocess.run(argv, input=stdin, text=True, capture_output=True, cwd="/",
                                  timeout=timeout, preexec_fn=lambda: self.spaces.enter(node))
        except (OSError, subprocess.SubprocessError) as e:
            raise ProcessError(f"{node}: {' '.join(argv[:4])}: {e}") from None
        if check and done.returncode != 0:
            raise ProcessError(f"{node}: {' '.join(argv[:4])}: "
                               f"{(done.stderr or done.stdout).strip()[:2000]}")
        return done.stdout

    def pid(self, node, name):
        """None: it does not run."""
        try:
            with open(self._pid_file(node, name), encoding="ascii") as f:
                pid, started = (int(x) for x in f.read().split())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) == started else None

    def named(self, node):
        """{name: pid or None} of all that was started in the node and should run."""
        folder = self.spaces.folder(node, "pids")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return {name: self.pid(node, name) for name in names}

    def stop(self, node, name, wait=5):
        """SIGTERM, and SIGKILL for what does not hear it. False: it did not run."""
        pid = self.pid(node, name)
        if pid:
            for sign, limit in ((signal.SIGTERM, wait), (signal.SIGKILL, END_S)):
                _signal(pid, sign)
                if self._gone(pid, limit):
                    break
        if os.path.exists(self._pid_file(node, name)):
            os.unlink(self._pid_file(node, name))
        return bool(pid)

    def _gone(self, pid, limit):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            self.reap()
            if start_time(pid) is None:
                return True
            time.sleep(0.02)
        return False

    def reap(self):
        self._children = [c for c in self._children if c.poll() is None]

    def kill_all(self):
        """Ends every process of the lab but this one; returns how many there were."""
        ended, end = set(), time.monotonic() + END_S
        while time.monotonic() < end:
            pids = set(self.spaces.members()) | set(self._recorded())
            pids.discard(os.getpid())
            if not pids:
                return len(ended)
            ended |= pids
            for pid in pids:
                _signal(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.02)
        raise ProcessError(f"these do not end: {sorted(pids)}")

    def _recorded(self):
        nodes = os.path.join(self.spaces.run, "nodes")
        for node in os.listdir(nodes) if os.path.isdir(nodes) else ():
            yield from (pid for pid in self.named(node).values() if pid)


def _signal(pid, sign):
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        pass
