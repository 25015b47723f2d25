"""skiplist: golden files, every moment of a writer, every interleaving with one, damage."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError
from tests.cyrus.db.histories import KEYS, UNTIMED, Verb, contents, fill, histories, in_order, play
from tests.cyrus.db.interleave import (
    CountingView,
    SteppingView,
    Steps,
    check_look_ups_between_steps,
)
from tests.cyrus.db.skiplist_files import BIG, GOLDEN, NOWHERE, checkpointed, reading, written
from tests.support.skiplist_writer import FIRST, finish, rank


def test_golden_file_is_read_in_order_and_by_key() -> None:
    """The file that Cyrus wrote lists its records in order, and each is found by its key."""
    database = Skiplist(FileView(GOLDEN))
    records = in_order(database, rank)
    assert len(records) == 338
    assert all(database.get(key) == value for key, value in records)
    assert database.get(b"Nuser\x1fnobody") is None
    assert database.get(b"") is None
    assert database.format == "skiplist"
    assert database.path == GOLDEN
    database.close()


@pytest.mark.slow
@UNTIMED
@given(histories(), histories(), st.sampled_from([5, 12, BIG]))
@example([("store", KEYS[0], b"1"), ("store", KEYS[2], b"1")], [("delete", KEYS[0], b"")], BIG)
def test_every_moment_of_a_writer_shows_the_last_commit(
    before: list[Verb], history: list[Verb], piece: int
) -> None:
    """Wherever a writer stops, in the middle of a record too, the last commit is read."""
    with written(piece) as writer:
        checkpointed(writer, before)
        with reading(writer) as database:
            state, old = database.state(), dict(writer.committed)
            for _ in play(writer, history):
                with reading(writer) as fresh:
                    assert contents(fresh, rank) == writer.committed
                assert contents(database, rank) == writer.committed
                if writer.committed != old:
                    assert database.state() != state
                state, old = database.state(), dict(writer.committed)
                assert database.state() == state


@UNTIMED
@given(histories(), histories(), st.integers(0, 60))
def test_recovery_of_a_dead_writer_changes_nothing(
    before: list[Verb], history: list[Verb], dies: int
) -> None:
    """While the next writer sets all pointers again and cuts the tail, the last commit is read."""
    with written(12) as writer:
        checkpointed(writer, before)
        with reading(writer) as database:
            for _ in islice(play(writer, history), dies):
                pass
            writer.pending = dict(writer.committed)
            for _ in writer.recover():
                assert contents(database, rank) == writer.committed
            finish(play(writer, history))
            assert contents(database, rank) == writer.committed


@UNTIMED
@given(histories(), histories(), st.sampled_from(KEYS), st.lists(st.integers(0, 9), max_size=60))
def test_a_writer_between_the_reads_of_a_look_up(
    before: list[Verb], history: list[Verb], key: bytes, pauses: list[int]
) -> None:
    """A look-up gives the value of a state that was committed while it ran."""
    with written(16) as writer:
        checkpointed(writer, before)
        check_look_ups_between_steps(Skiplist, writer, play(writer, history), key, pauses)


def record(key: bytes, size: int) -> bytes:
    """An ADD of so many bytes with one pointer, which leads nowhere."""
    value = bytes(size - 24 - len(key))
    return struct.pack(">II", 2, len(key)) + key + struct.pack(">I", len(value)) + value + NOWHERE


@pytest.mark.parametrize("when", range(12))
def test_an_aborted_record_in_front_of_a_commit_does_not_count(when: int) -> None:
    """A transaction is aborted, and another one committed in its place, while the log is read.

    Half of one and half of the other look like a committed log that never was.
    """
    with written() as writer:
        finish(fill(writer, 3))
        start = len(writer.data)
        aborted = record(b"gone", 64) + record(b"gon2", 64)
        stored = record(b"key1", 64) + record(b"key2", 60) + struct.pack(">I", 255)
        assert len(aborted) == len(stored)
        view = SteppingView(writer.path)
        database = Skiplist(view)
        os.pwrite(writer.fd, aborted, start)

        def script() -> Iterator[None]:
            os.ftruncate(writer.fd, start)
            os.pwrite(writer.fd, stored, start)
            yield

        view.steps = steps = Steps(script(), [0] * when + [1])
        assert database.get(b"gone") is None
        steps.finish()
        found = [database.get(key) for key in (b"gone", b"gon2", b"key1", b"key2")]
        assert found == [None, None, bytes(36), bytes(32)]
        database.close()


@UNTIMED
@given(histories(), histories(), st.integers(1, 5))
def test_a_listing_shows_one_state(before: list[Verb], during: list[Verb], first: int) -> None:
    """Commits that come while `items` is read do not show in it."""
    with written() as writer, reading(writer) as database:
        finish(play(writer, before))
        finish(writer.commit())
        expected = sorted(writer.committed.items(), key=lambda item: rank(item[0]))
        listing = database.items()
        got = list(islice(listing, first))
        finish(play(writer, during))
        finish(writer.commit())
        assert got + list(listing) == expected


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("prefix", [b"", b"a", b"user.", b"user.fred", b"\x80", b"zz"])
def test_a_prefix_limits_the_listing(prefix: bytes, checkpoint: bool) -> None:
    """`items` gives the records under the prefix and no others."""
    with written() as writer:
        finish(play(writer, [("store", key, b"v") for key in KEYS]))
        finish(writer.commit())
        if checkpoint:
            finish(writer.checkpoint())
        with reading(writer) as database:
            assert [k for k, _ in database.items(prefix)] == sorted(
                (key for key in KEYS if key.startswith(prefix)), key=rank
            )


@UNTIMED
@given(histories(), histories())
def test_changes_names_every_key_that_changed(before: list[Verb], after: list[Verb]) -> None:
    """Whatever `get` says differently than at the older state is named."""
    with written() as writer, reading(writer) as database:
        finish(play(writer, before))
        old_state, old = database.state(), dict(writer.committed)
        finish(play(writer, after))
        changed = database.changes(old_state)
        assert changed is not None
        new = writer.committed
        assert {k for k in KEYS if old.get(k) != new.get(k)} <= changed <= set(KEYS)
        assert database.changes(database.state()) == frozenset()


@pytest.mark.parametrize("since", [None, 1, (), ((0, 0), 0, 5)])
def test_changes_does_not_know_foreign_states(since: object) -> None:
    """A token that is not of this file gives None."""
    database = Skiplist(FileView(GOLDEN))
    assert database.changes(since) is None
    database.close()


def test_a_checkpoint_takes_the_file_away() -> None:
    """The old file answers until it is emptied, and then says that it was replaced."""
    with written() as writer, reading(writer) as database:
        finish(fill(writer, 100))
        old = dict(database.items())
        listing = database.items()
        next(listing)
        steps = writer.checkpoint()
        next(steps)
        next(steps)
        assert dict(database.items()) == old
        finish(steps)
        for call in (lambda: database.get(b"user.000001"), database.state, lambda: list(listing)):
            with pytest.raises(DatabaseUnavailable, match="open it again"):
                call()
        with reading(writer) as other:
            assert dict(other.items()) == old
            finish(fill(writer, 100))
            assert dict(other.items()) == writer.committed


def test_a_commit_that_is_taken_back_is_forgotten() -> None:
    """When fdatasync fails, Cyrus cuts off a COMMIT that was there to be read."""
    with written() as writer, reading(writer) as database:
        finish(writer.store(b"a", b"1"))
        finish(writer.commit())
        kept, data, state = len(writer.data), bytes(writer.data), database.state()
        finish(writer.store(b"b", b"2"))
        finish(writer.commit())
        assert database.get(b"b") == b"2"
        os.ftruncate(writer.fd, kept)
        os.pwrite(writer.fd, data, 0)
        assert database.get(b"b") is None
        assert database.get(b"a") == b"1"
        assert database.state() != state


def test_a_look_up_reads_few_records() -> None:
    """The pointers bring it near, those of the log's records too."""

    with written() as writer:
        finish(fill(writer, 1000))
        finish(writer.checkpoint())
        for number in range(0, 1000, 50):
            finish(writer.store(b"user.%06d.new" % number, b"new"))
        finish(writer.commit())
        view = CountingView(writer.path)
        database = Skiplist(view)
        view.reads = 0
        for number in range(7, 1000, 100):
            assert database.get(b"user.%06dx" % number) is None
        assert view.reads < 10 * 60
        database.close()


@pytest.mark.parametrize(
    ("at", "value", "error", "words"),
    [
        (0, 0, DatabaseDamaged, "magic"),
        (20, 2, DatabaseUnavailable, "version 2.2"),
        (28, 0, DatabaseDamaged, "0 levels"),
        (28, 21, DatabaseDamaged, "21 levels"),
        (28, 19, DatabaseDamaged, r"DUMMY|pass"),
        (40, 4, DatabaseDamaged, "log begins at 4"),
        (40, 1 << 30, DatabaseDamaged, r"ends at|shortened"),
        (48, 1, DatabaseDamaged, "DUMMY"),
    ],
)
def test_headers_that_cannot_be_used(
    at: int, value: int, error: type[StoreError], words: str
) -> None:
    """Each says what is wrong, and names the file."""
    with written() as writer:
        os.pwrite(writer.fd, struct.pack(">I", value), at)
        with pytest.raises(error, match=words) as caught:
            Skiplist(FileView(writer.path))
        assert writer.path in str(caught.value)


def test_an_empty_file_is_no_empty_database() -> None:
    """A file of no bytes is one that was replaced, or is being created."""
    with written() as writer:
        os.ftruncate(writer.fd, 0)
        with pytest.raises(DatabaseUnavailable, match="is empty"):
            Skiplist(FileView(writer.path))


def test_mailbox_order_is_read_where_it_is_configured() -> None:
    """With improved_mboxlist_sort a checkpoint stands in mailbox order."""
    keys = [b"user.a", b"user.a.sub", b"user.a-b"]
    with written() as writer:
        finish(play(writer, [("store", key, key) for key in keys]))
        finish(writer.commit())
        finish(writer.checkpoint())
        nodes, at = [], FIRST
        while at < writer.log_start:
            nodes.append(bytes(writer.data[at : writer._end(at)]))
            at = writer._end(at)
        # "-" comes before "." in signed order; swap the last two records.
        os.pwrite(writer.fd, nodes[0] + nodes[2] + nodes[1], FIRST)
        os.pwrite(writer.fd, bytes(80), 60)
        database = Skiplist(FileView(writer.path), mboxsort=True)
        assert [key for key, _ in database.items()] == keys
        assert all(database.get(key) == key for key in keys)
        database.close()
