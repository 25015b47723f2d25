"""Addresses of other servers: what is understood, and what is said of the rest."""

from __future__ import annotations

import pytest

from gateway.upstream.address import Address, InetAddress, UnixAddress, parse

GOOD: list[tuple[str, Address]] = [
    ("unix:/run/s", UnixAddress("/run/s")),
    ("host:24", InetAddress("host", 24)),
    ("192.0.2.1:24", InetAddress("192.0.2.1", 24)),
    ("[::1]:24", InetAddress("::1", 24)),
    ("[::1]", InetAddress("::1", 9)),
    ("2001:db8::1", InetAddress("2001:db8::1", 9)),
    ("host", InetAddress("host", 9)),
    ("host:1", InetAddress("host", 1)),
    ("host:65535", InetAddress("host", 65535)),
    ("::1", InetAddress("::1", 9)),
]

BAD = [
    "",
    ":24",
    "unix:run/s",
    "unix:/run/",
    "unix:/a\0b",
    "host:",
    "host:0",
    "host:65536",
    "host:x",
    "host:-1",
    "host:123456",
    "host:000024",
    "host:\N{SUPERSCRIPT TWO}",
    "a b:1",
    "[::1]x:24",
    "[]:24",
    "user@host:1",
    "a/b",
]


@pytest.mark.parametrize(("text", "address"), GOOD)
def test_an_address_is_understood(text: str, address: Address) -> None:
    """And its own text names it again."""
    assert parse(text, 9) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize("text", BAD)
def test_what_is_none_is_refused(text: str) -> None:
    """With a ValueError that says what to write."""
    with pytest.raises(ValueError, match=r"write|names no host|not between"):
        parse(text, 9)


def test_a_port_may_be_demanded() -> None:
    """Where there is no default."""
    with pytest.raises(ValueError, match="the port is missing; write host:PORT"):
        parse("host")
