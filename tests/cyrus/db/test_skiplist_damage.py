"""skiplist: logs and sorted parts that are damaged, by hand and by chance."""

from __future__ import annotations

import os
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.errors import DatabaseDamaged, StoreError
from tests.cyrus.db.histories import UNTIMED, contents, fill, play
from tests.cyrus.db.skiplist_files import reading, written
from tests.support.skiplist_writer import DUMMY_OFFSET, FIRST, SkiplistWriter, finish, rank


def test_zeros_in_the_log_are_passed_over() -> None:
    """Words of zero between transactions, which old recoveries left, are not damage."""
    with written() as writer, reading(writer) as database:
        finish(writer.store(b"a", b"1"))
        finish(writer.commit())
        writer.data += bytes(24)
        os.ftruncate(writer.fd, len(writer.data))
        finish(writer.store(b"b", b"2"))
        finish(writer.commit())
        assert contents(database, rank) == {b"a": b"1", b"b": b"2"}


@pytest.mark.parametrize("word", [3, 1, 0x41424344])
def test_a_log_that_goes_on_with_nonsense_is_damaged(word: int) -> None:
    """What follows might have been committed: no answer then."""
    with written() as writer, reading(writer) as database:
        finish(fill(writer, 5))
        assert database.get(b"user.000001") is not None
        record = bytes(writer.data[FIRST : writer._end(FIRST)])
        os.pwrite(writer.fd, struct.pack(">I", word) + record[4:], len(writer.data))
        with pytest.raises(DatabaseDamaged, match="log record at"):
            database.get(b"user.000001")


def test_a_length_that_swallows_commits_is_damaged() -> None:
    """A log that ends with a COMMIT is not an unfinished record."""
    with written() as writer:
        finish(fill(writer, 50))
        os.pwrite(writer.fd, struct.pack(">I", 1 << 20), FIRST + 4)
        with pytest.raises(DatabaseDamaged, match="pass the end"):
            Skiplist(FileView(writer.path))


def _sorted_part(writer: SkiplistWriter) -> list[int]:
    """Where the records stand that a checkpoint of 50 wrote."""
    finish(fill(writer, 50))
    finish(writer.checkpoint())
    offsets, at = [], FIRST
    while at < writer.log_start:
        offsets.append(at)
        at = writer._end(at)
    assert len(offsets) == 50
    return offsets


@pytest.mark.parametrize(
    ("change", "found", "listed"),
    [
        # what is written at the record of user.000005: its type, or its key
        ((0, struct.pack(">I", 2)), "cannot follow", "type 2"),
        ((0, struct.pack(">I", 3)), "no record with a key at", "a record of type 3"),
        ((4, struct.pack(">I", 1 << 30)), "it passes", "it is cut off"),
        ((8, b"user.000001"), "cannot follow", None),
        ((8, b"user.000004"), "cannot follow", None),
    ],
)
def test_damage_in_the_sorted_part(
    change: tuple[int, bytes], found: str, listed: str | None
) -> None:
    """Another type or another order is damage, and not a file that was replaced."""
    with written() as writer:
        offsets = _sorted_part(writer)
        os.pwrite(writer.fd, change[1], offsets[5] + change[0])
        with reading(writer) as database:
            with pytest.raises(DatabaseDamaged, match=found):
                database.get(b"user.000005")
            if listed is not None:
                with pytest.raises(DatabaseDamaged, match=listed):
                    list(database.items())


def test_pointers_that_lead_nowhere_else_do_no_harm() -> None:
    """They are hints: one that leads back to its own record is not followed."""
    with written() as writer:
        finish(fill(writer, 50))
        for at in list(writer.log):
            if writer._word(at) == 2:
                for level in range(writer._level(at)):
                    finish(writer._set(at, level, at))
        with reading(writer) as database:
            assert dict(database.items()) == writer.committed
            assert database.get(b"user.000031") == writer.committed[b"user.000031"]
            assert database.get(b"user.000031x") is None


@pytest.mark.parametrize("level", [1, 2, 5])
def test_pointers_to_records_of_a_lower_level_do_no_harm(level: int) -> None:
    """They are hints for the levels that the record has."""
    with written() as writer:
        for at in _sorted_part(writer):
            if writer._level(at) <= level:
                finish(writer._set(DUMMY_OFFSET, level, at))
                with reading(writer) as database:
                    for number in (0, 31, 49):
                        key = b"user.%06d" % number
                        assert database.get(key) == writer.committed[key]


@UNTIMED
@given(
    st.integers(0, 12_000),
    st.binary(min_size=1, max_size=40),
    st.booleans(),
    st.integers(0, 12_000),
)
def test_garbage_raises_store_errors_only(
    offset: int, garbage: bytes, checkpoint: bool, size: int
) -> None:
    """A file that was overwritten or cut: any answer, or a StoreError, but no hang."""
    with written() as writer:
        finish(fill(writer, 120))
        if checkpoint:
            finish(writer.checkpoint())
            finish(play(writer, [("store", b"a", b"1"), ("commit", b"", b"")]))
        with reading(writer) as database:
            os.pwrite(writer.fd, garbage, offset)
            with suppress(StoreError):
                database.get(b"user.000031")
            if size > len(garbage):
                os.ftruncate(writer.fd, size)
            with suppress(StoreError):
                list(database.items())
            with suppress(StoreError), reading(writer) as fresh:
                fresh.get(b"user.000031")
                list(fresh.items())
