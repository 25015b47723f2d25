"""Who may connect to a TCP socket."""

from __future__ import annotations

import logging
import socket
from ipaddress import ip_network

import pytest

from gateway.observability.logging.handlers import LINES_OF_A_KIND, LineHandler, RecordLimiter
from gateway.server.allowednetworks import Allowed


class Peer:
    """A connected socket, as far as its other end's address goes."""

    def __init__(self, host: str, family: int = socket.AF_INET6) -> None:
        self.family = family
        self._host = host

    def getpeername(self) -> tuple[str, int]:
        """The address, or the news that the client is gone."""
        if not self._host:
            raise OSError("gone")
        return (self._host, 1)


CASES = [
    ("192.0.2.7", True),
    ("198.51.100.7", False),
    ("2001:db8::7", True),
    ("2001:db9::7", False),
    ("::ffff:192.0.2.7", True),
    ("::ffff:198.51.100.7", False),
    ("fe80::7%eth0", True),
    ("", False),
]


@pytest.mark.parametrize(("host", "may"), CASES)
def test_networks_of_both_families_decide_who_may_ask(host: str, may: bool) -> None:
    """IPv4, IPv6, and IPv4 in IPv6's clothes."""
    refused: list[tuple[object, ...]] = []
    networks = [ip_network(each) for each in ("192.0.2.0/24", "2001:db8::/32", "fe80::/10")]
    allowed = Allowed(networks, lambda *line: refused.append(line))
    assert allowed.admits(Peer(host)) is may  # type: ignore[arg-type]
    line = ("refused a connection from %s: not in allow", host)
    assert refused == ([] if may or not host else [line])


def test_a_network_of_mapped_addresses_is_the_ipv4_network() -> None:
    """However the client's address is written; a wider network is not changed."""
    cases = [
        ("::ffff:192.0.2.0/120", "192.0.2.7", True),
        ("::ffff:192.0.2.0/120", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.0/120", "192.0.3.7", False),
        ("::ffff:192.0.2.7/128", "192.0.2.7", True),
        ("::ffff:0:0/96", "198.51.100.7", True),
        ("::ffff:0:0/96", "2001:db8::7", False),
        ("::/0", "2001:db8::7", True),
    ]
    for network, host, may in cases:
        allowed = Allowed([ip_network(network)], lambda *_: None)
        assert allowed.admits(Peer(host)) is may, (network, host)  # type: ignore[arg-type]


def test_many_strangers_are_a_few_lines() -> None:
    """However many there are, and though each has another address."""
    written: list[str] = []

    class Handler(LineHandler):
        def write(self, level: int, line: str) -> bool:
            written.append(line)
            return True

    log = logging.Logger("strangers")
    log.addHandler(Handler(RecordLimiter(clock=lambda: 0.0)))
    allowed = Allowed([], log.warning)
    for number in range(2000):
        peer = Peer(f"192.0.{number // 256}.{number % 256}")
        assert not allowed.admits(peer)  # type: ignore[arg-type]
    assert len(written) == LINES_OF_A_KIND


def test_a_unix_socket_has_its_permissions() -> None:
    """And no network."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Allowed([], print).admits(ours)
