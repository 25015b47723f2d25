"""The queue in which greedy clients wait, on gevent's loop."""

from __future__ import annotations

import socket

import gevent
import pytest

from gateway.server.fairqueue import FairQueue
from tests.frontends.lines import DEADLINE_S, turn_until


def test_turns_come_in_order_and_once_each() -> None:
    """Whoever comes first is first; who wants another turn goes behind the others."""
    queue, seen = FairQueue(), list[str]()

    def again() -> None:
        seen.append("again")
        if len(seen) < 4:
            queue.enqueue(again)

    queue.enqueue(again)
    queue.enqueue(lambda: seen.append("once"))
    turn_until(lambda: len(seen) == 4, "everybody has had a turn")
    assert seen == ["again", "once", "again", "again"]


def test_a_socket_is_looked_at_between_two_turns() -> None:
    """However many wait in line, what arrives is seen behind one turn at most."""
    queue, turns = FairQueue(), list[int]()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watcher = gevent.get_hub().loop.io(ours.fileno(), 1)

        def callback() -> None:
            turns.append(len(turns))
            if len(turns) == 50:
                theirs.send(b"here")
            queue.enqueue(callback)

        for _ in range(20):
            queue.enqueue(callback)
        with gevent.Timeout(DEADLINE_S):
            gevent.get_hub().wait(watcher)
        assert len(turns) <= 52
        watcher.close()


def test_a_defect_in_one_turn_costs_the_others_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """gevent prints it, and the next one has its turn."""
    queue, seen = FairQueue(), list[str]()

    def broken() -> None:
        raise IndexError

    queue.enqueue(broken)
    queue.enqueue(lambda: seen.append("next"))
    turn_until(lambda: seen == ["next"], "the next one has its turn")
    assert "IndexError" in capfd.readouterr().err
