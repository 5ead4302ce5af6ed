# SPDX-License-Identifier: Apache-2.0
"""Namespaces of the nodes, held by files below the run folder.

    RUN/net/NODE, RUN/uts/NODE   a network and a host-name namespace, each bind-mounted on a file

The mount is what keeps a namespace alive, so a node outlives its processes, and nothing has a name
outside the run folder. Whoever enters a node also gets a mount namespace of its own, in which
    /sys       shows the node's interfaces
    /run       is empty but for /run/frr, /run/lldpd (the node's folders) and the run folder itself
    /etc/frr, /var/tmp   are the node's folders
so that FRR's, lldpd's and swtpm's fixed paths never meet between nodes or reach the host, and
`vtysh` works in a node without options. That mount namespace ends with its processes.
"""

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

_libc = ctypes.CDLL(None, use_errno=True)


class SpaceError(Exception):
    pass


def _check(result, what):
    if result != 0:
        raise SpaceError(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0):
    encode = lambda s: s.encode() if s else None
    _check(_libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), None),
           f"mount on {target}")


def unmount(target):
    _check(_libc.umount2(target.encode(), MNT_DETACH | UMOUNT_NOFOLLOW), f"unmount {target}")


def in_child(work):
    """Runs `work()` in a child process. Its exception becomes a SpaceError here."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as e:  # whatever it was, the parent says it
            os.write(into, str(e).encode()[:4000])
            os._exit(1)
    os.close(into)
    with os.fdopen(out, "rb") as f:
        said = f.read().decode(errors="replace")
    if os.waitpid(pid, 0)[1] != 0:
        raise SpaceError(said or "a child process died")


def allowed():
    """None when namespaces and mounts can be made here, else why not.

    An unprivileged user namespace (`unshare -Ur`) is not enough: FRR's daemons set their
    supplementary groups, which the kernel forbids there, and refuse to start."""
    def attempt():
        _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS), "unshare")
        mount(None, "/", None, MS_REC | MS_SLAVE)
        mount("sysfs", "/sys", "sysfs")
    if os.geteuid() != 0:
        return ("it needs root; a user namespace is not enough, FRR cannot set its groups in one")
    try:
        in_child(attempt)
        return None
    except SpaceError as e:
        return f"the kernel does not permit network namespaces here ({e})"


class Spaces:
    def __init__(self, run):
        self.run = run

    def net(self, node):
        return os.path.join(self.run, "net", node)

    def uts(self, node):
        return os.path.join(self.run, "uts", node)

    def folder(self, node, *more):
        return os.path.join(self.run, "nodes", node, *more)

    def create(self, node, settings):
        """`settings`: /proc/sys/net path -> value."""
        for path in (self.net(node), self.uts(node)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        for name, mode in (("run", 0o755), ("etc-frr", 0o755), ("tmp", 0o1777)):
            os.makedirs(self.folder(node, name), exist_ok=True)
            os.chmod(self.folder(node, name), mode)
        for name in ("frr", "lldpd"):
            os.makedirs(self.folder(node, "run", name), exist_ok=True)

        def work():
            _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWUTS), "unshare")
            name = node.encode()
            _check(_libc.sethostname(name, len(name)), "sethostname")
            for key, value in settings.items():
                with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as f:
                    f.write(str(value))
            mount("/proc/self/ns/net", self.net(node), None, MS_BIND)
            mount("/proc/self/ns/uts", self.uts(node), None, MS_BIND)
        in_child(work)

    def enter(self, node):
        """The calling process (never the lab's own: a child before exec) moves into the node."""
        for path, kind in ((self.net(node), CLONE_NEWNET), (self.uts(node), CLONE_NEWUTS)):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            _check(_libc.setns(fd, kind), f"setns {path}")
            os.close(fd)
        _check(_libc.unshare(CLONE_NEWNS), "unshare")
        mount(None, "/", None, MS_REC | MS_SLAVE)
        mount("sysfs", "/sys", "sysfs")
        self._own_run(node)
        for name, at in (("etc-frr", "/etc/frr"), ("tmp", "/var/tmp")):
            if os.path.isdir(at):
                mount(self.folder(node, name), at, None, MS_BIND)

    def _own_run(self, node):
        folders = {f"/run/{n}": os.open(self.folder(node, "run", n), os.O_PATH)
                   for n in ("frr", "lldpd")}
        folders[self.run] = os.open(self.run, os.O_PATH)
        mount("tmpfs", "/run", "tmpfs")
        os.chmod("/run", 0o755)
        for at, fd in folders.items():
            if at.startswith("/run/"):
                os.makedirs(at, exist_ok=True)
                mount(f"/proc/self/fd/{fd}", at, None, MS_BIND | MS_REC)
            os.close(fd)

    def inodes(self):
        """Identities of all the lab's namespaces that still stand: {(device, inode)}."""
        found = set()
        for kind in ("net", "uts"):
            folder = os.path.join(self.run, kind)
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                path = os.path.join(folder, name)
                if os.path.ismount(path):  # else it is an empty file: the host's own file system
                    s = os.stat(path)
                    found.add((s.st_dev, s.st_ino))
        return found

    def members(self):
        """Processes in any of them. Zombies have no namespaces left and are not counted."""
        spaces, found = self.inodes(), []
        for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
            for kind in ("net", "uts"):
                try:
                    s = os.stat(f"/proc/{pid}/ns/{kind}")
                except OSError:
                    continue
                if (s.st_dev, s.st_ino) in spaces:
                    found.append(pid)
                    break
        return found

    def unmount_all(self):
        """Everything mounted below the run folder, whatever it is, the latest first."""
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            points = [line.split()[4].replace("\\040", " ") for line in f]
        for point in reversed(points):
            if point.startswith(self.run + "/"):
                unmount(point)

