"""Damaged twoskip files: a right answer or an error, and soon."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.twoskip import twoskip
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError
from tests.support.twoskip_disk import ABSENT, KEYS, Disk, Interrupted, crc
from tests.support.twoskip_writer import HEADER_SIZE, Node, Writer


def _small() -> Writer:
    writer = Writer(seed=8)
    writer.fill((key, b"value of " + key) for key in KEYS)
    writer.store(b"a", b"another value")
    writer.delete(b"z")
    writer.commit()
    return writer


def _never_wrong(disk: Disk, committed: Mapping[bytes, bytes], keys: list[bytes]) -> None:
    try:
        database = disk.reader()
        for key in keys:
            try:
                found = database.get(key)
            except StoreError:
                continue
            assert found == committed.get(key)
        assert dict(database.items()) == committed
    except StoreError:
        pass
    finally:
        database.close()


def test_every_flipped_byte_is_harmless(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever byte is changed, the answer is right or an error: never "no such record"."""
    monkeypatch.setattr(twoskip, "DAMAGED_ATTEMPTS", 1)
    writer = _small()
    image = writer.image()
    for place in range(len(image)):
        for mask in (0x01, 0xFF):
            broken = bytearray(image)
            broken[place] ^= mask
            disk.put(bytes(broken))
            _never_wrong(disk, writer.committed, [b"a", b"user.fred", b"z"])


def test_every_truncation_is_harmless(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the file is cut off, the answer is right or an error."""
    monkeypatch.setattr(twoskip, "DAMAGED_ATTEMPTS", 1)
    writer = _small()
    image = writer.image()
    for size in range(len(image)):
        disk.put(image[:size])
        _never_wrong(disk, writer.committed, KEYS)


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, 3000),
    noise=st.one_of(st.binary(min_size=1, max_size=64), st.just(bytes(512)), st.just(b"\xff" * 64)),
)
def test_noise_is_harmless(disk: Disk, start: int, noise: bytes) -> None:
    """Blocks of zeros, ones or noise give right answers or errors."""
    writer = _small()
    image = bytearray(writer.image())
    start %= len(image)
    noise = noise[: len(image) - start]
    image[start : start + len(noise)] = noise
    disk.put(bytes(image))
    _never_wrong(disk, writer.committed, KEYS + ABSENT)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_pointers_that_lie_end_in_time(disk: Disk, data: st.DataObject) -> None:
    """Pointers with a right checksum that lead in circles or nowhere end soon, in any result."""
    writer = _small()
    nodes = list(writer._nodes.values())
    anywhere = st.sampled_from([node.offset for node in nodes]) | st.sampled_from(
        [0, 1, HEADER_SIZE - 1, HEADER_SIZE + 8, writer._end, writer._end - 8, 2**63, 2**64 - 1]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        node = data.draw(st.sampled_from(nodes))
        node.pointers[data.draw(st.integers(0, node.level))] = data.draw(anywhere)
        writer._rewrite(node)
    disk.apply(writer)
    view = Interrupted(disk.path, [], [])
    database = Twoskip(view)
    for ask in (lambda: database.get(b"user.fred"), lambda: list(database.items())):
        view.reads = 0
        with contextlib.suppress(StoreError):
            ask()
        assert view.reads < 1000
    database.close()


def test_circles_end(disk: Disk) -> None:
    """From whichever record all pointers lead back to another: no walk goes round for ever."""
    writer = _small()
    for node in writer._nodes.values():
        pointers = list(node.pointers)
        for target in writer._nodes:
            node.pointers[:] = [target] * len(pointers)
            writer._rewrite(node)
            disk.apply(writer)
            view = Interrupted(disk.path, [], [])
            database = Twoskip(view)
            with contextlib.suppress(StoreError):
                database.get(b"user.fred")
            with contextlib.suppress(StoreError):
                seen = set()
                for key, _ in database.items():  # noqa: PERF102 (not a dict)
                    assert key not in seen
                    seen.add(key)
            assert view.reads < 2000
            database.close()
        node.pointers[:] = pointers
        writer._rewrite(node)


def test_a_record_across_the_committed_size_is_damage(disk: Disk) -> None:
    """A committed record ends before the committed size, or the file contradicts itself."""
    writer = Writer(seed=9)
    writer.fill([(b"key", b"value")])
    image = bytearray(writer.image())
    offset = next(node.offset for node in writer._nodes.values() if node.key)
    image[48:56] = (offset + 8).to_bytes(8, "big")
    image[60:64] = crc(image[:60])
    disk.put(bytes(image))
    database = disk.reader()
    with pytest.raises(DatabaseDamaged, match="ends behind the committed size"):
        database.get(b"key")
    database.close()


def test_absurd_lengths_are_damage(disk: Disk) -> None:
    """A record that claims an exabyte is damaged, even where the header allows for it."""
    writer = Writer(seed=9, long_lengths=True)
    writer.fill([(b"key", b"value")])
    offset = next(node.offset for node in writer._nodes.values() if node.key)
    for size in (2**26, 2**40, 2**62, 2**64 - 1):
        image = bytearray(writer.image())
        head_end = offset + 24 + 8 * (image[offset + 1] + 1)
        image[offset + 16 : offset + 24] = size.to_bytes(8, "big")
        image[head_end : head_end + 4] = crc(image[offset:head_end])
        image[48:56] = (2**62 - 1).to_bytes(8, "big")
        image[60:64] = crc(image[:60])
        disk.put(bytes(image))
        database = disk.reader()
        with pytest.raises(DatabaseDamaged, match=r"claims|ends (at|behind)"):
            database.get(b"key")
        database.close()


@pytest.mark.parametrize(("kind", "level"), [(b"+", 31), (b"=", 0)])
def test_without_a_dummy_record_there_is_no_list(disk: Disk, kind: bytes, level: int) -> None:
    """It follows the header, and everything hangs on it."""
    writer = _small()
    dummy = writer._nodes[HEADER_SIZE]
    dummy.type, dummy.pointers = kind, dummy.pointers[: level + 1]
    writer._rewrite(dummy)
    disk.apply(writer)
    database = disk.reader()
    with pytest.raises(DatabaseDamaged, match="no dummy record"):
        database.get(b"a")
    database.close()


def test_the_list_leads_to_records_only(disk: Disk) -> None:
    """Not back to the dummy, nor to the commit's record, nor to one without a level."""
    writer = _small()
    node = next(node for node in writer._nodes.values() if node.key == b"a b")
    bare = Node(b"+", [0], b"a b x")
    writer._append(bare)
    last = Node(b"$", [writer._size])
    writer._append(last)
    writer._size = writer._end
    writer._write_header()
    for target in (HEADER_SIZE, bare.offset, last.offset):
        node.pointers[:2] = [target, target]
        writer._rewrite(node)
        disk.apply(writer)
        database = disk.reader()
        with pytest.raises(DatabaseDamaged, match=f"there is no record at {target}"):
            list(database.items())
        database.close()


def test_what_looks_damaged_is_read_eight_times(disk: Disk) -> None:
    """A head that is being rewritten looks damaged too; what is read again is counted."""
    disk.put(b"garbage" + _small().image()[7:])
    view = Interrupted(disk.path, [], [])
    database = Twoskip(view)
    with pytest.raises(DatabaseDamaged):
        database.get(b"a")
    assert view.counts.retries == 7
    database.close()


def test_an_unknown_version_is_refused(disk: Disk) -> None:
    """A version that this program does not know gives no answers at all."""
    image = bytearray(_small().image())
    image[20:24] = (2).to_bytes(4, "big")
    image[60:64] = crc(image[:60])
    disk.put(bytes(image))
    database = disk.reader()
    with pytest.raises(DatabaseUnavailable, match="version 2"):
        database.get(b"a")
    database.close()
