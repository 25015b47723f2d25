"""Hostile clients of a running gateway: many, endless, pipelining, and of another protocol.

Clients that came before are answered all the time; each process' memory and
the log stay in the bounds of `undisturbed`.
"""

from __future__ import annotations

import errno
import os
import random
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faults.undisturbed import Target, attacked, undisturbed
from tests.rigs.clients import Interface
from tests.rigs.socketmap import frame, request
from tests.rigs.waiting import wait_until
from tests.rigs.witnesses import FRED, GREETINGS, INTERFACES, NOBODY, PROCESS, link, packet

pytestmark = pytest.mark.slow

# Open files of a process in the flood, and clients that it takes with them; the flood itself.
FILES = 512
# How many of them are left at least, for databases.
SPARE = 40
FLOOD = 10_000

# Requests that one client sends without waiting.
PIPELINED = {"socketmap": 1_000_000, "policy": 100_000, "milter": 100_000}

# Bytes of something that does not end.
ENDLESS = 16 * 1024 * 1024
_CHUNK = 1 << 18
_DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """One gateway, for one attack after the other."""
    with attacked() as managed:
        yield managed


def connect(path: str) -> socket.socket | None:
    """A client, or None where the socket's queue is full."""
    link = socket.socket(socket.AF_UNIX)
    link.setblocking(False)
    try:
        link.connect(path)
    except OSError as error:
        link.close()
        assert error.errno == errno.EAGAIN
        return None
    return link


def open_files(managed: Target, interface: str) -> int:
    """How many descriptors the process behind an interface has; where there are several, the most."""
    pids = managed.pids(PROCESS[interface])
    return max(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def came(managed: Target, interface: str) -> Interface | None:
    """A client that means well, or None where the queue is full."""
    try:
        return INTERFACES[interface](managed.path(interface))
    except BlockingIOError:
        return None


@pytest.mark.parametrize("interface", INTERFACES)
def test_more_connections_than_descriptors(interface: str) -> None:
    """They wait in the queue or are turned away; when they have gone, others are served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    flood = min(FLOOD, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with attacked(prefix=("/usr/bin/prlimit", f"--nofile={FILES}:{FILES}")) as managed:
            with undisturbed(managed) as witnesses:
                found = [connect(managed.path(interface)) for _ in range(flood)]
                clients = [client for client in found if client is not None]
                answered = [witness.answers() for witness in witnesses.values()]
                for client in clients:
                    with suppress(OSError):
                        client.send(b"1")
                assert [witness.answers() for witness in witnesses.values()] == answered
                # Some descriptors are left for databases.
                wait_until(lambda: open_files(managed, interface) <= FILES - SPARE, "some are left")
                for client in clients:
                    client.close()
                # A new client is behind those in the queue, while it is not full.
                late = wait_until(lambda: came(managed, interface), "there is room in the queue")
                with late:
                    late.ask(FRED)
            # Every process still hears the supervisor.
            managed.reload()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _read_all(link: socket.socket, ends: bytes, wanted: int) -> int:
    """Count the answers until `wanted` have come or the server closes."""
    found = 0
    last = b""
    while found < wanted:
        data = link.recv(_CHUNK)
        if not data:
            break
        text = last + data
        found += text.count(ends)
        last = text[-len(ends) + 1 :] if len(ends) > 1 else b""
    return found


# What ends each answer about NOBODY, and stands nowhere else in it.
ENDS = {"socketmap": b",", "policy": b"\n\n", "milter": b"unknown\0"}


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_client_that_pipelines_without_end(target: Target, interface: str) -> None:
    """Every request has its answer, and others are answered in between."""
    many = PIPELINED[interface]
    with undisturbed(target) as witnesses, INTERFACES[interface](target.path(interface)) as client:
        batch = client.question(NOBODY) * 1000
        line = client._link
        line.settimeout(_DEADLINE_S)

        def send() -> None:
            for _ in range(many // 1000):
                line.sendall(batch)

        sender = threading.Thread(target=send)
        sender.start()
        counted: list[int] = []
        reader = threading.Thread(
            target=lambda: counted.append(_read_all(line, ENDS[interface], many))
        )
        reader.start()
        asked = 0
        while reader.is_alive():
            for witness in witnesses.values():
                witness.ask(FRED)
            asked += 1
        sender.join()
        assert counted == [many]
        assert asked > 10


ENDLESS_TEXTS = {
    "socketmap": (b"9", b"10240:" + b"x" * 9000, b"x", request(NOBODY)[:-1]),
    "policy": (b"x", b"a=b\n", b"a=" + b"x" * 8000 + b"\n", b"recipient=fred\n"),
    "milter": (
        b"\0",
        b"\xff",
        packet(b"D", b"Ri\0" + b"x" * 60_000 + b"\0"),
        packet(b"R", b"<fred@example.org>\0" + b"x=y\0" * 15_000)[:-1],
    ),
}


@pytest.mark.parametrize("interface", INTERFACES)
def test_what_does_not_end(target: Target, interface: str) -> None:
    """Lengths, lines and requests without end are cut off; so are all who send them at once."""
    with undisturbed(target) as witnesses:
        for text in ENDLESS_TEXTS[interface]:
            clients = [link(target.path(interface)) for _ in range(20)]
            piece = text * max(1, _CHUNK // len(text))
            for client in clients:
                with suppress(BrokenPipeError, ConnectionResetError):
                    client.sendall(GREETINGS[interface])
                    for _ in range(ENDLESS // len(clients) // len(piece) + 1):
                        client.sendall(piece)
            witnesses[interface].ask(FRED)
            for client in clients:
                client.close()


FOREIGN = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\nrequest=smtpd_access_policy\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<fred@example.org>\r\n",
    b"\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff",
    frame(b"smmap fred"),
    b"request=smtpd_access_policy\nrecipient=fred\n\n",
    b"\n" * 50,
)


@pytest.mark.parametrize("interface", INTERFACES)
def test_other_protocols_and_noise(target: Target, interface: str) -> None:
    """Two thousand clients of another protocol, or of none: each is disconnected, few are logged."""
    chance = random.Random(7)
    with undisturbed(target) as witnesses:
        for number in range(2000):
            noise = chance.randbytes(chance.randrange(1, 600))
            data = FOREIGN[number % 16] if number % 16 < len(FOREIGN) else noise
            gone = suppress(BrokenPipeError, ConnectionResetError)
            with link(target.path(interface)) as client, gone:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(_CHUNK):
                    pass
        witnesses[interface].ask(FRED)
