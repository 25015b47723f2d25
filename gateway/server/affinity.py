"""Keeps the threads of a process on one CPU while they get in each other's way.

Python runs one thread at a time.  Where many of libmilter's threads are busy,
those on other CPUs only wait for Python's lock, and each hand-over wakes another
CPU: a recipient then costs three times the processor time that it costs on one
busy connection (docs/performance.md).  On one CPU a thread finds the lock free when
it runs.

This is asked for only while both hold: many recipients a second, and
more than one switch of threads a recipient.  It is given up after a few seconds, and
decided again, so that a CPU that another process needs meanwhile is left again.

Limits: Linux.  Where the process has one CPU, or may not choose (the service's
SystemCallFilter denies sched_setaffinity(2)), everything stays as it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Set

_log = logging.getLogger(__name__)

# Recipients between two looks: a look costs some microseconds.
BATCH = 1024

# Recipients a second from which it is worth while; fewer leave the CPUs idle most of the time.
BUSY_RATE = 5000

# Voluntary switches of threads a recipient from which threads wait for each other.  Measured:
# 0.4 on one busy connection, 1.0 on two to five, 2.5 on twenty, 3.2 on a hundred.
SWITCHES = 0.5

# Seconds for which the threads stay on a CPU before it is decided again.
HOLD = 10.0

# Seconds without a look after which the load is over.
CALM = 1.0

_THREADS = "/proc/self/task"


def voluntary_switches() -> int:
    """How often threads of this process have waited for something (getrusage(2), ru_nvcsw)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def current_cpu() -> int:
    """The CPU on which this thread runs (sched_getcpu(3)); negative where it is not known."""
    return int(ctypes.CDLL(None).sched_getcpu())


class Affinity:
    """Decides when the threads of this process are kept on one CPU; used with a lock held."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        switches: Callable[[], int] = voluntary_switches,
    ) -> None:
        self._clock = clock
        self._count = switches
        self._before: Set[int] | None = None  # the CPUs of the process, while it is kept on one
        self._possible = True
        self._since = 0.0
        self._looked = clock()
        self._switched = switches()

    @property
    def kept(self) -> bool:
        """Whether the threads are kept on one CPU."""
        return self._before is not None

    def batch_ended(self) -> None:
        """BATCH more recipients have been answered."""
        if not self._possible:
            return
        now, switched = self._clock(), self._count()
        seconds, switches = now - self._looked, switched - self._switched
        self._looked, self._switched = now, switched
        if self.kept:
            if now - self._since >= HOLD:
                self._spread()
        elif seconds * BUSY_RATE <= BATCH and switches >= SWITCHES * BATCH:
            self._since = now
            self._gather()

    def tick(self) -> None:
        """Time has passed: let the threads run anywhere again once the load is over."""
        if self.kept and self._clock() - self._looked >= CALM:
            self._spread()

    def _gather(self) -> None:
        try:
            before = os.sched_getaffinity(0)
            cpu = current_cpu()
            if len(before) < 2 or cpu not in before:
                return
            os.sched_setaffinity(0, before)  # changes nothing, and tells whether it is allowed
        except OSError as error:
            self._possible = False
            _log.info("milter: threads cannot be kept on one CPU: %s", error)
            return
        self._before = before
        self._keep_on({cpu})

    def _spread(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            self._keep_on(before)

    def _keep_on(self, cpus: Set[int]) -> None:
        try:
            _move(cpus)
        except OSError as error:
            self._possible = False
            _log.warning(
                "milter: not every thread runs on the CPUs that it should run on (%s): %s; a "
                "reload restarts the process",
                ", ".join(map(str, sorted(cpus))),
                error,
            )


def _move(cpus: Set[int]) -> None:
    """Let every thread run on `cpus` only; those that are started later inherit it.

    Raises OSError where that is not allowed.
    """
    for name in os.listdir(_THREADS):
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(name), cpus)
