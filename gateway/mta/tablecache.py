"""Answers of Postfix' tables, remembered for a short time, both yes and no.

What a run of tables said that are all in files is forgotten when one of the
files changes, and after HOLD_FILES seconds; what others said (LDAP, SQL,
another server) after HOLD seconds.  A file that has changed within the last
SETTLE seconds may change again without its times showing it, so what it said
is not remembered.

Limits: MAX_ENTRIES answers, the oldest give way; none that is longer than
MAX_VALUE bytes.  Any number of threads may share one: each step is atomic.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gateway.errors import MailServerError
from gateway.files import stamp
from gateway.mta.lookups import DEADLINE, Lookup, Lookups, TableAnswers, by_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.files import FileStamp
    from gateway.mta.postmap import Asker
    from gateway.mta.tables import Run

    # The stamp of each file; None where it is missing.
    Proof = tuple[FileStamp | None, ...]

MAX_ENTRIES = 32_768
MAX_VALUE = 4096

# Seconds.  An alias that is new in LDAP or SQL is refused no longer than that.
HOLD = 5.0
HOLD_FILES = 60.0
SETTLE = 1.0


class TableCache:
    """What tables said lately; `clock` is time.monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[Lookup, tuple[bytes | None, float, Proof]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, lookups: Lookups) -> tuple[TableAnswers, list[Lookup]]:
        """What is known of `lookups`, and those that have to be asked."""
        answers = TableAnswers()
        missing: list[Lookup] = []
        proofs: dict[Run, Proof | None] = {}
        now = self._clock()
        for lookup in lookups.wanted:
            entry = self._entries.get(lookup)
            if entry is not None and now < entry[1]:
                run = lookup.run
                if run not in proofs:
                    proofs[run] = _stats(run)
                if proofs[run] == entry[2]:
                    answers.values[lookup] = entry[0]
                    continue
            missing.append(lookup)
        return answers, missing

    def proof(self, run: Run) -> Proof | None:
        """What its answers will rest on; to be taken before it is asked.

        None where they cannot be remembered.
        """
        proof = _stats(run)
        now = time.time_ns()
        if any(each is None or abs(now - each[-1]) < SETTLE * 1e9 for each in proof):
            return None
        return proof

    def keep(self, run: Run, told: Mapping[bytes, bytes | None], proof: Proof | None) -> None:
        """Remember what `run` said, if its files are still what they were."""
        if proof is None or proof != _stats(run):
            return
        until = self._clock() + (HOLD_FILES if run.all_in_files else HOLD)
        for key, value in told.items():
            if value is None or len(value) <= MAX_VALUE:
                self._entries[Lookup(run, key)] = (value, until, proof)
        if len(self._entries) > MAX_ENTRIES:
            for old in list(self._entries)[: MAX_ENTRIES // 4]:
                self._entries.pop(old, None)


def _stats(run: Run) -> Proof:
    return tuple(map(_stat, run.files))


def _stat(path: str) -> FileStamp | None:
    try:
        return stamp(os.stat(path))
    except OSError:
        return None


class Tables:
    """Asks while the caller waits; any number of threads may share one."""

    def __init__(self, asker: Asker, memory: TableCache) -> None:
        self.asker = asker
        self.memory = memory

    def ask(self, lookups: Lookups) -> TableAnswers:
        """The answers, by DEADLINE seconds from now."""
        until = lookups.until if lookups.until is not None else time.monotonic() + DEADLINE
        answers, missing = self.memory.recall(lookups)
        for run, keys in by_run(missing).items():
            proof = self.memory.proof(run)
            try:
                told = self.asker.ask(run, keys, until)
            except MailServerError as fault:
                answers.faults[run] = str(fault)
                continue
            self.memory.keep(run, told, proof)
            answers.values.update({Lookup(run, key): value for key, value in told.items()})
        return answers
