"""The kinds of processes that serve (names, programs, sockets), and those that are wanted.

It is apart from the programs themselves, so that what starts them need not
import what they are made of.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config.choices import Library
from gateway.config.frontends import FRONT_ENDS
from gateway.config.tables import admin
from gateway.frontends.frontend import Process

if TYPE_CHECKING:
    from gateway.config import Settings

# Seconds between two words of a child that its event loop turns, and those after which the
# supervisor takes its silence for a hang: several words were missed.
ALIVE_INTERVAL = 5.0
SILENCE_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class ProcessKind:
    """One kind: what it is called, the module that it runs, and whose sockets it gets."""

    name: str
    module: str
    listeners: tuple[str, ...]
    clients: str  # what they are in the log
    library: Library | None = None  # what speaks the protocol, where that can be chosen

    @property
    def argv(self) -> tuple[str, ...]:
        """The command; -P: whatever lies in the current folder is not ours."""
        return (sys.executable, "-P", "-m", self.module)


def _served(process: Process) -> tuple[str, ...]:
    return tuple(row.name for row in FRONT_ENDS if row.front_end.process is process)


CORE = ProcessKind(
    Process.CORE.value,
    "gateway.worker.core",
    (*_served(Process.CORE), admin.SECTION.name),
    "clients",
)
# The milter, by the library that serves it: our own codec on a loop, or pymilter's threads.
MILTER = ProcessKind(
    Process.MILTER.value,
    "gateway.worker.milterprocess",
    _served(Process.MILTER),
    "SMTP sessions",
    Library.BUILTIN,
)
PYMILTER = ProcessKind(
    Process.MILTER.value,
    "gateway.worker.pymilterprocess",
    MILTER.listeners,
    MILTER.clients,
    Library.PYMILTER,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many processes of a kind are to serve.

    `session_timeout` is how many seconds their clients have after a reload, where that is
    longer than the graceful timeout.
    """

    kind: ProcessKind
    count: int
    session_timeout: float = 0.0


def wanted(settings: Settings) -> list[Wanted]:
    """The processes that these settings ask for."""
    # The admin page is served once, so `workers` multiplies front ends only.
    served = {row.front_end.process for row in settings.serving}
    workers = settings.general.workers if Process.CORE in served else 1
    milter = settings.milter
    if milter.library is Library.BUILTIN:
        milters = Wanted(MILTER, 1, milter.session_timeout)
    else:
        # libmilter has one socket a process.
        milters = Wanted(PYMILTER, len(milter.listen), milter.session_timeout)
    listening = settings.listeners.keys()
    return [
        each for each in (Wanted(CORE, workers), milters) if listening & set(each.kind.listeners)
    ]
