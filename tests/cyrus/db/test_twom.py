"""twom: golden files, every moment of a writer, every interleaving with one, damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.cyrus.db.twom.format import TwomHeader
from gateway.cyrus.db.twom.twom import Twom
from gateway.cyrus.db.twom.walk import KeyPosition
from gateway.errors import DatabaseDamaged
from tests.cyrus.db.histories import KEYS, UNTIMED, Verb, contents, fill, histories, in_order, play
from tests.cyrus.db.interleave import SteppingView, Steps, check_look_ups_between_steps
from tests.cyrus.db.twom_files import GOLDEN, reading, written
from tests.support.twom_writer import TwomWriter, finish


def test_golden_file_is_read_in_order_and_by_key() -> None:
    """The file that Cyrus wrote lists its records in order, and each is found by its key."""
    database = Twom(FileView(GOLDEN))
    records = in_order(database)
    assert len(records) == 338
    assert all(database.get(key) == value for key, value in records)
    assert database.get(b"Nuser\x1fnobody") is None
    assert database.get(b"") is None
    assert database.format == "twom"
    assert database.path == GOLDEN
    database.close()


def test_golden_file_holds_what_the_skiplist_file_holds() -> None:
    """The same mailboxes have the same access rights in both formats."""
    rights = []
    for database in (
        Twom(FileView(GOLDEN)),
        Skiplist(FileView(GOLDEN.replace("head-twom", "head-skiplist"))),
    ):
        mailboxes = [(k, v) for k, v in database.items(b"N") if not k.startswith(b"NDELETED")]
        rights.append({key: value.partition(b" A ")[2] for key, value in mailboxes})
        database.close()
    assert len(rights[0]) == 130
    assert rights[0] == rights[1]


def test_log_says_what_the_pointers_say() -> None:
    """Read from its log, the golden file has the same records."""
    database = Twom(FileView(GOLDEN))
    assert database._replay(database._header().end, None) == dict(database.items())
    database.close()


@UNTIMED
@given(histories(), st.booleans(), st.booleans())
def test_every_moment_of_a_writer_shows_the_last_commit(
    history: list[Verb], fat: bool, checksums: bool
) -> None:
    """Wherever a writer stops, between any two stores to memory, the last commit is read."""
    with written(fat=fat, checksums=checksums) as writer, reading(writer) as database:
        state = database.state()
        commits = writer.commits
        for _ in play(writer, history):
            assert contents(database) == writer.committed
            assert (database.state() != state) == (writer.commits != commits)
            state, commits = database.state(), writer.commits
        finish(writer.abort())
        assert contents(database) == writer.committed


@UNTIMED
@given(histories(), st.integers(0, 300), histories())
def test_the_writer_after_a_dead_one_goes_on(
    history: list[Verb], steps: int, after: list[Verb]
) -> None:
    """Another process' writer finds what was committed, and what it commits then is read."""
    with written() as writer, reading(writer) as database:
        for _ in islice(play(writer, history), steps):
            pass
        with closing(TwomWriter.opened(writer.path)) as other:
            assert other.committed == writer.committed
            assert contents(database) == other.committed
            finish(play(other, after))
            finish(other.commit())
            with closing(Twom(FileView(other.path))) as fresh:
                assert contents(fresh) == other.committed


@UNTIMED
@given(histories(), histories())
def test_an_open_transaction_costs_nothing(before: list[Verb], during: list[Verb]) -> None:
    """While a writer waits between two of its changes, the pointers answer and not the log."""

    class WithoutLog(Twom):
        def _replay(self, end: int, only: bytes | None) -> dict[bytes, bytes]:
            raise AssertionError("the log was read")

    with written() as writer:
        finish(play(writer, before))
        database = WithoutLog(FileView(writer.path))
        for verb in during:
            finish(play(writer, [verb]))
            assert contents(database) == writer.committed
        database.close()


@UNTIMED
@given(histories(), st.sampled_from(KEYS), st.lists(st.integers(0, 9), max_size=60))
def test_a_writer_between_the_reads_of_a_look_up(
    history: list[Verb], key: bytes, pauses: list[int]
) -> None:
    """A look-up gives the value of a state that was committed while it ran."""
    with written() as writer:
        check_look_ups_between_steps(Twom, writer, play(writer, history), key, pauses)


@UNTIMED
@given(histories(), histories(), st.integers(0, 5))
def test_a_listing_shows_one_state(before: list[Verb], during: list[Verb], first: int) -> None:
    """Commits that come while `items` is read do not show in it."""
    with written() as writer, reading(writer) as database:
        finish(play(writer, before))
        finish(writer.commit())
        expected = sorted(writer.committed.items())
        listing = database.items()
        got = list(islice(listing, first))
        finish(play(writer, during))
        finish(writer.commit())
        if not first:
            expected = sorted(writer.committed.items())
        assert got + list(listing) == expected


def test_a_long_listing_shows_one_state() -> None:
    """A listing longer than a batch goes on in the state in which it began."""
    with written() as writer, reading(writer) as database:
        finish(fill(writer, 1000))
        expected = sorted(writer.committed.items())
        listing = database.items(b"user.")
        got = [next(listing) for _ in range(300)]
        # The first record behind the state that is shown, of a key that is yet to come.
        finish(writer.store(b"user.000998", b"newest"))
        finish(writer.commit())
        for number in range(0, 1000, 3):
            finish(writer.delete(b"user.%06d" % number))
            finish(writer.store(b"user.%06d.new" % number, b"new"))
            finish(writer.store(b"user.%06d" % (number + 1), b"newer"))
            finish(writer.commit())
        assert got + list(listing) == expected
        assert database.get(b"user.000001") == b"newer"


def test_a_listing_that_goes_on_in_the_log_shows_one_state() -> None:
    """Where a writer was stopped in the middle of a head, behind the first batch."""

    class Stopped(Twom):
        batches = 0

        def _batch(
            self, prefix: bytes, after: bytes | None, end: int, snapshot: int
        ) -> list[tuple[bytes, bytes | None]]:
            self.batches += 1
            if self.batches > 1:
                raise DatabaseDamaged(self.path, "a head in motion")
            return super()._batch(prefix, after, end, snapshot)

    with written() as writer:
        finish(fill(writer, 600))
        finish(writer.store(b"user.000300", b"never committed"))
        database = Stopped(FileView(writer.path))
        assert list(database.items(b"user.")) == sorted(writer.committed.items())
        database.close()


def test_what_is_read_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that falls into a walk makes another one of it."""
    with written() as writer, reading(writer) as database:
        finish(fill(writer, 10))
        really = database._walk.seek
        commits = iter([b"1", b"2"])

        def seek(key: bytes, end: int) -> KeyPosition | None:
            for value in islice(commits, 1):
                finish(writer.store(b"user.000003", value))
                finish(writer.commit())
            return really(key, end)

        monkeypatch.setattr(database._walk, "seek", seek)
        assert database.get(b"user.000003") == b"2"
        assert database._view.counts.retries == 2


def test_a_writer_that_comes_and_goes_leaves_no_file_at_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A walk that fails is then no sign of damage: the log answers."""

    class Restless(Twom):
        looks = 0

        def _header(self) -> TwomHeader:
            header = super()._header()
            self.looks += 1
            header.dirty = self.looks % 2 == 0
            return header

    def fail(_key: bytes, _end: int) -> None:
        raise DatabaseDamaged(writer.path, "a head in motion")

    with written() as writer:
        finish(fill(writer, 10))
        database = Restless(FileView(writer.path))
        monkeypatch.setattr(database._walk, "seek", fail)
        assert database.get(b"user.000003") == writer.committed[b"user.000003"]
        database.close()


@pytest.mark.parametrize("prefix", [b"", b"a", b"user.", b"user.fred", b"zz"])
def test_a_prefix_limits_the_listing(prefix: bytes) -> None:
    """`items` gives the records under the prefix and no others."""
    with written() as writer, reading(writer) as database:
        finish(play(writer, [("store", key, b"v") for key in KEYS]))
        finish(writer.commit())
        assert [k for k, _ in database.items(prefix)] == sorted(
            key for key in KEYS if key.startswith(prefix)
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


def test_changes_names_a_deleted_key_whose_head_is_in_motion() -> None:
    """A deleted record keeps its pointers, and a writer may be changing them."""
    with written() as writer, reading(writer) as database:
        finish(fill(writer, 10))
        state = database.state()
        at = writer._find(b"user.000003")[0]
        finish(writer.delete(b"user.000003"))
        finish(writer.commit())
        finish(writer._set(at, -1, 8))
        assert database.changes(state) == frozenset([b"user.000003"])


@pytest.mark.parametrize("since", [None, 1, (), ((0, 0), b""), "state"])
def test_changes_does_not_know_foreign_states(since: object) -> None:
    """A token that is not of this file gives None."""
    database = Twom(FileView(GOLDEN))
    assert database.changes(since) is None
    state = database.state()
    assert isinstance(state, tuple)
    for mark in (b"\0" * len(state[1]), state[1][:-1], None):
        assert database.changes((state[0], mark, state[2])) is None
    assert database.changes((state[0], state[1], object())) is None
    assert database.changes((None, *state[1:])) is None
    assert database.changes(state) == frozenset()
    database.close()


def test_a_repack_leaves_the_open_file_alone() -> None:
    """The old file keeps its state; the new one has the same records and another token."""
    with written() as writer, reading(writer) as database:
        finish(fill(writer, 100))
        old = dict(database.items())
        state = database.state()
        finish(writer.repack())
        finish(writer.store(b"new", b"1"))
        finish(writer.commit())
        assert dict(database.items()) == old
        assert database.state() == state
        with reading(writer) as other:
            assert dict(other.items()) == {**old, b"new": b"1"}
            assert other.state() != state
            assert other.changes(state) is None


def test_a_header_that_is_being_written_is_read_again() -> None:
    """Half a header is waited for; one that stays that way is damage."""
    with written() as writer:
        finish(fill(writer, 10))
        old, new = writer._header(), b""
        finish(writer.store(b"x", b"1"))
        finish(writer.commit())
        new = writer._header()

        def script() -> Iterator[None]:
            for cut in range(8, len(new), 8):
                os.pwrite(writer.fd, new[:cut] + old[cut:], 0)
                yield
            os.pwrite(writer.fd, new, 0)

        view = SteppingView(writer.path)
        database = Twom(view)
        view.steps = Steps(script(), [1] * 50)
        assert database.get(b"x") == b"1"
        os.pwrite(writer.fd, new[:50] + old[50:], 0)
        view.counts.retries = 0
        with pytest.raises(DatabaseDamaged, match="checksum"):
            database.get(b"x")
        assert view.counts.retries == 19
        database.close()
