"""Attacks on one interface that go on until they are ended, each a process of its own.

    python -m tests.faults.attacks NAME INTERFACE PATH

It says `begun` on standard output when the first round is in progress.  latency.py
measures what others wait meanwhile; the tests have attacks of their own, which end.
"""

from __future__ import annotations

import random
import resource
import selectors
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import MappingProxyType

from tests.rigs.witnesses import GREETINGS, INTERFACES, NOBODY, link

_CHUNK = 1 << 16
# Requests that a client keeps in progress; their answers fit into a socket's buffer.
BATCH = 200

# Its steps, without end.
Attack = Callable[[str, str], Iterator[None]]


def _question(interface: str, path: str) -> bytes:
    with INTERFACES[interface](path) as sample:
        return sample.question(NOBODY)


def _client(interface: str, path: str) -> socket.socket:
    client = link(path)
    if GREETINGS[interface]:
        client.sendall(GREETINGS[interface])
        client.recv(_CHUNK)
    return client


def _pipelining(count: int) -> Attack:
    def attack(interface: str, path: str) -> Iterator[None]:
        batch = _question(interface, path) * BATCH
        looking = selectors.DefaultSelector()
        for _ in range(count):
            client = _client(interface, path)
            client.setblocking(False)
            looking.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
        # What a client has not sent of its batch.
        rest: dict[object, bytes] = {}
        while True:
            for key, events in looking.select():
                client = key.fileobj  # type: ignore[assignment]
                if events & selectors.EVENT_READ:
                    client.recv(_CHUNK)
                if events & selectors.EVENT_WRITE:
                    data = rest.pop(client, b"") or batch
                    with suppress(BlockingIOError):
                        data = data[client.send(data) :]
                    if data:
                        rest[client] = data
            yield

    return attack


def _byte_at_a_time(count: int) -> Attack:
    def attack(interface: str, path: str) -> Iterator[None]:
        question = _question(interface, path)
        clients = [_client(interface, path) for _ in range(count)]
        while True:
            for at in range(len(question)):
                for client in clients:
                    client.sendall(question[at : at + 1])
                yield
            for client in clients:
                client.recv(_CHUNK)

    return attack


def _never_reading(count: int) -> Attack:
    def attack(interface: str, path: str) -> Iterator[None]:
        batch = _question(interface, path) * BATCH
        clients = [_client(interface, path) for _ in range(count)]
        for client in clients:
            client.setblocking(False)
        while True:
            for client in clients:
                with suppress(BlockingIOError):
                    client.send(batch)
            yield

    return attack


def _silent(count: int) -> Attack:
    def attack(interface: str, path: str) -> Iterator[None]:
        clients: list[socket.socket] = []
        while len(clients) < count:
            with suppress(BlockingIOError):  # the queue is full just now
                clients.append(link(path))
        while True:
            yield
            # Nothing more to do until it is ended.
            sys.stdin.read()

    return attack


def _coming_and_going(interface: str, path: str) -> Iterator[None]:
    while True:
        with suppress(OSError), link(path) as client:
            client.sendall(GREETINGS[interface] + b"1")
        yield


def _noise(_interface: str, path: str) -> Iterator[None]:
    chance = random.Random(7)
    while True:
        with suppress(OSError), link(path) as client:
            client.sendall(chance.randbytes(chance.randrange(1, 600)))
            client.shutdown(socket.SHUT_WR)
            while client.recv(_CHUNK):
                pass
        yield


def _endless(_interface: str, path: str) -> Iterator[None]:
    piece = b"x" * _CHUNK
    while True:
        with suppress(OSError), link(path) as client:
            for _ in range(100):
                client.sendall(piece)
        yield


ATTACKS: MappingProxyType[str, Attack] = MappingProxyType(
    {
        "5000 silent connections": _silent(5000),
        "coming and going": _coming_and_going,
        "one client pipelining": _pipelining(1),
        "20 clients pipelining": _pipelining(20),
        "50 clients that never read": _never_reading(50),
        "50 clients, a byte at a time": _byte_at_a_time(50),
        "noise": _noise,
        "lines without end": _endless,
    }
)


def main() -> None:
    """Attack until ended."""
    name, interface, path = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number, _ in enumerate(ATTACKS[name](interface, path)):
        if not number:
            print("begun", flush=True)


if __name__ == "__main__":
    main()
