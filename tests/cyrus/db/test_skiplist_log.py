"""The index of a skiplist log: what counts as committed, and which readings confirm each other."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.format import ADD, COMMIT, DELETE
from gateway.cyrus.db.skiplist.log import Changed, Log, Scan
from gateway.errors import DatabaseDamaged
from tests.cyrus.db.test_skiplist_format import record

# Where the logs of these tests begin.
START = 144
DONE = struct.pack(">I", COMMIT)


def add(key: bytes, pointer: int = 0) -> bytes:
    """An ADD of 32 bytes, for keys of up to four bytes."""
    made = record(key, b"data", (pointer,))
    assert len(made) == 28
    return made + bytes(4)


def delete(target: int) -> bytes:
    """A DELETE."""
    return struct.pack(">II", DELETE, target)


@contextmanager
def logged(folder: Path, log: bytes) -> Iterator[FileView]:
    """A view of a file whose log is `log`."""
    path = folder / "file"
    path.write_bytes(bytes(START) + log)
    view = FileView(str(path))
    try:
        yield view
    finally:
        view.close()


@pytest.mark.parametrize(
    ("log", "added", "deleted", "end"),
    [
        (b"", 0, 0, START),
        (add(b"a"), 0, 0, START),
        (delete(48), 0, 0, START),
        (add(b"a") + DONE, 1, 0, START + 36),
        (add(b"a") + DONE + add(b"b"), 1, 0, START + 36),
        (add(b"a") + delete(START) + DONE + delete(48), 1, 1, START + 44),
        (DONE + DONE, 0, 0, START + 8),
        (add(b"a") + DONE + add(b"b") + delete(START) + DONE, 2, 1, START + 80),
    ],
)
def test_what_is_committed(tmp_path: Path, log: bytes, added: int, deleted: int, end: int) -> None:
    """Everything in front of the last COMMIT, and nothing behind it."""
    with logged(tmp_path, log) as view:
        scan = Scan(view, START)
        assert (len(scan.added), len(scan.deleted), scan.end) == (added, deleted, end)
        assert scan.problem is None
        index = Log(view, START)
        assert (len(index.added), len(index.deleted), index.end) == (added, deleted, end)


@pytest.mark.parametrize("target", [START, START + 4, 49, 50])
def test_a_delete_leads_back_to_a_record(tmp_path: Path, target: int) -> None:
    """To one in front of it, at a multiple of four."""
    with logged(tmp_path, delete(target) + DONE) as view:
        assert Scan(view, START).problem == (START, f"a DELETE of the record at {target}")
        with pytest.raises(DatabaseDamaged, match=f"DELETE of the record at {target}"):
            Log(view, START)


@pytest.mark.parametrize(
    ("ending", "damaged"),
    [
        (record(b"a", b"data", (0,)) + DONE, True),
        (delete(48) + DONE, True),
        (DONE, False),
        (delete(48), False),
        (add(b"a") + bytes(4), False),
    ],
)
def test_a_record_that_passes_the_end(tmp_path: Path, ending: bytes, damaged: bool) -> None:
    """Is damage where the file ends as a whole log does, and else not yet all there."""
    passing = struct.pack(">II", ADD, 1 << 20) + bytes(40)
    with logged(tmp_path, add(b"a") + DONE + passing + ending) as view:
        scan = Scan(view, START)
        assert scan.end == START + 36
        problem = (START + 36, "its lengths pass the end of the file")
        assert scan.problem == (problem if damaged else None)


class Shrinking(FileView):
    """A view of a file that loses its last bytes behind two of the looks at its size."""

    __slots__ = ("looks",)

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.looks = 0

    def size(self) -> int:
        self.looks += 1
        return super().size() + (100 if self.looks <= 2 else 0)


@pytest.mark.parametrize("log", [b"", add(b"a") + DONE])
def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path, log: bytes) -> None:
    """A transaction was aborted: what is left is read again."""
    with logged(tmp_path, log) as still:
        view = Shrinking(still.path)
        index = Log(view, START)
        assert index.end == START + len(log)
        view.close()


def test_which_reading_confirms_another(tmp_path: Path) -> None:
    """A later one that found all of it, and a COMMIT where the earlier one ended."""
    first = add(b"a") + delete(48) + DONE
    confirmed = [first, first + add(b"b"), first + add(b"b") + delete(48) + DONE]
    others = [
        add(b"a") + DONE,
        add(b"a") + delete(52) + DONE,
        add(b"b") + delete(48) + DONE,
        add(b"a") + delete(48) + add(b"b") + DONE,
    ]
    with logged(tmp_path, first) as view:
        earlier = Scan(view, START)
        for log in confirmed + others:
            Path(view.path).write_bytes(bytes(START) + log)
            assert Scan(view, START).confirms(earlier) is (log in confirmed)
            assert earlier.still() is log.startswith(first)


class Moving(FileView):
    """A view of a log in which each look finds another pointer in the first record."""

    __slots__ = ("looks",)

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.looks = 0

    def peek(self, offset: int, length: int) -> bytes:
        self.looks += 1
        with open(self.path, "r+b") as file:
            file.seek(START + 20)
            file.write(struct.pack(">I", 4 * self.looks))
        return super().peek(offset, length)


def test_pointers_may_move_all_the_time(tmp_path: Path) -> None:
    """Only what the records say has to read the same twice."""
    with logged(tmp_path, add(b"a") + DONE) as still:
        view = Moving(still.path)
        index = Log(view, START)
        assert index.candidates(b"a") == [START]
        view.close()


def test_commits_that_are_lost_are_noticed(tmp_path: Path) -> None:
    """By the length, or by another word where the last COMMIT stood."""
    with logged(tmp_path, add(b"a") + DONE) as view:
        index = Log(view, START)
        Path(view.path).write_bytes(bytes(START) + add(b"b") + add(b"c") + DONE)
        with pytest.raises(Changed):
            index.refresh()
        os.truncate(view.path, START)
        with pytest.raises(Changed):
            index.refresh()


def test_which_records_there_are(tmp_path: Path) -> None:
    """By key and offset; the newest of a key first."""
    with logged(tmp_path, add(b"a") + add(b"a") + delete(START) + DONE) as view:
        index = Log(view, START)
        assert index.candidates(b"a") == [START + 32, START]
        assert index.candidates(b"b") == []
        for key, offset, there in (
            (b"a", START, True),
            (b"a", START + 32, True),
            (b"a", START - 4, False),
            (b"a", START + 36, False),
            (b"b", START, False),
        ):
            assert index.has(key, offset) is there
        assert index.is_deleted(START)
        for offset in (START - 4, START + 4, START + 32):
            assert not index.is_deleted(offset)


@pytest.mark.parametrize("first", [add(b"a") + DONE, delete(48) + DONE])
@pytest.mark.parametrize(
    "then", [add(b"b") + DONE, delete(96) + DONE, add(b"b") + delete(96) + DONE]
)
def test_what_comes_later_is_added_to_what_was_known(
    tmp_path: Path, first: bytes, then: bytes
) -> None:
    """Of whatever kind the records before and behind were."""
    with logged(tmp_path, first) as view:
        index = Log(view, START)
        with open(view.path, "ab") as file:
            file.write(then)
        index.refresh()
        at_once = Log(view, START)
    assert (index.added, index.deleted, index.end) == (at_once.added, at_once.deleted, at_once.end)
    assert len(index.added) == (first + then).count(b"data")
