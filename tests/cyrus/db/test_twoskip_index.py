"""The index of a twoskip file: the same answers as the walk, whatever the writer does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.twoskip import index as twoskip_index
from gateway.cyrus.db.twoskip import keyrun as twoskip_keyrun
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.cyrus.db.test_twoskip import OPERATIONS, Operation, _written
from tests.support.ages import let_age
from tests.support.twoskip_disk import ABSENT, KEYS, Disk, Interrupted
from tests.support.twoskip_writer import Writer


def indexed(database: Twoskip) -> Twoskip:
    """The same database, with its index made."""
    while database.build_index_step():
        pass
    return database


@pytest.mark.parametrize("shift", [32, 30, 20])
def test_many_keys_in_a_bucket(disk: Disk, shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As there are in a large file: each is found, and so are those of later commits."""
    monkeypatch.setattr(twoskip_keyrun, "SHIFT", shift)
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"value %d" % n) for n in range(300))
    disk.apply(writer)
    database = indexed(disk.reader())
    assert not database.build_index_step()
    for commit in range(4):
        for number in range(0, 400, 7):
            writer.store(b"user.%d" % number, b"%d of %d" % (number, commit))
        writer.delete(b"user.%d" % (commit + 1))
        writer.commit()
        disk.apply(writer)
        for number in range(410):
            key = b"user.%d" % number
            assert database.get(key) == writer.committed.get(key)
            assert not (database.known_absent(key) and key in writer.committed)
    assert database._index is not None
    database.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_deleted_record_is_known_by_either_pointer(disk: Disk, seed: int, before: int) -> None:
    """Of the pair at the lowest level, which changes its order with each commit in front of it."""
    writer = Writer(seed=seed)
    writer.fill((b"user.%02d" % n, b"value") for n in range(20))
    disk.apply(writer)
    database = indexed(disk.reader())
    for number in range(before):
        writer.store(b"user.07" + b"a" * (4 - number), b"new")
        writer.commit()
    writer.delete(b"user.07")
    writer.commit()
    disk.apply(writer)
    view = database._view
    assert database.get(b"user.07") is None
    assert database.get(b"user.06") == b"value"
    assert database._index is not None
    assert database._index.header == view.read(0, 64)
    database.close()


@settings(max_examples=150, deadline=None)
@given(operations=OPERATIONS, seed=st.integers(0, 999), start=st.integers(2, 80))
def test_an_index_that_follows_every_write_knows_what_is_committed(
    disk: Disk, operations: list[Operation], seed: int, start: int
) -> None:
    """Made at any moment and kept through stores, deletes, aborts: the answers are the commits."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    database = indexed(disk.reader())
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
    key=st.sampled_from(KEYS + ABSENT),
)
def test_a_writer_between_any_two_reads_does_no_harm(
    disk: Disk, operations: list[Operation], seed: int, start: int, pauses: list[int], key: bytes
) -> None:
    """While the index is made and asked, the answer was true at some moment of the question."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    view = Interrupted(disk.path, steps[start:], pauses)
    database = indexed(Twoskip(view))
    before = view.seen[-1] if view.seen else steps[min(start, len(steps)) - 1].committed
    view.seen.clear()
    answer = database.get(key)
    assert answer in [state.get(key) for state in (before, *view.seen)]
    database.close()


@settings(max_examples=100, deadline=None)
@given(
    operations=OPERATIONS,
    seed=st.integers(0, 999),
    start=st.integers(2, 60),
    steps_made=st.lists(st.integers(0, 3), max_size=80),
    followed=st.integers(0, 600),
    chunk=st.integers(300, 2000),
)
def test_an_index_that_is_behind_catches_up_in_pieces(
    disk: Disk,
    operations: list[Operation],
    seed: int,
    start: int,
    steps_made: list[int],
    followed: int,
    chunk: int,
) -> None:
    """What it does not know yet is walked for: the answers are the commits all the time."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(twoskip_index, "FOLLOWED", followed)
        patched.setattr(twoskip_index, "CHUNK", chunk)
        database = indexed(disk.reader())
        for number, step in enumerate(steps[start:]):
            step.apply(disk.fd)
            for _ in range(steps_made[number] if number < len(steps_made) else 0):
                database.build_index_step()
            database.state()
            for key in KEYS + ABSENT:
                assert not (database.known_absent(key) and key in step.committed)
                assert database.get(key) == database.get_seen(key) == step.committed.get(key)
        indexed(database)
        database.state()
        committed = steps[-1].committed
        for key in KEYS + ABSENT:
            assert database.get(key) == committed.get(key)
        assert database._index is not None
        assert database._index.ready
    database.close()


def test_a_long_log_is_followed_in_pieces(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for all of it, and nothing that was indexed is read again."""
    monkeypatch.setattr(twoskip_index, "FOLLOWED", 1000)
    monkeypatch.setattr(twoskip_index, "CHUNK", 2000)
    writer = Writer(seed=2)
    writer.fill((b"user.%d" % n, b"value") for n in range(500))
    disk.apply(writer)
    database = indexed(disk.reader())
    index = database._index
    assert index is not None
    known = index.end
    for number in range(100):
        writer.store(b"user.new%d" % number, b"value")
    writer.commit()
    disk.apply(writer)
    database.state()
    assert not database.known_absent(b"user.absent")
    assert index.end == known
    assert not index.ready
    assert database.get(b"user.new7") == b"value"
    pieces = 0
    while database.build_index_step():
        pieces += 1
        assert index.end - known <= 2000 * pieces
    assert pieces >= 3
    assert database._index is index
    assert database.known_absent(b"user.absent")
    database.close()


def test_what_was_seen_is_answered_without_another_look(disk: Disk) -> None:
    """By `get_seen`: a commit since the last look does no harm, and shows with the next one."""
    writer = Writer(seed=1)
    writer.fill((b"user.%02d" % n, b"value") for n in range(20))
    disk.apply(writer)
    database = indexed(disk.reader())
    database.state()
    writer.delete(b"user.07")
    writer.store(b"user.08", b"new")
    writer.store(b"user.99", b"new")
    writer.commit()
    disk.apply(writer)
    assert database.get_seen(b"user.07") == b"value"
    assert database.get_seen(b"user.08") == b"value"
    assert database.get_seen(b"user.99") is None
    database.state()
    for key in (b"user.07", b"user.08", b"user.09", b"user.99", b""):
        assert database.get_seen(key) == database.get(key) == writer.committed.get(key)
    database.close()


def test_an_index_that_is_behind_says_nothing_of_what_it_has_not_read(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much was appended: the first question after it is answered by the search."""
    monkeypatch.setattr(twoskip_index, "FOLLOWED", 1000)
    for ask in (Twoskip.get, Twoskip.get_seen):
        writer = Writer(seed=2)
        writer.fill((b"user.%d" % n, b"value") for n in range(50))
        disk.apply(writer)
        database = indexed(disk.reader())
        for number in range(100):
            writer.store(b"user.new%d" % number, b"value")
        writer.commit()
        disk.apply(writer)
        database.state()
        index = database._index
        assert index is not None
        assert index.ready
        assert ask(database, b"user.new7") == b"value"
        assert not index.ready
        assert ask(database, b"user.new8") == b"value"
        assert ask(database, b"user.absent") is None
        database.close()


def test_what_was_seen_of_another_past_is_not_believed(disk: Disk) -> None:
    """A restore behind the last look: records that are not what the index says are looked for."""
    one, other = Writer(seed=1), Writer(seed=2)
    one.fill((b"user.%02d" % n, b"value") for n in range(20))
    other.fill((b"fred.%02d" % n, b"value") for n in range(20))
    disk.apply(one)
    database = indexed(disk.reader())
    database.state()
    disk.apply(other)
    for key in one.committed:
        assert database.get_seen(key) is None
    database.close()


def test_chunks_cut_records_anywhere(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the pieces are that the file is read in, every record is found."""
    writer = Writer(seed=1)
    records = {b"user.%d" % n: b"v" * (n * 37 % 1500) for n in range(200)}
    writer.fill(records.items())
    disk.apply(writer)
    for chunk in (1024, 1500, 4096, 10_000, 1 << 20):
        monkeypatch.setattr(twoskip_index, "CHUNK", chunk)
        database = indexed(disk.reader())
        assert database._index is not None
        assert database._index.ready
        for key, value in records.items():
            assert database.get(key) == value
            assert database.get(key + b"x") is None
        database.close()


def test_a_missing_key_costs_one_look_at_the_header(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what the index is for."""
    let_age(monkeypatch)
    writer = Writer(seed=2)
    writer.fill((b"user.%d" % n, b"value") for n in range(500))
    disk.apply(writer)
    view = Interrupted(disk.path, [], [])
    database = indexed(Twoskip(view))
    for key, value, reads in (
        (b"user.absent", None, 1),
        (b"user.300", b"value", 2),
        (b"user.300x", None, 1),
    ):
        view.reads = 0
        assert database.get(key) == value
        assert view.reads == reads
    database.close()


def test_a_commit_is_followed_at_the_cost_of_reading_it(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is kept; no look-up walks."""
    let_age(monkeypatch)
    writer = Writer(seed=2)
    writer.fill((b"user.%d" % n, b"value") for n in range(500))
    disk.apply(writer)
    writer.store(b"user.new", b"value")
    writer.commit()
    view = Interrupted(disk.path, [], [])
    database = indexed(Twoskip(view))
    disk.apply(writer)
    for key, value, reads in (
        (b"user.absent", None, 3),  # the header, the end of the log, and what was appended
        (b"user.absent", None, 1),
        (b"user.new", b"value", 2),
    ):
        view.reads = 0
        assert database.get(key) == value
        assert view.reads == reads
    # A deletion makes the others no dearer, nor does a writer at work.
    writer.delete(b"user.300")
    writer.commit()
    writer.store(b"user.newer", b"value")
    disk.apply(writer)
    for key, value, reads in (
        (b"user.absent", None, 3),
        (b"user.newer", None, 1),
        (b"user.100", b"value", 2),
    ):
        view.reads = 0
        assert database.get(key) == value
        assert view.reads == reads
    writer.recover()
    disk.apply(writer)
    view.reads = 0
    assert database.get(b"user.absent") is None
    assert view.reads == 2  # once more, the end of the log
    database.close()


def test_absent_is_said_by_the_index_alone(disk: Disk) -> None:
    """Of the state that was looked at last; nothing is said without an index that agrees with it."""
    writer = Writer(seed=2)
    writer.fill((b"user.%d" % n, b"value") for n in range(50))
    disk.apply(writer)
    database = disk.reader()
    database.state()
    assert not database.known_absent(b"user.new")
    assert database.build_index_step()
    assert not database.known_absent(b"user.new")
    indexed(database)
    assert database.known_absent(b"user.new")
    assert not database.known_absent(b"user.7")
    sound = disk.image()
    disk.put(b"garbage" + sound[7:])
    database.state()
    assert not database.known_absent(b"user.new")
    disk.put(sound)
    database.state()
    assert database.known_absent(b"user.new")
    writer.store(b"user.new", b"value")
    writer.commit()
    disk.apply(writer)
    assert database.known_absent(b"user.new")  # nobody has looked yet
    database.state()
    assert not database.known_absent(b"user.new")
    assert database.known_absent(b"user.newer")
    disk.apply(Writer(seed=2, generation=writer.generation + 1))
    database.state()
    assert not database.known_absent(b"user.newer")
    indexed(database)
    database.state()
    assert database.known_absent(b"user.newer")
    database.close()


def test_another_generation_needs_another_index(disk: Disk) -> None:
    """A file that was written again in place is read by its own pointers."""
    writer = Writer(seed=3)
    writer.fill((b"user.%d" % n, b"old") for n in range(20))
    disk.apply(writer)
    database = indexed(disk.reader())
    assert database.get(b"user.3") == b"old"
    other = Writer(seed=4, generation=writer.generation + 1)
    other.fill((b"other.%d" % n, b"new") for n in range(20))
    disk.apply(other)
    assert database.get(b"other.3") == b"new"
    assert database.get(b"user.3") is None
    database.close()
