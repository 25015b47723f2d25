"""Clients that send, or take, a few bytes now and then: each request has its time, and no more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.server import server as server_module
from tests.support.lines import Client, Site, run_loop_until, site


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the server listens."""
    return str(tmp_path / "socket")


class Clock:
    """What the server takes for time.monotonic."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(server_module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def look(self, lines: Site, now: float) -> None:
        """What a timer calls every few seconds, at that moment."""
        self.now = now
        lines.server._close_idle()


def trickled(client: Client, lines: Site, data: bytes) -> None:
    """Some bytes of the only client's arrive."""
    before = sum(each.received for each in lines.sessions)
    client.send(data)
    run_loop_until(
        lambda: sum(each.received for each in lines.sessions) > before, "they have been read"
    )


def heard(lines: Site) -> bool:
    """Whether the only client has sent or taken something since the last look."""
    (connection,) = lines.server.connections
    return connection.heard


def test_a_byte_now_and_then_completes_no_request(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within `request_timeout` of the first look that meets it, whatever comes meanwhile."""
    clock = Clock(monkeypatch)
    with site(path, request_timeout=30.0) as lines:
        client = lines.connect()
        for now in (100.0, 110.0, 120.0, 129.0):
            trickled(client, lines, b"x")
            clock.look(lines, now)
            assert lines.server.connections
        trickled(client, lines, b"x")
        clock.look(lines, 130.0)
        assert client.line() == b""


def test_requests_in_pieces_have_their_time_each(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is in the middle of one at each look has completed others between them."""
    clock = Clock(monkeypatch)
    with site(path, request_timeout=30.0) as lines:
        client = lines.connect()
        trickled(client, lines, b"one\ntw")
        for now in (100.0, 125.0, 150.0, 175.0):
            clock.look(lines, now)
            trickled(client, lines, b"o\ntw")
        assert [client.line() for _ in range(5)] == [b"one", b"two", b"two", b"two", b"two"]


def test_a_client_that_takes_its_reply_too_slowly_is_closed(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some bytes of it now and then are not enough."""
    clock = Clock(monkeypatch)
    with site(path, request_timeout=30.0) as lines:
        client = lines.connect()
        trickled(client, lines, b"big\n")
        for now in (100.0, 115.0, 129.0):
            run_loop_until(
                lambda: heard(lines) or not client.link.recv(100_000), "it has taken some"
            )
            clock.look(lines, now)
            assert lines.server.connections
        clock.look(lines, 130.0)
        assert not lines.server.connections


def test_a_client_that_goes_on_after_the_last_word_is_closed(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may read why; what it sends now and then keeps nobody there for days."""
    clock = Clock(monkeypatch)
    with site(path, request_timeout=30.0) as lines:
        client = lines.connect()
        clock.look(lines, 100.0)
        assert client.ask(b"bad") == b"never again"
        for now in range(101, 131):
            client.send(b"x")
            run_loop_until(lambda: heard(lines), "it is heard")
            clock.look(lines, float(now))
        client.send(b"x")
        clock.look(lines, 131.0)
        assert not lines.server.connections
