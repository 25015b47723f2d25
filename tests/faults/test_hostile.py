"""Hostile clients of a running gateway: many, endless, pipelining, and of another protocol.

A client that came before is answered all the time; the core's memory never
is more than GROWTH_KIB above what it was; the log gets LOG_LINES lines at most.
"""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.life.running import Life
from tests.real.under_master import memory_kib
from tests.rigs.socketmap import frame, request

pytestmark = pytest.mark.slow

DOORS = ("socketmap", "policy")
FRED, NOBODY = b"fred@example.org", b"nobody@example.org"

# What the core may grow by, in KiB, whatever these clients do: what it keeps of FILES clients (one
# piece that was read and an unfinished request, of some ten KiB each), and room for the allocator.
GROWTH_KIB = 16 * 1024

# Lines of the log that one attack may cost.
LOG_LINES = 40

# Open files of the core in the flood, and clients that it takes with them; the flood itself.
FILES = 512
FLOOD = 10_000

# Requests that one client sends without waiting: at the socketmap socket, at the policy socket.
PIPELINED = {"socketmap": 1_000_000, "policy": 100_000}

# Bytes of something that does not end.
ENDLESS = 16 * 1024 * 1024
_CHUNK = 1 << 18
_DEADLINE_S = 120.0


def peak_kib(pid: int) -> int:
    """The most that the process ever had in memory, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
    assert found is not None
    return int(found[1])


@contextmanager
def undisturbed(*prefix: str) -> Iterator[tuple[Life, int]]:
    """A gateway whose one core must be the same at the end, in bounds, and answer; and its pid."""
    with Life() as life:
        life.start(prefix=prefix)
        life.wait_told("READY")
        core = life.pid("core")
        witnesses = [life.open(door) for door in DOORS]
        for witness in witnesses:
            witness.ask(FRED)
            witness.ask(NOBODY)
        before, lines = memory_kib(core), len(life.log())
        yield life, core
        for witness in witnesses:
            assert b"fred" in witness.ask(FRED) or b"DUNNO" in witness.ask(FRED)
            witness.close()
        assert life.pid("core") == core
        assert peak_kib(core) - before <= GROWTH_KIB
        new = life.log()[lines:]
        assert len(new) <= LOG_LINES, new[:5]
        assert not [line for line in new if "Traceback" in line]


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


@pytest.mark.parametrize("door", DOORS)
def test_more_connections_than_descriptors(door: str) -> None:
    """They wait in the queue or are turned away; when they have gone, others are served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    flood = min(FLOOD, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with undisturbed("/usr/bin/prlimit", f"--nofile={FILES}:{FILES}") as (life, core):
            other = DOORS[1 - DOORS.index(door)]
            with life.open(other) as neighbour:
                found = [connect(life.path(door)) for _ in range(flood)]
                clients = [client for client in found if client is not None]
                neighbour.ask(FRED)
                for client in clients:
                    with suppress(OSError):
                        client.send(b"1")
                neighbour.ask(FRED)
                assert len(os.listdir(f"/proc/{core}/fd")) <= FILES
                for client in clients:
                    client.close()
                # Who comes now has those in front of him in the queue.
                life.ask(door, FRED)
                neighbour.ask(FRED)
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


@pytest.mark.parametrize("door", DOORS)
def test_a_client_that_pipelines_without_end(door: str) -> None:
    """Every request has its answer, and others are answered in between."""
    many = PIPELINED[door]
    with undisturbed() as (life, _core), life.open(door) as client:
        question = client.question(NOBODY)
        link = client._link
        link.settimeout(_DEADLINE_S)
        batch = question * 1000

        def send() -> None:
            for _ in range(many // 1000):
                link.sendall(batch)

        sender = threading.Thread(target=send)
        sender.start()
        counted: list[int] = []
        ends = b"," if door == "socketmap" else b"\n\n"
        reader = threading.Thread(target=lambda: counted.append(_read_all(link, ends, many)))
        reader.start()
        with life.open("policy") as neighbour:
            asked = 0
            while reader.is_alive():
                neighbour.ask(FRED)
                asked += 1
        sender.join()
        assert counted == [many]
        assert asked > 10


ENDLESS_TEXTS = {
    "socketmap": (b"9", b"10240:" + b"x" * 9000, b"x", request(NOBODY)[:-1]),
    "policy": (b"x", b"a=b\n", b"a=" + b"x" * 8000 + b"\n", b"recipient=fred\n"),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_does_not_end(door: str) -> None:
    """Lengths, lines and requests without end are cut off; so are all who send them at once."""
    with undisturbed() as (life, _core):
        for text in ENDLESS_TEXTS[door]:
            clients = [life.open(door) for _ in range(20)]
            piece = text * max(1, _CHUNK // len(text))
            for client in clients:
                with suppress(BrokenPipeError, ConnectionResetError):
                    for _ in range(ENDLESS // len(clients) // len(piece) + 1):
                        client.send(piece)
            life.ask(door, FRED)
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


@pytest.mark.parametrize("door", DOORS)
def test_other_protocols_and_noise(door: str) -> None:
    """Two thousand clients of another protocol, or of none: each is parted from, few are logged."""
    chance = random.Random(7)
    with undisturbed() as (life, _core):
        for number in range(2000):
            noise = chance.randbytes(chance.randrange(1, 600))
            data = FOREIGN[number % 16] if number % 16 < len(FOREIGN) else noise
            with life.open(door) as client, suppress(BrokenPipeError, ConnectionResetError):
                client.send(data)
                client._link.shutdown(socket.SHUT_WR)
                while client._link.recv(_CHUNK):
                    pass
        life.ask(door, FRED)
