"""The kick to mupdate: how often, and what becomes of one that fails."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import UpstreamError
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


def test_nobody_listens(tmp_path: Path) -> None:
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
