"""The bytes of a skiplist file: its header and its records (Cyrus: lib/cyrusdb_skiplist.c).

Pure parsing of bytes; skiplist.py reads the file and says which bytes may
change meanwhile.

All numbers are big-endian, 32 bits wide, and all records begin at a multiple
of four.  A file is a header of 48 bytes, a DUMMY record in front of all keys,
the INORDER records of the last checkpoint, sorted and end to end, and from
`log_start` on the log: ADD and DELETE records, and a COMMIT behind each
transaction.  A record with a key ends with its forward pointers and a word of
ones; nothing else tells how many pointers there are.

Limits: the format has no checksum.  Damage is found where lengths, types,
bounds or key order contradict each other, and not inside a key or a value.
"""

from __future__ import annotations

from struct import Struct, unpack_from

from gateway.errors import DatabaseDamaged, DatabaseUnavailable

MAGIC = b"\xa1\x02\x8b\x0dskiplist file\0\0\0"
# magic, version, minor version, highest level, current level, records, log start, last recovery
HEADER = Struct(">20s7I")
VERSION = 1
MAX_LEVEL = 20

INORDER = 1
ADD = 2
DELETE = 4
COMMIT = 255
DUMMY = 257

DUMMY_OFFSET = HEADER.size
# Bytes of each field of a record; records begin at a multiple of it.
WORD = 4
_DUMMY_HEAD = 3 * WORD  # type and two lengths
# No record with a key is shorter: type, two lengths, and the ones.
SHORTEST = 4 * WORD  # only a bound
# The word behind the pointers.
ONES = b"\xff\xff\xff\xff"
COMMIT_WORD = b"\0\0\0\xff"
# Offsets have 32 bits, so no length can honestly come near this.
LENGTH_LIMIT = 1 << 31  # only a bound

# The order of keys: bytes compare as signed numbers (compare_signed), so what
# is above 127 comes first.  Keys compare as their translations by this do.
SIGNED_ORDER = bytes(byte ^ 0x80 for byte in range(256))


class SkiplistHeader:
    """Where the parts of the file begin: the first INORDER record, and the log."""

    __slots__ = ("_recovered", "first", "levels", "log_start")

    def __init__(self, block: bytes, path: str) -> None:
        magic, version, minor, levels, _, _, log_start, recovered = HEADER.unpack(block)
        if magic != MAGIC:
            raise DatabaseDamaged(path, "the file does not begin with skiplist's magic bytes")
        if version != VERSION:
            raise DatabaseUnavailable(
                path, f"skiplist version {version}.{minor}: only version {VERSION} is known here"
            )
        if not 1 <= levels <= MAX_LEVEL:
            raise DatabaseDamaged(path, f"the header claims {levels} levels of at most {MAX_LEVEL}")
        self.levels: int = levels
        # The DUMMY record: type, two lengths of zero, its pointers, the ones.
        self.first = DUMMY_OFFSET + _DUMMY_HEAD + WORD * levels + len(ONES)
        self.log_start: int = log_start
        self._recovered: int = recovered  # when (time_t) a checkpoint or recovery wrote the file
        if log_start < self.first or log_start % 4:
            raise DatabaseDamaged(path, f"the header says that the log begins at {log_start}")

    def is_of(self, block: bytes) -> bool:
        """Whether `block`, a header, is of the same checkpoint; levels and count may differ."""
        if len(block) != HEADER.size:
            return False
        *_, log_start, recovered = HEADER.unpack(block)
        return (log_start, recovered) == (self.log_start, self._recovered)


class Incomplete(Exception):
    """The block ends inside a record, which has `need` bytes or more."""

    def __init__(self, need: int) -> None:
        self.need = need
        super().__init__(need)


def measure(block: bytes, at: int) -> tuple[int, int, int, int, int]:
    """Where the parts of the record with a key stand that begins at `at` in `block`.

    The key begins at `at` + 8.  Returned are: the key's end, the value's begin
    and end, where the pointers begin, and the record's end behind the word of
    ones.  Raises Incomplete, and ValueError for nonsense.
    """
    size = len(block)
    key = at + 8
    if key > size:
        raise Incomplete(8)  # same with 9: every record has nine bytes
    key_length: int = _WORD(block, at + 4)[0]
    value = key + ((key_length + 3) & ~3) + 4
    if key_length >= LENGTH_LIMIT:
        raise ValueError(f"a key of {key_length} bytes")
    if value > size:
        raise Incomplete(value - at)
    value_length: int = _WORD(block, value - 4)[0]
    if value_length >= LENGTH_LIMIT:
        raise ValueError(f"a value of {value_length} bytes")
    first = value + ((value_length + 3) & ~3)
    limit = first + 4 * MAX_LEVEL + 4  # same with 5 in place 2: no word of ones ends there
    # A pointer may end with the bytes that the word of ones begins with.
    ones = block.find(ONES, first, limit)
    # same with +: the pointers begin at a multiple of four themselves
    while ones != -1 and (ones - first) & 3:
        ones = block.find(ONES, ones + 1, limit)
    if ones == -1 and limit > size:
        raise Incomplete(max(first + 8, size + 1) - at)
    if ones <= first:
        raise ValueError(f"not one to {MAX_LEVEL} pointers")
    return key + key_length, value, value + value_length, first, ones + 4


def outline(data: bytes, at: int, first: bool) -> tuple[int, int, int] | None:
    """See gateway/cyrus/db/history.py: of a record with a key, its pointers may change."""
    size = len(data)
    if at + 4 > size:
        return None
    type_ = word(data, at)
    if type_ in _WITH_KEY:
        try:
            _, _, _, pointers, end = measure(data, at)
        except (Incomplete, ValueError):
            return None
        return end, pointers, end - 4
    length = _LENGTHS.get(type_)
    if first or length is None or at + length > size:
        return None
    return at + length, at, at


_WITH_KEY = frozenset((INORDER, ADD, DUMMY))
# Of the records without a key; words of zero are passed over in the log.
_LENGTHS = {DELETE: 8, COMMIT: 4, 0: 4}

_WORD = Struct(">I").unpack_from


def word(block: bytes, at: int) -> int:
    """The number of 32 bits at `at`."""
    number: int = _WORD(block, at)[0]
    return number


def words(block: bytes, start: int, end: int) -> tuple[int, ...]:
    """The numbers of 32 bits from `start` to `end`."""
    return unpack_from(f">{(end - start) // 4}I", block, start)
