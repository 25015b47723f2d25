"""An index of a twoskip file's keys, for processes that live long enough to build one.

A search through the skip list takes some 25 system calls.  With this index a
key that is not there costs none, and one that is there costs one.  It rests
on what twoskip promises: between two repacks the file is a log, records are
appended and never change but for their pointers.

- Every record below `end` is in the index, the deleted and the replaced ones
  too: what is not in it is not in the file.  So "there is none" is safe
  whatever happened to pointers.
- Of several records of one key the last one counts.  It is live unless it was
  deleted behind its place.  A delete record names the successor of the
  deleted record and not that record, but the deleted one keeps pointing to
  that successor, or to the delete record of one in between.  A record that points to
  neither is live; one that does may be, and the skip list tells.  Those places are suspects.
- All bytes that are read pass their checksums; where one fails there is no
  index, and every look-up walks.
- It is of one history of the file: its reader compares the end of the log in
  place before each use, and drops it where that is another one (history.py).

Most of it is one sorted run that never changes (keyrun.py) and may be shared by
processes (shared.py); what commits have appended since is kept apart, by bucket, and
merged into a new run when there is much of it.  A process without a run reads the file and
merges what there is into an empty one.  All of that goes in steps, a chunk of the file each;
memory is 8 bytes a record and a little more.  Limits: files of up to 32 GiB.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from gateway.cyrus.db.twoskip.format import (
    BLANK,
    COMMIT,
    DELETE,
    DUMMY,
    HEADER_SIZE,
    RECORD,
    TwoskipHeader,
    TwoskipRecord,
    ordinary_keys,
)
from gateway.cyrus.db.twoskip.keyrun import PLACE, Buckets, KeyRun, Merge, code_of
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.file import FileView

# Bytes that one step reads: about 2 ms of work.
CHUNK = 384 * 1024  # only a bound

# Bytes of log that `follow` reads while a client waits for an answer; more is for `step`.
FOLLOWED = CHUNK // 2  # only a bound

# How often in a row what was appended has to look damaged before the index is given up: each
# time a question waits until it has been read.
DAMAGED_ATTEMPTS = 8  # only a bound

# Records that commits have appended before they are merged into a new run.
MOST_RECENT = 65_536  # only a bound

# Records of one hash that are read in search of a key: names that collide can be chosen, and
# beyond these the skip list costs less.
MAX_CANDIDATES = 16  # only a bound

_MAX_SIZE = 8 << 32  # only a bound

# How much of a record is looked at first, in bytes: more than the longest head,
# and mostly all of it.
HEAD = 640  # only a bound


class KeyIndex:
    """The keys of one twoskip file up to `end`.

    `step` builds it; `ready` tells when it may be asked.  `header` are the
    bytes of the header that it agrees with, or will when it is ready.
    """

    __slots__ = (
        "_added",
        "_entries",
        "_failures",
        "_first",
        "_merge",
        "_older",
        "_recent",
        "_run",
        "_shift",
        "_starts",
        "_suspects",
        "_target",
        "_view",
        "end",
        "generation",
        "header",
        "ready",
    )

    def __init__(self, view: FileView, header: bytes = b"", run: KeyRun | None = None) -> None:
        """Without `run` it has to be built; else `header` are the bytes that `run` agrees with.

        Raises `DatabaseDamaged` where there is no sound header.
        """
        self._view = view
        self.header = header if run is not None else view.read(0, HEADER_SIZE)
        parsed = TwoskipHeader(view.path, self.header)
        self.generation = parsed.generation
        self._target = parsed.end
        self.end = HEADER_SIZE if run is None else run.end
        self._recent = Buckets()
        self._older: Buckets | None = None  # what is being merged
        self._merge: Merge | None = None
        # same with 1: one step more at most
        self._added = 0  # records in `_recent`
        self._suspects: set[int] = set()
        self._failures = 0  # to take in what was appended, one after the other
        self._take_run(KeyRun.empty() if run is None else run)
        self._first = run is None  # nothing is sorted yet
        self.ready = run is not None
        if parsed.end > _MAX_SIZE:  # same with >=: a bound of work
            raise DatabaseDamaged(view.path, "is too large for an index")

    @property
    def run(self) -> KeyRun:
        """The part that does not change."""
        return self._run

    @property
    def suspects(self) -> set[int]:
        """Those that are not in the run's."""
        return self._suspects

    @property
    def outgrown(self) -> bool:
        """Whether a new run is wanted: there is none, or much was appended since."""
        return self._first or self._added > MOST_RECENT

    def step(self) -> bool:
        """Do a piece of the work; False when nothing is left of it.

        Raises `DatabaseDamaged` where a checksum fails: then there is no index.
        """
        if self.end < self._target:
            self._read(min(self._target, self.end + CHUNK))
            self.ready = not self._first and self.end >= self._target
            return True
        if self._merge is None:
            if not self.outgrown:
                return False  # same with True: one step more at most
            self._older, self._recent, self._added = self._recent, Buckets(), 0
            self._merge = Merge(self._run, self._older, self.end)
        run = self._merge.step()
        if run is None:
            return True
        self._merge = self._older = None
        self._take_run(run)
        self._first = False
        self.ready = True
        return False  # same with True: one step more at most

    def _take_run(self, run: KeyRun) -> None:
        self._run = run
        self._entries, self._starts, self._shift = run.entries, run.starts, run.shift

    def follow(self, raw: bytes) -> bool:
        """Take in what commits have appended; False where another index is needed.

        `raw` are the bytes of the header as it is now.  Where much was appended, the
        index is not `ready` any more until `step` has caught up.  Raises `DatabaseDamaged` where
        what was appended is not sound, a few times in a row: it may be being written.
        """
        header = TwoskipHeader(self._view.path, raw)
        # same with < in place 2: a bound of work
        if header.generation != self.generation or not self.end <= header.end <= _MAX_SIZE:
            return False
        if header.end - self.end > FOLLOWED:
            self._target = header.end
            self.ready = False
        try:
            while self.ready and self.end < header.end:
                self._read(header.end)
        except DatabaseDamaged:
            self._failures += 1
            if self._failures < DAMAGED_ATTEMPTS:
                raise
            return False
        self._failures = 0
        self.header = raw
        return True

    def candidates(self, key: bytes) -> list[int]:
        """The offsets of the records that may be of `key`, the newest first.

        Where there are more than MAX_CANDIDATES, some more of them and not all.
        """
        code = code_of(key)
        first = code << 32
        bucket = code >> self._shift
        found: list[int] = []
        if self._recent or self._older:
            self._find_recent(bucket, first, found)
        starts, entries = self._starts, self._entries
        low = starts[bucket]
        at = bisect_right(entries, first | PLACE, low, starts[bucket + 1]) - 1
        while at >= low and (entry := entries[at]) >= first and len(found) <= MAX_CANDIDATES:
            found.append((entry & PLACE) << 3)
            at -= 1
        return found

    def may_hold(self, key: bytes) -> bool:
        """Whether there are any `candidates`: without a list of them."""
        code = code_of(key)
        first = code << 32
        bucket = code >> self._shift
        starts, entries = self._starts, self._entries
        end = starts[bucket + 1]
        at = bisect_left(entries, first, starts[bucket], end)
        if at < end and entries[at] <= first | PLACE:
            return True
        return bool(self._recent or self._older) and bool(self.candidates(key))

    def _find_recent(self, bucket: int, first: int, found: list[int]) -> None:
        """Add to `found` those that are in no run yet."""
        for buckets in (self._recent, self._older):
            entries = buckets.get(bucket) if buckets else None
            if entries is None:
                continue
            at = bisect_right(entries, first | PLACE) - 1
            while at >= 0 and entries[at] >= first and len(found) <= MAX_CANDIDATES:
                found.append((entries[at] & PLACE) << 3)
                at -= 1

    @staticmethod
    def is_partial(found: list[int]) -> bool:
        """Whether `candidates` has left some out."""
        return len(found) > MAX_CANDIDATES

    @staticmethod
    def is_hash_of(found: bytes, key: bytes) -> bool:
        """Whether a record of the key `found` can be what `candidates` gave for `key`."""
        return code_of(found) == code_of(key)

    def may_be_deleted(self, record: TwoskipRecord) -> bool:
        """Whether `record`, the newest of its key, has to be looked for in the skip list."""
        if not self._suspects and not self._run.suspects:
            return False
        first, second = record.pointers[0], record.pointers[1]
        if first or second:
            return (first > 0 and self._suspected(first)) or (
                second > 0 and self._suspected(second)
            )
        return self._suspected(0)

    def _suspected(self, place: int) -> bool:
        if place in self._suspects:
            return True
        known = self._run.suspects
        at = bisect_left(known, place)
        return at < len(known) and known[at] == place

    def _take(self, key: bytes, offset: int) -> None:
        """Index one record."""
        code = code_of(key)
        bucket = self._recent[code >> self._shift]
        if self._first:
            bucket.append(code << 32 | offset >> 3)
        else:
            insort(bucket, code << 32 | offset >> 3)
            self._added += 1

    def _take_all(self, keys: list[bytes], places: list[int], start: int) -> None:
        """Index many records, before anything is sorted; places count from `start`."""
        buckets, shift = self._recent, self._shift
        for key, place in zip(keys, places, strict=True):
            code = code_of(key)
            buckets[code >> shift].append(code << 32 | start + place >> 3)

    def _read(self, until: int) -> None:
        """Index the records from `end` on, as many as lie below `until` as a whole.

        Where it raises, an index that was ready is as it was.
        """
        view = self._view
        start = self.end
        data = view.read(start, until - start)
        size = len(data)
        limit = max(until, self._target)
        at = 0
        # What of the chunk is committed; behind `limit` a writer may be at work.
        room = min(size, limit - start)  # same with +: no more is read than that
        taken: list[tuple[bytes, int]] = []
        suspects: list[int] = []
        while at < size:
            keys, places, at = ordinary_keys(data, at, room)
            if self._first:
                self._take_all(keys, places, start)
            else:
                taken += zip(keys, (start + place for place in places), strict=True)
            if at == size:
                break
            if data.startswith(BLANK, at):
                at += len(BLANK)
                continue
            # same with <= in place 1: a bound of work
            if at and size - at < HEAD and until < limit:
                break  # the next chunk begins here
            offset = start + at
            record = TwoskipRecord(view.path, data[at : at + HEAD], offset, limit)
            if record.length > HEAD:  # same with >=: a bound of work
                record = TwoskipRecord(view.path, view.read(offset, record.length), offset, limit)
            if record.type == RECORD:
                record.value(view)
                taken.append((record.key, offset))
            elif record.type == DELETE:
                suspects += offset, record.pointers[0]
            elif record.type not in (COMMIT, DUMMY):
                raise DatabaseDamaged(view.path, f"there is an unknown record at {offset}")
            at += record.length
        for key, offset in taken:
            self._take(key, offset)
        self._suspects.update(suspects)
        self.end = start + at
