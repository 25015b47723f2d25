"""Hostile clients of the admin listener: they cost the mail nothing, and end.

tests/observability/admin has each kind of nonsense by itself; here a whole gateway
meets many of them at once, on a Unix socket and by TCP.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from gateway.observability.admin.server import CONNECTIONS
from tests.faults.undisturbed import Target, attacked, undisturbed
from tests.rigs.witnesses import Address, link

pytestmark = pytest.mark.slow

SANE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_CHUNK = 1 << 16
_DEADLINE_S = 60.0

# More clients than are served at once.
MANY = 2 * CONNECTIONS

# What is sent before nothing more comes, or without end.
BEGINNINGS = {
    "nothing": b"",
    "half a line": b"GET /metr",
    "headers, one after the other": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n",
    "a body that is announced": b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 99999999999999999999\r\n\r\n",
    "chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
}


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """One gateway, for one attack after the other."""
    with attacked() as managed:
        yield managed


def healthy(address: Address) -> bool:
    """Whether a client that comes now is told that all is well, perhaps behind others."""
    with link(address, timeout=_DEADLINE_S) as client:
        client.sendall(SANE)
        return _rest(client).startswith(b"HTTP/1.1 200 ")


def _rest(client: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(_CHUNK):
            received += piece
    return received


def test_many_that_begin_and_go_no_further(target: Target) -> None:
    """Each is hung up on in its turn; the mail's clients are answered, and so are ours afterwards."""
    addresses: list[Address] = [target.tcp("admin"), target.path("admin")]
    with undisturbed(target) as witnesses, ExitStack() as stack:
        clients = []
        for number, beginning in enumerate([*BEGINNINGS.values()] * (MANY // len(BEGINNINGS))):
            client = stack.enter_context(link(addresses[number % 2], timeout=_DEADLINE_S))
            client.sendall(beginning)
            clients.append(client)
        before = {interface: witness.answers() for interface, witness in witnesses.items()}
        assert {_rest(client)[:10] for client in clients} <= {b"HTTP/1.1 4", b""}
        assert {interface: witness.answers() for interface, witness in witnesses.items()} == before
        assert all(healthy(address) for address in addresses)


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"x"], ids=["headers", "a header"])
def test_a_head_without_end(target: Target, piece: bytes) -> None:
    """It is cut off, however much comes."""
    start = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    with undisturbed(target), ExitStack() as stack:
        clients = [
            stack.enter_context(link(target.tcp("admin"), timeout=_DEADLINE_S)) for _ in range(20)
        ]
        for client in clients:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(start + piece * (1_000_000 // len(piece)))
        for client in clients:
            assert _rest(client)[:12] in (b"HTTP/1.1 431", b"")
        assert healthy(target.tcp("admin"))
