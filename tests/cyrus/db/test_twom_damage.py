"""twom: files that are damaged, by chance, by hand and by what fuzzing found."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twom.twom import Twom
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError
from tests.cyrus.db.histories import UNTIMED, fill
from tests.cyrus.db.interleave import CountingView
from tests.cyrus.db.twom_files import reading, written
from tests.support.twom_writer import CSUM_XXH64, DUMMY, DUMMY_OFFSET, TwomWriter, finish


@UNTIMED
@given(
    st.lists(st.tuples(st.integers(0, 7000), st.integers(1, 255)), min_size=1, max_size=3),
    st.booleans(),
)
def test_flipped_bytes_never_give_a_wrong_answer(flips: list[tuple[int, int]], dirty: bool) -> None:
    """A damaged file gives the right answer or DatabaseDamaged, and nothing else."""
    with written() as writer:
        finish(fill(writer, 60))
        if dirty:
            finish(writer.store(b"user.000001", b"never committed"))
        data = bytearray(writer.data)
        for offset, bits in flips:
            data[offset % writer.end] ^= bits
        os.pwrite(writer.fd, data, 0)
        try:
            database = Twom(FileView(writer.path))
        except StoreError:
            return
        for key in (b"user.000000", b"user.000001", b"user.000031", b"user.000059", b"user.9"):
            try:
                assert database.get(key) == writer.committed.get(key)
            except StoreError as fault:
                assert fault.path == writer.path
        with suppress(StoreError):
            assert dict(database.items()) == writer.committed
        database.close()


def _in_order(writer: TwomWriter) -> list[int]:
    """Where the records of 50 keys stand, the DUMMY first."""
    finish(fill(writer, 50))
    offsets = [DUMMY_OFFSET]
    while following := writer._next0(offsets[-1], writer.end):
        offsets.append(following)
    assert len(offsets) == 51
    return offsets


def _lead(writer: TwomWriter, at: int, level: int, target: int) -> None:
    """Let the pointers of `level` lead to `target`, with the checksum that belongs to it."""
    for slot in (-1, 0) if not level else (level,):
        finish(writer._set(at, slot, target))
    finish(writer._resum(at))


@pytest.mark.parametrize("place", ["itself", "before", "commit"])
def test_level_0_leads_to_a_higher_key(place: str) -> None:
    """Anything else is damage, and no circle."""
    with written() as writer:
        offsets = _in_order(writer)
        target = {"itself": offsets[20], "before": offsets[7], "commit": writer.end - 24}[place]
        _lead(writer, offsets[20], 0, target)
        with (
            reading(writer) as database,
            pytest.raises(DatabaseDamaged, match=f"record at {target}, which cannot follow"),
        ):
            list(database.items())


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_leads_to_records_that_have_it(level: int) -> None:
    """A record of level 2 has pointers of the levels 0 and 1."""
    with written() as writer:
        offsets = _in_order(writer)
        for target in offsets[1:]:
            if writer.data[target + 1] != level:
                continue
            _lead(writer, DUMMY_OFFSET, level, target)
            with (
                reading(writer) as database,
                pytest.raises(DatabaseDamaged, match=f"record at {target}, which cannot follow"),
            ):
                database.get(b"user.000000")


def test_a_look_up_reads_few_records() -> None:
    """The higher levels bring it near."""

    with written() as writer:
        finish(fill(writer, 1000))
        view = CountingView(writer.path)
        database = Twom(view)
        view.reads = 0
        for number in range(7, 1000, 100):
            assert database.get(b"user.%06dx" % number) is None
        assert view.reads < 10 * 60
        database.close()


@UNTIMED
@given(st.binary(max_size=300), st.integers(0, 7000))
def test_garbage_raises_store_errors_only(garbage: bytes, offset: int) -> None:
    """Garbage over a file without checksums: any answer, or a StoreError, but no hang."""
    with written(checksums=False) as writer:
        finish(fill(writer, 60))
        os.pwrite(writer.fd, garbage, offset)
        try:
            database = Twom(FileView(writer.path))
            database.get(b"user.000031")
            list(database.items())
        except StoreError:
            pass


@UNTIMED
@given(st.integers(0, 8000))
def test_a_cut_file_is_damaged(size: int) -> None:
    """A file that lost its end answers rightly or not at all."""
    with written() as writer:
        finish(fill(writer, 60))
        os.ftruncate(writer.fd, size)
        try:
            database = Twom(FileView(writer.path))
            assert database.get(b"user.000031") == writer.committed[b"user.000031"]
        except DatabaseDamaged:
            pass


@pytest.mark.parametrize(
    ("at", "value", "error", "words"),
    [
        (0, b"\0", DatabaseDamaged, "magic"),
        (32, b"\2", DatabaseUnavailable, "version 2"),
        (39, b"\x20", DatabaseUnavailable, "external checksum"),
        (39, b"\x50", DatabaseUnavailable, "external key order"),
        (80, b"\1\0\0\0\0\0\0\0", DatabaseDamaged, "records end at 1"),
    ],
)
def test_headers_that_cannot_be_used(
    at: int, value: bytes, error: type[StoreError], words: str
) -> None:
    """Each says what is wrong, and names the file."""
    with written() as writer:
        block = bytearray(writer._header())
        block[at : at + len(value)] = value
        assert writer.flags & CSUM_XXH64
        block[92:] = writer._sum(block[:92]).to_bytes(4, "little")
        os.pwrite(writer.fd, block, 0)
        with pytest.raises(error, match=words) as caught:
            Twom(FileView(writer.path))
        assert writer.path in str(caught.value)


def test_a_dummy_without_levels_is_damaged() -> None:
    """Fuzzing found it: where a file has no checksums nothing else vouches for the level."""
    with written(checksums=False) as writer:
        finish(writer.store(b"a", b"1"))
        finish(writer.commit())
        os.pwrite(writer.fd, bytes((DUMMY, 0)), DUMMY_OFFSET)
        with reading(writer) as database:
            for read in (lambda: database.get(b"a"), lambda: list(database.items())):
                with pytest.raises(DatabaseDamaged, match="level 0 for type 1"):
                    read()
