"""The part of an index that never changes: one entry a record, sorted, 8 bytes each.

An entry is 32 bits of the key's hash and, below them, 32 bits of where its record begins, in
steps of 8 bytes: sorted, those of one hash are together, the oldest first.  `starts`
tells where the entries of each bucket (the hash's first bits) begin.

The hash is CRC-32: it is the same in every process, so that one makes a run and
others use it (shared.py).  Users that may choose names can choose some that collide;
what that costs is bounded where candidates are read (index.py).

A `Merge` makes a run of an earlier one and of what was added since, in pieces.
"""

from __future__ import annotations

from array import array
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Bits of the hash that do not choose the bucket: 4096 buckets, of some 250 entries each where
# there are a million records.
SHIFT = 20  # only a bound

# What of an entry is the place.
PLACE = 0xFFFFFFFF

# Entries that one step sorts: about 2 ms of work.
SORTED_PER_STEP = 16384  # only a bound

# The hash of a key: 32 bits.
code_of = crc32


class Buckets(dict[int, "array[int]"]):
    """Entries by bucket; a bucket is there as soon as it is looked for."""

    __slots__ = ()

    def __missing__(self, bucket: int) -> array[int]:
        made = self[bucket] = array("Q")
        return made


class KeyRun:
    """`entries` of a file's records up to `end`, sorted; `suspects` are places, sorted.

    What suspects are, index.py says.  `shift` is the SHIFT that it was made with.
    """

    __slots__ = ("end", "entries", "shift", "starts", "suspects")

    def __init__(
        self,
        entries: memoryview,
        starts: memoryview,
        suspects: memoryview,
        *,
        end: int,
        shift: int,
    ) -> None:
        self.entries = entries
        self.starts = starts
        self.suspects = suspects
        self.end = end
        self.shift = shift

    @classmethod
    def empty(cls) -> KeyRun:
        """That of no record."""
        nothing = memoryview(array("Q"))
        # same with 2: more places than needed
        starts = memoryview(array("I", bytes(4 * (bucket_count(SHIFT) + 1))))
        return cls(nothing, starts, nothing, end=0, shift=SHIFT)


def bucket_count(shift: int) -> int:
    """How many buckets there are."""
    return 1 << 32 - shift  # same with 2, 33: more places than needed


class Merge:
    """A new run of the entries of `run` and those in `buckets`, up to `end`, step by step.

    Nothing may be added to `buckets` meanwhile; both can be searched as before.
    """

    __slots__ = ("_bucket", "_buckets", "_end", "_entries", "_run", "_starts")

    def __init__(self, run: KeyRun, buckets: Mapping[int, array[int]], end: int) -> None:
        self._run = run
        self._buckets = buckets
        self._end = end
        self._entries = array("Q")
        self._starts = array("I", [0])
        self._bucket = 0

    def step(self) -> KeyRun | None:
        """Do a piece; the new run once it is made."""
        entries, starts, run = self._entries, self._starts, self._run
        begun = len(entries)
        count = bucket_count(run.shift)
        # same with <= in place 2: a bound of work
        while self._bucket < count and len(entries) - begun < SORTED_PER_STEP:
            bucket = self._bucket
            old = run.entries[run.starts[bucket] : run.starts[bucket + 1]]
            added = self._buckets.get(bucket)
            if added is None:
                entries.frombytes(old.cast("B"))
            else:
                entries.extend(array("Q", sorted([*old, *added])))
            starts.append(len(entries))
            self._bucket += 1
        if self._bucket < count:
            return None
        # Of its own memory: what the old run is in may be given back.
        suspects = array("Q", run.suspects.tobytes())
        return KeyRun(
            memoryview(entries),
            memoryview(starts),
            memoryview(suspects),
            end=self._end,
            shift=run.shift,
        )
