"""How the addresses of a server are tried, what its faults say, and which replies are for ever."""

from __future__ import annotations

import errno
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.protocols.lmtp import LmtpReply
from gateway.upstream import connection
from gateway.upstream.address import InetAddress
from gateway.upstream.connection import (
    MAX_ADDRESSES,
    Dialer,
    Disconnected,
    UpstreamConnection,
    _alternating,
    _fault,
    _left,
)
from gateway.upstream.lmtpclient import _is_final

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("families", "order"),
    [
        ([], []),
        ([V4], [0]),
        ([V6, V6, V4], [0, 2, 1]),
        ([V4, V4, V4, V6, V6], [0, 3, 1, 4, 2]),
        ([V6, V4, V4, V4], [0, 1, 2, 3]),
        ([V4] * (MAX_ADDRESSES + 1), list(range(MAX_ADDRESSES))),
    ],
)
def test_families_take_turns(families: list[int], order: list[int]) -> None:
    """The first one first: where one of them leads nowhere the other is not far (RFC 8305)."""
    found: Any = [(family, number) for number, family in enumerate(families)]
    mixed: list[Any] = _alternating(found)
    assert [number for _, number in mixed] == order


@pytest.mark.parametrize(
    ("code", "final"), [(250, False), (450, False), (499, False), (500, True), (599, True)]
)
def test_which_replies_are_for_ever(code: int, final: bool) -> None:
    """Those of the fifth hundred (RFC 5321, 4.2.1)."""
    assert _is_final(LmtpReply(code, b"", ())) is final


NOW = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still at NOW."""
    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: NOW))


def test_each_address_has_its_share_of_the_time(
    clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ones before leave is divided among the rest; the last one has all of it."""
    tried: list[tuple[str, float]] = []

    def refuse(_dialer: object, where: Any, until: float) -> None:
        tried.append((where[1][0], until))
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(Dialer, "_connected", refuse)
    found = [(V4, (name, 25)) for name in ("one", "two", "three")]
    dialer = Dialer("name", InetAddress("host", 25), lookup=lambda *_: found)
    with pytest.raises(UpstreamError, match="cannot connect: Connection refused"):
        dialer.open(NOW + 30)
    assert tried == [("one", NOW + 10), ("two", NOW + 15), ("three", NOW + 30)]


def test_the_address_that_was_good_last_is_the_first(
    clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system gives another order each time; the others keep theirs."""
    tried: list[str] = []

    def connected(_dialer: object, where: Any, _until: float) -> socket.socket:
        tried.append(where[1][0])
        if where[1][0] != "three":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return socket.socket()

    monkeypatch.setattr(Dialer, "_connected", connected)
    found = [(V4, (name, 25)) for name in ("one", "two", "three", "four")]
    dialer = Dialer("name", InetAddress("host", 25), lookup=lambda *_: found)
    for _ in range(2):
        dialer.open(NOW + 30).close()
    assert tried == ["one", "two", "three", "three"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("the name service does not answer in time"), "the name service does not"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "Temporary f"),
        (OSError(errno.EAGAIN, "can't start new thread"), "can't start new thread"),
    ],
)
def test_a_name_service_that_fails_is_not_taken_for_the_server(error: OSError, words: str) -> None:
    """An administrator would look at the server that gives no reply."""

    def lookup(*_: object) -> Any:
        raise error

    dialer = Dialer("smmapd", InetAddress("mail.example", 25), lookup=lookup)
    with pytest.raises(UpstreamError) as fault:
        dialer.open(NOW + 30)
    assert fault.value.server == "smmapd"
    assert fault.value.problem.startswith(f"the name mail.example cannot be looked up: {words}")
    assert type(fault.value) is UpstreamError


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_where_no_time_is_left_nothing_is_tried(clock: None, left: float) -> None:
    """A socket with no time at all would not wait, and say so in other words."""
    with pytest.raises(UpstreamError, match="no reply within the deadline"):
        _left("name", NOW + left)
    assert _left("name", NOW + 0.25) == 0.25


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), Disconnected, "doing: Broken pipe"),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), Disconnected, "doing: reset by"),
        (ssl.SSLEOFError(8, "EOF occurred"), Disconnected, "doing: EOF occurred"),
        (ssl.SSLZeroReturnError(6, "closed"), Disconnected, "doing: closed"),
        (BrokenPipeError("without a number"), Disconnected, "doing: without a number"),
        (TimeoutError("timed out"), UpstreamError, "no reply within the deadline"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), UpstreamError, "doing: refused"),
        (ssl.SSLError(1, "wrong version"), UpstreamError, "doing: wrong version"),
    ],
)
def test_what_a_fault_is(error: OSError, kind: type[UpstreamError], words: str) -> None:
    """A peer that has gone may be worth another try; nothing else is."""
    fault = _fault("name", error, "doing")
    assert type(fault) is kind
    assert str(fault).endswith(words) or words in str(fault)
    assert fault.server == "name"


@pytest.mark.parametrize(
    ("found", "stray"),
    [
        (b"2", b"2"),
        (b"", b""),
        (BlockingIOError(), None),
        (ssl.SSLWantReadError(), None),
        (ssl.SSLZeroReturnError(), b""),
        (ConnectionResetError(), b""),
    ],
)
def test_what_has_come_on_a_connection_that_nobody_uses(found: Any, stray: bytes | None) -> None:
    """What TLS itself sends is nothing; whatever else has come, and the end, make it useless."""

    def receive(_size: int) -> bytes:
        if isinstance(found, bytes):
            return found
        raise found

    fake: Any = SimpleNamespace(recv=receive, settimeout=lambda _: None)
    link = UpstreamConnection("name", fake)
    assert (link.stray(), link.quiet()) == (stray, stray is None)
