"""Clients as they come: rude, slow, silent and many.  Polite ones are answered meanwhile."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gateway.server.connection import LINGER_BYTES
from tests.rigs.require import require
from tests.rigs.socketmap import Connection, SocketmapError, frame, request
from tests.rigs.under_master import NOT_FOUND, Serving, memory_kib, serving
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# What a process may grow by while a client misbehaves; the interpreter's own
# allocator takes memory in steps of 1 MiB.
GROWTH_KIB = 16 * 1024

# More than socket buffers and one turn of the server hold together.
FLOOD = 64 * 1024 * 1024


@contextmanager
def undisturbed() -> Iterator[Serving]:
    """A service whose one process must be the same at the end, and still answer."""
    require("cyrus")
    with serving("-U 100000") as service, service.connect() as witness:
        assert witness.ask(b"fred") == b"OK fred"
        pid = service.pid()
        yield service
        assert witness.ask(b"fred") == b"OK fred"
        assert service.pids() == [pid]
        assert service.complaints() == []


def replies_until_close(connection: Connection) -> list[bytes]:
    """Every reply up to the end of the connection; raises for anything that is not a netstring."""
    replies = []
    while not connection.at_end():
        replies.append(connection.receive())
    return replies


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", [b"PERM Bad protocol (missing length)"]),
        (b"EHLO client\r\n", [b"PERM Bad protocol (missing length)"]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", [b"PERM Bad protocol (missing length)"]),
        (b"5:x,", None),
        (b"0:,", [b"PERM Bad protocol (missing key)"]),
        (b"1:xx", [b"PERM Bad protocol (missing terminator)"]),
        (b"99999:", [b"PERM Bad protocol (request size doesn't match length)"]),
        (b"9" * 100, [b"PERM Bad protocol (request size doesn't match length)"]),
        (
            request(b"fred") + b"?" + request(b"fred"),
            [b"OK fred", b"PERM Bad protocol (missing length)"],
        ),
        (b"x" * (LINGER_BYTES // 2), [b"PERM Bad protocol (missing length)"]),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_garbage_gets_one_reply_and_a_close(data: bytes, replies: list[bytes] | None) -> None:
    """The server says once what is wrong and parts; what is not a complete request is waited for."""
    with undisturbed() as service, service.connect() as client:
        client.send(data)
        if replies is None:
            assert service.ask(b"fred") == b"OK fred"
        else:
            assert replies_until_close(client) == replies


def test_garbage_without_end_is_cut_off() -> None:
    """The server reads on for a while, so that its word is heard; then it closes."""
    with undisturbed() as service, service.connect() as client:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.send(b"x" * FLOOD)
        assert client.receive() == b"PERM Bad protocol (missing length)"


def test_random_bytes_do_no_harm() -> None:
    """Hundreds of clients send noise, with and without the looks of a request."""
    chance = random.Random(20)
    with undisturbed() as service:
        for _ in range(300):
            noise = chance.randbytes(chance.randrange(1, 400))
            kind = chance.randrange(4)
            if kind == 1:
                noise = b"%d:%s," % (chance.randrange(400), noise)
            elif kind == 2:
                noise = frame(noise)
            elif kind == 3:
                noise = request(noise) + noise
            client = service.connect()
            client.send(noise)
            client.end()
            for reply in replies_until_close(client):
                assert reply.partition(b" ")[0] in (b"OK", b"NOTFOUND", b"PERM")
            client.close()


def test_clients_that_never_read_cost_a_bounded_piece_of_memory() -> None:
    """They ask without end: the server stops reading from them and goes on with the others."""
    with undisturbed() as service:
        pid = service.pid()
        before = memory_kib(pid)
        questions = request(b"nobody" * 20) * 500
        clients = [socket.socket(socket.AF_UNIX) for _ in range(10)]
        for client in clients:
            client.connect(service.cyrus.socket_path("smmap"))
            client.setblocking(False)
        sent = dict.fromkeys(clients, 0)
        full: set[socket.socket] = set()

        def all_are_held_up() -> bool:
            for client in clients:
                position = sent[client] % len(questions)
                try:
                    sent[client] += client.send(questions[position:])
                    full.discard(client)
                except BlockingIOError:
                    full.add(client)
                assert sent[client] < FLOOD
            assert service.ask(b"fred") == b"OK fred"
            return len(full) == len(clients)

        wait_until(all_are_held_up, "nobody can send any more")
        assert memory_kib(pid) - before < GROWTH_KIB
        # A client that reads in the end gets every reply to what it has asked.
        patient = clients[0]
        patient.setblocking(True)
        rest = questions[sent[patient] % len(questions) :]
        asked = (sent[patient] + len(rest)) // len(request(b"nobody" * 20))
        connection = Connection(patient)
        replies = 0
        while rest or replies < asked:
            if rest:
                patient.setblocking(False)
                with suppress(BlockingIOError):
                    rest = rest[patient.send(rest) :]
                patient.setblocking(True)
            if replies < asked - 1 or not rest:
                assert connection.receive() == NOT_FOUND
                replies += 1
        for client in clients:
            client.close()


def test_one_byte_at_a_time() -> None:
    """A request in as many packets as it has bytes is one request, for ten clients in turn."""
    with undisturbed() as service:
        clients = [service.connect() for _ in range(10)]
        for _ in range(3):
            for byte in request(b"fred"):
                for client in clients:
                    client.send(bytes((byte,)))
                assert service.ask(b"fred") == b"OK fred"
            for client in clients:
                assert client.receive() == b"OK fred"
        for client in clients:
            client.close()


def test_client_that_floods_does_not_starve_the_others() -> None:
    """One has hundreds of questions waiting at any time; another one is answered between them."""
    with undisturbed() as service, service.connect() as greedy:
        questions = request(b"fred") * 500
        greedy.send(questions)
        for _ in range(20):
            with service.connect() as other:
                assert other.ask(b"nobody") == NOT_FOUND
            for _ in range(500):
                assert greedy.receive() == b"OK fred"
            greedy.send(questions)
        for _ in range(500):
            assert greedy.receive() == b"OK fred"


def test_a_thousand_idle_connections() -> None:
    """They cost nobody anything; each is answered when it asks at last."""
    with undisturbed() as service:
        pid = service.pid()
        before = memory_kib(pid)
        idle = [service.connect() for _ in range(1000)]
        assert service.ask(b"fred") == b"OK fred"
        assert memory_kib(pid) - before < GROWTH_KIB
        for client in idle:
            assert client.ask(b"fred") == b"OK fred"
        assert service.ask(b"fred") == b"OK fred"
        for client in idle:
            client.close()


def test_client_that_has_said_all_still_hears_everything() -> None:
    """A client that closes its side gets the replies to all that it asked, and then the end."""
    with undisturbed() as service, service.connect() as client:
        client.send(request(b"fred") * 1000 + request(b"nobody")[:-3])
        client.end()
        *replies, last = replies_until_close(client)
        assert replies == [b"OK fred"] * 1000
        assert last == b"PERM Bad protocol (request size doesn't match length)"


def test_half_a_request_is_no_request() -> None:
    """A client that goes away in the middle of one leaves no trace."""
    with undisturbed() as service:
        for cut in range(1, len(request(b"fred"))):
            client = service.connect()
            client.send(request(b"fred")[:cut])
            client.close()
        with pytest.raises((SocketmapError, ConnectionError)), service.connect() as client:
            client.send(b"x")
            client.receive()
            client.ask(b"fred")
