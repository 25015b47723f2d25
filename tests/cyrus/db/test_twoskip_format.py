"""The bytes of a twoskip file: headers and records, sound and damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip.format import (
    TwoskipHeader,
    TwoskipRecord,
    committed,
    measure,
    ordinary_keys,
)
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError
from tests.support.twoskip_disk import crc
from tests.support.twoskip_writer import BLANK, MAGIC, Node

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
    (1, b"key", b"v" * 1000, False),
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


def test_what_a_commit_changes_in_a_header() -> None:
    """Generation and current size, all of their bytes and no others."""
    raw = header()
    told = [
        at
        for at in range(len(raw))
        if committed(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) != committed(raw)
    ]
    assert told == [*range(24, 32), *range(48, 56)]


@pytest.mark.parametrize("kind", [b"=", b"+", b"-", b"$"])
@pytest.mark.parametrize(("level", "key", "value", "long_lengths"), RECORDS)
def test_how_long_a_record_is_and_what_of_it_may_change(
    kind: bytes, level: int, key: bytes, value: bytes, long_lengths: bool
) -> None:
    """The pointers and the checksum over them, of what has a place in the list."""
    made = node(level, key, value, long_lengths)
    made.type = kind
    head, whole = made.head(), made.head() + made.tail()
    pointers = 64 + len(head) - 8 * (level + 2)
    behind = 64 + len(head) - 4 if kind in b"=+" else pointers
    data = bytes(64) + whole
    for first in (True, False):
        assert measure(data, 64, first) == (64 + len(whole), pointers, behind)
        assert measure(data + b"more", 64, first) == (64 + len(whole), pointers, behind)
        for size in (0, 1, 7, 8, 16, 20, 23, 24, 25, 31, 32, len(head), len(whole) - 1):
            assert measure(data[: min(64 + size, len(data) - 1)], 64, first) is None


@pytest.mark.parametrize("at", [0, 8, -5, -8])
def test_a_damaged_head_is_where_nothing_tells_that_a_record_begins(at: int) -> None:
    """Its checksum does; behind a record that is one, nothing but a record follows."""
    made = node(2, b"key", b"value", False)
    end = len(made.head()) + at if at < 0 else at
    whole = bytearray(made.head() + made.tail())
    whole[end] ^= 6  # "+" becomes "-"
    assert measure(bytes(whole), 0, True) is None
    assert measure(bytes(whole), 0, False) is not None


def test_what_is_no_record_has_no_length() -> None:
    """Another type, a level that there is not, and a length that no file has."""
    for made in (Node(b"x", [0, 0]), node(32, b"key", b"value", False)):
        assert measure(made.head() + made.tail(), 0, False) is None
    absurd = struct.pack(">cBHIQQ", b"+", 1, 0xFFFF, 0xFFFFFFFF, 1 << 63, 1 << 63) + bytes(64)
    assert measure(absurd, 0, False) is None


def test_a_blank_is_passed_over_and_nothing_begins_with_it() -> None:
    """Eight bytes in front of a head that would cross a block."""
    assert measure(b"12345678" + BLANK, 8, False) == (16, 8, 8)
    assert measure(b"12345678" + BLANK, 8, True) is None


# Key and value of it are a multiple of eight, and its level is the highest.
LAST = 8


def _ordinary(count: int) -> tuple[bytes, list[bytes], list[int]]:
    data = b"12345678"
    keys: list[bytes] = []
    places: list[int] = []
    for at in range(count):
        keys.append(b"user.%d" % at * at)
        places.append(len(data))
        made = node(31 if at == LAST else at, keys[-1], b"value" * at, False)
        data += made.head() + made.tail()
    return data, keys, places


def test_the_keys_of_ordinary_records() -> None:
    """Up to the first that does not end in the room, wherever the room ends."""
    data, keys, places = _ordinary(LAST + 1)
    ends = [*places[1:], len(data)]
    for room in range(8, len(data) + 1):
        count = len([end for end in ends if end <= room])
        found = ordinary_keys(data[:room], 8, room)
        assert found == (keys[:count], places[:count], [8, *ends][count])
        assert ordinary_keys(data, 8, room) == found


@pytest.mark.parametrize(
    "other",
    [
        Node(b"-", [0, 0], b"key"),
        Node(b"+", list(range(33)), b"key"),
        Node(b"+", [0, 0], b"k" * 65535),
        Node(b"+", [0, 0], b"k" * 8, b"v" * 8, long_lengths=True),
    ],
)
def test_what_is_not_ordinary_ends_them(other: Node) -> None:
    """Another type, a level that there is not, a long length: the caller looks closer."""
    data, keys, places = _ordinary(2)
    end = len(data)
    data += other.head() + other.tail()
    assert ordinary_keys(data, 8, len(data)) == (keys, places, end)


@pytest.mark.parametrize("place", [0, 5, 9, 20, 24, 31, 32, -1])
def test_damage_ends_them(place: int) -> None:
    """In the head, the pointers, both checksums, the key, the value and the padding."""
    data, keys, places = _ordinary(2)
    damaged = bytearray(data)
    damaged[place if place < 0 else places[1] + place] ^= 1
    found = ordinary_keys(bytes(damaged), 8, len(data))
    assert found == (keys[:1], places[:1], places[1])
