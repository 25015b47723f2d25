"""What an index is made of: a run that does not change, and what was appended since."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.twoskip import index as twoskip_index
from gateway.cyrus.db.twoskip import keyrun as twoskip_keyrun
from gateway.cyrus.db.twoskip.index import MAX_CANDIDATES, KeyIndex
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.cyrus.db.collisions import colliding
from tests.cyrus.db.test_twoskip import OPERATIONS, Operation, _written
from tests.cyrus.db.test_twoskip_index import indexed
from tests.support.twoskip_disk import ABSENT, KEYS, Disk, Interrupted
from tests.support.twoskip_writer import Writer


def index_of(database: Twoskip) -> KeyIndex:
    """Its index, which there is."""
    assert database._index is not None
    return database._index


@settings(max_examples=100, deadline=None)
@given(
    operations=OPERATIONS,
    seed=st.integers(0, 999),
    start=st.integers(2, 60),
    pieces=st.lists(st.integers(0, 3), max_size=80),
    shift=st.integers(28, 32),
)
def test_an_index_that_merges_again_and_again_knows_what_is_committed(
    disk: Disk,
    operations: list[Operation],
    seed: int,
    start: int,
    pieces: list[int],
    shift: int,
) -> None:
    """While a new run is made, too, and whatever is appended meanwhile."""
    steps = _written(operations, seed).steps
    disk.begin(steps[:start])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(twoskip_index, "MOST_RECENT", 2)
        patched.setattr(twoskip_keyrun, "SORTED_PER_STEP", 1)
        patched.setattr(twoskip_keyrun, "SHIFT", shift)
        database = indexed(disk.reader())
        for number, step in enumerate(steps[start:]):
            step.apply(disk.fd)
            for _ in range(pieces[number] if number < len(pieces) else 1):
                database.build_index_step()
            database.state()
            for key in KEYS + ABSENT:
                assert not (database.known_absent(key) and key in step.committed)
                assert database.get(key) == database.get_seen(key) == step.committed.get(key)
    database.close()


def test_what_was_appended_is_merged_once_it_is_much(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index answers all the time, and its run reaches further then."""
    monkeypatch.setattr(twoskip_index, "MOST_RECENT", 10)
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"value") for n in range(30))
    disk.apply(writer)
    database = indexed(disk.reader())
    index = index_of(database)
    first = index.run
    for number in range(11):
        assert not index.outgrown
        writer.store(b"user.new%d" % number, b"value")
        writer.commit()
        disk.apply(writer)
        database.state()
        assert not database.known_absent(b"user.new%d" % number)
        assert database.known_absent(b"user.new%d" % (number + 1))
    assert index.outgrown
    assert index.run is first
    indexed(database)
    assert index_of(database) is index
    assert not index.outgrown
    assert index.run.end == index.end > first.end
    assert len(index.run.entries) == 41
    assert sorted(index.run.entries) == index.run.entries.tolist()
    database.close()


@pytest.mark.parametrize("count", [1, MAX_CANDIDATES - 1, MAX_CANDIDATES, MAX_CANDIDATES + 30])
def test_names_that_collide_are_told_apart(disk: Disk, count: int) -> None:
    """However many somebody makes, those that are there are found, and others are not."""
    code = crc32(b"user.fred")
    keys = [b"user.fred", *(colliding(b"user.%d-" % n, code) for n in range(count))]
    writer = Writer(seed=1)
    writer.fill((key, b"of " + key) for key in keys)
    disk.apply(writer)
    database = indexed(disk.reader())
    late = colliding(b"user.late-", code)
    writer.store(late, b"of " + late)
    writer.commit()
    disk.apply(writer)
    database.state()
    for key in [*keys, late]:
        assert database.get(key) == database.get_seen(key) == b"of " + key
        assert not database.known_absent(key)
    other = colliding(b"user.other-", code)
    assert database.get(other) is None
    assert not database.known_absent(other)
    database.close()


def test_names_that_collide_cost_a_bounded_number_of_reads(disk: Disk) -> None:
    """Beyond MAX_CANDIDATES the skip list is searched, which reads some records."""
    code = crc32(b"user.fred")
    writer = Writer(seed=1)
    writer.fill((colliding(b"user.%d-" % n, code), b"value") for n in range(500))
    disk.apply(writer)
    view = Interrupted(disk.path, [], [])
    database = indexed(Twoskip(view))
    view.reads = 0
    assert database.get(colliding(b"user.other-", code)) is None
    assert MAX_CANDIDATES < view.reads < 8 * MAX_CANDIDATES
    database.close()


def test_a_key_that_is_written_often_is_found_by_its_newest_record(disk: Disk) -> None:
    """More often than candidates are read, before and after the index was made."""
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"value") for n in range(30))
    for number in range(3 * MAX_CANDIDATES):
        writer.store(b"user.7", b"%d" % number)
        writer.commit()
        if number == 2 * MAX_CANDIDATES:
            disk.apply(writer)
            database = indexed(disk.reader())
            assert database.get(b"user.7") == b"%d" % number
    disk.apply(writer)
    assert database.get(b"user.7") == b"%d" % (3 * MAX_CANDIDATES - 1)
    assert len(index_of(database).candidates(b"user.7")) == MAX_CANDIDATES + 1
    database.close()


def test_every_process_makes_the_same_run(disk: Disk) -> None:
    """The hash is not one that differs between processes."""
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"value") for n in range(30))
    disk.apply(writer)
    database = indexed(disk.reader())
    codes = [entry >> 32 for entry in index_of(database).run.entries]
    assert codes == sorted(crc32(b"user.%d" % n) for n in range(30))
    database.close()
