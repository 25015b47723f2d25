"""The bytes of one client, moved by the server on gevent's loop."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import gevent
import pytest

from gateway.frontends.server import Server
from gateway.verification.model import Verdict
from gateway.verification.verifier import Pending

# Far more than anything here takes; only a failure waits so long.
DEADLINE_S = 20.0


class Echo:
    """A session that has every reply ready, as the real one does for what it knows."""

    pending: Pending | None = None
    finished = False
    busy = False
    idle = True

    def quick(self, data: bytes) -> bytes | None:
        """The same bytes."""
        return data

    def receive(self, data: bytes) -> None:
        """Only the end comes here."""
        assert not data

    def replies(self) -> bytes:
        """None wait."""
        return b""

    def resolved(self, verdict: Verdict) -> bytes:
        """Nothing was asked."""
        raise AssertionError(verdict)


def nobody(pending: Pending) -> Verdict:
    """There is no other server."""
    raise AssertionError(pending)


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """A client of a server of Echo sessions."""
    with socket.socket() as listener, socket.socket() as made:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = Server(listener, lambda _peer: Echo(), nobody)
        server.start()
        made.connect(listener.getsockname())
        made.setblocking(False)
        yield made
        server.close()


def read(client: socket.socket) -> bytes:
    """The next bytes for the client, while the loop turns."""
    with gevent.Timeout(DEADLINE_S):
        gevent.get_hub().wait(gevent.get_hub().loop.io(client.fileno(), 1))
    return client.recv(4096)


def test_a_client_that_ends_is_let_go(client: socket.socket) -> None:
    """Its end is not taken for a request that is answered at once with nothing."""
    client.send(b"request")
    assert read(client) == b"request"
    client.shutdown(socket.SHUT_WR)
    assert read(client) == b""
