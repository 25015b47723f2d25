"""What is kept of a log to compare: where it begins, which records it has, and how much it is.

The lengths are made short, so that short files have everything that long ones have.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gateway.cyrus.db import history
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.history import History, Tail
from tests.cyrus.db.histories import Verb
from tests.cyrus.db.pasts import FORMATS, PASTS, Disk, Reader, store

BYTES = 1024
LEAST = BYTES // 2
WIDEST = 16 * BYTES


@pytest.fixture(params=FORMATS)
def disk(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """An empty one, of each format."""
    monkeypatch.setattr(history, "TAIL_BYTES", BYTES)
    monkeypatch.setattr(history, "_LEAST", LEAST)
    monkeypatch.setattr(history, "_WIDEST", WIDEST)
    return Disk(tmp_path, request.param)


def opened(disk: Disk, *commits: list[Verb]) -> tuple[Reader, Tail]:
    """A reader that has looked at it after these commits, and what it keeps."""
    disk.put(disk.image(*commits))
    reader = disk.reader()
    reader.state()
    return reader, reader._history.tail


def another(tail: Tail) -> Tail:
    """One that knows nothing, of the same format."""
    return Tail(tail._measure, tail._first, tail._step)


def holds(tail: Tail, disk: Disk, last: bytes = b"") -> None:
    """What is kept is whole records up to the end, as somebody finds who has only the bytes."""
    start, kept = tail.kept()
    assert (start, len(kept)) == (tail.start, tail.end - start)
    fresh = another(tail)
    assert fresh.take(start, kept)
    assert fresh._records == tail._records
    assert all(begin <= a < b <= len(kept) for begin, a, b in tail._records)
    assert kept.count(last)
    assert kept == disk.path.read_bytes()[start : tail.end]
    assert start == tail._first or len(kept) >= LEAST


def commits(count: int, *lengths: int) -> list[list[Verb]]:
    """As many, each with a record whose value has one of these lengths."""
    chosen = random.Random(count)
    return [
        store(b"user.%04d" % number, value=b"v" * chosen.choice(lengths)) for number in range(count)
    ]


def test_it_moves_on_record_by_record(disk: Disk) -> None:
    """Whatever their lengths are, and however many come at once."""
    every = commits(60, 3, 40, 150, 700)
    reader, tail = opened(disk, *every[:5])
    past = reader.history
    for count in (6, 7, 8, 12, 13, 14, 15, 16, 17, 30, 31, 32, 33, 34, 35, 58, 59, 60):
        disk.put(disk.image(*every[:count]))
        reader.state()
        assert reader.history is past
        holds(tail, disk, b"user.%04d" % (count - 1))
        assert len(tail.kept()[1]) <= 3 * BYTES
    reader.close()


def test_it_begins_in_the_middle_of_a_long_log(disk: Disk) -> None:
    """At a record: little more is kept than what is compared."""
    every = commits(80, 20, 41, 77)
    for count in range(60, 80):
        reader, tail = opened(disk, *every[:count])
        holds(tail, disk, b"user.%04d" % (count - 1))
        assert tail.start > tail._first
        assert len(tail.kept()[1]) <= BYTES
        reader.close()


def test_a_record_that_is_longer_is_kept_whole(disk: Disk) -> None:
    """And what is in front of it no more, once it has moved out of what is compared."""
    every = [
        *commits(120, 150, 170),
        store(b"large", value=b"v" * 3 * BYTES),
        *commits(14, 90, 120),
    ]
    reader, tail = opened(disk, *every[:121])
    past = reader.history
    assert 3 * BYTES < len(tail.kept()[1]) <= 8 * BYTES
    assert tail.start > tail._first
    for count in range(122, len(every) + 1):
        disk.put(disk.image(*every[:count]))
        reader.state()
        assert reader.history is past
        holds(tail, disk)
    assert len(tail.kept()[1]) <= 3 * BYTES
    reader.close()


def test_where_a_record_is_longer_than_is_read_every_look_is_at_another_history(disk: Disk) -> None:
    """Nothing is kept of it: what is in front of it may be another past's."""
    every = [*commits(200, 150, 170), store(b"large", value=b"v" * 9 * WIDEST)]
    reader, tail = opened(disk, *every)
    assert tail.kept() == (0, b"")
    past = reader.history
    disk.put(disk.image(*every, store(b"user.anna")))
    reader.state()
    assert reader.history is not past
    again = History(tail._measure, tail._first, tail._step)
    view = FileView(str(disk.path))
    tokens = [again.token]
    for _ in range(2):
        assert not again.prove(view, disk.path.stat().st_size)
        tokens.append(again.token)
    assert len(set(tokens)) == 3
    view.close()
    reader.close()


def test_a_file_that_has_become_shorter_has_another_past(disk: Disk) -> None:
    """For good, whatever comes behind it."""
    reader, tail = opened(disk, *commits(3, 20))
    known = History(tail._measure, tail._first, tail._step)
    view = FileView(str(disk.path))
    assert not known.prove(view, tail.end)  # it knew nothing
    assert known.prove(view, tail.end)
    assert not known.overwritten
    token = known.token
    assert not known.prove(view, disk.path.stat().st_size + 4096)
    assert known.overwritten
    assert known.token is not token
    view.close()
    reader.close()


def test_what_another_process_kept_is_taken_for_what_it_is(disk: Disk) -> None:
    """Records, and only those; then it follows the log as its own."""
    every = commits(30, 60, 90)
    reader, tail = opened(disk, *every)
    start, kept = tail.kept()
    taken = another(tail)
    for bad in (b"", kept[:-1], kept[4:], b"\xee" * len(kept)):
        assert not taken.take(start, bad)
        assert (taken.end, taken.kept()) == (0, (0, b""))
    assert taken.take(start, kept)
    assert (taken.start, taken.end) == (tail.start, tail.end)
    longer, other = opened(disk, *every, store(b"user.zoe"))
    end = other.end
    longer.close()
    view = FileView(str(disk.path))
    assert taken.follow(view, end)
    holds(taken, disk)
    assert not another(tail).follow(view, end)  # it knows nothing
    assert not taken.follow(view, start + len(kept))  # the log is shorter
    view.close()
    reader.close()


def test_what_another_process_kept_is_enough_to_tell(disk: Disk) -> None:
    """Of a longer log: a few bytes are the same in many pasts."""
    reader, tail = opened(disk, *commits(80, 20, 41, 77))
    start, kept = tail.kept()
    assert start > tail._first
    for begin, _, _ in tail._records:
        enough = len(kept) - begin >= LEAST
        assert another(tail).take(start + begin, kept[begin:]) is enough
    reader.close()


def test_a_past_that_parted_at_the_beginning_of_what_is_kept_is_another_one(disk: Disk) -> None:
    """However much has been written since, as long as it is in what is compared."""
    first, second = PASTS["another recipient"]
    every = commits(2, 20)
    reader, _ = opened(disk, first, *every)
    past = reader.history
    disk.put(disk.image(second, *every, *commits(40, 100)))
    reader.state()
    assert reader.history is not past
    reader.close()
