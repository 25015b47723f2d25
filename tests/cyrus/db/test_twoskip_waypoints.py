"""A twoskip file's upper levels, remembered: the same answers as without, whatever the writer does."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.order import MAILBOX
from gateway.cyrus.db.twoskip import waypoints as twoskip_waypoints
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.cyrus.db.twoskip.waypoints import Waypoints
from gateway.errors import DatabaseDamaged, StoreError
from tests.cyrus.db.interleave import CountingView
from tests.cyrus.db.test_twoskip import OPERATIONS, Operation, _written
from tests.support.twoskip_disk import ABSENT, KEYS, Disk, Interrupted
from tests.support.twoskip_writer import Writer


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """One file for all examples."""
    made = Disk(str(tmp_path_factory.mktemp("waypoints") / "mailboxes.db"))
    yield made
    os.close(made.fd)


def remembering(database: Twoskip) -> Twoskip:
    """The same database, as it is once the state was asked for."""
    database.state()
    return database


def test_what_is_remembered_is_not_read_again(disk: Disk) -> None:
    """A search that goes the same way reads only the lowest levels."""
    writer = Writer(seed=1)
    writer.fill((b"user.%04d" % n, b"value") for n in range(2000))
    disk.apply(writer)
    with_memory, without = CountingView(disk.path), CountingView(disk.path)
    database, plain = remembering(Twoskip(with_memory)), Twoskip(without)
    for key in writer.committed:
        database.get(key)
    with_memory.reads = 0
    for key, value in writer.committed.items():
        assert database.get(key) == plain.get(key) == value
        assert database.get(key + b"x") is plain.get(key + b"x") is None
    assert with_memory.reads < without.reads / 2
    database.close()
    plain.close()


@settings(max_examples=150, deadline=None)
@given(operations=OPERATIONS, seed=st.integers(0, 999), start=st.integers(2, 80))
def test_the_answers_are_the_commits_after_each_write(
    disk: Disk, operations: list[Operation], seed: int, start: int
) -> None:
    """Through stores, deletes and aborts, some of them in progress while records are remembered."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    database = remembering(disk.reader())
    for step in [steps[min(start, len(steps)) - 1], *steps[start:]]:
        step.apply(disk.fd)
        for key in KEYS + ABSENT:
            assert database.get(key) == step.committed.get(key), key
    database.close()


@settings(max_examples=150, deadline=None)
@given(
    operations=OPERATIONS,
    seed=st.integers(0, 999),
    start=st.integers(2, 60),
    pauses=st.lists(st.integers(0, 12), max_size=60),
    keys=st.lists(st.sampled_from(KEYS + ABSENT), min_size=1, max_size=4),
)
def test_a_writer_between_any_two_reads_does_no_harm(
    disk: Disk,
    operations: list[Operation],
    seed: int,
    start: int,
    pauses: list[int],
    keys: list[bytes],
) -> None:
    """Each answer was true at some moment of its question, and none of them spoils the next."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    view = Interrupted(disk.path, steps[start:], pauses)
    database = remembering(Twoskip(view))
    before = view.seen[-1] if view.seen else steps[min(start, len(steps)) - 1].committed
    for key in keys:
        view.seen.clear()
        answer = database.get(key)
        assert answer in [state.get(key) for state in (before, *view.seen)]
        before = view.seen[-1] if view.seen else before
    database.close()


def test_a_restore_over_it_is_another_past(disk: Disk) -> None:
    """Of the same length and generation: what was remembered does not answer any more."""
    one, other = Writer(seed=1), Writer(seed=1)
    one.fill((b"user.%03d" % n, b"one") for n in range(300))
    other.fill((b"user.%03d" % n, b"two") for n in range(300))
    disk.apply(one)
    database = remembering(disk.reader())
    assert {database.get(key) for key in one.committed} == {b"one"}
    disk.apply(other)
    assert {database.get(key) for key in other.committed} == {b"two"}
    database.close()


class Late(FileView):
    """A view whose writer commits while a record is looked for."""

    commit: Callable[[], None] | None = None
    _searched = False

    def peek(self, offset: int, length: int) -> bytes:
        if offset:
            self._searched = True
        elif self._searched and self.commit is not None:
            commit, self.commit = self.commit, None
            commit()
        return super().peek(offset, length)


def test_what_was_committed_during_a_search_is_found(disk: Disk) -> None:
    """The search saw no one state, so it is done again."""
    writer = Writer(seed=1)
    writer.fill((b"user.%03d" % n, b"value") for n in range(100))
    disk.apply(writer)
    view = Late(disk.path)
    database = remembering(Twoskip(view))
    assert database.get(b"user.new") is None
    writer.store(b"user.new", b"value")
    writer.commit()
    view.commit, view._searched = partial(disk.apply, writer), False
    assert database.get(b"user.new") == b"value"
    assert view.commit is None
    database.close()


def test_only_so_many_records_are_remembered(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the upper levels."""
    monkeypatch.setattr(twoskip_waypoints, "MAX_RECORDS", 16)
    writer = Writer(seed=1)
    writer.fill((b"user.%04d" % n, b"value") for n in range(1000))
    disk.apply(writer)
    database = remembering(disk.reader())
    for key in writer.committed:
        assert database.get(key) == b"value"
    waypoints = database._waypoints
    assert waypoints is not None
    assert waypoints.floor == 7
    assert 1 < len(waypoints.records) <= 2 * 16
    assert min(record.level for record in waypoints.records.values()) == 7
    database.close()


def test_records_of_earlier_states_are_let_go_bit_by_bit(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits after a commit until all of them are gone; with an index none is left."""
    monkeypatch.setattr(twoskip_waypoints, "RELEASED", 3)
    writer = Writer(seed=1)
    writer.fill((b"user.%03d" % n, b"value") for n in range(100))
    disk.apply(writer)
    database = remembering(disk.reader())
    for key in writer.committed:
        assert database.get(key) == b"value"
    waypoints = database._waypoints
    assert waypoints is not None
    assert waypoints.floor == 2
    known = len(waypoints._sorted)
    assert known > 20
    writer.store(b"user.new", b"value")
    writer.commit()
    disk.apply(writer)
    assert database.get(b"user.new") == b"value"
    assert len(waypoints._outdated) == known
    assert len(waypoints._sorted) < 20
    assert database.get(b"user.007") == b"value"
    assert len(waypoints._outdated) == known - 3
    while database.build_index_step():
        pass
    assert not waypoints._outdated
    assert not waypoints._sorted
    assert not waypoints.records
    for key in (*writer.committed, b"user.x"):
        assert database.get(key) == writer.committed.get(key)
    database.close()


def test_a_damaged_record_is_not_remembered(disk: Disk) -> None:
    """It is damage for each search that needs it, the first time and every other time."""
    writer = Writer(seed=1)
    writer.fill((b"user.%03d" % n, b"value") for n in range(100))
    disk.apply(writer)
    image = os.pread(disk.fd, os.fstat(disk.fd).st_size, 0)
    at = image.index(b"value", image.index(b"user.050"))
    os.pwrite(disk.fd, b"VALUE", at)
    database = remembering(disk.reader())
    for key in writer.committed:
        if key != b"user.050":
            assert database.get(key) == b"value"
    for _ in range(2):
        with pytest.raises(DatabaseDamaged, match="checksum"):
            database.get(b"user.050")
    database.close()


BYTES = st.sampled_from(
    [b"a", b"o", b".", b"-", b" ", b"$", b"\x1d", b"\x1f", b"\xc3", b"^", b"\t"]
)
ANY_KEYS = st.sets(st.lists(BYTES, min_size=1, max_size=4).map(b"".join), min_size=20, max_size=80)


@settings(max_examples=100, deadline=None)
@given(
    keys=ANY_KEYS,
    others=ANY_KEYS,
    table=st.sampled_from([None, MAILBOX]),
    mboxsort=st.booleans(),
    most=st.sampled_from([1, 4, 16384]),
    seed=st.integers(0, 999),
)
def test_a_search_may_begin_at_any_of_them_whatever_the_files_order(
    disk: Disk,
    keys: set[bytes],
    others: set[bytes],
    table: bytes | None,
    mboxsort: bool,
    most: int,
    seed: int,
) -> None:
    """They are sorted in the order that imapd.conf names, which need not be the file's."""
    writer = Writer(seed=seed, table=table)
    # Keys of the same rank are one key in a file of that order.
    kept = {key.translate(table): key for key in keys}.values()
    writer.fill((key, b"value of " + key) for key in kept)
    disk.apply(writer)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(twoskip_waypoints, "MAX_RECORDS", most)
        database = remembering(disk.reader(mboxsort=mboxsort))
        plain = disk.reader(mboxsort=mboxsort)
        asked = sorted(keys | others)
        random.Random(seed).shuffle(asked)
        for key in asked * 2:
            assert database.get(key) == plain.get(key), key
        database.close()
        plain.close()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), places=st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
def test_damage_is_damage_or_does_not_matter(disk: Disk, seed: int, places: list[int]) -> None:
    """Wherever a search begins, a record that is damaged makes nobody unknown."""
    writer = Writer(seed=seed)
    writer.fill((b"user.%03d" % n, b"value of %03d" % n) for n in range(60))
    disk.apply(writer)
    size = os.fstat(disk.fd).st_size
    for place in places:
        at = 64 + place % (size - 64)
        os.pwrite(disk.fd, bytes((os.pread(disk.fd, 1, at)[0] ^ 0x55,)), at)
    database = remembering(disk.reader())
    for key in [*writer.committed, b"user.0305", b"a", b"z"] * 2:
        try:
            found = database.get(key)
        except StoreError:
            continue
        assert found == writer.committed.get(key)
    database.close()


def test_what_is_kept_is_kept_once_and_up_to_a_bound(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a search comes by."""
    writer = Writer(seed=1)
    writer.fill((b"user.%03d" % n, b"value") for n in range(100))
    disk.apply(writer)
    database = remembering(disk.reader())
    for key in writer.committed:
        assert database.get(key) == b"value"
    assert database._waypoints is not None
    records = database._waypoints._sorted
    monkeypatch.setattr(twoskip_waypoints, "MAX_RECORDS", 4)
    waypoints = Waypoints(database._view, None)
    for count in (3, 3, 5, 8, 9, len(records)):
        waypoints.keep(records[:count])
        assert len(waypoints.records) == len(waypoints._sorted) == min(count, 8)
    assert waypoints._sorted == records[:8]
    database.close()
