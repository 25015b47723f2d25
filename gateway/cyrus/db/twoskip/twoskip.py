"""Reads twoskip databases without a lock, while Cyrus writes them.

What it promises: every answer is the committed state at some instant between
the call and its return, or an exception; never an uncommitted or aborted
change, never a mixture of two commits.  Why that holds (lib/cyrusdb_twoskip.c):

- A transaction appends records at or behind the header's current size, here
  called `end`, then rewrites the heads of older records so that they point to
  the new ones, and commits by writing the header with a larger `end`.
- On the lowest level each record has two pointers, and a transaction only
  replaces one that is older or not yet committed.  So the newest pointer below
  `end` always is the committed one.
- Above it, pointers of an open transaction may lead to `end` or behind (they
  are ignored, which costs a few steps) or past a record that it deletes (which
  the lowest level still finds).  They never lead to a dead committed record.
- The second commit after the header was read may replace pointers that this
  reading needs.  So the header is read again afterwards: where generation or `end`
  differ, the reading starts over.  `end` only grows within one file.
- DIRTY says that a transaction is open or died; the last commit stands.

A head that is read while it is being written fails its checksum and is read again.
A search proves that a key is absent by the checksums of every key it
compared, so a damaged key never makes "no such record" of another one.

What is remembered (`state`, `changes`, the index, the waypoints) rests on the file being a log that
only grows, and a backup may be restored over it in place.  The header does
not tell: generation, number of records and size are the same where the backup is
of the same generation and as much has been committed since.  So the end of the
log is compared in place before anything remembered is believed, as soon as the
header or the file's times are not what they were: gateway/cyrus/db/history.py
has the argument.  Two histories with a different generation or size at the last
repack are never taken for one.  A look-up without index and waypoints remembers nothing;
the same bytes of the header before and after it enclose no restore, which empties or
rewrites the file from its first block on.

Where it ends: a repack makes a new file and renames it into place, and the old
one never changes again; the owner of a Twoskip looks at the path's inode
(gateway/cyrus/db/reopening.py does).  Bytes that are overwritten in place by
something other than Cyrus are noticed where a checksum covers them.
"""

from __future__ import annotations

import os

from gateway.cyrus.db.base import Description
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.history import History, LogDatabase
from gateway.cyrus.db.order import Ascent, orders
from gateway.cyrus.db.twoskip.format import (
    HEADER_SIZE,
    START,
    STEP,
    TwoskipHeader,
    TwoskipRecord,
    committed,
    measure,
)
from gateway.cyrus.db.twoskip.snapshot import Snapshot
from gateway.errors import DatabaseDamaged, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import TypeVar

    from gateway.cyrus.db.twoskip.index import KeyIndex
    from gateway.cyrus.db.twoskip.indexmaker import IndexMaker
    from gateway.cyrus.db.twoskip.waypoints import Waypoints

    T = TypeVar("T")

# How often a reading starts over because a commit came in between.  A commit on
# a real disk takes longer than a look-up; only a writer without fsync, on a memory
# file system, gets past a few of these.
ATTEMPTS = 100  # only a bound

# How often the same committed state has to look damaged before it is called so: a head
# that is being rewritten at that moment looks damaged too, for microseconds.
DAMAGED_ATTEMPTS = 8

# How many records `items` reads under one look at the header.
BATCH = 256  # only a bound

# The longest piece of the log, in bytes, that `changes` reads, in some 5 ms: beyond it, to forget
# everything is cheaper than to keep a client waiting.
LOG_LIMIT = 192 * 1024  # only a bound

# Upper levels that are let go at once, in some 2 ms, when there is an index.
_RELEASED = 4096  # only a bound

# Records from which on another process had better make the index: 40 ms of work in this one.
SHARED_FROM = 20_000  # only a bound


class Twoskip(LogDatabase):
    """The Database of one open twoskip file (see gateway/cyrus/db/base.py).

    `mboxsort` names the sort order that is tried first (imapd.conf's
    improved_mboxlist_sort); the order that the file has decides.

    Nothing is cached but for an index, if `prepare` is called, and until that is made,
    or where it cannot be, the upper levels of one state (waypoints.py), if
    `state` is.  Measured with 200 000 records of 37 byte keys and 106 byte values (38 MB,
    in the page cache), CPython 3.11, one core: without either 60 us and 27 system calls a
    look-up, with the upper levels 18 us, with the index 5 us for a key that is there and 2 us
    for one that is not.  `state` takes 2 us, and 6 to 35 us after a commit;
    `items` 6 us a record.
    """

    __slots__ = (
        "_file",
        "_index",
        "_maker",
        "_orders",
        "_seen",
        "_waypoints",
    )

    format = "twoskip"
    told_by_kernel = True

    # same with True: the file's own order decides
    def __init__(self, view: FileView, *, mboxsort: bool = False) -> None:
        self._view = view
        self._orders = orders(mboxsort)
        self._index: KeyIndex | None = None
        self._seen = b""  # the header's bytes at the last look
        self._waypoints: Waypoints | None = None
        self._history = History(measure, HEADER_SIZE, STEP)
        self._file: tuple[int, int] | None = None  # generation and size at the last repack
        self._maker: IndexMaker | None = None

    def state(self, key: bytes | None = None) -> Hashable:
        """The header's bytes and the history's token: two system calls where nothing is new.

        The bytes are not checked.  A header that was read in the middle of its
        writing, or is damaged, equals no sound one: its checksum differs.
        """
        if self._waypoints is None:
            # A caller asks for this again and again, or never; then it does not pay for it.
            from gateway.cyrus.db.twoskip.waypoints import Waypoints  # noqa: PLC0415

            self._waypoints = Waypoints(self._view, self._orders[0])
        return self._look(), self._history.token

    def _look(self) -> bytes:
        """The header's bytes; what is remembered of another history is forgotten."""
        view, history = self._view, self._history
        raw = self._seen = view.read(0, HEADER_SIZE)
        if history.is_quiet(view, raw):
            return raw
        try:
            header = TwoskipHeader(view.path, raw)
        except DatabaseDamaged:
            return raw  # in the middle of its writing, or damaged: it says nothing about the log
        file = (header.generation, header.repack_size)
        if not history.prove(view, header.end, same=file == self._file):
            self._file = file
            self._index = None
        return raw

    def count(self) -> int:
        """By the header."""
        return self._header().records

    def describe(self) -> Description:
        """Size, generation and records, by the header."""
        header = self._header()
        return Description(self.format, self._view.size(), header.generation, header.records)

    def _header(self) -> TwoskipHeader:
        return TwoskipHeader(self.path, self._view.read(0, HEADER_SIZE))

    def known_absent(self, key: bytes) -> bool:
        """Whether the index shows that the state which `state` saw last has no record `key`."""
        index = self._index
        if index is None or not index.ready:
            return False
        if index.header != self._seen:
            try:
                if not index.follow(self._seen):
                    self._index = None
                    return False
            except DatabaseDamaged:
                return False
        return index.ready and not index.may_hold(key)

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""
        if not key:
            return None
        if self._index is not None and self._index.ready:
            known, value = self._by_index(self._index, key, self._look())
            if known:
                return value
        elif self._waypoints is not None and not self.overwritten:
            known, value = self._by_waypoints(self._waypoints, key)
            if known:
                return value
        return self._consistently(lambda snapshot: snapshot.get(key))

    def get_seen(self, key: bytes) -> bytes | None:
        """As `get`, for a caller that has called `state` since the question came.

        It is what the state that was seen then has, or a later one; the header is not
        looked at once more before.
        """
        known, value = False, None
        if self._index is not None and self._index.ready and key:
            known, value = self._by_index(self._index, key, self._seen)
        # same with is: `get` says the same
        elif self._waypoints is not None and not self.overwritten and key:
            known, value = self._by_waypoints(self._waypoints, key, self._seen)
        return value if known else self.get(key)

    def build_index_step(self, *, alone: bool = True) -> bool:
        """As any Database's, in about 2 ms.  See gateway/cyrus/db/twoskip/indexmaker.py."""
        maker = self._index_maker()
        if maker.given_up:
            return False
        raw = self._look()
        self._index = maker.step(self._index, raw, alone=alone)
        ready = self._index is not None and self._index.ready
        return maker.more or (ready and self._release_waypoints())

    def offer_index(self, descriptor: int) -> None:
        """As any Database's."""
        self._index_maker().offer(descriptor, self._index)

    @property
    def index_wanted(self) -> str:
        """As any Database's: not for a file that this process reads in a moment."""
        wanted = self._index_maker().is_wanted(self._index) and self.count() >= SHARED_FROM
        return self.path if wanted else ""

    def export_index(self) -> int | None:
        """The descriptor of a sealed copy of the index, once it is built; None where it is not.

        What was appended since is its user's to read, however much that is.
        """
        from gateway.cyrus.db.twoskip.shared import export  # noqa: PLC0415

        raw, index = self._look(), self._index
        return None if index is None else export(index, self._view, raw, self._history.tail)

    def _index_maker(self) -> IndexMaker:
        if self._maker is None:
            # A process that lives for one question does not pay for it.
            from gateway.cyrus.db.twoskip.indexmaker import IndexMaker  # noqa: PLC0415

            self._maker = IndexMaker(self._view)
        return self._maker

    def _release_waypoints(self) -> bool:
        """Let go of some, which are not needed beside an index; False if none is left."""
        waypoints = self._waypoints
        if waypoints is None:
            return False
        waypoints.forget()
        return waypoints.release(_RELEASED)

    def _by_index(self, index: KeyIndex, key: bytes, raw: bytes) -> tuple[bool, bytes | None]:
        """Whether the index knows about `key` in the state `raw`, and then its value or None."""
        view = self._view
        try:
            if self._index is not index or (raw != index.header and not index.follow(raw)):
                self._index = None
                return False, None
            if not index.ready:
                return False, None  # it has to catch up
            candidates = index.candidates(key)
            for offset in candidates:
                record = TwoskipRecord.read(view, offset, index.end)
                if record.key == key:
                    if index.may_be_deleted(record) or self.overwritten:
                        return False, None
                    return True, record.value(view)
                record.value(view)  # another key of the same hash, or this one damaged
                if not index.is_hash_of(record.key, key):
                    return False, None  # the file is being overwritten, since that look
            # same with or: the search without the index says the same
            if candidates and index.is_partial(candidates):
                return False, None  # names that were chosen to collide: the search costs less
        except DatabaseDamaged:
            # Read while it was being written, or damaged: the search finds out.
            return False, None
        return True, None

    def _by_waypoints(
        self, waypoints: Waypoints, key: bytes, seen: bytes | None = None
    ) -> tuple[bool, bytes | None]:
        """Whether one committed state was seen, and then the value of `key` in it, or None.

        It is the one with the header `seen`, which was looked at, or the one that there is now.
        """
        view = self._view
        try:
            raw = self._look() if seen is None else seen
            waypoints.move_to(raw, self._history.token)
            snapshot = Snapshot.by(waypoints, view, self._orders)
            value = snapshot.get(key)
        except DatabaseDamaged:
            # Read while it was being written, or damaged: the search without memory finds out.
            return False, None
        if committed(view.peek(0, HEADER_SIZE)) != committed(raw):
            return False, None
        if snapshot.read:
            waypoints.keep(snapshot.read)
        return True, value

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, in the file's order.

        Up to `BATCH` records at a time are of one committed state.  Between
        batches a commit may come in, as between the callbacks of Cyrus' own
        foreach: what is yielded was committed when it was read, and no key
        comes twice or is left out that was there all the time.
        """
        ascent = Ascent(None, self._orders)
        while True:
            last = ascent
            records, ascent = self._consistently(
                lambda snapshot: snapshot.batch(prefix, last, BATCH)  # noqa: B023 (called at once)
            )
            yield from records
            if len(records) < BATCH:
                return

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """The keys that commits have written since `since`, an earlier `state()` of this file.

        Keys that were not written may be among them.  None where it cannot be
        told: the state is of another generation or too long ago, or records
        were deleted in a way that does not show which.
        """
        if self.overwritten or not isinstance(since, tuple) or since[1] != self._history.token:
            return None
        try:
            before = TwoskipHeader(self.path, since[0])
        except DatabaseDamaged:
            return None  # Read in the middle of its writing: no state that the file ever had.

        def read_log(snapshot: Snapshot) -> frozenset[bytes] | None:
            now = TwoskipHeader(self.path, self._view.read(0, HEADER_SIZE))
            if now.generation != before.generation:
                return None
            if not before.end <= snapshot.end <= before.end + LOG_LIMIT:
                return None
            return snapshot.written(before.end)

        return self._consistently(read_log)

    def _consistently(self, read: Callable[[Snapshot], T]) -> T:
        """What `read` makes of one committed state.

        Raises `DatabaseDamaged` where that state is damaged, and
        `DatabaseUnavailable` where commits come too fast to read between them.
        """
        view = self._view
        damaged = 0
        for _attempt in range(ATTEMPTS):
            start = view.peek(0, START)
            fault: DatabaseDamaged | None = None
            try:
                end = TwoskipHeader(view.path, start).end
                result = read(Snapshot.at(view, start, end, self._orders))
            except DatabaseDamaged as error:
                fault = error
            now = view.peek(0, HEADER_SIZE)
            # Flags and count change without a commit.
            if committed(now) != committed(start):
                view.counts.retries += 1
                continue
            if fault is None:
                return result
            damaged += 1
            if damaged == DAMAGED_ATTEMPTS:
                raise fault
            view.counts.retries += 1
            os.sched_yield()
        raise DatabaseUnavailable(
            view.path, f"was committed to during each of {ATTEMPTS} attempts to read it"
        )
