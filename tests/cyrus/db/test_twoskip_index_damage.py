"""The index of a twoskip file that is damaged: it hides nothing, and is given up where it must."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.order import Orders
from gateway.cyrus.db.twoskip.format import HEADER_SIZE
from gateway.cyrus.db.twoskip.snapshot import Snapshot
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.cyrus.db.twoskip.waypoints import Waypoints
from gateway.errors import DatabaseDamaged, StoreError
from tests.cyrus.db.test_twoskip_index import indexed
from tests.support.twoskip_disk import Disk, Interrupted
from tests.support.twoskip_writer import Writer


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(64, 6000), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_damaged_record_never_hides_another(disk: Disk, flips: list[tuple[int, int]]) -> None:
    """With bytes flipped, each answer is right or a fault; the index refuses to be made."""
    writer = Writer(seed=5)
    writer.fill((b"user.%02d" % n, b"value %d" % n) for n in range(40))
    image = bytearray(writer.image())
    for offset, bits in flips:
        image[64 + offset % (len(image) - 64)] ^= bits
    disk.put(bytes(image))
    database = indexed(disk.reader())
    for key in (b"user.00", b"user.17", b"user.39", b"user.1", b"zzz"):
        try:
            assert database.get(key) == writer.committed.get(key)
        except StoreError as fault:
            assert fault.path == disk.path
    database.close()


@pytest.mark.parametrize("place", [0, 60, b"user.17", b"value 17"])
def test_what_is_damaged_behind_an_index_hides_nothing(disk: Disk, place: int | bytes) -> None:
    """A byte of the header, the key or the value flips after the index was made: a fault, not None."""
    writer = Writer(seed=7)
    writer.fill((b"user.%02d" % n, b"value %d" % n) for n in range(40))
    image = bytearray(writer.image())
    disk.put(bytes(image))
    database = indexed(disk.reader())
    assert database.get(b"user.17") == b"value 17"
    image[place if isinstance(place, int) else image.index(place)] ^= 1
    disk.put(bytes(image))
    with pytest.raises(DatabaseDamaged):
        database.get(b"user.17")
    disk.apply(writer)
    assert database.get(b"user.17") == b"value 17"
    database.close()


def test_making_an_index_of_a_damaged_file_is_given_up(disk: Disk) -> None:
    """After some attempts the file stays without one, and look-ups go on by walking."""
    writer = Writer(seed=6)
    writer.fill((b"user.%02d" % n, b"value") for n in range(40))
    image = bytearray(writer.image())
    image[image.index(b"user.20")] ^= 1
    disk.put(bytes(image))
    view = Interrupted(disk.path, [], [])
    database = Twoskip(view)
    assert sum(1 for _ in iter(database.build_index_step, False)) == 4
    assert database._index is None
    view.reads = 0
    assert not database.build_index_step()
    assert view.reads == 0
    database.close()


@pytest.mark.parametrize("asked", ["known absent", "looked up", "both"])
def test_what_is_damaged_among_what_was_appended_is_not_read_for_ever(
    disk: Disk, asked: str
) -> None:
    """Nor is what is in front of it indexed again and again: the index is given up, others search."""
    writer = Writer(seed=8)
    writer.fill((b"user.%02d" % n, b"value") for n in range(40))
    disk.apply(writer)
    view = Interrupted(disk.path, [], [])
    database = indexed(Twoskip(view))
    index = database._index
    assert index is not None
    for number in range(50):
        writer.store(b"user.new%02d" % number, b"value")
        writer.commit()
    image = bytearray(writer.image())
    image[image.index(b"user.new49")] ^= 1
    disk.put(bytes(image))
    for _ in range(30):
        database.state()
        if asked != "looked up":
            assert not database.known_absent(b"user.nobody")
        if asked != "known absent":
            assert database.get(b"user.new07") == b"value"
        assert sum(map(len, index._recent.values())) == 0
    assert database._index is None
    database.close()


def test_failures_long_ago_do_not_count(disk: Disk) -> None:
    """Each time a writer was at it, and the next attempt was good."""
    writer = Writer(seed=9)
    writer.fill((b"user.%02d" % n, b"value") for n in range(40))
    image = bytearray(writer.image())
    damaged = bytearray(image)
    damaged[damaged.index(b"user.20")] ^= 1
    database = disk.reader()
    for _ in range(8):
        disk.put(bytes(damaged))
        database._index = None
        assert database.build_index_step()
        disk.put(bytes(image))
        indexed(database)
        database.state()
        assert database.known_absent(b"user.nobody")
    database.close()


def test_golden_files_are_indexed_completely() -> None:
    """What Cyrus wrote: the index and the walk give the same for every key and its neighbours."""
    path = os.path.join("tests", "golden", "head-twoskip", "conf", "mailboxes.db")
    plain, fast = Twoskip(FileView(path)), indexed(Twoskip(FileView(path)))
    assert fast._index is not None
    for key, value in plain.items():
        assert fast.get(key) == value
        for near in (key + b"\0", key[:-1], b"-" + key):
            assert fast.get(near) == plain.get(near)
    plain.close()
    fast.close()


def test_a_file_that_is_written_over_between_the_look_and_the_reading_hides_nobody(
    disk: Disk,
) -> None:
    """Another past with the same header: where the record was, there is another one now."""
    keys = (b"user.anna", b"user.fred")
    pasts = []
    for order in (keys, keys[::-1]):
        writer = Writer(seed=8)
        for key in order:
            writer.store(key, b"value of " + key)
            writer.commit()
        pasts.append(writer.image())
    assert pasts[0][:HEADER_SIZE] == pasts[1][:HEADER_SIZE]
    disk.put(pasts[0])
    database = indexed(disk.reader())
    database.state()
    disk.put(pasts[1])
    for key in keys:
        assert database.get_seen(key) == b"value of " + key
    database.close()


def test_what_was_written_over_once_is_searched_without_what_is_remembered(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cyrus may have left pointers in it that are of another past: waypoints are of no use."""
    writer = Writer(seed=9)
    writer.fill((b"user.%02d" % n, b"value %d" % n) for n in range(40))
    disk.put(writer.image())
    database = disk.reader()
    database.state()
    assert database.get_seen(b"user.17") == b"value 17"
    asked: list[Waypoints] = []
    by = Snapshot.by

    def counted(waypoints: Waypoints, view: FileView, orders: Orders) -> Snapshot:
        asked.append(waypoints)
        return by(waypoints, view, orders)

    monkeypatch.setattr(Snapshot, "by", counted)
    assert database.get_seen(b"user.18") == b"value 18"
    assert len(asked) == 1
    database.distrust()
    assert database.get_seen(b"user.17") == b"value 17"
    assert len(asked) == 1
    database.close()
