"""The log of a twoskip file: which keys commits have written, stored and deleted ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.twoskip import twoskip
from gateway.errors import DatabaseDamaged
from tests.cyrus.db.test_twoskip import OPERATIONS, Operation, _written
from tests.support.twoskip_disk import KEYS, Disk, crc
from tests.support.twoskip_writer import Node, Writer


def test_changes_names_what_was_written(disk: Disk) -> None:
    """Keys of commits since a state are named; an open transaction's are not."""
    writer = Writer(seed=5)
    writer.fill((b"key%d" % number, b"v") for number in range(50))
    disk.apply(writer)
    database = disk.reader()
    first = database.state()
    assert database.changes(first) == frozenset()
    writer.store(b"key7", b"new")
    disk.apply(writer)
    assert database.changes(first) == frozenset()
    writer.store(b"another", b"x" * 1000)
    writer.commit()
    disk.apply(writer)
    second = database.state()
    assert database.changes(first) == frozenset([b"key7", b"another"])
    writer.store(b"key8", b"new")
    writer.commit()
    disk.apply(writer)
    assert database.changes(second) == frozenset([b"key8"])
    assert database.changes(first) == frozenset([b"key7", b"key8", b"another"])
    database.close()


def test_changes_knows_what_it_cannot_tell(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletions, long logs and states that are none give None."""
    writer = Writer(seed=6)
    writer.fill((b"key%d" % number, b"v") for number in range(50))
    disk.apply(writer)
    database = disk.reader()
    state = database.state()
    assert isinstance(state, tuple)
    header, past = state
    assert database.changes(None) is None
    assert database.changes((header[:-1] + b"?", past)) is None
    assert database.changes((header, object())) is None
    writer.store(b"long", b"v" * 5000)
    writer.commit()
    disk.apply(writer)
    assert database.changes(state) == frozenset([b"long"])
    repacked = header[:24] + (9).to_bytes(8, "big") + header[32:60]
    assert database.changes((repacked + crc(repacked), past)) is None
    written = len(writer.image()) - int.from_bytes(header[48:56], "big")
    monkeypatch.setattr(twoskip, "LOG_LIMIT", written)
    assert database.changes(state) == frozenset([b"long"])
    monkeypatch.setattr(twoskip, "LOG_LIMIT", written - 1)
    assert database.changes(state) is None
    monkeypatch.undo()
    writer.delete(b"long")
    writer.commit()
    disk.apply(writer)
    assert database.changes(state) is None
    database.close()


def _do(writer: Writer, operations: str) -> None:
    for word in operations.split():
        if word == "commit":
            writer.commit()
        elif word.startswith("-"):
            writer.delete(word[1:].encode())
        else:
            writer.store(word.encode(), b"new")


# What is done to k00 to k99 before the state, and behind it; the keys that are named.
DELETIONS: list[tuple[str, str, str | None]] = [
    ("", "-k07 commit", "k07"),
    ("", "-k00 commit", "k00"),
    ("", "-k07", ""),
    ("", "-k07 -k12 commit", "k07 k12"),
    ("", "-k08 -k07 commit", "k07 k08"),
    ("", "-k08 commit -k07 commit", "k07 k08"),
    ("", "k08 commit -k07 commit", "k07 k08"),
    ("k06 commit", "-k07 commit", "k07"),
    ("k08 commit", "-k07 commit", "k07"),
    ("-k08 commit", "-k07 commit", "k07"),
    ("-k07 commit", "-k08 commit", "k08"),
    ("-k07 -k08 commit", "-k09 commit", "k09"),
    # nothing is behind, or in front, that was before
    ("", "-k99 commit", None),
    ("", "-k07 -k08 commit", None),
    ("", "-k07 commit k07 commit", None),
    ("", "k06 commit -k07 commit", None),
    ("", "k06a -k07 commit", None),
    ("", "-k07 commit k06 commit", None),
    ("", "k07a commit -k07 commit", None),
    ("", "-k06 commit -k07 commit", None),
    ("", "-k07 commit -k08 commit", None),
    ("", "k07a commit -k07a commit", None),
    ("k07b commit", "k07a commit -k07a commit", None),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("before", "behind", "named"), DELETIONS)
def test_changes_names_what_was_deleted(
    disk: Disk, seed: int, before: str, behind: str, named: str | None
) -> None:
    """As long as the records in front and behind tell: a delete record names the one behind only."""
    writer = Writer(seed=seed)
    writer.fill((b"k%02d" % number, b"v") for number in range(100))
    _do(writer, before)
    disk.apply(writer)
    database = disk.reader()
    state = database.state()
    _do(writer, behind)
    disk.apply(writer)
    expected = None if named is None else frozenset(named.encode().split())
    assert database.changes(state) == expected
    database.close()


@pytest.mark.parametrize(("count", "told"), [(64, True), (65, False)])
def test_changes_goes_past_64_deleted_records(disk: Disk, count: int, told: bool) -> None:
    """Beyond that, forgetting everything is cheaper."""
    writer = Writer(seed=1)
    writer.fill((b"k%02d" % number, b"v") for number in range(100))
    disk.apply(writer)
    database = disk.reader()
    state = database.state()
    deleted = [b"k%02d" % number for number in reversed(range(10, 10 + count))]
    for key in deleted:
        writer.delete(key)
    writer.commit()
    disk.apply(writer)
    assert database.changes(state) == (frozenset(deleted) if told else None)
    database.close()


def test_a_log_with_an_unknown_record_is_damage(disk: Disk) -> None:
    """Nobody knows what it means."""
    writer = Writer(seed=1)
    writer.fill((key, b"v") for key in KEYS)
    disk.apply(writer)
    database = disk.reader()
    state = database.state()
    writer.store(b"a", b"another")
    place = writer._end
    writer._append(Node(b"?", [0, 0]))
    writer.commit()
    disk.apply(writer)
    with pytest.raises(DatabaseDamaged, match=f"unknown record at {place}"):
        database.changes(state)
    database.close()


@settings(max_examples=40, deadline=None)
@given(operations=OPERATIONS, seed=st.integers(0, 999), split=st.integers(2, 50))
def test_changes_never_misses_one(
    disk: Disk, operations: list[Operation], seed: int, split: int
) -> None:
    """Every key whose value differs between two states is among the changes, if these are told."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:split])
    database = disk.reader()
    state = database.state()
    old = steps[min(split, len(steps)) - 1].committed
    for step in steps[split:]:
        step.apply(disk.fd)
    new = steps[-1].committed
    changes = database.changes(state)
    if changes is not None:
        assert {key for key in KEYS if old.get(key) != new.get(key)} <= changes
    database.close()
