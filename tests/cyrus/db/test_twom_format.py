"""The bytes of a twom file: headers and records, sound and damaged."""

from __future__ import annotations

import struct

import pytest
import xxhash

from gateway.cyrus.db.twom.format import (
    TwomHeader,
    TwomRecord,
    file_checksum,
    mark_end,
    measure,
    record_size,
    state_mark,
)
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError
from tests.support.twom_writer import CSUM_NULL, HEADER, MAGIC

DUMMY, ADD, FATADD, REPLACE, FATREPLACE, DELETE, COMMIT = range(1, 8)
# Behind header and DUMMY record.
FIRST = 96 + 272
UUID = bytes(range(16))


def checksum(data: bytes) -> int:
    """As Cyrus computes it."""
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def header(
    version: int = 1,
    flags: int = 0,
    *,
    uuid: bytes = UUID,
    generation: int = 5,
    commits: int = 6,
    end: int = 4096,
) -> bytes:
    """A header with its checksum."""
    block = HEADER.pack(MAGIC, uuid, version, flags, generation, 9, commits, 0, FIRST, end, 31)
    return block + struct.pack("<I", checksum(block))


@pytest.mark.parametrize(("flags", "dirty"), [(0, False), (1, True), (2, False), (3, True)])
@pytest.mark.parametrize("end", [FIRST, FIRST + 8, 1 << 40])
def test_what_a_header_says(flags: int, dirty: bool, end: int) -> None:
    """Where the records end, and whether a writer is or was at work."""
    made = TwomHeader(header(flags=flags, end=end), "p", checksum)
    assert (made.end, made.dirty) == (end, dirty)


@pytest.mark.parametrize(
    ("block", "error", "words"),
    [
        (b"\0" + header()[1:], DatabaseDamaged, "magic"),
        (header()[:91] + b"\1" + header()[92:], DatabaseDamaged, "checksum"),
        (header()[:95] + b"\0", DatabaseDamaged, "checksum"),
        (header(version=2), DatabaseUnavailable, "version 2"),
        (header(end=FIRST - 1), DatabaseDamaged, f"records end at {FIRST - 1}"),
    ],
)
def test_headers_that_cannot_be_used(block: bytes, error: type[StoreError], words: str) -> None:
    """Each says what is wrong."""
    with pytest.raises(error, match=words):
        TwomHeader(block, "p", checksum)


def test_what_makes_another_state() -> None:
    """The file, its generation, the commits and the end; not who is at work."""
    mark = state_mark(header())
    assert state_mark(header(flags=1)) == mark
    others = [
        header(uuid=bytes(16)),
        header(generation=6),
        header(commits=7),
        header(end=4104),
    ]
    assert len({mark, *map(state_mark, others)}) == 5


def test_the_end_in_an_earlier_state() -> None:
    """None for another file, another generation, and what is not a state."""
    now = TwomHeader(header(commits=7, end=8192), "p", checksum)
    assert mark_end(state_mark(header()), now) == 4096
    for mark in (
        state_mark(header(uuid=bytes(16))),
        state_mark(header(generation=6)),
        state_mark(header())[:-1],
        None,
        "state",
    ):
        assert mark_end(mark, now) is None


@pytest.mark.parametrize(
    ("flags", "problem"), [(1 << 29, "external checksum"), (1 << 30, "external key order")]
)
def test_files_that_only_their_writer_can_read(flags: int, problem: str) -> None:
    """They say so."""
    with pytest.raises(DatabaseUnavailable, match=problem):
        file_checksum(header(flags=flags), "p")


def test_the_checksum_of_a_file() -> None:
    """The flags name it; a file that is none is left to the header's own checks."""
    made = file_checksum(header(flags=1 << 28), "p")
    assert made is not None
    assert made(b"text") == checksum(b"text")
    assert file_checksum(header(flags=CSUM_NULL), "p") is None
    assert file_checksum(b"\0" * 39 + b"\xff" * 57, "p") is not None


def record(
    kind: int, key: bytes = b"", value: bytes = b"", pointers: int = 2, ancestor: int = 0
) -> bytes:
    """A record as it is in a file, with as many forward pointers."""
    sizes = (
        struct.pack("<QQ", len(key), len(value))
        if kind in (FATADD, FATREPLACE)
        else struct.pack("<HI", len(key), len(value))
    )
    head = bytes((kind, pointers - 1))
    if kind in (FATADD, FATREPLACE):
        head += bytes(6)
    head += sizes
    if kind in (REPLACE, FATREPLACE, DELETE):
        head = head.ljust(8, b"\0") + struct.pack("<Q", ancestor)
    if kind not in (DELETE, COMMIT):
        head += struct.pack(f"<{pointers}Q", *range(800, 800 + 8 * pointers, 8))
    elif kind == COMMIT:
        head += struct.pack("<Q", 400)
    tail = key + b"\0" + value + b"\0" if kind in (ADD, FATADD, REPLACE, FATREPLACE) else b""
    tail += bytes(-len(tail) % 8)
    return head + struct.pack("<II", checksum(head), checksum(tail)) + tail


# kind, key, value, pointers, ancestor
RECORDS: list[tuple[int, bytes, bytes, int, int]] = [
    (ADD, b"k", b"", 2, 0),
    (ADD, b"user.fred", b"a value", 2, 0),
    (ADD, b"12345", b"6", 2, 0),
    (ADD, b"12345", b"67", 2, 0),
    (ADD, b"user.fred", b"a value of another length", 32, 0),
    (FATADD, b"user.fred", b"a value", 3, 0),
    (REPLACE, b"user.fred", b"a value", 3, 400),
    (FATREPLACE, b"user.fred", b"a value", 4, 400),
]


@pytest.mark.parametrize(("kind", "key", "value", "pointers", "ancestor"), RECORDS)
def test_records_with_a_key(
    kind: int, key: bytes, value: bytes, pointers: int, ancestor: int
) -> None:
    """Every part of each type."""
    block = record(kind, key, value, pointers, ancestor)
    assert record_size(block[:24], 800, "p") == len(block)
    made = TwomRecord(block, 800, "p", checksum)
    assert (made.type, made.level, made.offset, made.size) == (kind, pointers - 1, 800, len(block))
    assert (made.key, made.value, made.ancestor) == (key, value, ancestor)
    assert made.pointers == tuple(range(800, 800 + 8 * pointers, 8))


def test_records_without_a_key() -> None:
    """DELETE names what it deletes, COMMIT nothing, and DUMMY has pointers."""
    for kind, pointers, ancestor in ((DELETE, 1, FIRST), (COMMIT, 1, 0), (DUMMY, 32, 0)):
        block = record(kind, pointers=pointers, ancestor=ancestor)
        if kind == DUMMY:
            block = bytes((DUMMY, 31)) + bytes(6) + struct.pack("<32Q", *range(800, 1056, 8))
            block += struct.pack("<II", checksum(block), 0)
        assert record_size(block[:24], 800, "p") == len(block)
        made = TwomRecord(block, 800, "p", checksum)
        assert (made.key, made.value, made.ancestor) == (b"", b"", ancestor)
        assert len(made.pointers) == (32 if kind == DUMMY else 0)


@pytest.mark.parametrize(
    ("kind", "level"), [(0, 1), (8, 1), (255, 0), (ADD, 32), (DELETE, 1), (COMMIT, 1)]
)
def test_what_begins_no_record(kind: int, level: int) -> None:
    """An unknown type, a level that there is not, a level where there are no pointers."""
    with pytest.raises(DatabaseDamaged, match=f"type {kind}|level {level}"):
        record_size(bytes((kind, level)) + bytes(22), 800, "p")


# what is wrong with the record at 800, and with which words it is refused
DAMAGED: list[tuple[bytes, str]] = [
    (record(ADD, b"", b"value"), "lengths contradict"),
    (record(ADD, b"key", b"value", 1), "lengths contradict"),
    (record(REPLACE, b"key", b"value", 2, 800), "ancestor is said to be 800"),
    (record(DELETE, pointers=1, ancestor=800), "ancestor is said to be 800"),
    (record(DELETE, pointers=1, ancestor=FIRST - 8), f"ancestor is said to be {FIRST - 8}"),
    (record(DELETE, pointers=1, ancestor=0), "ancestor is said to be 0"),
]


@pytest.mark.parametrize(("block", "words"), DAMAGED)
def test_records_that_contradict_themselves(block: bytes, words: str) -> None:
    """Their checksums are right all the same."""
    with pytest.raises(DatabaseDamaged, match=words):
        TwomRecord(block, 800, "p", checksum)


def test_the_nul_bytes_behind_key_and_value() -> None:
    """Without checksums it is they that vouch for the lengths."""
    block = bytearray(record(ADD, b"key", b"value"))
    assert TwomRecord(bytes(block), 800, "p", None).key == b"key"
    head = 24 + 8
    for at in (head + 3, head + 9):
        broken = bytearray(block)
        broken[at] = 1
        with pytest.raises(DatabaseDamaged, match="lengths contradict"):
            TwomRecord(bytes(broken), 800, "p", None)


def test_which_checksum_vouches_for_what() -> None:
    """While a pointer changes the head's is wrong for a moment; the log needs the tail's only."""
    sound = record(ADD, b"key", b"value")
    for place, words, log in (
        (8, "checksum of its head", True),
        (24, "checksum of its head", True),
        (28, "tail's checksum", False),
        (33, "tail's checksum", False),
        (-1, "tail's checksum", False),
    ):
        block = bytearray(sound)
        block[place] ^= 1
        with pytest.raises(DatabaseDamaged, match=words):
            TwomRecord(bytes(block), 800, "p", checksum)
        if log:
            assert TwomRecord(bytes(block), 800, "p", checksum, head=False).value == b"value"
        else:
            with pytest.raises(DatabaseDamaged, match=words):
                TwomRecord(bytes(block), 800, "p", checksum, head=False)
    for key, value in ((b"k\0y", b"value"), (b"key", b"v\0lue")):
        whole = record(ADD, key, value)
        assert TwomRecord(whole, 800, "p", checksum, head=False).key == key
        block = bytearray(whole)
        block[8] ^= 1
        with pytest.raises(DatabaseDamaged, match="lengths may be wrong"):
            TwomRecord(bytes(block), 800, "p", checksum, head=False)
    commit = bytearray(record(COMMIT, pointers=1))
    commit[8] ^= 1
    with pytest.raises(DatabaseDamaged, match="checksum of its head"):
        TwomRecord(bytes(commit), 800, "p", checksum, head=False)


@pytest.mark.parametrize(
    ("first", "second", "end", "following"),
    [
        (0, 0, 900, 0),
        (800, 0, 900, 800),
        (0, 800, 900, 800),
        (800, 400, 900, 800),
        (400, 800, 900, 800),
        (800, 400, 800, 400),
        (400, 800, 800, 400),
        (801, 400, 800, 400),
        (400, 801, 800, 400),
    ],
)
def test_the_committed_pointer_of_level_0(
    first: int, second: int, end: int, following: int
) -> None:
    """The higher one that lies in front of the end."""
    made = TwomRecord(record(ADD, b"key", b"value"), 1000, "p", checksum)
    made.pointers = (first, second)
    assert made.next0(end) == following


def _dummy() -> bytes:
    block = bytes((DUMMY, 31)) + bytes(6) + struct.pack("<32Q", *range(800, 1056, 8))
    return block + struct.pack("<II", checksum(block), 0)


# A record, and where in it the pointers and the checksum behind them are, which may change.
CHANGING: list[tuple[bytes, int, int]] = [
    (record(ADD, b"user.fred", b"a value", 2), 8, 8 + 2 * 8 + 4),
    (record(ADD, b"user.fred", b"a value", 32), 8, 8 + 32 * 8 + 4),
    (record(FATADD, b"user.fred", b"a value", 3), 24, 24 + 3 * 8 + 4),
    (record(REPLACE, b"user.fred", b"a value", 3, 400), 16, 16 + 3 * 8 + 4),
    (record(FATREPLACE, b"user.fred", b"a value", 4, 400), 32, 32 + 4 * 8 + 4),
    (_dummy(), 8, 8 + 32 * 8 + 4),
]


@pytest.mark.parametrize(("block", "begin", "end"), CHANGING)
@pytest.mark.parametrize("first", [True, False])
def test_what_of_a_record_may_change(block: bytes, begin: int, end: int, *, first: bool) -> None:
    """Its pointers and their checksum; none where it is cut off."""
    known = (40 + len(block), 40 + begin, 40 + end)
    for behind in (b"", b"\xff" * 8):
        found = measure(bytes(40) + block + behind, 40, first)
        # Nothing shows that the dummy begins where none was read before.
        assert found == (None if first and block[0] == DUMMY else known)
    for size in range(len(block)):
        assert measure(bytes(40) + block[:size], 40, first) is None


@pytest.mark.parametrize("block", [record(DELETE, pointers=1, ancestor=FIRST), record(COMMIT)])
def test_records_without_a_key_do_not_change(block: bytes) -> None:
    """DELETE and COMMIT; and nothing shows that one begins where none was read before."""
    block = block[:1] + b"\0" + block[2:]
    found = measure(bytes(40) + block, 40, False)
    assert found is not None
    end, begin, behind = found
    assert (end, begin) == (40 + len(block), behind)
    assert measure(bytes(40) + block, 40, True) is None
    assert measure(bytes(40) + block[:-1], 40, False) is None


def test_what_is_no_record_does_not_change() -> None:
    """An unknown type, and a level that there is not."""
    for kind, level in ((0, 1), (8, 1), (255, 0), (ADD, 32), (DELETE, 1), (COMMIT, 1)):
        assert measure(bytes((kind, level)) + bytes(500), 0, False) is None
