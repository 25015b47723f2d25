"""The kick to mupdate: how often, and what becomes of one that fails."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import UpstreamError
from gateway.upstream import mupdate as module
from gateway.upstream.breaker import THRESHOLD
from gateway.upstream.mupdate import MIN_INTERVAL, SOCKET, Kicker
from tests.support.fakes import DEADLINE_S, Fake, hangs, says_done


@pytest.fixture
def mupdate(tmp_path: Path) -> Iterator[Fake]:
    """A mupdate process below `tmp_path`."""
    path = str(tmp_path / SOCKET)
    os.makedirs(os.path.dirname(path))
    with Fake(says_done, path=path) as fake:
        yield fake


def test_a_kick_serves_all_who_were_there_when_it_began(mupdate: Fake, tmp_path: Path) -> None:
    """Who came later needs another one."""
    kicker = Kicker(str(tmp_path))
    asked = time.monotonic()
    for _ in range(10):
        kicker.kick(asked)
    assert mupdate.connections == kicker.kicks == 1
    kicker.kick(time.monotonic())
    assert mupdate.connections == kicker.kicks == 2


def test_kicks_are_rate_limited(mupdate: Fake, tmp_path: Path) -> None:
    """A question waits for its kick, and the kicks for each other."""
    kicker = Kicker(str(tmp_path))
    start = time.monotonic()
    for _ in range(3):
        kicker.kick(time.monotonic())
    assert time.monotonic() - start >= 2 * MIN_INTERVAL
    assert mupdate.connections == 3


def test_a_socket_that_does_not_listen_is_named(tmp_path: Path) -> None:
    """The message names the socket; after several failures it is not tried for a while."""
    kicker = Kicker(str(tmp_path))
    for _ in range(THRESHOLD):
        with pytest.raises(UpstreamError, match="cannot reach mupdate: No such file") as caught:
            kicker.kick(time.monotonic())
        assert str(caught.value).startswith(f"{tmp_path}/{SOCKET}: ")
    with pytest.raises(UpstreamError, match="not asked for a while, after: cannot reach mupdate"):
        kicker.kick(time.monotonic())
    assert kicker.kicks == THRESHOLD


def test_a_mupdate_that_says_nothing(mupdate: Fake, tmp_path: Path) -> None:
    """It closes, or it hangs."""
    mupdate.talk = lambda _peer: None
    with pytest.raises(UpstreamError, match="closed the connection without a word"):
        Kicker(str(tmp_path)).kick(time.monotonic())
    mupdate.talk = hangs
    with pytest.raises(UpstreamError, match=r"did not answer within 0\.1 s"):
        Kicker(str(tmp_path), deadline=0.1).kick(time.monotonic())
    mupdate.hang_up()


def test_a_kick_has_what_is_left_of_the_questions_time(mupdate: Fake, tmp_path: Path) -> None:
    """None is left: it is not asked at all."""
    kicker = Kicker(str(tmp_path), deadline=DEADLINE_S)
    with pytest.raises(UpstreamError, match="deadline of the question"):
        kicker.kick(time.monotonic(), time.monotonic())
    assert kicker.kicks == 0
    kicker.kick(time.monotonic(), time.monotonic() + DEADLINE_S)
    assert kicker.kicks == 1


class Clock:
    """Time that passes where a test says so, and a socket on which it passes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.oversleeps = self.connects_in = 0.0
        self.slept: list[float] = []
        self.timeouts: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.oversleeps

    def socket(self, *_args: object) -> Clock:
        return self

    def __enter__(self) -> Clock:
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0
        self.timeouts.append(seconds)

    def connect(self, _path: str) -> None:
        self.now += self.connects_in

    def recv(self, _size: int) -> bytes:
        return b"done"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The one that the module knows."""
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(socket, "socket", made.socket)
    return made


@pytest.mark.parametrize(
    ("more", "kicked"), [(0.0, False), (MIN_INTERVAL, False), (MIN_INTERVAL + 0.01, True)]
)
def test_a_question_that_has_no_time_to_wait_for_its_kick(
    clock: Clock, more: float, kicked: bool
) -> None:
    """It is not asked; what began when the question was there is good for it without."""
    kicker = Kicker("/var/lib/cyrus")
    kicker.kick(clock.now)
    kicker.kick(clock.now, clock.now)
    assert (kicker.kicks, clock.slept) == (1, [])
    since = clock.now + 0.001
    if kicked:
        kicker.kick(since, clock.now + more)
        assert kicker.kicks == 2
        assert clock.slept == [pytest.approx(MIN_INTERVAL)]
    else:
        with pytest.raises(UpstreamError, match="not asked within the deadline"):
            kicker.kick(since, clock.now + more)
        assert (kicker.kicks, clock.slept) == (1, [])


@pytest.mark.parametrize("oversleeps", [0.02, 0.05, 3.0])
def test_a_sleep_that_takes_longer_than_the_question_has(clock: Clock, oversleeps: float) -> None:
    """As on a busy machine: it is a fault of this question, and not of the program."""
    kicker = Kicker("/var/lib/cyrus")
    kicker.kick(clock.now)
    clock.oversleeps = oversleeps
    for _ in range(2 * THRESHOLD):
        with pytest.raises(UpstreamError, match="not asked within the deadline"):
            kicker.kick(clock.now + 0.001, clock.now + MIN_INTERVAL + 0.02)
        clock.now = 1000.0
    assert kicker.kicks == 1
    clock.now += 1.0
    kicker.kick(clock.now)
    assert kicker.kicks == 2


def test_kicks_that_are_answered_are_no_failures(clock: Clock) -> None:
    """However many: mupdate is not given a rest for them."""
    kicker = Kicker("/var/lib/cyrus")
    for count in range(1, 3 * THRESHOLD):
        kicker.kick(clock.now + 0.001)
        assert kicker.kicks == count


def test_connecting_and_hearing_have_one_deadline(clock: Clock) -> None:
    """What the one has taken the other has no more."""
    clock.connects_in = 1.5
    Kicker("/var/lib/cyrus", deadline=2.0).kick(clock.now)
    assert clock.timeouts == [2.0, 0.5]
    clock.timeouts.clear()
    Kicker("/var/lib/cyrus", deadline=2.0).kick(clock.now, clock.now + 1.75)
    assert clock.timeouts == [1.75, 0.25]
    clock.connects_in = 2.0
    with pytest.raises(UpstreamError, match="mupdate did not answer within 2 s"):
        Kicker("/var/lib/cyrus", deadline=2.0).kick(clock.now)
