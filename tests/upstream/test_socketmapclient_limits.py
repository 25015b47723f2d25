"""How long a reply may be, and at which port other servers are asked."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamError
from gateway.upstream import lmtpclient
from gateway.upstream.address import parse
from gateway.upstream.socketmapclient import DEFAULT_PORT, MAX_REPLY, parse_reply


def test_the_longest_reply_is_taken() -> None:
    """And one that says that it is longer is refused by its length."""
    body = b"OK " + b"x" * (MAX_REPLY - 3)
    answer = parse_reply("server", b"%d:%b," % (len(body), body))
    assert answer is not None
    assert (answer.status, answer.text) == (b"OK", body[3:])
    with pytest.raises(UpstreamError, match="longer than"):
        parse_reply("server", b"%d:" % (MAX_REPLY + 1))


@pytest.mark.parametrize("body", [b"OK fred", b"NOTFOUND ", b"TEMP " + b"x" * 200])
def test_a_reply_may_come_in_any_pieces(body: bytes) -> None:
    """Each beginning of it is one, up to the comma; what follows that is a fault."""
    reply = b"%d:%b," % (len(body), body)
    for size in range(len(reply)):
        assert parse_reply("server", reply[:size]) is None
    assert parse_reply("server", reply) is not None
    with pytest.raises(UpstreamError, match="does not end where it should"):
        parse_reply("server", reply + b",")


def test_the_port_is_the_c_programs() -> None:
    """Where none is given; and that of LMTP is the registered one (RFC 2033)."""
    assert str(parse("backend.example", DEFAULT_PORT)) == "backend.example:12345"
    assert str(parse("backend.example", lmtpclient.DEFAULT_PORT)) == "backend.example:24"
