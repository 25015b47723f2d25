"""A whole gateway as systemd, an administrator and its clients see it, on a small flat store.

    with ManagedGateway() as managed:
        managed.start()
        managed.wait_told("READY")
        assert managed.ask_policy(b"nobody@example.org").startswith(b"550 ")

The test is its service manager: it hears what is told to NOTIFY_SOCKET, may
hold the listening sockets, and watches processes by pidfd.  The folder can be
entered by every user, because some tests start as root and leave it.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Self

from tests.rigs.clients import DOMAIN, INTERFACES, Interface
from tests.rigs.folders import make_folder, write_text
from tests.rigs.gateway import LIBRARY, MODULES, Tables, Value, toml
from tests.rigs.processes import Account, Daemon, command_line
from tests.rigs.program import ROOT
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, record

# Far more than anything here takes; only a failure waits so long.
DEADLINE_S = 60.0
_DATAGRAM = 4096

# Runs a program with the descriptors that follow its count at 3, 4..., as systemd does.
_PASS_ON = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2 : 2 + count]]
for place, fd in enumerate(high, 3):
    os.dup2(fd, place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""


class ManagedGateway:
    """One gateway, from its first start to its end; `stop` may be followed by another `start`."""

    def __init__(self, tables: Tables | None = None, *, milter: bool = False) -> None:
        """`tables` add to or replace settings of gateway.toml, by table."""
        self._tables = {name: dict(table) for name, table in (tables or {}).items()}
        self.front_ends = ("socketmap", "policy", "milter") if milter else ("socketmap", "policy")
        # Where another user must be able to start it, a test puts another pair here.
        self.python = (sys.executable, ROOT)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._daemons: list[Daemon] = []
        self._pidfds: list[int] = []
        self.folder = ""

    # --- the folder -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.folder = make_folder("managed")
        self._notify.bind(self._notify_path)
        self._notify.setblocking(False)
        # A process that has left root must reach it, as it reaches systemd's.
        os.chmod(self._notify_path, 0o777)
        mailbox = record(b"fred\tlrswipkxtecdan")
        store = FlatStore(
            self.folder,
            mailboxes={b"user.fred": mailbox},
            options={"virtdomains": "userid", "defaultdomain": DOMAIN},
        )
        store.write()
        self.configure()
        return self

    def __exit__(self, *_error: object) -> None:
        for descriptor in self._pidfds:
            os.close(descriptor)
        for daemon in self._daemons:
            # Twice ends the children, too, without grace.
            daemon.send_signal(signal.SIGTERM)
            daemon.stop()
        self._notify.close()
        shutil.rmtree(self.folder)

    @property
    def _notify_path(self) -> str:
        return os.path.join(self.folder, "notify")

    @property
    def configuration(self) -> str:
        """The path of gateway.toml."""
        return os.path.join(self.folder, "gateway.toml")

    def path(self, front: str) -> str:
        """The path of a front end's socket."""
        return os.path.join(self.folder, front)

    def configure(self, changes: Tables | None = None) -> None:
        """Write gateway.toml, with changed settings, by rename as editors do."""
        for name, table in (changes or {}).items():
            self._tables.setdefault(name, {}).update(table)
        tables: dict[str, dict[str, Value]] = {
            "": {"user": "", "graceful_timeout": 60},
            "cyrus": {"imapd_conf": os.path.join(self.folder, "imapd.conf")},
            "scope": {"domains": [DOMAIN]},
            "admin": {"listen": []},
            "logging": {"target": "stderr", "level": "warning"},
            **{front: {"listen": [f"unix:{self.path(front)}"]} for front in self.front_ends},
        }
        if "milter" in self.front_ends:
            tables["milter"]["library"] = LIBRARY
        for name, settings in self._tables.items():
            tables.setdefault(name, {}).update(settings)
        self.write_configuration(toml(tables))

    def write_configuration(self, text: str) -> None:
        """Write gateway.toml as it is given."""
        os.rename(write_text(f"{self.configuration}.new", text), self.configuration)

    # --- start and stop -------------------------------------------------------------------

    def start(
        self,
        *,
        user: Account | None = None,
        env: Mapping[str, str] | None = None,
        passed: Mapping[str, socket.socket] | None = None,
        prefix: Sequence[str] = (),
    ) -> Daemon:
        """Start one; `passed` are listening sockets by name, as of a systemd socket unit."""
        python, source = self.python
        environ = {
            "PYTHONPATH": source,
            "NOTIFY_SOCKET": self._notify_path,
            **(env or {}),
        }
        argv = [python, "-P", "-m", "gateway.cli.main", "serve", "-c", self.configuration]
        if passed is not None:
            environ |= {"LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join(passed)}
            descriptors = [each.fileno() for each in passed.values()]
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)
            numbers = [str(descriptor) for descriptor in (len(descriptors), *descriptors)]
            argv = [sys.executable, "-c", _PASS_ON, *numbers, *argv]
        daemon = Daemon([*prefix, *argv], log=self.log_path, user=user, env=environ, pass_fds=(
            [each.fileno() for each in (passed or {}).values()]
        ))  # fmt: skip
        self._daemons.append(daemon)
        daemon.start()
        return daemon

    @property
    def daemon(self) -> Daemon:
        """The one that was started last."""
        return self._daemons[-1]

    def begin(self) -> Self:
        """Start one and wait until it is ready."""
        self.start()
        self.wait_told("READY")
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.daemon.send_signal(number)

    def exit_code(self, daemon: Daemon | None = None) -> int:
        """Wait until it ends by itself, with all of its processes; its exit code."""
        ended = daemon or self.daemon
        wait_until(
            lambda: not ended.running() and not ended.members(), "the gateway ends", DEADLINE_S
        )
        return ended.exit_code()

    def pids(self, module: str) -> list[int]:
        """Its processes `core` or `milter`."""
        words = MODULES[module]
        return [pid for pid in self.daemon.members() if words & set(command_line(pid).split())]

    def pid(self, module: str) -> int:
        """The only such process."""
        (found,) = self.pids(module)
        return found

    def watch(self, pid: int) -> int:
        """A descriptor for `wait_gone`; take it while the process surely lives."""
        self._pidfds.append(os.pidfd_open(pid))
        return self._pidfds[-1]

    def wait_gone(self, pidfd: int) -> None:
        """Wait until that process has ended."""
        assert select.select([pidfd], [], [], DEADLINE_S)[0], "the process still lives"

    # --- what systemd hears ---------------------------------------------------------------

    def told(self) -> dict[str, str]:
        """The next message to the service manager, as soon as there is one."""

        def heard() -> bytes | None:
            try:
                return self._notify.recv(_DATAGRAM)
            except BlockingIOError:
                self.daemon.check()
                return None

        message = wait_until(heard, "the service manager hears something", DEADLINE_S).decode()
        return dict(line.split("=", 1) for line in message.split("\n"))

    def heard(self, name: str) -> bool:
        """Whether the service manager has heard this variable by now."""
        try:
            return f"{name}=".encode() in self._notify.recv(_DATAGRAM)
        except BlockingIOError:
            return False

    def wait_told(self, name: str) -> dict[str, str]:
        """The next message that has this variable."""
        heard = self.told()
        while name not in heard:
            heard = self.told()
        return heard

    def reload(self) -> dict[str, str]:
        """SIGHUP; what is told when the reload is over, in force or refused."""
        self.signal(signal.SIGHUP)
        self.wait_told("RELOADING")
        return self.wait_told("READY")

    # --- what clients hear ----------------------------------------------------------------

    def open(self, interface: str) -> Interface:
        """A new client of `socketmap` or `policy`."""
        return INTERFACES[interface](self.path(interface))

    def ask(self, interface: str, recipient: bytes) -> bytes:
        """What a new client of `socketmap` or `policy` is told."""
        with self.open(interface) as client:
            return client.ask(recipient)

    # --- the log --------------------------------------------------------------------------

    @property
    def log_path(self) -> str:
        """The log of all that were started."""
        return os.path.join(self.folder, "log")

    def log(self) -> list[str]:
        """Its lines so far."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()

    def logged(self, *texts: str) -> list[str]:
        """The lines so far that hold all of `texts`."""
        return [line for line in self.log() if all(text in line for text in texts)]

    def wait_log(self, *texts: str, count: int = 1) -> list[str]:
        """The lines that hold all of `texts`, as soon as there are `count`."""

        def found() -> list[str] | None:
            lines = self.logged(*texts)
            return lines if len(lines) >= count else None

        return wait_until(found, f"the log holds {texts!r}", DEADLINE_S)


def refused(path: str) -> bool:
    """Whether nothing takes clients at a Unix socket, or it is not there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) in (errno.ECONNREFUSED, errno.ENOENT)
