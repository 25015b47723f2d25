"""A look-up in Postfix' tables, and its answer.

A `Lookup` is one key for one run of tables.  `TableAnswers` are what came of some:
a value, None where no table has the key, or the fault that kept a run from
being asked.  `gateway.mta.tablecache.Tables` asks while its caller waits; an event
loop asks through `gateway.server.tablelookups` with the same `Asker` and `Memory`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.mta.tables import Run

# Seconds from a question about a recipient to its answer, however many rounds of look-ups it
# takes: a policy client of Postfix waits 10 s by our own snippet, and has its reply before.
DEADLINE = 6.0

# Bytes of a key; more than an address may have, and less than a line of the programs.
MAX_KEY = 1024


@dataclass(frozen=True, slots=True)
class Lookup:
    """One key for one run."""

    run: Run
    key: bytes


@dataclass(slots=True)
class TableAnswers:
    """What came of some look-ups; a run that could not be asked has a fault instead."""

    values: dict[Lookup, bytes | None] = field(default_factory=dict)
    faults: dict[Run, str] = field(default_factory=dict)

    def value(self, lookup: Lookup) -> bytes | None:
        """The value; None where there is none or its table could not be asked."""
        return self.values.get(lookup)

    def fault(self, lookup: Lookup) -> str | None:
        """Why there is no answer to `lookup`; None where there is one."""
        return None if lookup in self.values else self.faults.get(lookup.run, "not asked")


@dataclass(frozen=True, slots=True)
class Lookups:
    """A question for Postfix' tables: everything that is needed at once.

    `until` (time.monotonic) is when it has to be answered; by default DEADLINE
    seconds after it is asked.
    """

    wanted: tuple[Lookup, ...]
    until: float | None = None

    @classmethod
    def of(cls, wanted: Iterable[Lookup]) -> Lookups:
        """Each once, in the order of coming."""
        return cls(tuple(dict.fromkeys(wanted)))


def askable(key: bytes) -> bool:
    """Whether a key can be asked for at all: what has a line end or a NUL is in no table."""
    return bool(key) and len(key) <= MAX_KEY and not _UNASKABLE.intersection(key)


_UNASKABLE = frozenset(b"\0\n\r")


def by_run(wanted: Sequence[Lookup]) -> dict[Run, list[bytes]]:
    """The keys of each run."""
    found: dict[Run, list[bytes]] = {}
    for lookup in wanted:
        found.setdefault(lookup.run, []).append(lookup.key)
    return found
