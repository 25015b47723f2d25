"""The kinds of processes that the supervisor starts: their names, programs and sockets.

It stands apart from the programs themselves, so that who starts them need not
import what they are made of.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

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


CORE = ProcessKind("core", "gateway.worker.core", ("socketmap", "policy", "admin"), "clients")
# The milter, by the library that serves it: our own codec on a loop, or pymilter's threads.
MILTER = ProcessKind("milter", "gateway.worker.milterprocess", ("milter",), "SMTP sessions")
PYMILTER = ProcessKind("milter", "gateway.worker.pymilterprocess", ("milter",), "SMTP sessions")
