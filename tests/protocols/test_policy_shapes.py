"""Policy requests of the same shape: what is read in one step is what the parser reads."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocols.policy import MAX_LINE, PolicyParser, PolicyRequest
from gateway.protocols.policy_shapes import MAX_SHAPES, READ, Shapes
from tests.protocols.test_policy import POSTFIX


def parsed(data: bytes) -> PolicyRequest | None:
    """The one faultless request that `data` is."""
    parser = PolicyParser()
    requests = parser.feed(data)
    return requests[0] if len(requests) == 1 and parser.error is None and parser.idle else None


def values(request: PolicyRequest) -> tuple[bytes, ...]:
    """What is read of it; of a size only whether there is one."""
    return (
        request.protocol_state,
        request.recipient,
        request.sender,
        request.client_address,
        request.sasl_username,
        b"" if request.size is None else b"%d" % request.size,
    )


def request(**attributes: bytes) -> bytes:
    """A request with these attributes, in their order."""
    lines = {"request": b"smtpd_access_policy", **attributes}
    return b"".join(b"%b=%b\n" % (name.encode(), lines[name]) for name in lines) + b"\n"


def test_what_postfix_sends() -> None:
    """The first is read like all that follow, whatever their values are."""
    shapes = Shapes()
    for sender in (b"joe@sender.test", b"", b"a=b=c@sender.test", b"\xff"):
        data = POSTFIX.replace(b"bounce+fred=example.org@example.net", sender)
        assert shapes.read(data) is not None
        found = parsed(data)
        assert found is not None
        assert shapes.read(data) == values(found)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        POSTFIX + POSTFIX,
        POSTFIX[:-1],
        b"\n" + POSTFIX,
        POSTFIX.replace(b"recipient_count=0", b"recipient_count=none"),
        POSTFIX.replace(b"size=12345", b"size=-1"),
        POSTFIX.replace(b"size=12345", b"size=" + b"1" * 21),
        POSTFIX.replace(b"smtpd_access_policy", b"something_else"),
        POSTFIX.replace(b"helo_name=", b"helo_name"),
        POSTFIX.replace(b"helo_name=", b"helo_name=\0"),
        POSTFIX.replace(b"etrn_domain=", b"recipient="),
        POSTFIX.replace(b"helo_name=", b"helo_name=" + b"x" * MAX_LINE),
        request()[len(b"request=smtpd_access_policy\n") :],
    ],
)
def test_what_is_left_to_the_parser(data: bytes) -> None:
    """More or less than one faultless request, before a shape is known and afterwards."""
    shapes = Shapes()
    assert shapes.read(data) is None
    assert shapes.read(POSTFIX) is not None
    assert shapes.read(data) is None
    assert shapes.read(POSTFIX) is not None


def test_what_is_not_there_is_empty() -> None:
    """As for the parser."""
    shapes = Shapes()
    for _ in range(2):
        assert shapes.read(request(recipient=b"fred")) == (b"", b"fred", b"", b"", b"", b"")
        assert shapes.read(request()) == (b"",) * len(READ)


def test_only_so_many_are_known() -> None:
    """Those that came first; the others are the parser's."""
    shapes = Shapes()
    for number in range(MAX_SHAPES):
        assert shapes.read(request(**{f"x{number}": b""}))
    assert shapes.read(POSTFIX) is None
    assert shapes.read(request(x0=b"y"))


NAMES = st.sampled_from(
    [name.decode() for name in READ] + ["recipient_count", "helo.name", "x", "request "]
)
VALUES = st.binary(max_size=6) | st.sampled_from([b"0", b"12345", b"RCPT", b"smtpd_access_policy"])
REQUESTS = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda each: request(**each))


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.binary(max_size=3))
@example([request(size=b"x"), request(size=b"1")], b"")
def test_both_read_the_same(requests: list[bytes], rest: bytes) -> None:
    """Whatever was read before."""
    shapes = Shapes()
    for data in (*requests, *(each + rest for each in requests)):
        found = parsed(data)
        read = shapes.read(data)
        if read is not None:
            assert found is not None
            *others, size = read
            assert (*others, size.lstrip(b"0")) == values(found)
        else:
            assert found is None
