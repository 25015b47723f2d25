"""The gate: which requests get as far as the pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.admin.request import MAX_HEADERS, MAX_TARGET, check, is_ours

HOSTS = frozenset({"mx1.example.org"})


def head(line: str = "GET / HTTP/1.1", *headers: str, host: str | None = "localhost") -> bytes:
    """A request's head."""
    lines = [line, *([f"Host: {host}"] if host is not None else []), *headers]
    return "".join(f"{each}\r\n" for each in lines).encode("latin-1") + b"\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        head(),
        head("HEAD /metrics HTTP/1.1"),
        head("GET /explain?recipient=a%40b+c HTTP/1.0"),
        head("GET / HTTP/1.1", "Accept: */*", "Accept: text/html", "X-Empty:"),
        head("GET / HTTP/1.1", "Content-Length: 0"),
        head("GET / HTTP/1.1", "User-Agent: \xe9"),
    ],
)
def test_sane_requests_come_through(request_: bytes) -> None:
    """A GET or HEAD, with a Host of ours and no body."""
    assert check(request_, HOSTS) is None


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),  # TLS
        (head("GET /"), 400),  # HTTP/0.9
        (head("GET  / HTTP/1.1"), 400),
        (head("GET / HTTP/1.1 "), 400),
        (head("GET /\tx HTTP/1.1"), 400),
        (head("GET / HTTP/11.1"), 400),
        (head("GET / http/1.1"), 400),
        (head("GET http://localhost/ HTTP/1.1"), 400),
        (head("GET * HTTP/1.1"), 400),
        (head("GET /#top HTTP/1.1"), 400),
        (head("GET / HTTP/2.0"), 505),
        (head("GET / HTTP/0.9"), 505),
        (head("POST / HTTP/1.1"), 405),
        (head("OPTIONS / HTTP/1.1"), 405),
        (head("get / HTTP/1.1"), 405),
        (head("GET /" + "a" * MAX_TARGET + " HTTP/1.1"), 414),
        (head("GET / HTTP/1.1", *["X: y"] * MAX_HEADERS), 431),
        (head("GET / HTTP/1.1", "no colon"), 400),
        (head("GET / HTTP/1.1", ": no name"), 400),
        (head("GET / HTTP/1.1", "X : blank before the colon"), 400),
        (head("GET / HTTP/1.1", "X: a", " folded"), 400),
        (head("GET / HTTP/1.1", "X: \x00"), 400),
        (head("GET / HTTP/1.1", "X: a\nY: bare line feed"), 400),
        (head("GET / HTTP/1.1", "X: a\rY: bare carriage return"), 400),
        (head("GET / HTTP/1.1", "Content-Length: 1"), 413),
        (head("GET / HTTP/1.1", "Content-Length: -1"), 413),
        (head("GET / HTTP/1.1", "Content-Length: 0", "Content-Length: 5"), 413),
        (head("GET / HTTP/1.1", "Transfer-Encoding: chunked"), 413),
        (head(host=None), 400),
        (head("GET / HTTP/1.1", "Host: localhost"), 400),
        (head(host="evil.example"), 421),
        (head(host=""), 421),
    ],
)
def test_everything_else_is_refused(request_: bytes, code: int) -> None:
    """With the code that says why."""
    refusal = check(request_, HOSTS)
    assert refusal is not None
    assert refusal.code == code


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:9625",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:9625",
        "192.0.2.1:80",
        "[::1]",
        "[::1]:9625",
        "[2001:db8::1]:",
        "mx1.example.org",
        "MX1.example.org:9625",
    ],
)
def test_hosts_of_ours(host: str) -> None:
    """localhost, numeric addresses, and the names of the setting `hosts`."""
    assert is_ours(host.encode(), HOSTS)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "mx1.example.org.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:9625:1",
        "127.0.0.1:port",
        "127.1",
        "2130706433",
        "[::1",
        "[::1]9625",
        "[::1]:123456",
        "[127.0.0.1]",
        "::1",
        "localhost@evil.example",
        "localhost, evil.example",
        "l\u00f6calhost",
    ],
)
def test_names_that_strangers_can_give_are_not_ours(host: str) -> None:
    """A name that a stranger can give to this machine is none of ours (DNS rebinding)."""
    assert not is_ours(host.encode("latin-1"), HOSTS)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_gate(data: bytes) -> None:
    """Whatever comes is let through or refused."""
    refusal = check(data + b"\r\n\r\n", HOSTS)
    assert refusal is None or refusal.code >= 400
