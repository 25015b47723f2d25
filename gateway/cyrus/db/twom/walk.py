"""The way through a twom file's records, by their pointers or end to end.

Every step is checked and leads forward, in key order or in the file, so that
no damage makes a circle.  Whether what a walk saw was one committed state is
for the caller to find out: see the argument in twom.py.
"""

from __future__ import annotations

from gateway.cyrus.db.twom.format import (
    DELETE,
    DUMMY,
    DUMMY_OFFSET,
    HAS_TAIL,
    SMALLEST_RECORD,
    TwomRecord,
    record_size,
)
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.db.file import FileView
    from gateway.cyrus.db.twom.format import Checksum

# One read fetches a whole record of the mailbox list, in nearly all cases.
READ_AHEAD = 512  # only a bound


class KeyPosition:
    """Where a key stands: the record with its pointers, and its newest version.

    `newest` is the record itself, or the DELETE in front of it.
    """

    __slots__ = ("newest", "record")

    def __init__(self, record: TwomRecord, newest: TwomRecord) -> None:
        self.record = record
        self.newest = newest


class Walk:
    """The records of `view`; `end` is where the committed ones end, in each call."""

    def __init__(self, view: FileView, checksum: Checksum | None) -> None:
        self._view = view
        self._checksum = checksum

    def record(self, offset: int, end: int, *, head: bool = True) -> TwomRecord:
        """The checked record at `offset`, all of which must be before `end`."""
        if offset + SMALLEST_RECORD > end or offset & 7 or offset < DUMMY_OFFSET:
            raise DatabaseDamaged(
                self._view.path, f"a pointer leads to {offset}; records end at {end}"
            )
        block = self._view.read(offset, min(READ_AHEAD, end - offset))
        size = record_size(block, offset, self._view.path)
        if size > end - offset:
            raise DatabaseDamaged(
                self._view.path, f"record at {offset}: its {size} bytes pass {end}"
            )
        # same with <: one reading more
        block = block[:size] if size <= len(block) else self._view.read(offset, size)
        return TwomRecord(block, offset, self._view.path, self._checksum, head=head)

    def seek(self, key: bytes, end: int) -> KeyPosition | None:
        """The first place at or behind `key`.

        Each step must lead to a higher key, so that a damaged file cannot make
        a circle.
        """
        here = self.record(DUMMY_OFFSET, end)
        if here.type != DUMMY:
            raise DatabaseDamaged(self._view.path, "the first record is not a DUMMY")
        # same with 1: no record begins there
        ahead = 0  # seen to be at or behind `key` already, a level above
        # same with 2: the highest level only shortens the way
        for level in range(here.level - 1, 0, -1):
            while True:
                offset = here.pointers[level + 1]
                if not offset or offset == ahead or offset >= end:
                    break
                there = self.record(offset, end)
                self._check_step(here, there, level)
                if there.key >= key:
                    ahead = offset
                    break
                here = there
        place = self.next(here, end)
        while place is not None and place.record.key < key:
            place = self.next(place.record, end)
        return place

    def next(self, here: TwomRecord, end: int) -> KeyPosition | None:
        """The place behind `here` at level 0."""
        offset = here.next0(end)
        if not offset:
            return None
        newest = there = self.record(offset, end)
        if newest.type == DELETE:
            there = self.record(newest.ancestor, end)
        self._check_step(here, there, 0)
        return KeyPosition(there, newest)

    def _check_step(self, here: TwomRecord, there: TwomRecord, level: int) -> None:
        if not HAS_TAIL[there.type] or there.level <= level or there.key <= here.key:
            raise DatabaseDamaged(
                self._view.path,
                f"the pointer of level {level} of the record at {here.offset} leads to the record"
                f" at {there.offset}, which cannot follow it",
            )

    def log(self, start: int, end: int) -> Iterator[TwomRecord]:
        """All records from `start` to `end`, as they were written; their heads may be in motion."""
        while start < end:
            record = self.record(start, end, head=False)
            yield record
            start += record.size
