"""Storms of log lines: equal lines are one with a count, and nonsense that is ever new a few.

A storm of equal warnings or errors is one line with a count; of lines that
differ in what a client sent, only the first few are written.  Answers to an
administrator's signal are not a storm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gateway.loglimiter import HeldLines, LogLimiter

# Equal warnings and errors within this time are one line; two lines a minute tell enough.
STORM_SECONDS = 30.0
# Different lines that are watched at once; the oldest is forgotten.
_STORM_KINDS = 256
# Different lines from one place in the program that are written within STORM_SECONDS: a client
# that sends ever new nonsense must not fill the disk.
STORM_LINES = 10

# An attribute of records that are never held back: an administrator waits for them.
ANSWER = "gateway_answer"


class Storms:
    """Lets the first of equal warnings and errors through, and counts the rest.

    Lines are alike where they come from one call (their text before the values
    are put in); of these STORM_LINES go through in STORM_SECONDS.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._equal = LogLimiter(1, seconds=STORM_SECONDS, kinds=_STORM_KINDS)
        self._alike = LogLimiter(STORM_LINES, seconds=STORM_SECONDS, kinds=_STORM_KINDS)

    def admit(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """The records to write now: counts that have become due, and `record` unless held back."""
        now = self._clock()
        written = self._passes(record, now)
        due = [*self._equal.take_summaries(now), *self._alike.take_summaries(now)]
        return [*map(_record, due), *([record] if written else [])]

    def rest(self) -> list[logging.LogRecord]:
        """All counts that have not been written, for the end of the process."""
        now = self._clock()
        return [*map(_record, (*self._equal.take_rest(now), *self._alike.take_rest(now)))]

    def _passes(self, record: logging.LogRecord, now: float) -> bool:
        if record.levelno < logging.WARNING or getattr(record, ANSWER, False):
            return True
        line = record.getMessage()
        equal = (record.name, record.levelno, line)
        if not self._equal.knows(equal, now):
            alike = (record.name, record.levelno, str(record.msg))
            if not self._alike.admit(alike, line, now):
                return False
        return self._equal.admit(equal, line, now)


def _record(held: HeldLines) -> logging.LogRecord:
    """The record in place of lines that were held back."""
    name, level, _ = held.kind
    return logging.LogRecord(name, level, "(storm)", 0, held.summary, (), None)
