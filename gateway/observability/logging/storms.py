"""Storms of log lines: equal lines are one with a count, and nonsense that is ever new a few.

A storm of equal warnings or errors is one line with a count; of lines that
differ in what a client sent, only the first few are written.  Answers to an
administrator's signal are not a storm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

# Equal warnings and errors within this time are one line; two lines a minute tell enough.
STORM_SECONDS = 30.0
# Different lines that are watched at once; the oldest is forgotten.
_STORM_KINDS = 256
# Different lines from one place in the program that are written within STORM_SECONDS: a client
# that sends ever new nonsense must not fill the disk.
STORM_LINES = 10

# An attribute of records that are never held back: an administrator waits for them.
ANSWER = "gateway_answer"

# The name of the logger, the level, and the text.
_Key = tuple[str, int, str]


class Storms:
    """Lets the first of equal warnings and errors through, and counts the rest.

    Lines are alike where they come from one call (their text before the values
    are put in); of these STORM_LINES go through in STORM_SECONDS.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[_Key, _Storm] = {}
        self._alike: dict[_Key, _Wave] = {}

    def admit(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """The records to write now: counts that have become due, and `record` unless held back."""
        now = self._clock()
        due = self._due(now)
        if record.levelno < logging.WARNING or getattr(record, ANSWER, False):
            return [*due, record]
        key = (record.name, record.levelno, record.getMessage())
        storm = self._seen.get(key)
        if storm is not None:
            storm.held += 1
            return due
        origin = (record.name, record.levelno, str(record.msg))
        wave = self._alike.get(origin)
        if wave is None:
            due += _room(self._alike, now)
            wave = self._alike[origin] = _Wave(record, now)
        if not wave.admits(record):
            return due
        due += _room(self._seen, now)
        self._seen[key] = _Storm(record, now)
        return [*due, record]

    def rest(self) -> list[logging.LogRecord]:
        """All counts that have not been written, for the end of the process."""
        now = self._clock()
        held: list[_Storm] = [*self._seen.values(), *self._alike.values()]
        self._seen, self._alike = {}, {}
        return [record for each in held for record in each.summary(now)]

    def _due(self, now: float) -> list[logging.LogRecord]:
        return [*_taken(self._seen, now), *_taken(self._alike, now)]


class _Storm:
    """Equal records: the first one, its time, and how many were held back since."""

    def __init__(self, record: logging.LogRecord, first: float) -> None:
        self.record = record
        self.first = first
        self.held = 0

    def summary(self, now: float) -> list[logging.LogRecord]:
        """One record that stands for those held back, or none."""
        if not self.held:
            return []
        return [_noted(self.record, f"{self.held} more times in {now - self.first:.0f} s")]


class _Wave(_Storm):
    """Records that are alike: the last one, how many have passed, and how many were held back."""

    def __init__(self, record: logging.LogRecord, first: float) -> None:
        super().__init__(record, first)
        self.passed = 0

    def admits(self, record: logging.LogRecord) -> bool:
        """Whether `record` may be written; it is counted where not."""
        if self.passed < STORM_LINES:
            self.passed += 1
            return True
        self.record = record
        self.held += 1
        return False

    def summary(self, now: float) -> list[logging.LogRecord]:
        """The last record that was held back, and how many were; or none."""
        if not self.held:
            return []
        note = f"the last of {self.held} more such lines in {now - self.first:.0f} s"
        return [_noted(self.record, note)]


_HeldT = TypeVar("_HeldT", bound=_Storm)


def _room(held: dict[_Key, _HeldT], now: float) -> list[logging.LogRecord]:
    """Forget the oldest where there are too many; its count."""
    return held.pop(next(iter(held))).summary(now) if len(held) >= _STORM_KINDS else []


def _taken(held: dict[_Key, _HeldT], now: float) -> list[logging.LogRecord]:
    """The counts of those that are old enough, which are forgotten."""
    # In order of their first record: the first that is young ends the search.
    due: list[logging.LogRecord] = []
    while held:
        key, each = next(iter(held.items()))
        if now - each.first < STORM_SECONDS:
            break
        del held[key]
        due += each.summary(now)
    return due


def _noted(record: logging.LogRecord, note: str) -> logging.LogRecord:
    """The same line with a note behind it."""
    return logging.LogRecord(
        record.name,
        record.levelno,
        record.pathname,
        record.lineno,
        f"{record.getMessage()} ({note})",
        (),
        None,
    )
