"""The bytes of a skiplist file: headers, and where the parts of a record stand."""

from __future__ import annotations

import struct

import pytest

from gateway.cyrus.db.skiplist.format import (
    ADD,
    COMMIT,
    DELETE,
    DUMMY,
    INORDER,
    SIGNED_ORDER,
    Incomplete,
    SkiplistHeader,
    measure,
    outline,
    word,
    words,
)
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError

MAGIC = b"\xa1\x02\x8b\x0dskiplist file\0\0\0"


def header(version: int = 1, levels: int = 20, log_start: int = 144) -> bytes:
    """A header; with 20 levels the first record stands at 144."""
    return MAGIC + struct.pack(">7I", version, 2, levels, 1, 0, log_start, 0)


def test_where_the_parts_of_a_file_begin() -> None:
    """Behind the header stands the DUMMY record with a pointer for each level."""
    for levels, first in ((1, 68), (2, 72), (20, 144)):
        for log_start in (first, first + 4, 1 << 20):
            made = SkiplistHeader(header(levels=levels, log_start=log_start), "p")
            assert (made.levels, made.first, made.log_start) == (levels, first, log_start)


def test_a_header_is_of_the_same_checkpoint() -> None:
    """Levels and count change with each commit; what is cut off is of none."""
    made = SkiplistHeader(header(), "p")
    assert made.is_of(header())
    assert made.is_of(header(levels=7))
    assert not made.is_of(header(log_start=148))
    assert not made.is_of(header()[:-1] + b"\1")
    assert not made.is_of(header()[:-1])
    assert not made.is_of(b"")


@pytest.mark.parametrize(
    ("block", "error", "words_"),
    [
        (b"\0" + header()[1:], DatabaseDamaged, "magic"),
        (header(version=0), DatabaseUnavailable, "version 0.2"),
        (header(version=2), DatabaseUnavailable, "version 2.2"),
        (header(levels=0), DatabaseDamaged, "0 levels of at most 20"),
        (header(levels=21), DatabaseDamaged, "21 levels of at most 20"),
        (header(log_start=140), DatabaseDamaged, "begins at 140"),
        (header(log_start=145), DatabaseDamaged, "begins at 145"),
        (header(log_start=146), DatabaseDamaged, "begins at 146"),
    ],
)
def test_headers_that_cannot_be_used(block: bytes, error: type[StoreError], words_: str) -> None:
    """Each says what is wrong."""
    with pytest.raises(error, match=words_):
        SkiplistHeader(block, "p")


def record(key: bytes, value: bytes, pointers: tuple[int, ...]) -> bytes:
    """A record with a key, as it is in a file."""

    def padded(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)

    return (
        struct.pack(">I", ADD)
        + padded(key)
        + padded(value)
        + struct.pack(f">{len(pointers)}I", *pointers)
        + b"\xff" * 4
    )


# key, value, pointers; among the pointers some that end as the word of ones begins
RECORDS: list[tuple[bytes, bytes, tuple[int, ...]]] = [
    (b"", b"", (0,)),
    (b"k", b"", (4,)),
    (b"key", b"v", (4, 8)),
    (b"keys", b"value", (4, 8, 12)),
    (b"keys+", b"\xff" * 9, (0xFF, 0xFFFF, 0xFFFFFF)),
    (b"\xff" * 4, b"\xff" * 4, (0xFFFFFF00, 4)),
    (b"user.fred", b"v" * 99, tuple(range(20))),
]


@pytest.mark.parametrize(("key", "value", "pointers"), RECORDS)
@pytest.mark.parametrize("at", [0, 4, 40])
def test_the_parts_of_a_record(
    key: bytes, value: bytes, pointers: tuple[int, ...], at: int
) -> None:
    """Key, value and pointers are found, whatever follows the record."""
    whole = record(key, value, pointers)
    for behind in (b"", b"\xff" * 100, bytes(100)):
        block = b"x" * at + whole + behind
        key_end, begin, end, first, last = measure(block, at)
        assert block[at + 8 : key_end] == key
        assert block[begin:end] == value
        assert words(block, first, last - 4) == pointers
        assert last == at + len(whole)
        assert word(block, at) == ADD


@pytest.mark.parametrize(("key", "value", "pointers"), RECORDS)
@pytest.mark.parametrize("at", [0, 400])
def test_a_record_that_is_cut_off(
    key: bytes, value: bytes, pointers: tuple[int, ...], at: int
) -> None:
    """More bytes are asked for than there are, and never more than the record has.

    With its lengths known, key and value are asked for at once, with one pointer and the ones.
    """
    whole = record(key, value, pointers)
    lengths = 8 + len(key) + -len(key) % 4 + 4
    least = len(whole) - 4 * len(pointers) + 4
    for size in range(4, len(whole)):
        with pytest.raises(Incomplete) as cut:
            measure(b"x" * at + whole[:size], at)
        assert size < cut.value.need <= len(whole)
        assert size < lengths or cut.value.need >= least


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (struct.pack(">III", ADD, 1 << 31, 0) + bytes(200), "a key of 2147483648 bytes"),
        (struct.pack(">III", ADD, 0, 1 << 31) + bytes(200), "a value of 2147483648 bytes"),
        (record(b"k", b"v", ()) + bytes(200), "not one to 20 pointers"),
        (record(b"k", b"v", (1,) * 21) + bytes(200), "not one to 20 pointers"),
        (record(b"k", b"v", (1,) * 21)[:-4], "not one to 20 pointers"),
    ],
)
def test_records_that_are_nonsense(block: bytes, problem: str) -> None:
    """Lengths that no file can have, and no pointers or too many."""
    with pytest.raises(ValueError, match=problem):
        measure(block, 0)


def test_bytes_are_ordered_as_signed_numbers() -> None:
    """What is above 127 comes first."""
    ordered = sorted(range(256), key=lambda byte: bytes([byte]).translate(SIGNED_ORDER))
    assert ordered == [*range(128, 256), *range(128)]


@pytest.mark.parametrize(("key", "value", "pointers"), RECORDS)
@pytest.mark.parametrize("type_", [INORDER, ADD, DUMMY])
@pytest.mark.parametrize("first", [True, False])
def test_what_of_a_record_may_change(
    key: bytes, value: bytes, pointers: tuple[int, ...], type_: int, *, first: bool
) -> None:
    """Its pointers; where it is cut off there is none."""
    whole = struct.pack(">I", type_) + record(key, value, pointers)[4:]
    end = 40 + len(whole)
    found = (end, end - 4 - 4 * len(pointers), end - 4)
    for behind in (b"", b"\xff" * 8, bytes(8)):
        assert outline(bytes(40) + whole + behind, 40, first) == found
    for size in range(len(whole)):
        assert outline(bytes(40) + whole[:size], 40, first) is None


@pytest.mark.parametrize(
    ("type_", "size"), [(DELETE, 8), (COMMIT, 4), (0, 4), (3, None), (256, None), (1 << 31, None)]
)
def test_records_without_a_key_do_not_change(type_: int, size: int | None) -> None:
    """Nothing shows that one of them begins where none was read before."""
    data = bytes(range(20)) + struct.pack(">II", type_, 4)
    known = None if size is None else (20 + size, 20, 20)
    assert outline(data, 20, False) == known
    assert outline(data, 20, True) is None
    assert size is None or outline(data[: 20 + size], 20, False) == known
    for cut in range(20, 20 + (size or 8)):
        assert outline(data[:cut], 20, False) is None
