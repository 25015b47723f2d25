"""Reads twom, the database format of Cyrus IMAP 3.14 (lib/twom.c), without a lock.

Promise: exactly the committed state, whether a writer is at work, is stopped
or has died in the middle of a transaction.  Why a walk without a lock can
promise that:

1. A transaction only appends records behind the header's `end` (its
   current_size), and then moves `end` behind its COMMIT.  What lies in front
   of `end` never changes again, but for forward pointers and the checksum of
   the head that they are in.
2. Of the two pointers of level 0 a transaction overwrites only the one that is
   not in use (twom.c: _setloc0), with an offset at or behind `end`.  While
   `end` stands, the other one is the committed successor.
3. A pointer of a higher level is overwritten in place, with an offset at or
   behind `end`, or, when an aborted transaction is cleaned up, with that of the
   committed record in that place.  Such a pointer only shortens the way: one
   that lies behind `end` is not followed, and the walk goes on a level below.
4. So a walk is right if `end` did not move while it ran.  The header is read
   before and after; generation, number of commits and `end` only ever grow
   within one file, so equal means that nothing was committed in between.  A
   walk that saw the header move starts over.
5. A head that is read while its writer is between pointer and checksum looks
   damaged.  The walk is repeated; if the head stays that way and the header is
   DIRTY (the writer was stopped or killed just there), or if the header moves
   time and again, the answer is read from the log instead: records follow each
   other in the order of the commits, and their tails have checksums of their
   own that never change.  With a clean header it is damage.

What is remembered (`state`, `changes`) rests on a log that only grows, and an administrator
may restore a backup over it in place.  The header does not tell: uuid, generation,
number of commits and `end` are the same where the backup is of the same
generation and has been committed to as often and as much.  So the end of the log
is compared in place before anything remembered is believed, as soon as the header
or the file's times are not what they were: gateway/cyrus/db/history.py has the
argument.  Commits are written through memory and may not show in the times; a restore
is written by system calls, and does.

A repack writes a new file and renames it; the old one, which this object
holds, keeps its last state.  The owner of this object watches the path.

Limits: a record that a walk steps on and that is damaged fails the walk, even
if another record was asked for, because its key cannot be trusted; without
checksums in the file (the NULL engine) damage is found only where lengths,
bounds or key order contradict each other.
"""

from __future__ import annotations

from time import sleep

from gateway.cyrus.db.base import Description
from gateway.cyrus.db.history import History, LogDatabase
from gateway.cyrus.db.twom.format import (
    COMMIT,
    DELETE,
    DUMMY_OFFSET,
    FILE_MARK,
    FIRST_RECORD,
    HEADER_SIZE,
    MAGIC,
    TwomHeader,
    TwomRecord,
    file_checksum,
    mark_end,
    measure,
    state_mark,
)
from gateway.cyrus.db.twom.walk import Walk
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import TypeVar

    from gateway.cyrus.db.file import FileView

    T = TypeVar("T")

# A header is written in well under a microsecond, but its writer may lose its
# processor for a time slice in the middle.  One that contradicts its checksum at
# this many looks, with a pause of so many seconds after each, is damaged.
HEADER_LOOKS = 20  # only a bound
HEADER_PAUSE = 0.001
# Walks before the log is read instead; a walk fails only if a commit falls into it.
WALKS = 8  # only a bound
# Records that `items` takes between two looks at the header.
BATCH = 256  # only a bound
# `changes` gives up on more log than this; reading again is then no dearer.
CHANGES_LIMIT = 1 << 20  # only a bound


class Twom(LogDatabase):
    """A twom file as a gateway.cyrus.db.base.Database.

    `mboxsort` is accepted for the sake of the other formats: Cyrus orders the
    keys of a twom file by their bytes, always (lib/cyrusdb_twom.c).
    Raises DatabaseDamaged where `view` is not a twom file.
    """

    format = "twom"

    # same with True: the argument is ignored
    def __init__(self, view: FileView, *, mboxsort: bool = False) -> None:
        self._view = view
        self._checksum = file_checksum(view.read(0, HEADER_SIZE), view.path)
        self._walk = Walk(view, self._checksum)
        self._history = History(measure, DUMMY_OFFSET, 8)
        self._file = b""  # uuid and generation
        self._header()

    def state(self, key: bytes | None = None) -> Hashable:
        """The token of the committed state: two system calls where nothing is new.

        The header's checksum is not looked at there: one that is read while it
        is written gives a token that equals no other.
        """
        view, history = self._view, self._history
        block = view.read(0, HEADER_SIZE)
        if not block.startswith(MAGIC):
            raise DatabaseDamaged(self.path, "the file no longer begins with twom's magic bytes")
        if not history.is_quiet(view, block):
            header = self._header()
            file = header.state[:FILE_MARK]
            if not history.prove(view, header.end, same=file == self._file):
                self._file = file
        return (view.identity, state_mark(block), history.token)

    def count(self) -> int:
        """By the header."""
        return self._header().records

    def describe(self) -> Description:
        """Size, generation and records, by the header."""
        header = self._header()
        return Description(self.format, self._view.size(), header.generation, header.records)

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""

        def find(end: int) -> bytes | None:
            place = self._walk.seek(key, end)
            if place is None or place.record.key != key or place.newest.type == DELETE:
                return None
            return place.newest.value

        if not key:
            return None
        return self._settled(find, lambda end: self._replay(end, key).get(key))

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, as of one committed state.

        Later commits do not show: each record leads back to its older versions.
        """
        snapshot = self._header().end
        after: bytes | None = None

        def batch(end: int) -> list[tuple[bytes, bytes | None]]:
            return self._batch(prefix, after, end, snapshot)

        def replayed(_end: int) -> list[tuple[bytes, bytes | None]]:
            found = self._replay(snapshot, None).items()
            return sorted((k, v) for k, v in found if k.startswith(prefix) and k > (after or b""))

        while True:
            found = self._settled(batch, replayed)
            for key, value in found:
                if value is not None:
                    yield key, value
            if len(found) < BATCH:
                return
            after = found[-1][0]

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """The keys that were written or deleted since `state()` gave `since`.

        None where that cannot be told: another file, or too much log.
        Read the new `state()` first, then ask: what is committed in between is
        then named now and once more the next time.
        """
        if self.overwritten or not (isinstance(since, tuple) and len(since) == 3):
            return None
        if (since[0], since[2]) != (self._view.identity, self._history.token):
            return None
        header = self._header()
        end = header.end
        start = mark_end(since[1], header)
        # same with < in place 3: a bound of work
        if start is None or not FIRST_RECORD <= start <= end <= start + CHANGES_LIMIT:
            return None
        keys = set()
        for record in self._walk.log(start, end):
            if record.type == DELETE:
                keys.add(self._walk.record(record.ancestor, end, head=False).key)
            elif record.type != COMMIT:
                keys.add(record.key)
        return frozenset(keys)

    def _header(self) -> TwomHeader:
        """The header, read until it agrees with its checksum."""
        looks = HEADER_LOOKS
        while True:
            try:
                return TwomHeader(self._view.read(0, HEADER_SIZE), self.path, self._checksum)
            except DatabaseDamaged:
                looks -= 1
                if not looks:
                    raise
                self._view.counts.retries += 1
                sleep(HEADER_PAUSE)

    def _settled(self, walk: Callable[[int], T], replay: Callable[[int], T]) -> T:
        """What `walk` finds in one committed state; points 4 and 5 of the docstring above."""
        # same with 1: one walk less before it is damaged
        at_rest = 0  # walks that failed with nobody at work
        for _ in range(WALKS):
            fault: DatabaseDamaged | None = None
            before = self._header()
            try:
                found = walk(before.end)
            except DatabaseDamaged as damage:
                fault = damage
            after = self._header()
            if after.state != before.state:
                self._view.counts.retries += 1
                continue
            if fault is None:
                return found
            at_rest += not (before.dirty or after.dirty)
            if at_rest == WALKS:
                raise fault
        return replay(self._header().end)

    def _batch(
        self, prefix: bytes, after: bytes | None, end: int, snapshot: int
    ) -> list[tuple[bytes, bytes | None]]:
        """Up to BATCH keys from `prefix` on, or behind `after`, with their values at `snapshot`.

        The value is None where the key did not exist then.
        """
        place = self._walk.seek(prefix if after is None else after, end)
        if place is not None and place.record.key == after:
            place = self._walk.next(place.record, end)
        found: list[tuple[bytes, bytes | None]] = []
        # same with <=: a bound of work
        while place is not None and len(found) < BATCH and place.record.key.startswith(prefix):
            version: TwomRecord | None = place.newest
            while version is not None and version.offset >= snapshot:
                version = self._walk.record(version.ancestor, end) if version.ancestor else None
            deleted = version is None or version.type == DELETE
            found.append((place.record.key, None if deleted or version is None else version.value))
            place = self._walk.next(place.record, end)
        return found

    def _replay(self, end: int, only: bytes | None) -> dict[bytes, bytes]:
        """What the log up to `end` says (of the key `only`, where given); it reads all of it."""
        values: dict[bytes, bytes] = {}
        keys: dict[int, bytes] = {}
        for record in self._walk.log(FIRST_RECORD, end):
            if record.type == DELETE:
                values.pop(keys.pop(record.ancestor, b""), None)
            elif record.type != COMMIT and (only is None or record.key == only):
                values[record.key] = record.value
                keys[record.offset] = record.key
        return values
