"""Connections to one server, when the process that serves is killed."""

from __future__ import annotations

import socket
import time
from itertools import count
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.pool import Pool
from tests.support.fakes import Fake, echo, read_netstring, reply
from tests.upstream.test_socketmapclient import client


def breaking(*connections: int) -> tuple[Fake, list[int]]:
    """A server that is gone behind the question of some connections; which have come."""
    numbers = count()
    come: list[int] = []

    def talk(peer: socket.socket) -> None:
        number = next(numbers)
        come.append(number)
        if number == 0:
            peer.sendall(reply(echo(read_netstring(peer).partition(b" ")[2])))
        question = read_netstring(peer)
        if number not in connections:
            peer.sendall(reply(echo(question.partition(b" ")[2])))
            read_netstring(peer)

    return Fake(talk), come


def test_the_new_connection_may_have_reached_the_process_that_ends() -> None:
    """The kept one breaks, the next one too: the server after it is asked."""
    fake, come = breaking(0, 1)
    with fake:
        asking = client(fake.address)
        assert asking.ask(b"fred").status == b"OK"
        assert asking.ask(b"fred").status == b"OK"
        assert len(asking.pool._idle) == 1
        asking.pool.close()
        assert come == [0, 1, 2]


def test_a_server_that_goes_on_ending_is_a_fault() -> None:
    """No question tries for ever."""
    fake, come = breaking(0, 1, 2)
    with fake:
        asking = client(fake.address)
        assert asking.ask(b"fred").status == b"OK"
        with pytest.raises(UpstreamError):
            asking.ask(b"fred")
        asking.pool.close()
        assert come == [0, 1, 2]


def test_a_second_opinion_needs_no_second_connection_afterwards() -> None:
    """A permanent refusal of a kept connection is asked again of a new one, which is then closed."""
    fake, come = breaking()
    with fake:
        pool = client(fake.address).pool
        for opened in (1, 2, 3):
            until = time.monotonic() + 10
            assert pool.call(lambda link: "no", until, lambda answer: answer == "no") == "no"
            assert (pool.opened, len(pool._idle)) == (opened, 1)
        pool.close()
    assert len(come) <= 3


class Idle(list[Any]):
    """A pool's connections, to which another thread adds one when the last has been looked at."""

    late: Any = None

    def pop(self, place: Any = -1) -> Any:
        try:
            return super().pop(place)
        except IndexError:
            if self.late is not None:
                self.append(self.late)
                self.late = None
            raise


def test_what_is_given_back_while_others_are_looked_at_is_kept() -> None:
    """And the order stays: the one that was used last serves the next question."""

    def refuse(_until: float) -> UpstreamConnection:
        raise AssertionError("no question is asked")

    pool = Pool("name", refuse)
    pairs = [socket.socketpair() for _ in range(2)]
    one, other = (UpstreamConnection("name", pair[0]) for pair in pairs)
    idle = Idle([one])
    idle.late = other
    pool._idle = idle
    pool.sweep(0.0)
    assert pool._idle == [one, other]
    pool.close()
    for _, peer in pairs:
        peer.close()
