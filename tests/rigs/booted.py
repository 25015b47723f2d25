"""A Debian root with a real systemd as process 1, in namespaces of its own.

    with debian("systemd-sysv", "dbus", "iproute2") as root, Booted(root) as machine:
        machine.run("systemctl", "start", "smmapd-gateway")
        code, said = machine.complete("systemctl", "reload", "smmapd-gateway")

Mounts, processes, network (loopback alone), host name, IPC and control groups
are the machine's own; it sees the root as `/`, and its /run and /tmp are
folders in memory.  What is installed in it stays in the root's folder.  It ends
with its process 1, which is ended by process id; every other process of it goes
with that one.

Needs root and version 2 of control groups.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Self

from tests.rigs.debian import Root
from tests.rigs.folders import make_folder
from tests.rigs.processes import Daemon, RigError, complete
from tests.rigs.waiting import wait_until

TIMEOUT_S = 600.0
# What the root needs beside what is tried in it.
PACKAGES = ("systemd-sysv", "dbus", "iproute2")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 is the folder of the control group.  The shell puts itself into it, so that the namespace of
# control groups begins there.
_JOIN = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'

# $1 is the root, $2 the host name.
_SET_UP = """
set -eu
root=$1 host=$2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
hostname "$host"
ip link set lo up
cd "$root"
mkdir -p .before
pivot_root . .before
exec chroot . /bin/sh -c 'umount -l /.before
    exec env -i container=tests PATH="$0" LANG=C.UTF-8 /lib/systemd/systemd --log-target=journal' "$3"
"""


class Booted:
    """A running machine; a `with` ends it."""

    def __init__(self, root: Root, host: str = "mx.test.example") -> None:
        self.root = root
        self._host = host
        self._folder = ""
        self._group = ""
        self._outer: Daemon | None = None

    def __enter__(self) -> Self:
        self._folder = make_folder("boot")
        # A name of its own below this process' view of the control groups.
        self._group = os.path.join(_control_groups(), os.path.basename(self._folder))
        os.mkdir(self._group)
        argv = [
            *("/bin/sh", "-c", _JOIN, "sh", self._group),
            *("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork"),
            *("/bin/sh", "-c", _SET_UP, "sh", self.root.folder, self._host, PATH),
        ]
        self._outer = Daemon(argv, log=os.path.join(self._folder, "console"))
        try:
            self._outer.start()
            wait_until(self._is_up, "systemd is up", TIMEOUT_S)
        except BaseException:
            self._end()
            raise
        return self

    def command(self, *argv: str) -> list[str]:
        """The words that run `argv` inside."""
        spaces = ("-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w")
        inside = ("env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb")
        return ["nsenter", "-t", str(self._init()), *spaces, *inside, *argv]

    def run(self, *argv: str, stdin: bytes = b"") -> str:
        """Run a program inside to its end; what it wrote.  Raises RigError where it fails."""
        done = complete(self.command(*argv), stdin=stdin, timeout_s=TIMEOUT_S)
        said = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode:
            raise RigError(f"{' '.join(argv)} failed with {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")

    def complete(self, *argv: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a program inside to its end; its exit code and all that it said."""
        words: Sequence[str] = [*(f"{name}={value}" for name, value in (env or {}).items())]
        done = complete(
            self.command(*(["env", *words] if words else []), *argv), timeout_s=TIMEOUT_S
        )
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def journal(self, unit: str) -> str:
        """What the journal has of a unit, without its heads."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit)

    def property(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def _init(self) -> int:
        """Process 1's number outside."""
        assert self._outer is not None
        self._outer.check()
        with open(
            f"/proc/{self._outer.pid}/task/{self._outer.pid}/children", encoding="ascii"
        ) as file:
            children = file.read().split()
        if not children:
            raise RigError("the machine has no process 1")
        return int(children[0])

    def _is_up(self) -> bool:
        assert self._outer is not None
        self._outer.check()
        try:
            _, said = self.complete("systemctl", "is-system-running")
        except RigError:
            return False
        # Kernel modules cannot be loaded here, which some releases try: then it is "degraded".
        return said.strip() in ("running", "degraded")

    def _end(self) -> None:
        if self._outer is not None and self._outer.running():
            with contextlib.suppress(ProcessLookupError, RigError):
                # A process that has gone already needs no signal.
                os.kill(self._init(), signal.SIGKILL)
            outer = self._outer
            wait_until(lambda: not outer.running(), "the machine is gone", TIMEOUT_S)
        if self._outer is not None:
            self._outer.stop()
        wait_until(self._group_gone, "its control groups are gone", TIMEOUT_S)
        shutil.rmtree(self._folder)

    def _group_gone(self) -> bool:
        """Remove the control groups, from the leaves up."""
        try:
            for path, _, _ in os.walk(self._group, topdown=False):
                os.rmdir(path)
        except OSError:
            return False
        return True

    def __exit__(self, *_error: object) -> None:
        self._end()


def _control_groups() -> str:
    """Where version 2 of control groups is mounted.  Raises RigError where it is not."""
    with open("/proc/mounts", encoding="utf-8") as file:
        for line in file:
            _, path, kind, *_ = line.split()
            if kind == "cgroup2":
                return path
    raise RigError("no version 2 of control groups is mounted")
