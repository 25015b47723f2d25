"""The servers under test that are ours, Cyrus' own or the limit: one class each.

A server is started in a folder of its own, is reached at `address` (a Unix
socket's path or ADDRESS:PORT), and is ended by its pid.  What it costs is the
sum over its processes.  Other people's servers are in peers.py.
"""

from __future__ import annotations

import os
import signal
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self

from tests.bench.build import program
from tests.bench.needs import check_program
from tests.bench.stores import Store
from tests.rigs import accounting
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import PROGRAMS
from tests.rigs.folders import folder, write_text
from tests.rigs.ports import accepts, accepts_unix
from tests.rigs.processes import Account, Daemon, RigError, account
from tests.rigs.socketmap import ask
from tests.rigs.waiting import wait_until

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV_PROGRAMS = os.path.join(PROJECT, ".venv", "bin")
MAKE_VENV = "make venv"
SERVICE = "smmap"
# Where the policy and milter front ends judge recipients; Cyrus without virtdomains drops it.
DOMAIN = "bench.example.org"


class Server(ABC):
    """Something that answers; used in a `with`, which starts and ends it."""

    def __init__(self) -> None:
        self.address = ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            # What has ended the start says more than what had to be killed after it.
            with suppress(RigError):
                self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it accepts.  Raises `Missing` or `RigError`."""

    @abstractmethod
    def stop(self) -> None:
        """End it and remove its folder; does nothing if it was not started."""

    @abstractmethod
    def root(self) -> int:
        """The pid whose tree the server is."""

    def pids(self) -> list[int]:
        """The processes that serve."""
        return [self.root(), *accounting.descendants(self.root())]

    def cpu_seconds(self) -> float:
        """CPU seconds of the tree so far."""
        return accounting.cpu_seconds([self.root(), *accounting.descendants(self.root())])

    def memory(self) -> accounting.Memory:
        """Memory of the processes that serve."""
        return accounting.memory(self.pids())


class DaemonServer(Server):
    """A server that is one program in the foreground; subclasses say which."""

    user: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self._folder = folder("bn")
        self._entered = False
        self._daemon: Daemon | None = None
        self.folder = ""

    @abstractmethod
    def command(self) -> list[str]:
        """Write what it needs into `self.folder`, set `self.address`; the command line."""

    def environment(self) -> dict[str, str]:
        """Variables besides the rigs' small environment."""
        return {}

    def account(self) -> Account | None:
        """The user it runs as, None for the harness' own."""
        return account(self.user) if self.user else None

    def start(self) -> None:
        """Start it and wait until it accepts."""
        self.folder = self._folder.__enter__()
        self._entered = True
        user = self.account()
        if user is not None:
            os.chown(self.folder, user.uid, user.gid)
        argv = self.command()
        log = os.path.join(self.folder, "output")
        self._daemon = Daemon(argv, log=log, user=user, env=self.environment())
        self._daemon.start()
        wait_until(self._ready, f"{argv[0]} accepts")

    def _ready(self) -> bool:
        assert self._daemon is not None
        self._daemon.check()
        return accepting(self.address)

    def root(self) -> int:
        """The program's pid."""
        assert self._daemon is not None
        return self._daemon.pid

    def stop(self) -> None:
        """End it and remove its folder."""
        try:
            if self._daemon is not None:
                self._daemon.stop()
        finally:
            self._daemon = None
            if self._entered:
                self._entered = False
                self._folder.__exit__(None, None, None)

    def path(self, name: str) -> str:
        """The path of a file in its folder."""
        return os.path.join(self.folder, name)


class Echo(DaemonServer):
    """echo.c: what a server that looks nothing up reaches."""

    def command(self) -> list[str]:
        """The compiled echo server on a Unix socket."""
        self.address = self.path("echo")
        return [program("echo"), self.address]


class Interpreter(Server):
    """Python without anything to do: what a program in it cannot start faster than."""

    # Without the modules of a site, as smmapd's launcher has it.
    command = (sys.executable, "-I", "-S", "-c", "pass")

    def start(self) -> None:
        """It is started by each measure."""

    def stop(self) -> None:
        """It has ended."""

    def root(self) -> int:
        """This process, which starts it."""
        return os.getpid()


class UnderMaster(Server):
    """A smmapd as a service of its own Cyrus master, on a store of the cache."""

    def __init__(self, smmapd: str, store: Store, *, quota: bool, options: str = "") -> None:
        """`smmapd` is the program's path, `options` are its own options in cyrus.conf."""
        super().__init__()
        self.program = smmapd
        self._command = f"{smmapd} {options}".strip()
        self._settings = store.settings(quota=quota)
        self._cyrus: Cyrus | None = None

    @property
    def cyrus(self) -> Cyrus:
        """The rig.  Raises `RigError` if it was not started."""
        if self._cyrus is None:
            raise RigError("the server was not started")
        return self._cyrus

    def start(self) -> None:
        """Start master; the first service process is there afterwards."""
        self._cyrus = Cyrus().__enter__()
        # Only now: the rig's set-up runs Cyrus' recovery, which has no business in the cache.
        self.cyrus.write_imapd_conf(self._settings)
        self.cyrus.add_service(SERVICE, self._command)
        self.cyrus.start()
        self.address = self.cyrus.socket_path(SERVICE)
        # An answer: the process is there, and has taken the rig's trial connection before.
        ask(self.address, b"postmaster")

    def stop(self) -> None:
        """Stop master and its services."""
        if self._cyrus is not None:
            cyrus, self._cyrus = self._cyrus, None
            cyrus.__exit__(None, None, None)

    def root(self) -> int:
        """master's pid."""
        return self.cyrus.master.pid

    def pids(self) -> list[int]:
        """The service's processes, without master."""
        return accounting.descendants(self.root())

    def retire(self) -> None:
        """End the service's processes, so that the next connection meets a cold start."""
        for pid in self.pids():
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self.pids(), "the service's processes end")


class CSmmapd(UnderMaster):
    """Debian's C smmapd: a process a connection."""

    def __init__(self, store: Store, *, quota: bool) -> None:
        super().__init__(os.path.join(PROGRAMS, "smmapd"), store, quota=quota)


class OurSmmapd(UnderMaster):
    """Ours: one process for all connections."""

    def __init__(self, store: Store, *, quota: bool, programs: str = VENV_PROGRAMS) -> None:
        path = check_program(os.path.join(programs, "smmapd"), MAKE_VENV)
        # Else the process would retire after 250 connections, in the middle of a measure.
        super().__init__(path, store, quota=quota, options="-U 1000000000")


class Gateway(DaemonServer):
    """smmapd-gateway with one front end on a store of the cache: `socketmap`, `policy`, `milter`."""

    user = "cyrus"

    def __init__(
        self,
        front_end: str,
        store: Store,
        *,
        quota: bool,
        workers: int = 1,
        more: str = "",
        programs: str = VENV_PROGRAMS,
    ) -> None:
        """`more` are lines of the front end's table."""
        self.program = check_program(os.path.join(programs, "smmapd-gateway"), MAKE_VENV)
        super().__init__()
        self._front_end = front_end
        self._settings = store.settings(quota=quota)
        self._workers = workers
        self._more = more

    def command(self) -> list[str]:
        """`smmapd-gateway serve` with a gateway.toml of its own."""
        self.address = self.path(self._front_end)
        os.mkdir(self.path("conf"))
        settings = {"configdirectory": self.path("conf"), **self._settings}
        lines = [f"{name}: {value}" for name, value in settings.items()]
        conf = write_text(self.path("imapd.conf"), "\n".join(lines) + "\n")
        toml = write_text(
            self.path("gateway.toml"),
            f"workers = {self._workers}\n{self.remote_settings()}"
            f'[cyrus]\nimapd_conf = "{conf}"\nservice = "{SERVICE}"\n'
            # As the servers it is compared with, it writes no line for each verdict.
            f'[logging]\nlevel = "warning"\n'
            # Several gateways run at the same time: none has an admin port.
            f'[admin]\nlisten = []\n[scope]\ndomains = ["{DOMAIN}"]\n'
            f'[{self._front_end}]\nlisten = ["unix:{self.address}?mode=0666"]\n' + self._more,
        )
        return [self.program, "serve", "-c", toml]

    def remote_settings(self) -> str:
        """The setting `store`, where it is not the default."""
        return ""


class Remote(Gateway):
    """A gateway that has no mailboxes and asks another gateway, whose costs are not counted."""

    def __init__(self, store: Store) -> None:
        super().__init__("socketmap", store, quota=True)
        self._backend = Gateway("socketmap", store, quota=True)

    def start(self) -> None:
        """Start the other one first."""
        self._backend.start()
        super().start()

    def stop(self) -> None:
        """End both."""
        try:
            super().stop()
        finally:
            self._backend.stop()

    def remote_settings(self) -> str:
        """The other gateway's socket."""
        return f'store = "socketmap:unix:{self._backend.address}"\n'


def accepting(address: str) -> bool:
    """Does something accept connections at this address?"""
    if address.startswith("/"):
        return accepts_unix(address)
    host, _, port = address.rpartition(":")
    return accepts(host, int(port))
