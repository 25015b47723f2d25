"""Clients that take their time: a byte at a time, half a request, no reading, no sending.

At each interface, and by TCP, too, where buffers, halves and resets are other ones.
How long they may take is `request_timeout` and `idle_timeout`.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.undisturbed import Target, attacked, undisturbed
from tests.rigs.gateway import LIBRARY
from tests.rigs.waiting import wait_until
from tests.rigs.witnesses import FRED, GREETINGS, INTERFACES, NOBODY, Address, link

pytestmark = pytest.mark.slow

# Clients of a kind at a time.
MANY = 20
# Clients that ask as fast as they can.
FEW = 3
# Seconds that a client may be silent within a request, the least there is.
PATIENCE = 1
# Bytes that the kernel takes for a client that does not read, where it can be told so: by TCP
# it would take some megabytes, which are the kernel's and not ours.
SMALL = 4096
_CHUNK = 1 << 16
_DEADLINE_S = 60.0

WAYS = [(interface, way) for interface in INTERFACES for way in ("unix", "tcp")]
# libmilter knows no request_timeout, and looks for idle clients every ten minutes.
HURRIED = [interface for interface in INTERFACES if interface != "milter" or LIBRARY == "builtin"]


@pytest.fixture(scope="module")
def patient() -> Iterator[Target]:
    """A gateway as it is by default."""
    with attacked() as managed:
        yield managed


@pytest.fixture(scope="module")
def hasty() -> Iterator[Target]:
    """One that soon parts from those who are silent."""
    limits = {"request_timeout": PATIENCE, "idle_timeout": PATIENCE}
    with attacked(dict.fromkeys(HURRIED, limits)) as managed:
        yield managed


class Crowd:
    """Some bare clients of one interface, that have said what comes before a question."""

    def __init__(self, managed: Target, interface: str, way: str, count: int = MANY) -> None:
        self._stack = ExitStack()
        address: Address = managed.tcp(interface) if way == "tcp" else managed.path(interface)
        with INTERFACES[interface](managed.path(interface)) as sample:
            self.question = sample.question(NOBODY)
        self.links = [self._enter(address, GREETINGS[interface]) for _ in range(count)]

    def _enter(self, address: Address, greeting: bytes) -> socket.socket:
        client = self._stack.enter_context(link(address, receive_buffer=SMALL, timeout=_DEADLINE_S))
        if greeting:
            client.sendall(greeting)
            # The reply to it is what comes before the answers.
            assert client.recv(_CHUNK)
        return client

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def each(self, data: bytes) -> None:
        """Each sends these bytes."""
        for client in self.links:
            client.sendall(data)

    def finish(self) -> None:
        """Each says that it has no more to say."""
        for client in self.links:
            client.shutdown(socket.SHUT_WR)

    def told(self) -> set[bytes]:
        """What each is told until the server hangs up."""
        return {_rest(client) for client in self.links}


def _rest(client: socket.socket) -> bytes:
    received = b""
    try:
        while piece := client.recv(_CHUNK):
            received += piece
    except ConnectionResetError:
        # Hung up on with something of ours unread, as a half request may be.
        return received
    return received


def _answer(managed: Target, interface: str) -> bytes:
    """The bytes of the answer about NOBODY."""
    with Crowd(managed, interface, "unix", 1) as one:
        one.each(one.question)
        one.finish()
        (answer,) = one.told()
        assert answer
        return answer


@pytest.mark.parametrize(("interface", "way"), WAYS)
def test_a_byte_at_a_time(patient: Target, interface: str, way: str) -> None:
    """All of them at once, in turn: each is answered, and so is everybody else meanwhile."""
    answer = _answer(patient, interface)
    with undisturbed(patient) as witnesses, Crowd(patient, interface, way) as crowd:
        for at in range(len(crowd.question)):
            crowd.each(crowd.question[at : at + 1])
            if at % MANY == 0:
                witnesses[interface].ask(FRED)
        crowd.finish()
        assert crowd.told() == {answer}


@pytest.mark.parametrize(("interface", "way"), WAYS)
def test_a_client_that_only_listens_any_more(patient: Target, interface: str, way: str) -> None:
    """A client that has closed its own side gets the answers to what it has asked, then the end."""
    answer = _answer(patient, interface)
    with undisturbed(patient), Crowd(patient, interface, way) as crowd:
        crowd.each(crowd.question * 3)
        crowd.finish()
        assert crowd.told() == {answer * 3}


@pytest.mark.parametrize(("interface", "way"), WAYS)
def test_half_a_request_and_the_end(patient: Target, interface: str, way: str) -> None:
    """No answer about the recipient is made of a half, and the server hangs up at once."""
    answer = _answer(patient, interface)
    with undisturbed(patient) as witnesses, Crowd(patient, interface, way) as crowd:
        crowd.each(crowd.question + crowd.question[:-3])
        crowd.finish()
        for told in crowd.told():
            assert told.startswith(answer)
            assert b"nobody" not in told[len(answer) :]
            assert told.count(answer) == 1
        witnesses[interface].ask(FRED)


def test_who_stands_still_is_hung_up_on(hasty: Target) -> None:
    """Half a request, nothing at all, or questions without reading the answers.

    When its time is over each of them is disconnected; nothing is read from a client
    that does not read, and others are answered all the time.
    """
    ways = [(interface, way) for interface, way in WAYS if interface in HURRIED]
    with undisturbed(hasty) as witnesses, ExitStack() as stack:
        halves = [stack.enter_context(Crowd(hasty, interface, way)) for interface, way in ways]
        silent = [stack.enter_context(Crowd(hasty, interface, way)) for interface, way in ways]
        deaf = [stack.enter_context(Crowd(hasty, interface, way, FEW)) for interface, way in ways]
        for crowd in halves:
            crowd.each(crowd.question[:-3])
        left = {client: crowd.question * 1000 for crowd in deaf for client in crowd.links}
        for client in left:
            client.setblocking(False)

        def all_gone() -> bool:
            for client, data in tuple(left.items()):
                if not _pushed(client, data):
                    del left[client]
            for witness in witnesses.values():
                witness.ask(FRED)
            return not left

        wait_until(all_gone, "the servers hang up on clients that do not read", _DEADLINE_S)
        assert set().union(*(crowd.told() for crowd in (*halves, *silent))) == {b""}


def _pushed(client: socket.socket, data: bytes) -> bool:
    """Send what the client's socket takes; whether the server is still there."""
    try:
        while True:
            client.send(data)
    except BlockingIOError:
        looking = select.poll()
        looking.register(client, 0)
        return not looking.poll(0)
    except (BrokenPipeError, ConnectionResetError):
        return False
