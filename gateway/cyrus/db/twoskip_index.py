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
  neither is live; one that does may be, and the skip list tells.
- All bytes that are read pass their checksums; where one fails there is no
  index, and every look-up walks.
- It is of one history of the file: its reader compares the end of the log in
  place before each use, and drops it where that is another one (history.py).

The index is built in steps, a chunk of the file each, and kept current by
reading what was appended since.  Its memory is 8 bytes a record and a little
more.  Limits: files of up to 32 GiB.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort

from gateway.cyrus.db.twoskip_format import (
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
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.file import FileView

# Bytes that one step reads: about 2 ms of work.
CHUNK = 384 * 1024

# Bytes of log that `follow` reads while somebody waits for an answer; more is for `step`.
FOLLOWED = CHUNK // 2

# A power of two; a bucket of a million records holds some 250.
_BUCKETS = 4096

# Entries that one step sorts: about 2 ms of work, too.
_SORTED_PER_STEP = 16384

_HASH_MASK = 0xFFFFFFFF
_MAX_SIZE = 8 << 32

# How much of a record is looked at first, in bytes: more than the longest head,
# and mostly all of it.
HEAD = 640


class KeyIndex:
    """The keys of one twoskip file up to `end`.

    `step` builds it; `ready` tells when it may be asked.  `header` are the
    bytes of the header that it agrees with, or will when it is ready.
    """

    __slots__ = (
        "_buckets",
        "_sorted",
        "_suspects",
        "_target",
        "_view",
        "end",
        "generation",
        "header",
        "ready",
    )

    def __init__(self, view: FileView) -> None:
        """Raises `DatabaseDamaged` where there is no sound header."""
        self._view = view
        self.header = view.read(0, HEADER_SIZE)
        header = TwoskipHeader(view.path, self.header)
        self.generation = header.generation
        self._target = header.end
        self.end = HEADER_SIZE
        self._buckets = [array("Q") for _ in range(_BUCKETS)]
        self._sorted = 0
        self._suspects: set[int] = set()
        self.ready = False
        if header.end > _MAX_SIZE:
            raise DatabaseDamaged(view.path, "is too large for an index")

    def step(self) -> bool:
        """Do a piece of the work; False when nothing is left of it.

        Raises `DatabaseDamaged` where a checksum fails: then there is no index.
        """
        if self.ready:
            return False
        if self.end < self._target:
            # Sorted buckets are those of an index that was ready, and has to catch up.
            self._read(min(self._target, self.end + CHUNK), first=not self._sorted)
            return True
        entries = 0
        while entries < _SORTED_PER_STEP and self._sorted < _BUCKETS:
            bucket = self._buckets[self._sorted]
            self._buckets[self._sorted] = array("Q", sorted(bucket))
            self._sorted += 1
            entries += len(bucket)
        self.ready = self._sorted == _BUCKETS
        return not self.ready

    def follow(self, raw: bytes) -> bool:
        """Take in what commits have appended; False where another index is needed.

        `raw` are the bytes of the header as it is now.  Where much was appended, the
        index is not `ready` any more until `step` has caught up.
        """
        header = TwoskipHeader(self._view.path, raw)
        if header.generation != self.generation or not self.end <= header.end <= _MAX_SIZE:
            return False
        if header.end - self.end > FOLLOWED:
            self._target = header.end
            self.ready = False
        while self.ready and self.end < header.end:
            self._read(header.end, first=False)
        self.header = raw
        return True

    def candidates(self, key: bytes) -> list[int]:
        """The offsets of the records that may be of `key`, the newest first."""
        wanted = (hash(key) & _HASH_MASK) << 32
        bucket = self._buckets[(wanted >> 32) % _BUCKETS]
        at = bisect_left(bucket, wanted)
        if at == len(bucket):
            return []
        last = wanted | _HASH_MASK
        found = []
        while at < len(bucket) and bucket[at] <= last:
            found.append((bucket[at] & _HASH_MASK) << 3)
            at += 1
        found.reverse()
        return found

    @staticmethod
    def is_hash_of(found: bytes, key: bytes) -> bool:
        """Whether a record of the key `found` can be what `candidates` gave for `key`."""
        return (hash(found) ^ hash(key)) & _HASH_MASK == 0

    def may_be_deleted(self, record: TwoskipRecord) -> bool:
        """Whether `record`, the newest of its key, has to be looked for in the skip list."""
        if not self._suspects:
            return False
        first, second = record.pointers[0], record.pointers[1]
        suspects = self._suspects
        if first or second:
            return (first and first in suspects) or (second and second in suspects) or False
        return 0 in suspects

    def _take(self, key: bytes, offset: int, *, first: bool) -> None:
        """Index one record."""
        entry = (hash(key) & _HASH_MASK) << 32 | offset >> 3
        bucket = self._buckets[(entry >> 32) % _BUCKETS]
        if first:
            bucket.append(entry)
        else:
            insort(bucket, entry)

    def _take_all(self, keys: list[bytes], places: list[int], start: int) -> None:
        """Index many records, before the buckets are sorted; places count from `start`."""
        buckets, mask, count = self._buckets, _HASH_MASK, _BUCKETS
        for key, place in zip(keys, places, strict=True):
            code = hash(key) & mask
            buckets[code % count].append(code << 32 | start + place >> 3)

    def _read(self, until: int, *, first: bool) -> None:
        """Index the records from `end` on, as many as lie below `until` as a whole."""
        view = self._view
        start = self.end
        data = view.read(start, until - start)
        size = len(data)
        limit = max(until, self._target)
        at = 0
        # What of the chunk is committed; behind `limit` a writer may be at work.
        room = min(size, limit - start)
        while at < size:
            keys, places, at = ordinary_keys(data, at, room)
            if first:
                self._take_all(keys, places, start)
            else:
                for key, place in zip(keys, places, strict=True):
                    self._take(key, start + place, first=False)
            if at == size:
                break
            if data.startswith(BLANK, at):
                at += len(BLANK)
                continue
            if at and size - at < HEAD and until < limit:
                break  # the next chunk begins here
            offset = start + at
            record = TwoskipRecord(view.path, data[at : at + HEAD], offset, limit)
            if record.length > HEAD:
                record = TwoskipRecord(view.path, view.read(offset, record.length), offset, limit)
            if record.type == RECORD:
                record.value(view)
                self._take(record.key, offset, first=first)
            elif record.type == DELETE:
                self._suspects.add(offset)
                self._suspects.add(record.pointers[0])
            elif record.type not in (COMMIT, DUMMY):
                raise DatabaseDamaged(view.path, f"there is an unknown record at {offset}")
            at += record.length
        self.end = start + at
