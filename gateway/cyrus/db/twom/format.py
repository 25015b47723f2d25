"""The bytes of a twom file: its header and its records (Cyrus: lib/twom.c).

Pure parsing: bytes go in, a `TwomHeader` or a `TwomRecord` comes out, or
`DatabaseDamaged` is raised.  Nothing here reads a file; twom.py does, and its
docstring says which bytes may change while they are read.

All numbers are little-endian.  A file is a header of 96 bytes, a DUMMY record
in front of all keys, and then records end to end: ADD and REPLACE (and their
FAT forms with 64-bit lengths) carry a key and a value, DELETE points to the
record that it deletes, COMMIT closes a transaction.  A record is a head (type,
level, lengths, ancestor, forward pointers), a checksum over the head, a
checksum over the tail, and the tail (key, NUL, value, NUL, padding).  After
its commit only the forward pointers in a head, and so its checksum, change.

Limits: a file with an external checksum or key order cannot be read; Cyrus
writes none (lib/cyrusdb_twom.c gives the library neither).
"""

from __future__ import annotations

from struct import Struct, unpack_from

from gateway.errors import DatabaseDamaged, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Checksum = Callable[[bytes], int]

MAGIC = b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0"
HEADER_SIZE = 96
# magic, uuid, version, flags, generation, records, commits, dirty size,
# repack size, current size, highest level, checksum of the 92 bytes before it
HEADER = Struct("<16s16sIIQQQQQQII")
CHECKSUM_OFFSET = 92
# Where the fields of the header are that tell one committed state from another.
_UUID, _GENERATION = slice(16, 32), slice(40, 48)
_COMMITS, _END = slice(56, 64), slice(80, 88)
VERSION = 1

FLAG_DIRTY = 1 << 0
FLAG_CHECKSUM_NULL = 1 << 27
FLAG_CHECKSUM_EXTERNAL = 1 << 29
FLAG_ORDER_EXTERNAL = 1 << 30

DUMMY, ADD, FATADD, REPLACE, FATREPLACE, DELETE, COMMIT = range(1, 8)
MAX_LEVEL = 31
DUMMY_OFFSET = HEADER_SIZE
# Of `state_mark`, the bytes that all states of one file have: uuid and generation.
FILE_MARK = 24
# In it, where `end` is, and its size: uuid, generation, commits, end.
_MARK_END = 32
_MARK_SIZE = 40
# No record is shorter than this (DELETE and COMMIT).
SMALLEST_RECORD = 24
# Bytes of a pointer; the dummy record has one for each level.
_POINTER = 8
FIRST_RECORD = DUMMY_OFFSET + SMALLEST_RECORD + _POINTER * MAX_LEVEL

# By type: where the forward pointers are, where the ancestor is (0: none),
# whether the lengths are 64 bits wide, whether there is a key and a value.
_POINTERS = (0, 8, 8, 24, 16, 32, 8, 8)  # same with 1: nobody looks at these types' entries
# same with 1 in place 1: nobody looks at these types' entries
_ANCESTOR = (0, 0, 0, 0, 8, 24, 8, 0)
# same with True in places 1, 2, 5 and 6: nobody looks at these types' entries
_FAT = (False, False, False, True, False, True, False, False)
# Where the two lengths of a record are: of usual width, and wide ones, which are aligned.
_LENGTHS_AT, _FAT_LENGTHS_AT = 2, 8
# same with True in place 1: nobody looks at these types' entries
HAS_TAIL = (False, False, True, True, True, True, False, False)


class TwomHeader:
    """What the header says: `end` is where the committed records end.

    `generation` grows with each repack, `records` is how many there are.
    `state` tells one committed state of this file from every other one;
    `dirty` is set while a writer is at work, or died at work.
    """

    __slots__ = ("dirty", "end", "generation", "records", "state")

    def __init__(self, block: bytes, path: str, checksum: Checksum | None) -> None:
        magic, _, version, flags, generation, records, _, _, _, end, _, csum = HEADER.unpack(block)
        if magic != MAGIC:
            raise DatabaseDamaged(path, "the file does not begin with twom's magic bytes")
        if checksum is not None and checksum(block[:CHECKSUM_OFFSET]) != csum:
            raise DatabaseDamaged(path, "the header's checksum is wrong")
        if version > VERSION:
            raise DatabaseUnavailable(
                path, f"twom version {version} is newer than version {VERSION}, which is known here"
            )
        if end < FIRST_RECORD:
            raise DatabaseDamaged(path, f"the header says that the records end at {end}")
        self.end: int = end
        self.generation: int = generation
        self.records: int = records
        self.dirty = bool(flags & FLAG_DIRTY)
        self.state = state_mark(block)


def state_mark(block: bytes) -> bytes:
    """What the header says of the committed state: uuid, generation, commits, end."""
    return block[_UUID] + block[_GENERATION] + block[_COMMITS] + block[_END]


def mark_end(mark: object, header: TwomHeader) -> int | None:
    """The `end` in an earlier mark of the file that `header` is of; None where it is of another."""
    if not isinstance(mark, bytes) or len(mark) != _MARK_SIZE:
        return None
    if mark[:FILE_MARK] != header.state[:FILE_MARK]:
        return None
    return int.from_bytes(mark[_MARK_END:], "little")


def file_checksum(block: bytes, path: str) -> Checksum | None:
    """The checksum function of a file with this header; None where it has none.

    Raises DatabaseUnavailable for what only its writer can check or order.
    """
    # same with 1: it names no engine either
    flags = HEADER.unpack(block)[3] if block.startswith(MAGIC) else 0
    if flags & FLAG_CHECKSUM_EXTERNAL:
        raise DatabaseUnavailable(path, "the file has an external checksum, which is not known")
    if flags & FLAG_ORDER_EXTERNAL:
        raise DatabaseUnavailable(path, "the file has an external key order, which is not known")
    if flags & FLAG_CHECKSUM_NULL:
        return None
    try:
        # Here and not at the top: most stores have no twom file.
        from xxhash import xxh3_64_intdigest  # noqa: PLC0415
    except ImportError as fault:
        raise DatabaseUnavailable(
            path, "reading twom needs the Python package xxhash; install it"
        ) from fault

    def checksum(data: bytes) -> int:
        # The engine is called XXH64 in the header; twom.c computes XXH3.
        return int(xxh3_64_intdigest(data)) & 0xFFFFFFFF

    return checksum


def _lengths(block: bytes) -> tuple[int, int]:
    """The lengths in bytes of the key and of the value."""
    key_length, value_length = (
        unpack_from("<QQ", block, _FAT_LENGTHS_AT)
        if _FAT[block[0]]
        else unpack_from("<HI", block, _LENGTHS_AT)
    )
    return key_length, value_length


class TwomRecord:
    """One record of the file at `offset`, `size` bytes long.

    `pointers` are the forward pointers, two of level 0 and one of each level
    above; `ancestor` is the older version of the same key, or 0.  `key` and
    `value` are empty where the type has none.
    """

    __slots__ = ("ancestor", "key", "level", "offset", "pointers", "size", "type", "value")

    def __init__(
        self, block: bytes, offset: int, path: str, checksum: Checksum | None, *, head: bool = True
    ) -> None:
        """The record that fills `block`, checked; raises DatabaseDamaged.

        With `head` false the head's checksum is not looked at where a tail
        follows, whose own checksum then vouches for type, level, lengths, key
        and value, but neither for the ancestor nor for the pointers.
        """
        type_, level = block[0], block[1]
        at = _POINTERS[type_]
        head_size = at + 8 * (1 + level)
        head_checksum, tail_checksum = unpack_from("<II", block, head_size)
        has_tail = HAS_TAIL[type_]
        sound = checksum is None or checksum(block[:head_size]) == head_checksum
        if not sound and (head or not has_tail):
            raise DatabaseDamaged(path, f"record at {offset}: the checksum of its head is wrong")
        self.key = self.value = b""
        if has_tail:
            key_length, value_length = _lengths(block)
            key_at = head_size + 8
            value_at = key_at + key_length + 1
            if checksum is not None and checksum(block[key_at:]) != tail_checksum:
                raise DatabaseDamaged(path, f"record at {offset}: its tail's checksum is wrong")
            if not level or not key_length or block[value_at - 1] or block[value_at + value_length]:
                raise DatabaseDamaged(path, f"record at {offset}: its lengths contradict its bytes")
            self.key = block[key_at : value_at - 1]
            self.value = block[value_at : value_at + value_length]
            if not sound and (b"\0" in self.key or b"\0" in self.value):
                # The NUL bytes behind key and value vouch for the lengths only
                # where there are no others.
                raise DatabaseDamaged(path, f"record at {offset}: its lengths may be wrong")
        ancestor: int = unpack_from("<Q", block, _ANCESTOR[type_])[0] if _ANCESTOR[type_] else 0
        if ancestor >= offset or (type_ == DELETE and ancestor < FIRST_RECORD):
            raise DatabaseDamaged(
                path, f"record at {offset}: its ancestor is said to be {ancestor}"
            )
        self.offset = offset
        self.type = type_
        self.level = level
        self.size = len(block)
        self.ancestor = ancestor
        self.pointers: tuple[int, ...] = (
            unpack_from(f"<{level + 1}Q", block, at) if has_tail or type_ == DUMMY else ()
        )

    def next0(self, end: int) -> int:
        """The next record at level 0 in the state that ends at `end`; 0: none.

        Of the two pointers the higher one that lies in front of `end` is the
        committed one (twom.c: advance0); a file where both lie behind it has
        been committed to since `end` was read, or is damaged.
        """
        first, second = self.pointers[0], self.pointers[1]
        if first >= end:
            return second
        if second >= end:
            return first
        return max(first, second)


def record_size(block: bytes, offset: int, path: str) -> int:
    """The size in bytes of the record whose first 24 bytes `block` begins with."""
    type_, level = block[0], block[1]
    if not DUMMY <= type_ <= COMMIT or level > MAX_LEVEL:
        raise DatabaseDamaged(path, f"no record at {offset}: type {type_}, level {level}")
    head = _POINTERS[type_] + 8 * (1 + level)
    if not HAS_TAIL[type_]:
        # Only the DUMMY has levels, and has two pointers of the lowest at least.
        if bool(level) != (type_ == DUMMY):
            raise DatabaseDamaged(path, f"record at {offset}: level {level} for type {type_}")
        return head + 8
    key_length, value_length = _lengths(block)
    return head + 8 + ((key_length + value_length + 2 + 7) & ~7)


def measure(data: bytes, at: int, first: bool) -> tuple[int, int, int] | None:
    """See gateway/cyrus/db/history.py: the pointers may change, and the checksum behind them."""
    if at + SMALLEST_RECORD > len(data):
        return None
    type_, level = data[at], data[at + 1]
    try:
        end = at + record_size(data[at : at + SMALLEST_RECORD], at, "")
    except DatabaseDamaged:
        return None
    pointers = at + _POINTERS[type_]
    if end > len(data) or (first and not HAS_TAIL[type_]):
        return None
    changing = HAS_TAIL[type_] or type_ == DUMMY
    return end, pointers, pointers + 8 * (1 + level) + 4 if changing else pointers
