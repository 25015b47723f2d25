"""The bytes of a twoskip file: headers and records, sound and damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip_format import TwoskipHeader, TwoskipRecord
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError
from tests.support.twoskip_disk import crc
from tests.support.twoskip_writer import MAGIC, Node

BIG = 1 << 40


def header(version: int = 1, end: int = 4096, flags: int = 0) -> bytes:
    """A header with its checksum."""
    raw = MAGIC + struct.pack(">IQQQQI", version, 7, 11, 800, end, flags)
    return raw + crc(raw)


@pytest.mark.parametrize(("flags", "dirty"), [(0, False), (1, True), (2, False), (3, True)])
def test_what_a_header_says(flags: int, dirty: bool) -> None:
    """Generation, records, sizes, and whether a writer is or was at work."""
    made = TwoskipHeader("p", header(flags=flags) + b"more")
    assert (made.version, made.generation, made.records) == (1, 7, 11)
    assert (made.repack_size, made.end, made.dirty) == (800, 4096, dirty)


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (header()[:63], DatabaseDamaged, "63 bytes are too short"),
        (b"\0" + header()[1:], DatabaseDamaged, "does not begin"),
        (header()[:63] + b"\0", DatabaseDamaged, "checksum"),
        (header()[:59] + b"\x80" + header()[60:], DatabaseDamaged, "checksum"),
        (header(version=2), DatabaseUnavailable, "version 2"),
        (header(end=64), DatabaseDamaged, "size, 64, makes no sense"),
        (header(end=1 << 62), DatabaseDamaged, "makes no sense"),
    ],
)
def test_headers_that_cannot_be_used(raw: bytes, error: type[StoreError], words: str) -> None:
    """Each says what is wrong."""
    with pytest.raises(error, match=words):
        TwoskipHeader("p", raw)


def test_the_bounds_of_a_size() -> None:
    """Anything behind the header that `pread` can take."""
    for end in (65, (1 << 62) - 1):
        assert TwoskipHeader("p", header(end=end)).end == end


# What records hold; lengths in their short form and, where the writer says so, in 64 bits.
RECORDS: list[tuple[int, bytes, bytes, bool]] = [
    (0, b"", b"", False),
    (1, b"k", b"", False),
    (1, b"key", b"value", False),
    (2, b"k" * 8, b"v" * 8, True),
    (31, b"k" * 300, b"v" * 1000, False),
    (31, b"k" * 300, b"v" * 1000, True),
    (3, b"k" * 65534, b"v", False),
    (3, b"k" * 65535, b"v", False),
]


def node(level: int, key: bytes, value: bytes, long_lengths: bool) -> Node:
    """A record with a pointer more than its level."""
    return Node(b"+", list(range(8, 16 + 8 * level, 8)), key, value, 64, long_lengths)


@pytest.mark.parametrize(("level", "key", "value", "long_lengths"), RECORDS)
def test_records_are_read_whole(
    tmp_path: Path, level: int, key: bytes, value: bytes, long_lengths: bool
) -> None:
    """Key, value, pointers and length, wherever the record ends."""
    made = node(level, key, value, long_lengths)
    whole = made.head() + made.tail()
    path = tmp_path / "file"
    path.write_bytes(bytes(64) + whole + b"behind")
    view = FileView(str(path))
    record = TwoskipRecord.read(view, 64, 64 + len(whole))
    assert (record.type, record.level, record.offset) == (ord("+"), level, 64)
    assert (record.key, record.value(view), record.length) == (key, value, len(whole))
    assert record.pointers[: level + 1] == tuple(made.pointers)
    with pytest.raises(DatabaseDamaged, match="ends behind the committed size"):
        TwoskipRecord.read(view, 64, 64 + len(whole) - 1)
    view.close()


@pytest.mark.parametrize(("level", "key", "value", "long_lengths"), RECORDS)
def test_a_head_that_is_cut_off(level: int, key: bytes, value: bytes, long_lengths: bool) -> None:
    """It is damage; what is cut off in key or value is read when it is wanted."""
    made = node(level, key, value, long_lengths)
    head = made.head()
    for size in range(len(head)):
        with pytest.raises(DatabaseDamaged, match=r"no (record fits|complete head)"):
            TwoskipRecord("p", head[:size], 64, BIG)
    assert TwoskipRecord("p", head, 64, BIG).length == len(head) + len(made.tail())


@pytest.mark.parametrize(
    ("place", "words"),
    [(0, "head"), (8, "head"), (24, "head"), (-1, "key or value"), (-16, "key or value")],
)
def test_a_byte_that_is_wrong(tmp_path: Path, place: int, words: str) -> None:
    """The head's checksum is looked at first, the other one with the value; padding counts."""
    made = node(1, b"key", b"value and more", False)
    whole = bytearray(made.head() + made.tail())
    whole[place] ^= 1
    path = tmp_path / "file"
    path.write_bytes(whole)
    view = FileView(str(path))
    with pytest.raises(DatabaseDamaged, match=rf"{words} of the record at 0 fails its checksum"):
        TwoskipRecord.read(view, 0, BIG).value(view)
    view.close()


def test_there_is_no_level_32() -> None:
    """A record has 31 at most."""
    made = node(32, b"key", b"value", False)
    with pytest.raises(DatabaseDamaged, match="has level 32"):
        TwoskipRecord("p", made.head() + made.tail(), 64, BIG)


@pytest.mark.parametrize(
    ("key_length", "value_length", "believed"),
    [(1, 1 << 26, False), (1, (1 << 26) - 1, True), (1 << 26, 0, True), (1 << 26, 1, False)],
)
def test_lengths_that_are_believed(key_length: int, value_length: int, believed: bool) -> None:
    """64 MiB for key and value together; an absurd length must not exhaust memory."""
    head = struct.pack(">cBHIQQ", b"+", 1, 0xFFFF, 0xFFFFFFFF, key_length, value_length) + bytes(16)
    head += crc(head) + bytes(4)
    if believed:
        assert TwoskipRecord("p", head, 64, BIG).length == len(head) + (1 << 26)
    else:
        with pytest.raises(DatabaseDamaged, match="claims 67108865 bytes"):
            TwoskipRecord("p", head, 64, BIG)
