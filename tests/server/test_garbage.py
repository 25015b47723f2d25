"""When Python's long search for garbage is made, and that nothing a client does needs it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.frontends.socketmap_cache import SocketmapReplyCache
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.protocols.socketmap import encode
from gateway.server import garbage
from gateway.server.garbage import GarbageCollection
from tests.stores import dbkey, record
from tests.support.lines import run_loop_until, site
from tests.support.sites import Site, repack


@pytest.fixture(autouse=True)
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that is put off, whatever Python this is; as it was, afterwards."""
    monkeypatch.setattr(garbage, "INCREMENTAL", False)
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.enable()
    gc.set_threshold(*thresholds)


class Clocks:
    """The time, and what of it the process has used."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cpu = 10.0
        self.collection = GarbageCollection(lambda: self.now, lambda: self.cpu)

    def pass_by(self, seconds: float, busy: float) -> bool:
        """Time goes by, a part of it with work; whether all of the garbage was searched then."""
        self.now += seconds
        self.cpu += seconds * busy
        gc.collect(1)  # else nothing has come of age
        return self.collection.look()


def test_it_is_left_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython searches the young objects only, and not what the start has made."""
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(gc, "set_threshold", lambda *each: asked.append(each))
    GarbageCollection()
    assert asked[0][2] > 10**9
    assert gc.get_freeze_count() > 1000


def test_where_python_does_it_in_pieces_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 3.14."""
    monkeypatch.setattr(garbage, "INCREMENTAL", True)
    before = gc.get_threshold()
    clocks = Clocks()
    assert gc.get_threshold() == before
    assert not clocks.pass_by(2 * garbage.LONGEST, 0.0)


def test_a_process_at_rest_searches_now_and_then() -> None:
    """Not more often than it must."""
    clocks = Clocks()
    assert not clocks.pass_by(5, 0.0)
    assert clocks.pass_by(garbage.PAUSE, 0.01)
    assert not clocks.pass_by(5, 0.0)
    assert clocks.pass_by(garbage.PAUSE, 0.0)


def test_a_busy_process_puts_it_off_until_it_rests() -> None:
    """A moment's rest is enough."""
    clocks = Clocks()
    assert not any(clocks.pass_by(5, 0.5) for _ in range(50))
    assert clocks.pass_by(5, 0.0)


def test_but_not_for_ever() -> None:
    """Whatever a library leaves has a bound."""
    clocks = Clocks()
    searched = [clocks.pass_by(10, 0.9) for _ in range(800)]
    assert searched.count(True) == 8000 // garbage.LONGEST


def test_where_nothing_has_come_of_age_there_is_nothing_to_search() -> None:
    """An idle gateway does not look through the same objects for ever."""
    clocks = Clocks()
    gc.collect()
    clocks.now += 2 * garbage.PAUSE
    assert not clocks.collection.look()


def circles(action: Callable[[int], None], times: int) -> int:
    """How many objects only that search can let go, after an action was repeated."""
    action(0)
    gc.collect()
    gc.disable()
    for number in range(1, times + 1):
        action(number)
    return gc.collect()


@pytest.mark.slow
def test_first_answers_leave_no_circles(tmp_path: Path) -> None:
    """Known and unknown recipients, and a store that is written and replaced under them."""
    store = Site(tmp_path)
    store.list.fill((dbkey(b"user.u%d" % n), record()) for n in range(400))
    store.write_list()

    def ask(number: int) -> None:
        for recipient in (b"u%d" % number, b"nobody%d" % number):
            store.ask(recipient)
        if number % 20 == 0:
            store.list.store(dbkey(b"user.new%d" % number), record())
            store.list.commit()
            store.write_list()
        if number == 150:
            repack(store)

    few, many = circles(ask, 50), circles(ask, 300)
    assert many <= few + 10


@pytest.mark.slow
def test_sessions_leave_no_circles(tmp_path: Path) -> None:
    """Each with questions of its own, one of which is wrong."""
    store = Site(tmp_path)
    replies = SocketmapReplyCache(store.cache)

    def talk(number: int) -> None:
        session = SocketmapSession(store.cache, None, replies=replies)
        for payload in (b"cyrus fred", b"cyrus nobody%d" % number, b"cyrus"):
            session.receive(encode(payload))
            session.replies()
        session.receive(b"")

    assert circles(talk, 300) <= circles(talk, 30) + 10


@pytest.mark.slow
def test_connections_leave_no_circles(tmp_path: Path) -> None:
    """From accept to close, whichever side closes."""
    with site(str(tmp_path / "socket")) as lines:

        def come_and_go(number: int) -> None:
            client = lines.connect()
            assert client.ask(b"one") == b"one"
            if number % 2:
                client.send(b"bad\n")
                client.line()
            client.close()
            run_loop_until(lambda: lines.server.served == lines.server.accepted, "it is let go")

        assert circles(come_and_go, 60) <= circles(come_and_go, 6) + 20
