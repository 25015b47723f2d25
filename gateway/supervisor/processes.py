"""The kinds of processes that the supervisor starts: their names, programs and sockets.

It stands apart from the programs themselves, so that what starts them need not
import what they are made of.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from gateway.config.frontends import FRONT_ENDS
from gateway.config.tables import admin
from gateway.frontends.frontend import Process

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
    Process.MILTER.value, "gateway.worker.milterprocess", _served(Process.MILTER), "SMTP sessions"
)
PYMILTER = ProcessKind(
    Process.MILTER.value, "gateway.worker.pymilterprocess", MILTER.listeners, MILTER.clients
)
