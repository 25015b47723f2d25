"""The bytes of a twoskip file: its header and its records, parsed and checked.

Source: the format's description at the top of lib/cyrusdb_twoskip.c.  All
numbers are big-endian, all checksums CRC-32.

    header, 64 bytes   magic 20, version 4, generation 8, number of records 8,
                       size at the last repack 8, current size 8, flags 4, CRC 4
    record             type 1, level 1, key length 2, value length 4,
                       [key length 8] where the short one is 0xffff,
                       [value length 8] where the short one is 0xffffffff,
                       pointers 8 * (level + 1), CRC of all before 4, CRC of all after 4,
                       key, value, NUL up to a multiple of 8 bytes

Records are appended and never change, but for their pointers and the CRC over
them.  Nothing here holds state; `path` is only there for messages.
"""

from __future__ import annotations

# The module `struct` only gives this one its name, and costs a process for one question a file.
from _struct import Struct
from zlib import crc32

from gateway.cyrus.db.file import FileView
from gateway.errors import DatabaseDamaged, DatabaseUnavailable

MAGIC = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"
HEADER_SIZE = 64
STEP = 8  # each record begins at a multiple of it
VERSION = 1
MAX_LEVEL = 31

DUMMY, RECORD, DELETE, COMMIT = b"=+-$"
# Stands before a record's head that would otherwise cross a 512 byte block.
BLANK = b" BLANK\x07\xa0"

# The longest key and value together that is believed, in bytes: what Cyrus
# stores is far below a megabyte, and an absurd length must not exhaust memory.
MAX_BODY = 64 * 1024 * 1024  # only a bound

# A 64-bit size beyond this is not a file's size, and `pread` could not take it.
_MAX_OFFSET = 1 << 62  # only a bound

# How much is read at a record's offset at once, in bytes.  A head is at most 288; most mailbox
# records fit as a whole, so that a step of a search is one system call.
_PEEK = 480  # only a bound

# Where the fields of the header are that a commit changes.
_GENERATION, _CURRENT_SIZE = slice(24, 32), slice(48, 56)
_HEADER = Struct(">20sIQQQQII")
_FIXED = Struct(">BBHI")
_LONG = Struct(">Q")
_CHECKSUM = Struct(">I")
_CHECKSUMS = Struct(">II")
# A head is the fixed part, long lengths where there are some, a pointer for level 0 and one for
# each level above, and both checksums.
_POINTER = _LONG.size
_REST_OF_HEAD = _POINTER + _CHECKSUMS.size
# One for each level: the pointers, then both CRCs.
# same with 2 in place 2: a higher level is refused before
_POINTERS = tuple(Struct(f">{level + 1}QII") for level in range(MAX_LEVEL + 1))
_SHORTEST = 24
_KINDS = bytes((DUMMY, RECORD, DELETE, COMMIT))


# The header and the head of the dummy record behind it (level 31), in one system call.
START = HEADER_SIZE + _SHORTEST + _POINTER * MAX_LEVEL  # only a bound


def committed(raw: bytes) -> bytes:
    """What of a header's bytes changes with each commit: generation and current size."""
    return raw[_GENERATION] + raw[_CURRENT_SIZE]


def measure(data: bytes, at: int, first: bool) -> tuple[int, int, int] | None:
    """See gateway/cyrus/db/history.py: the pointers may change, and the checksum over them.

    Those of a delete or commit record are never written again: they say what it is about.
    """
    if data.startswith(BLANK, at):
        return None if first else (at + len(BLANK), at, at)
    size = len(data)
    if at + _SHORTEST > size or data[at] not in _KINDS:
        return None
    kind, level, key_length, value_length = _FIXED.unpack_from(data, at)
    pointers = at + _FIXED.size
    if key_length == 0xFFFF:
        key_length = _LONG.unpack_from(data, pointers)[0]
        pointers += 8
    if value_length == 0xFFFFFFFF:  # not behind `size`: it is in the shortest head
        value_length = _LONG.unpack_from(data, pointers)[0]
        pointers += 8
    body = pointers + _POINTER * level + _REST_OF_HEAD
    end = body + (key_length + value_length + 7) // 8 * 8
    if level > MAX_LEVEL or end > size:
        return None
    if first and crc32(data[at : body - 8]) != _CHECKSUM.unpack_from(data, body - 8)[0]:
        return None
    return end, pointers, body - 4 if kind in (RECORD, DUMMY) else pointers


def ordinary_keys(data: bytes, at: int, room: int) -> tuple[list[bytes], list[int], int]:
    """The keys of the records from `at` on, where each of them begins, and what follows.

    As many as are records with a key, of the usual lengths, that end at `room` or
    before and pass all their checksums: a caller that wants to know more parses what comes then
    (`TwoskipRecord`), which takes four times as long.
    """
    keys: list[bytes] = []
    places: list[int] = []
    parse, checksums = _FIXED.unpack_from, _CHECKSUMS.unpack_from
    shortest, pointer = _SHORTEST, _POINTER
    last = room - _SHORTEST
    while at <= last:
        kind, level, key_length, value_length = parse(data, at)
        body = at + shortest + pointer * level
        end = body + (key_length + value_length + 7 & -8)
        # same with 65536: no checksum is right where the key's long length is
        if kind != RECORD or level > MAX_LEVEL or key_length == 0xFFFF or end > room:
            break
        head, tail = checksums(data, body - 8)
        if crc32(data[at : body - 8]) != head or crc32(data[body:end]) != tail:
            break
        keys.append(data[body : body + key_length])
        places.append(at)
        at = end
    return keys, places, at


class TwoskipHeader:
    """A checked header.  `end` is the committed size in bytes ("current size")."""

    __slots__ = ("dirty", "end", "generation", "records", "repack_size", "version")

    def __init__(self, path: str, raw: bytes) -> None:
        """Parse the first 64 bytes of `raw`.

        Raises `DatabaseDamaged` where they are not a sound twoskip header, and
        `DatabaseUnavailable` where a newer Cyrus wrote another version of it.
        """
        if len(raw) < HEADER_SIZE:
            raise DatabaseDamaged(path, f"{len(raw)} bytes are too short for a twoskip header")
        magic, version, generation, records, repack_size, end, flags, crc = _HEADER.unpack_from(raw)
        if magic != MAGIC:
            raise DatabaseDamaged(path, "does not begin as a twoskip file does")
        if crc32(raw[: HEADER_SIZE - 4]) != crc:
            raise DatabaseDamaged(path, "the header's checksum is wrong")
        if version > VERSION:
            raise DatabaseUnavailable(
                path, f"twoskip version {version} is not known, {VERSION} is; upgrade this program"
            )
        if not HEADER_SIZE < end < _MAX_OFFSET:
            raise DatabaseDamaged(path, f"the header's current size, {end}, makes no sense")
        self.version: int = version
        self.generation: int = generation
        self.records: int = records
        self.repack_size: int = repack_size
        self.end: int = end
        self.dirty: bool = bool(flags & 1)


class TwoskipRecord:
    """One record whose head is checked; `value` checks key and value too.

    `pointers` are file offsets: for a level L record numbers 0 and 1 are the
    alternating pair of the lowest level, 2 to L lead on at the levels above
    it.  (Behind them stand the two CRCs.)  `length` is the record's length in
    bytes with its padding.
    """

    __slots__ = (
        "_body",
        "_key_length",
        "_raw",
        "_value_length",
        "key",
        "length",
        "level",
        "offset",
        "pointers",
        "type",
    )

    def __init__(self, path: str, raw: bytes, offset: int, end: int) -> None:
        """Parse `raw`, bytes read at `offset`; they may stop behind the head, in key or value.

        Raises `DatabaseDamaged` where the head is not sound or the record
        does not end at `end` or before.
        """
        if len(raw) < _SHORTEST:
            raise DatabaseDamaged(path, f"no record fits between {offset} and the end of the file")
        kind, level, key_length, value_length = _FIXED.unpack_from(raw)
        if level > MAX_LEVEL:
            raise DatabaseDamaged(path, f"the record at {offset} has level {level}")
        at = _FIXED.size
        if key_length == 0xFFFF:
            key_length = _LONG.unpack_from(raw, at)[0]
            at = 16
        if value_length == 0xFFFFFFFF:
            value_length = _LONG.unpack_from(raw, at)[0]
            at += 8
        body = at + _POINTER * level + _REST_OF_HEAD
        if len(raw) < body:
            raise DatabaseDamaged(path, f"the record at {offset} has no complete head")
        self.type: int = kind
        self.level: int = level
        self.offset = offset
        self.pointers: tuple[int, ...] = _POINTERS[level].unpack_from(raw, at)
        if crc32(raw[: body - 8]) != self.pointers[-2]:
            raise DatabaseDamaged(path, f"the head of the record at {offset} fails its checksum")
        size = key_length + value_length
        if size > MAX_BODY:
            raise DatabaseDamaged(path, f"the record at {offset} claims {size} bytes")
        self.length: int = body + (size + 7) // 8 * 8
        if offset + self.length > end:
            raise DatabaseDamaged(path, f"the record at {offset} ends behind the committed size")
        self.key = raw[body : body + key_length]
        self._raw = raw
        self._body: int = body
        self._key_length: int = key_length
        self._value_length: int = value_length

    @classmethod
    def read(cls, view: FileView, offset: int, end: int) -> TwoskipRecord:
        """The record at `offset` with its whole key, in one system call where it is short.

        Raises as the constructor does, and `DatabaseUnavailable`.
        """
        record = cls(view.path, view.peek(offset, _PEEK), offset, end)
        if len(record.key) < record._key_length:  # same with <=: one reading more
            record = cls(view.path, view.read(offset, record.length), offset, end)
        return record

    def condense(self, view: FileView) -> None:
        """Drop what follows the key, which has passed its checksum.

        Raises as `value` does, which would read it again.
        """
        self.value(view)
        self._raw = b""

    def value(self, view: FileView) -> bytes:
        """The value; key, value and padding have passed their checksum then.

        Raises `DatabaseDamaged` where they do not, and `DatabaseUnavailable`.
        """
        body = self._body
        raw = self._raw
        if len(raw) < self.length:  # same with <=: one reading more
            # The head is known already, and a writer may be changing its pointers.
            rest = view.read(self.offset + body, self.length - body)
        else:
            rest = raw[body : self.length]
        if crc32(rest) != self.pointers[-1]:
            raise DatabaseDamaged(
                view.path, f"the key or value of the record at {self.offset} fails its checksum"
            )
        return rest[self._key_length : self._key_length + self._value_length]
