"""Our own smmapd-gateway, started as an administrator starts it, on sockets of its own.

    with Gateway(cyrus.imapd_conf, {"scope": {"domains": ["example.org"]}}) as gateway:
        gateway.start()
        with Postfix(policy=gateway.policy) as mta: ...

It is started as root, opens its sockets, and becomes user cyrus.  It is ready
when it says so to a NOTIFY_SOCKET of the rig's.  Its sockets stand in a folder
that only root writes to, as Sendmail demands, and that every user can enter.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.rigs.folders import make_folder, write_text
from tests.rigs.processes import Daemon, RigError, command_line
from tests.rigs.program import ROOT, gateway_python
from tests.rigs.waiting import DEADLINE_S, wait_until

FRONT_ENDS = ("socketmap", "policy", "milter")
# Which library the milters of all gateways in the tests are on; `make test` runs what is marked
# with `milter` for each of them.
LIBRARY = os.environ.get("MILTER_LIBRARY", "pymilter")
# What the modules of the processes are called in their command lines.
MODULES = {
    "core": frozenset(("gateway.worker.core",)),
    "milter": frozenset(("gateway.worker.milterprocess", "gateway.worker.pymilterprocess")),
}
_DATAGRAM = 4096

# A setting's value as TOML writes it; JSON writes these alike.
Value = str | int | float | bool | list[str]
Tables = Mapping[str, Mapping[str, Value]]


def toml(tables: Tables) -> str:
    """A gateway.toml; the table of the name "" is the file's top."""
    parts = []
    for name in sorted(tables):
        lines = [f"[{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in tables[name].items()]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


class Gateway:
    """One gateway, its configuration, its sockets and its log."""

    def __init__(
        self,
        imapd_conf: str,
        tables: Tables | None = None,
        *,
        front_ends: tuple[str, ...] = FRONT_ENDS,
        python_path: str = "",
        namespace: Sequence[str] = (),
    ) -> None:
        """`tables` are settings of gateway.toml that add to or replace the rig's, by table.

        Modules in the folder `python_path` come before all others.  `namespace`
        are words that run the command behind them somewhere else (networks.py).
        """
        self._imapd_conf = imapd_conf
        self._tables = {name: dict(table) for name, table in (tables or {}).items()}
        self._front_ends = front_ends
        self._python_path = python_path
        self._namespace = tuple(namespace)
        self._daemon: Daemon | None = None
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.folder = ""

    # --- the folder -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.folder = make_folder("gw")
        try:
            path = os.path.join(self.folder, "notify")
            self._notify.bind(path)
            self._notify.setblocking(False)
            os.chmod(path, 0o666)
            self.configure()
        except BaseException:
            self._notify.close()
            shutil.rmtree(self.folder)
            raise
        return self

    def configure(self, changes: Tables | None = None) -> None:
        """Write gateway.toml, with changed settings; `reload()` makes them count."""
        for name, table in (changes or {}).items():
            self._tables.setdefault(name, {}).update(table)
        tables: dict[str, dict[str, Value]] = {
            "": {"user": "cyrus"},
            "cyrus": {"imapd_conf": self._imapd_conf},
            "logging": {"target": "stderr", "level": "debug"},
            # Its port is the same everywhere, and others may be running.
            "admin": {"listen": []},
            **{front: {"listen": [self._endpoint(front)]} for front in self._front_ends},
        }
        if "milter" in self._front_ends:
            tables["milter"]["library"] = LIBRARY
        for name, settings in self._tables.items():
            tables.setdefault(name, {}).update(settings)
        write_text(self.configuration, toml(tables))

    def _endpoint(self, front: str) -> str:
        # Sendmail trusts no socket that everybody may write to; Postfix' smtpd is user postfix.
        return f"unix:{self.path(front)}?mode=0660&group=postfix"

    @property
    def configuration(self) -> str:
        """The path of gateway.toml."""
        return os.path.join(self.folder, "gateway.toml")

    def path(self, front: str) -> str:
        """The path of a front end's socket."""
        return os.path.join(self.folder, front)

    def unix(self, front: str) -> str:
        """A front end's socket in Postfix' words."""
        return f"unix:{self.path(front)}"

    def local(self, front: str) -> str:
        """A front end's socket in Sendmail's words."""
        return f"local:{self.path(front)}"

    # --- start and stop -------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready unless told otherwise."""
        user = self._tables.get("", {}).get("user", "cyrus")
        # Where no user is named it stays ours, who can reach everything.
        python, source = gateway_python(str(user)) if user else (sys.executable, ROOT)
        environ = {
            # The clone in which the tests stand, whatever is installed.
            "PYTHONPATH": f"{self._python_path}:{source}" if self._python_path else source,
            "NOTIFY_SOCKET": os.path.join(self.folder, "notify"),
        }
        self._daemon = Daemon(
            [*self._namespace, python, "-m", "gateway.cli.main", "serve", "-c", self.configuration],
            log=self.log_path,
            env=environ,
        )
        self._daemon.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until it says READY=1.  Raises `RigError`, with its log, if it ends before."""
        wait_until(self._heard_ready, "the gateway is ready", deadline_s)

    def _heard_ready(self) -> bool:
        self.daemon.check()
        while True:
            try:
                message = self._notify.recv(_DATAGRAM)
            except BlockingIOError:
                return False
            if b"READY=1" in message.split(b"\n"):
                return True

    def reload(self, changes: Tables | None = None, deadline_s: float = DEADLINE_S) -> None:
        """Write gateway.toml with changed settings and wait until it is in force, or refused."""
        self.configure(changes)
        self.daemon.send_signal(signal.SIGHUP)
        self.wait_ready(deadline_s)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop it.  Raises `RigError` if anything had to be killed."""
        if self._daemon is None:
            return
        killed = self._daemon.stop()
        self._daemon = None
        if killed:
            raise RigError(f"the gateway left processes behind, which had to be killed: {killed}")

    def wait_end(self) -> int:
        """Wait until it ends by itself; its exit code."""
        wait_until(lambda: not self.daemon.running(), "the gateway ends")
        return self.daemon.exit_code()

    @property
    def daemon(self) -> Daemon:
        """The running supervisor.  Raises `RigError` if it was not started."""
        if self._daemon is None:
            raise RigError("the gateway was not started")
        return self._daemon

    def pids(self, process: str) -> list[int]:
        """The pids of its processes `core` or `milter`."""
        words = MODULES[process]
        return [pid for pid in self.daemon.members() if words & set(command_line(pid).split())]

    # --- the log --------------------------------------------------------------------------

    @property
    def log_path(self) -> str:
        """The path of the log."""
        return os.path.join(self.folder, "log")

    def log(self) -> list[str]:
        """The lines of the log so far."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def wait_log(self, *texts: str) -> str:
        """The first log line that holds all of `texts`, as soon as there is one."""

        def found() -> str | None:
            return next((line for line in self.log() if all(text in line for text in texts)), None)

        return wait_until(found, f"the log holds {texts!r}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except RigError:
            if error is None:
                raise
        finally:
            self._notify.close()
            shutil.rmtree(self.folder)
