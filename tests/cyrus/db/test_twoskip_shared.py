"""An index that another process has made: believed where it is proved, and then as good as one's own."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.history import TAIL_BYTES
from gateway.cyrus.db.twoskip import shared
from gateway.cyrus.db.twoskip.index import KeyIndex
from gateway.cyrus.db.twoskip.shared import SEALS, SharedIndex
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import SharedIndexRefused
from tests.cyrus.db.test_twoskip import OPERATIONS, Operation, _written
from tests.cyrus.db.test_twoskip_index import indexed
from tests.support.twoskip_disk import ABSENT, KEYS, Disk
from tests.support.twoskip_writer import Writer

HEADER = shared._HEADER
FIELDS = (
    "magic",
    "version",
    "shift",
    "device",
    "inode",
    "generation",
    "repack_size",
    "end",
    "start",
    "kept",
    "entries",
    "suspects",
)


@pytest.fixture
def writer(disk: Disk) -> Writer:
    """What has written the file: some mailboxes, one of which is deleted."""
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"value %d" % n) for n in range(60))
    writer.delete(b"user.30")
    writer.commit()
    disk.apply(writer)
    return writer


def exported(disk: Disk) -> bytes:
    """What a process that builds the index of the file as it is would share."""
    database = indexed(disk.reader())
    descriptor = database.export_index()
    database.close()
    assert descriptor is not None
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    return data


def sealed(data: bytes, seals: int = SEALS) -> int:
    """A descriptor with that content."""
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, data)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def taken(database: Twoskip, data: bytes) -> KeyIndex | None:
    """The index that the reader has once it has considered the offer, and builds none itself."""
    descriptor = sealed(data)
    try:
        database.offer_index(descriptor)
    finally:
        os.close(descriptor)
    while database.build_index_step(alone=False):
        pass
    return database._index


def test_an_index_is_taken_over_and_used(disk: Disk, writer: Writer) -> None:
    """Nothing is built, and all is known, of later commits, too."""
    database = disk.reader()
    index = taken(database, exported(disk))
    assert index is not None
    assert index.ready
    for _ in range(3):
        database.state()
        for number in range(70):
            key = b"user.%d" % number
            assert database.get(key) == database.get_seen(key) == writer.committed.get(key)
            assert database.known_absent(key) == (number >= 60 and key not in writer.committed)
        writer.store(b"user.%d" % len(writer.committed), b"new")
        writer.delete(b"user.%d" % (len(writer.committed) // 2))
        writer.commit()
        disk.apply(writer)
        database.state()
    assert database._index is index
    database.close()


def test_what_came_between_is_read_from_the_file(disk: Disk, writer: Writer) -> None:
    """However much it was: in pieces where it is much."""
    data = exported(disk)
    for number in range(100):
        writer.store(b"user.new%d" % number, b"v" * 5000)
    writer.delete(b"user.7")
    writer.commit()
    disk.apply(writer)
    database = disk.reader()
    index = taken(database, data)
    assert index is not None
    assert index.ready
    database.state()
    assert database.known_absent(b"user.other")
    for key in (b"user.7", b"user.8", b"user.30", b"user.new99"):
        assert database.get(key) == writer.committed.get(key)
        assert not database.known_absent(key)
    database.close()


@pytest.mark.parametrize("between", [0, 1, 300, 1500])
def test_a_longer_log_is_proved_by_the_end_of_the_shorter_one(disk: Disk, between: int) -> None:
    """Also where neither is compared as a whole."""
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"v" * 100) for n in range(1000))
    disk.apply(writer)
    data = exported(disk)
    writer.fill((b"user.%d" % n, b"w" * 100) for n in range(between))
    disk.apply(writer)
    database = disk.reader()
    assert taken(database, data) is not None
    database.state()
    assert database.get(b"user.0") == writer.committed[b"user.0"]
    assert os.fstat(disk.fd).st_size > 2 * TAIL_BYTES
    database.close()


def test_a_byte_that_is_another_one_is_noticed(disk: Disk, writer: Writer) -> None:
    """Wherever it is, and whatever is missing or too much."""
    sound = exported(disk)
    for place in [*range(HEADER.size + 99), *range(200, len(sound), 97), len(sound) - 1]:
        data = bytearray(sound)
        data[place] ^= 1
        assert not believed(disk, bytes(data)), place
    for length in (0, 1, 16, 100, HEADER.size, len(sound) - 8, len(sound) - 1):
        assert not believed(disk, sound[:length]), length
    assert not believed(disk, sound + bytes(8))
    assert believed(disk, sound)


def believed(disk: Disk, data: bytes) -> bool:
    """Whether a reader of the file takes what is offered."""
    database = disk.reader()
    try:
        return taken(database, data) is not None
    except SharedIndexRefused:
        return False
    finally:
        database.close()


@pytest.mark.parametrize("step", [-1, 1, 8])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_says_something_else_is_not_believed(
    disk: Disk, writer: Writer, field: str, step: int
) -> None:
    """With a checksum that is right: of another file, another repack, another place."""
    sound = exported(disk)
    values = list(HEADER.unpack_from(sound))
    at = FIELDS.index(field)
    values[at] = b"another program." if field == "magic" else max(0, values[at] + step)
    head = HEADER.pack(*values)[:-8]
    body = sound[HEADER.size :]
    data = head + struct.pack("=Q", crc32(body, crc32(head))) + body
    assert not believed(disk, data)


@pytest.mark.parametrize("missing", [fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW])
def test_what_somebody_could_still_change_is_refused(
    disk: Disk, writer: Writer, missing: int
) -> None:
    """One seal of four is not there; or it is a file."""
    descriptor = sealed(exported(disk), SEALS & ~missing)
    with pytest.raises(SharedIndexRefused, match="could still be changed"):
        SharedIndex.of(descriptor)
    os.close(descriptor)
    # A file on tmpfs has seals, and one on a disk has none to ask for.
    with pytest.raises(SharedIndexRefused, match=r"cannot be mapped|could still be changed"):
        SharedIndex.of(disk.fd)


def test_what_is_another_users_is_refused(
    disk: Disk, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that could hand it to us."""
    descriptor = sealed(exported(disk))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SharedIndexRefused, match="it is user"):
        SharedIndex.of(descriptor)
    os.close(descriptor)


def test_nobody_can_change_what_was_exported(disk: Disk, writer: Writer) -> None:
    """Not even who has made it."""
    database = indexed(disk.reader())
    descriptor = database.export_index()
    assert descriptor is not None
    size = os.fstat(descriptor).st_size
    changes: list[Callable[[int], object]] = [
        lambda fd: os.pwrite(fd, b"x", 0),
        lambda fd: os.ftruncate(fd, size - 1),
        lambda fd: os.ftruncate(fd, size + 1),
    ]
    for change in changes:
        with pytest.raises(PermissionError):
            change(descriptor)
    os.close(descriptor)
    database.close()


def test_an_index_of_another_file_is_no_use(disk: Disk, writer: Writer, tmp_path: object) -> None:
    """A copy of the file, and one that a repack has put in its place."""
    data = exported(disk)
    copy = Disk(f"{tmp_path}/mailboxes.db")
    copy.put(disk.image())
    assert not believed(copy, data)
    copy.apply(writer.repacked())
    assert not believed(copy, data)
    os.close(copy.fd)
    disk.apply(writer.repacked())
    assert not believed(disk, data)


@pytest.mark.parametrize("commits", [0, 1, 5, 400])
def test_an_index_of_another_past_is_no_use(disk: Disk, commits: int) -> None:
    """A backup is written over the file, and as many commits, or more, have come on top of it."""
    backup, other = Writer(seed=1), Writer(seed=1)
    for each in (backup, other):
        each.fill((b"user.%d" % n, b"value") for n in range(60))
    other.store(b"user.only.here", b"value")
    other.commit()
    disk.apply(other)
    data = exported(disk)
    for number in range(commits):
        backup.store(b"user.late%d" % number, b"value of it")
        backup.commit()
    disk.apply(backup)
    database = disk.reader()
    assert taken(database, data) is None
    indexed(database)
    database.state()
    assert database.known_absent(b"user.only.here")
    assert database.get(b"user.late0") == backup.committed.get(b"user.late0")
    # And the other way round: a reader of the new past, to which the old one comes back.
    disk.apply(other)
    database.state()
    assert not database.known_absent(b"user.only.here")
    assert database.get(b"user.only.here") == b"value"
    assert taken(database, data) is not None
    database.state()
    assert not database.known_absent(b"user.only.here")
    assert database.get(b"user.only.here") == b"value"
    database.close()


def test_one_that_knows_less_is_not_taken_for_one_that_knows_more(
    disk: Disk, writer: Writer
) -> None:
    """Two processes build, and the slower one's comes late."""
    data = exported(disk)
    writer.store(b"user.new", b"value")
    writer.commit()
    disk.apply(writer)
    database = indexed(disk.reader())
    index = database._index
    assert taken(database, data) is index
    newer = exported(disk)
    assert taken(database, newer) is index  # as much as it knows itself
    writer.store(b"user.newer", b"value")
    writer.commit()
    disk.apply(writer)
    assert taken(database, exported(disk)) is not index
    database.close()


def test_it_is_checked_in_pieces(
    disk: Disk, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody waits for it."""
    monkeypatch.setattr(shared, "_PIECE", 100)
    data = exported(disk)
    reader = disk.reader()
    descriptor = sealed(data)
    reader.offer_index(descriptor)
    os.close(descriptor)
    pieces = 0
    while reader.build_index_step(alone=False):
        pieces += 1
        assert reader._index is None or pieces >= len(data) // 100
    assert reader._index is not None
    reader.close()


@settings(max_examples=100, deadline=None)
@given(
    operations=OPERATIONS,
    seed=st.integers(0, 999),
    made=st.integers(2, 60),
    used=st.integers(0, 40),
    recent=st.integers(0, 3),
)
def test_a_shared_index_knows_what_is_committed(
    disk: Disk, operations: list[Operation], seed: int, made: int, used: int, recent: int
) -> None:
    """Made at any moment, taken at any later one, and kept through what follows."""
    steps = _written(operations, seed).steps
    made = min(made, len(steps))
    used = min(made + used, len(steps))
    disk.begin(steps[:made])
    data = exported(disk)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gateway.cyrus.db.twoskip.index.MOST_RECENT", recent)
        for step in steps[made:used]:
            step.apply(disk.fd)
        database = disk.reader()
        if steps[made - 1 :]:
            taken(database, data)
        for step in [steps[used - 1], *steps[used:]]:
            step.apply(disk.fd)
            database.state()
            for key in KEYS + ABSENT:
                assert not (database.known_absent(key) and key in step.committed)
                assert database.get(key) == database.get_seen(key) == step.committed.get(key)
            database.build_index_step()
    database.close()


def test_a_proof_that_is_shorter_than_ones_own_is_none(disk: Disk) -> None:
    """Of a long log at least as much is compared as a reader keeps itself."""
    writer = Writer(seed=1)
    writer.fill((b"user.%d" % n, b"v" * 100) for n in range(1000))
    disk.apply(writer)
    sound = exported(disk)
    values = list(HEADER.unpack_from(sound))
    start, kept = FIELDS.index("start"), FIELDS.index("kept")
    tail = sound[len(sound) - values[kept] :]
    at = tail.rindex(b"+", 0, tail.rindex(b"user.998"))  # a record with its head
    at -= tail[at - 8 : at] == b" BLANK\x07\xa0" and 8
    values[start] += at
    values[kept] -= at
    head = HEADER.pack(*values)[:-8]
    body = sound[HEADER.size : len(sound) - len(tail)] + tail[at:]
    data = head + struct.pack("=Q", crc32(body, crc32(head))) + body
    assert not believed(disk, data)
    assert believed(disk, sound)


def test_what_is_not_finished_or_not_proved_is_not_shared(disk: Disk, writer: Writer) -> None:
    """Half an index; and one whose log's end is not known."""
    database = disk.reader()
    assert database.export_index() is None
    assert database.build_index_step()
    assert database.export_index() is None
    indexed(database)
    index, raw = database._index, database._look()
    assert index is not None
    tail = database._history.tail
    descriptor = shared.export(index, database._view, raw, tail)
    assert descriptor is not None
    os.close(descriptor)
    tail.forget()
    assert shared.export(index, database._view, raw, tail) is None
    database.close()


def test_what_was_not_checked_is_no_index(disk: Disk, writer: Writer) -> None:
    """However well it looks."""
    descriptor = sealed(exported(disk))
    offer = SharedIndex.of(descriptor)
    os.close(descriptor)
    database = disk.reader()
    raw = database._look()
    assert offer.index(database._view, raw) is None
    while offer.check():
        pass
    assert offer.index(database._view, raw) is not None
    database.close()
