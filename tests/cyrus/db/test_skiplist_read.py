"""Reading skiplist records: one by its offset, many end to end, in pieces of any size."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist import reading as skiplist_read
from gateway.cyrus.db.skiplist.format import ADD, COMMIT, DELETE, DUMMY, INORDER
from gateway.cyrus.db.skiplist.reading import Node, Stop, records
from gateway.errors import DatabaseDamaged
from tests.cyrus.db.test_skiplist_format import record


@contextmanager
def viewing(folder: Path, data: bytes) -> Iterator[FileView]:
    """A view of a file that holds `data`."""
    path = folder / "file"
    path.write_bytes(data)
    view = FileView(str(path))
    try:
        yield view
    finally:
        view.close()


def typed(kind: int, key: bytes, value: bytes, pointers: tuple[int, ...] = (4,)) -> bytes:
    """A record with a key, of any type."""
    return struct.pack(">I", kind) + record(key, value, pointers)[4:]


@pytest.mark.parametrize("kind", [ADD, INORDER, DUMMY])
@pytest.mark.parametrize("value", [b"", b"v" * 440, b"v" * 480, b"v" * 512, b"v" * 5000])
@pytest.mark.parametrize("pointers", [(8,), (8, 12)])
def test_a_record_by_its_offset(
    tmp_path: Path, kind: int, value: bytes, pointers: tuple[int, ...]
) -> None:
    """Whatever its length, up to where records end."""
    data = typed(kind, b"key", value, pointers)
    with viewing(tmp_path, bytes(4) + data + b"\xff" * 1000) as view:
        for limit in (4 + len(data), 4 + len(data) + 4, 4 + len(data) + 1000):
            node = Node(view, 4, limit)
            assert (node.type, node.key, node.value) == (kind, b"key", value)
            assert node.pointers == pointers
            assert (node.offset, node.end) == (4, 4 + len(data))
        for limit in range(4 + 16, 4 + len(data), 4):
            with pytest.raises(DatabaseDamaged, match=f"passes {limit}"):
                Node(view, 4, limit)


def test_the_shortest_record(tmp_path: Path) -> None:
    """Without key and value it has 20 bytes, and may stand at the end."""
    with viewing(tmp_path, bytes(8) + typed(ADD, b"", b"")) as view:
        assert Node(view, 8, 28).end == 28


@pytest.mark.parametrize("offset", [1, 2, 3, 5, 88, 96, 100, 104, 1 << 31])
def test_where_no_record_can_stand(tmp_path: Path, offset: int) -> None:
    """Between the words, or too near to where records end, or behind it."""
    with viewing(tmp_path, bytes(200)) as view:
        with pytest.raises(DatabaseDamaged, match=f"pointer leads to {offset}; records end at 100"):
            Node(view, offset, 100)
        with pytest.raises(DatabaseDamaged, match="no record with a key at 84: type 0"):
            Node(view, 84, 100)


@pytest.mark.parametrize("kind", [0, 3, DELETE, COMMIT, 258])
def test_records_without_a_key(tmp_path: Path, kind: int) -> None:
    """No pointer leads to one."""
    with (
        viewing(tmp_path, typed(kind, b"key", b"value")) as view,
        pytest.raises(DatabaseDamaged, match=f"no record with a key at 0: type {kind}"),
    ):
        Node(view, 0, view.size())


# A log: bytes, and what they say: type, key, value or target; words of zero say nothing.
LOG: list[tuple[bytes, tuple[int, bytes, object] | None]] = [
    (typed(ADD, b"key", b"value"), (ADD, b"key", b"value")),
    (struct.pack(">II", DELETE, 80), (DELETE, b"", 80)),
    (struct.pack(">I", COMMIT), (COMMIT, b"", None)),
    (bytes(12), None),
    (typed(ADD, b"more", b"v" * 700, tuple(range(4, 84, 4))), (ADD, b"more", b"v" * 700)),
    (typed(INORDER, b"third", b""), (INORDER, b"third", b"")),
    (bytes(4), None),
    (struct.pack(">I", COMMIT), (COMMIT, b"", None)),
    (struct.pack(">II", DELETE, 400), (DELETE, b"", 400)),
]
WHOLE = b"".join(data for data, _ in LOG)
BEGINS = [sum(len(data) for data, _ in LOG[:number]) for number in range(len(LOG) + 1)]


@pytest.mark.parametrize("chunk", [4, 8, 12, 64, 100, 512, 1 << 18])
@pytest.mark.parametrize("start", [0, 48])
def test_records_end_to_end(
    tmp_path: Path, chunk: int, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its offset, type, key, value or target; words of zero are passed over."""
    monkeypatch.setattr(skiplist_read, "CHUNK", chunk)
    expected = [
        (start + at, *says) for at, (_, says) in zip(BEGINS, LOG, strict=False) if says is not None
    ]
    at = start + len(WHOLE)
    whole = b"x" * start + WHOLE
    prints: list[tuple[int, int, int]] = []
    found: list[tuple[int, int, bytes, object]] = []
    with viewing(tmp_path, whole + b"behind") as view:
        for item in records(view, start, at, prints):
            known: object = item.value if item.type in {ADD, INORDER} else None
            known = item.target if item.type == DELETE else known
            found.append((item.offset, item.type, item.key, known))
    assert found == expected
    # What was read is told, piece by piece, without a gap.
    place = start
    for offset, length, number in prints:
        assert (offset, number) == (place, hash(whole[place : place + length]))
        place += length
    assert place == at


def _stops(view: FileView, end: int) -> tuple[int, int, str]:
    """How many records come before it stops, where, and why."""
    count = 0
    try:
        for _ in records(view, 0, end):
            count += 1
    except Stop as stop:
        return count, stop.offset, stop.problem
    return count, end, "end"


def test_the_shortest_log(tmp_path: Path) -> None:
    """A COMMIT alone."""
    with viewing(tmp_path, struct.pack(">I", COMMIT)) as view:
        assert _stops(view, 4) == (1, 4, "end")
        assert _stops(view, 0) == (0, 0, "end")


def test_a_log_that_is_cut_off(tmp_path: Path) -> None:
    """Wherever it ends: what came before is read, and no problem is named."""
    with viewing(tmp_path, WHOLE) as view:
        for end in range(len(WHOLE) + 1):
            count, offset, problem = _stops(view, end)
            done = [at for at in BEGINS if at <= end]
            assert count == sum(says is not None for _, says in LOG[: len(done) - 1])
            assert offset >= done[-1]
            assert problem == ("end" if offset == end else "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (struct.pack(">II", 3, 0), "a record of type 3"),
        (struct.pack(">II", DUMMY, 0), "a record of type 257"),
        (struct.pack(">III", ADD, 1 << 31, 0), "a key of 2147483648 bytes"),
    ],
)
def test_nonsense_in_a_log(tmp_path: Path, data: bytes, problem: str) -> None:
    """It is named, with its place."""
    with viewing(tmp_path, WHOLE + data) as view:
        assert _stops(view, view.size()) == (7, len(WHOLE), problem)
