"""The program that makes an index for others: whatever happens to the file meanwhile, it has one."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.cyrus.db.twoskip import index as twoskip_index
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import DatabaseMissing
from gateway.worker import indexbuilder
from gateway.worker.indexbuilder import build
from tests.support.twoskip_disk import Disk
from tests.support.twoskip_writer import Writer


@pytest.fixture
def disk(tmp_path: os.PathLike[str]) -> Iterator[Disk]:
    """A mailbox list of 300."""
    made = Disk(os.path.join(tmp_path, "mailboxes.db"))
    yield made
    os.close(made.fd)


@pytest.fixture
def home() -> Iterator[socket.socket]:
    """Somebody waits."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        yield theirs


def filled(seed: int, name: bytes = b"user") -> Writer:
    """What has written a list."""
    writer = Writer(seed=seed)
    writer.fill((b"%s.%d" % (name, n), b"value") for n in range(300))
    return writer


def meanwhile(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """`act` once, behind so many steps; a negative number counts those that leave nothing to do."""
    really = Twoskip.build_index_step
    left = [abs(number)]

    def step(self: Twoskip, *, alone: bool = True) -> bool:
        more = really(self, alone=alone)
        if number > 0 or not more:
            left[0] -= 1
            if not left[0]:
                act()
        return more

    monkeypatch.setattr(Twoskip, "build_index_step", step)


def check(disk: Disk, descriptor: int | None, writer: Writer) -> None:
    """Somebody who has the file open believes the index, and it says what is in the file."""
    assert descriptor is not None
    database = disk.reader()
    database.offer_index(descriptor)
    os.close(descriptor)
    while database.build_index_step(alone=False):
        pass
    database.state()
    assert database.known_absent(b"user.nobody")
    for key, value in writer.committed.items():
        assert not database.known_absent(key)
        assert database.get_seen(key) == value
    database.close()


@pytest.mark.parametrize("moment", [1, 2, -1])
def test_many_commits_meanwhile_are_the_users_to_read(
    disk: Disk, home: socket.socket, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """As while many mailboxes are moved: more than a question would wait for."""
    monkeypatch.setattr(twoskip_index, "FOLLOWED", 1000)
    writer = filled(1)
    disk.apply(writer)

    def commit() -> None:
        for number in range(100):
            writer.store(b"user.new%d" % number, b"value")
            writer.delete(b"user.%d" % number)
            writer.commit()
        os.pwrite(disk.fd, writer.image(), 0)

    meanwhile(monkeypatch, moment, commit)
    check(disk, build(disk.path, home), writer)


@pytest.mark.parametrize("moment", [1, 2, -1])
def test_a_backup_that_is_put_over_the_file_is_read_from_the_beginning(
    disk: Disk, home: socket.socket, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """While it is read, and when the index is there but has not been handed over."""
    disk.apply(filled(1))
    other = filled(2, b"user.other")
    meanwhile(monkeypatch, moment, lambda: disk.apply(other))
    check(disk, build(disk.path, home), other)


@pytest.mark.parametrize("moment", [1, -1])
def test_a_header_that_is_being_written_is_read_again(
    disk: Disk, home: socket.socket, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """It looks damaged in that moment."""
    writer = filled(1)
    disk.apply(writer)
    really = Twoskip._look
    torn = [False]

    def look(self: Twoskip) -> bytes:
        raw = really(self)
        if torn[0]:
            torn[0] = False
            return raw[:-1] + bytes([raw[-1] ^ 1])
        return raw

    def tear() -> None:
        torn[0] = True

    monkeypatch.setattr(Twoskip, "_look", look)
    meanwhile(monkeypatch, moment, tear)
    check(disk, build(disk.path, home), writer)


def test_nobody_waits_for_it_any_more(disk: Disk) -> None:
    """So there is none."""
    disk.apply(filled(1))
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.close()
    with theirs:
        assert build(disk.path, theirs) is None


@pytest.mark.parametrize(
    ("first", "ways"), [(0.0, {0}), (60.0, {1})], ids=["never", "until it is there"]
)
def test_it_gives_way_altogether_only_at_first(
    disk: Disk, home: socket.socket, monkeypatch: pytest.MonkeyPatch, first: float, ways: set[int]
) -> None:
    """Each thread has a priority of its own; what follows has the usual one."""
    monkeypatch.setattr(indexbuilder, "FIRST", first)
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    least = min(19, usual + indexbuilder.ALTOGETHER)
    found: list[int] = []
    writer = filled(1)
    disk.apply(writer)
    really = Twoskip.build_index_step

    def step(self: Twoskip, *, alone: bool = True) -> bool:
        found.append(os.getpriority(os.PRIO_PROCESS, 0))
        return really(self, alone=alone)

    with monkeypatch.context() as patch:
        patch.setattr(Twoskip, "build_index_step", step)
        descriptor = build(disk.path, home)
    assert set(found) == {(usual, least)[way] for way in ways}
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual
    check(disk, descriptor, writer)


def test_what_has_been_begun_at_first_is_ended_later(
    disk: Disk, home: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is done twice, and nothing is left out."""
    monkeypatch.setattr(indexbuilder, "FIRST", 60.0)
    writer = filled(1)
    disk.apply(writer)
    threads: list[int] = []
    really = Twoskip.build_index_step

    def step(self: Twoskip, *, alone: bool = True) -> bool:
        threads.append(threading.get_ident())
        if len(threads) == 1:
            monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
        return really(self, alone=alone)

    with monkeypatch.context() as patch:
        patch.setattr(Twoskip, "build_index_step", step)
        descriptor = build(disk.path, home)
    monkeypatch.undo()
    assert threads[0] != threads[1] == threading.get_ident()
    check(disk, descriptor, writer)


def no_thread(_thread: threading.Thread) -> None:
    """For Thread.start."""
    raise RuntimeError("can't start new thread")


def test_without_a_thread_it_makes_it_all_the_same(
    disk: Disk, home: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the limit of the user's processes is reached."""
    writer = filled(1)
    disk.apply(writer)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    check(disk, build(disk.path, home), writer)


def test_a_fault_at_first_is_a_fault(disk: Disk, home: socket.socket) -> None:
    """Not lost with the thread that met it."""
    with pytest.raises(DatabaseMissing):
        build(f"{disk.path}.none", home)
