"""The queue in which greedy clients wait, on gevent's loop."""

from __future__ import annotations

import socket

import gevent
import pytest

from gateway.server.fairqueue import FairQueue
from tests.support.lines import DEADLINE_S, READ, run_loop_until


def test_callbacks_come_in_order_and_once_each() -> None:
    """The first to come is the first; one that wants another round goes behind the others."""
    queue, seen = FairQueue(), list[str]()

    def again() -> None:
        seen.append("again")
        if len(seen) < 4:
            queue.enqueue(again)

    queue.enqueue(again)
    queue.enqueue(lambda: seen.append("once"))
    run_loop_until(lambda: len(seen) == 4, "everybody has been served")
    assert seen == ["again", "once", "again", "again"]


def test_a_socket_is_looked_at_between_two_callbacks() -> None:
    """However many wait in line, what arrives is seen behind one turn at most."""
    queue, rounds = FairQueue(), list[int]()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watcher = gevent.get_hub().loop.io(ours.fileno(), READ)

        def callback() -> None:
            rounds.append(len(rounds))
            if len(rounds) == 50:
                theirs.send(b"here")
            queue.enqueue(callback)

        for _ in range(20):
            queue.enqueue(callback)
        with gevent.Timeout(DEADLINE_S):
            gevent.get_hub().wait(watcher)
        assert len(rounds) <= 52
        watcher.close()


def test_a_defect_in_one_turn_costs_the_others_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """gevent prints it, and the next one is served."""
    queue, seen = FairQueue(), list[str]()

    def broken() -> None:
        raise IndexError

    queue.enqueue(broken)
    queue.enqueue(lambda: seen.append("next"))
    run_loop_until(lambda: seen == ["next"], "the next one is served")
    assert "IndexError" in capfd.readouterr().err
