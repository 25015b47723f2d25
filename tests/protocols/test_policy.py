"""The codec of Postfix' access policy delegation."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocols.policy import (
    END_OF_MESSAGE,
    MAX_ATTRIBUTES,
    MAX_LINE,
    MAX_REQUEST,
    RCPT,
    PolicyParser,
    PolicyRequest,
    render,
    whole_request,
)

# What Postfix 3.12 sends at RCPT, in its order.
POSTFIX = b"""\
request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=192.0.2.7
client_name=mail.example.net
client_port=40312
reverse_client_name=mail.example.net
server_address=192.0.2.25
server_port=25
helo_name=mail.example.net
sender=bounce+fred=example.org@example.net
recipient=SRS0=x=y=z=fred@example.org
recipient_count=0
queue_id=
instance=1a2b.5f3c.0
size=12345
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
tls_sni=
policy_context=inbound
compatibility_level=3.12
mail_version=3.12.0

"""

REQUEST = PolicyRequest(
    protocol_state=RCPT,
    recipient=b"SRS0=x=y=z=fred@example.org",
    sender=b"bounce+fred=example.org@example.net",
    client_address=b"192.0.2.7",
    client_name=b"mail.example.net",
    instance=b"1a2b.5f3c.0",
    size=12345,
    policy_context=b"inbound",
)

START = b"request=smtpd_access_policy\n"


def outcome(*chunks: bytes) -> tuple[list[PolicyRequest], str | None]:
    """What a parser makes of `chunks` and the end of the connection behind them."""
    parser = PolicyParser()
    requests = [request for chunk in chunks for request in parser.feed(chunk)]
    parser.end()
    return requests, None if parser.error is None else str(parser.error)


def test_request_of_postfix() -> None:
    """A request of the newest Postfix gives the attributes that the gateway uses."""
    assert outcome(POSTFIX) == ([REQUEST], None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (START + b"\n", PolicyRequest(protocol_state=b"")),
        (b"recipient=a@b\n" + START + b"\n", PolicyRequest(protocol_state=b"", recipient=b"a@b")),
        (START + b"recipient==a=@b=\n\n", PolicyRequest(protocol_state=b"", recipient=b"=a=@b=")),
        (START + b"recipient=\xff\xfe@b\n\n", PolicyRequest(protocol_state=b"", recipient=b"\xff\xfe@b")),
        (START + b"new_in_4.0=x\nnew_in_4.0=y\n=\n\n", PolicyRequest(protocol_state=b"")),
        (START + b"size=0\n\n", PolicyRequest(protocol_state=b"", size=None)),
        (START + b"size=\n\n", PolicyRequest(protocol_state=b"", size=None)),
        (START + b"size=18446744073709551615\n\n", PolicyRequest(protocol_state=b"", size=2**64 - 1)),
        (START + b"recipient_count=3\n\n", PolicyRequest(protocol_state=b"", recipient_count=3)),
        (START + b"stress=yes\n\n", PolicyRequest(protocol_state=b"", stress=True)),
        (START + b"stress=\n\n", PolicyRequest(protocol_state=b"", stress=False)),
        (START + b"sasl_username=fred\n\n", PolicyRequest(protocol_state=b"", sasl_username=b"fred")),
        (
            START + b"protocol_state=END-OF-MESSAGE\nqueue_id=4ABC\n\n",
            PolicyRequest(protocol_state=END_OF_MESSAGE, queue_id=b"4ABC"),
        ),
    ],
)  # fmt: skip
def test_attributes_come_in_any_order(data: bytes, expected: PolicyRequest) -> None:
    """Attributes come in any order; values begin behind the first equals sign."""
    assert outcome(data) == ([expected], None)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\n", "empty line where a request should begin"),
        (b"recipient=a@b\n\n", "request without the attribute request"),
        (b"request=junk\n\n", "request=b'junk' is not smtpd_access_policy"),
        (b"GET / HTTP/1.1\r\n", "attribute line without '=': b'GET / HTTP/1.1\\r'"),
        (START + b"\r\n", "attribute line without '=': b'\\r'"),
        (START + b"recipient=a\0b\n", "NUL byte in the attribute line b'recipient=a\\x00b'"),
        (START + b"recipient=a\nrecipient=b\n", "attribute recipient given twice"),
        (START + b"size=-1\n\n", "size=b'-1' is not a number"),
        (START + b"size=1e3\n\n", "size=b'1e3' is not a number"),
        (START + b"size=" + b"9" * 21 + b"\n\n", f"size=b'{'9' * 21}' is not a number"),
        (START + b"recipient_count= 1\n\n", "recipient_count=b' 1' is not a number"),
        (b"x" * (MAX_LINE + 1), f"attribute line of more than {MAX_LINE} bytes"),
        (b"x=" + b"y" * (MAX_LINE - 1) + b"\n", f"attribute line of more than {MAX_LINE} bytes"),
        (b"x=\n" * (MAX_ATTRIBUTES + 1), f"request of more than {MAX_ATTRIBUTES} attributes"),
        (
            (b"x=" + b"y" * (MAX_LINE - 2) + b"\n") * (MAX_REQUEST // MAX_LINE + 1),
            f"request of more than {MAX_REQUEST} bytes",
        ),
        (START, "the connection ended within a request"),
        (b"r", "the connection ended within a request"),
    ],
)
def test_bytes_that_are_not_a_request_are_an_error(data: bytes, error: str) -> None:
    """Bytes that are not a request end the conversation with an error that says why."""
    assert outcome(POSTFIX, data) == ([REQUEST], error)
    assert outcome(POSTFIX + data) == ([REQUEST], error)


def test_limits_are_inclusive() -> None:
    """A line, a number of attributes and a request exactly at the limit are good."""
    line = b"x=" + b"y" * (MAX_LINE - 2) + b"\n"
    assert outcome(START + line + b"\n")[1] is None
    assert outcome(START + b"x=\n" * (MAX_ATTRIBUTES - 1) + b"\n")[1] is None
    data = START + line * (MAX_REQUEST // MAX_LINE - 1)
    filler = b"x=" + b"y" * (MAX_REQUEST - len(data) - 3) + b"\n"
    assert outcome(data + filler + b"\n")[1] is None
    assert outcome(data + filler + b"=\n\n")[1] == f"request of more than {MAX_REQUEST} bytes"


def test_limits_count_per_request() -> None:
    """Many requests on one connection are not one long request."""
    assert outcome(POSTFIX * 200) == ([REQUEST] * 200, None)


def test_endless_line_is_not_kept() -> None:
    """A line without end is refused as soon as it is too long."""
    parser = PolicyParser()
    assert parser.feed(b"x" * MAX_LINE) == []
    assert parser.error is None
    assert parser.feed(b"x") == []
    assert parser.error is not None


def test_nothing_is_parsed_behind_an_error() -> None:
    """What follows an error is not a request, whatever it looks like."""
    parser = PolicyParser()
    assert parser.feed(b"junk\n" + POSTFIX) == []
    error = parser.error
    assert parser.feed(POSTFIX) == []
    parser.end()
    assert parser.error is error is not None


def test_a_parser_is_idle_between_requests_only() -> None:
    """A parser is idle between requests only."""
    parser = PolicyParser()
    assert parser.idle
    parser.feed(POSTFIX[:-1])
    assert not parser.idle
    parser.feed(b"\n")
    assert parser.idle
    parser.feed(b"r")
    assert not parser.idle


LINES = st.one_of(
    st.just(POSTFIX),
    st.just(START),
    st.just(b"\n"),
    st.sampled_from([b"size=1\n", b"size=x\n", b"recipient=a=b@c\n", b"new=\n", b"junk\n", b"\0=\n"]),
    st.binary(max_size=20),
)  # fmt: skip


@given(st.lists(LINES, max_size=6).map(b"".join), st.lists(st.integers(0, 2000), max_size=12))
@example((b"x=" + b"y" * 4000 + b"\n") * 20, [1, 4002, 4003, 4004, 65535, 65536])
@example(b"x" * (MAX_LINE + 1) + b"\n", [MAX_LINE, MAX_LINE + 1])
def test_every_split_gives_the_same(data: bytes, cuts: list[int]) -> None:
    """However the bytes are cut into pieces, the requests and the error are the same."""
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(bounds)]
    assert outcome(*chunks) == outcome(data)


def test_byte_by_byte() -> None:
    """A peer that sends one byte a packet is understood."""
    data = POSTFIX * 2
    assert outcome(*(data[i : i + 1] for i in range(len(data)))) == ([REQUEST] * 2, None)


@given(st.binary(max_size=500))
def test_no_input_raises(data: bytes) -> None:
    """No bytes raise anything: an error is the parser's own."""
    outcome(data)


def test_a_reply_is_the_action_and_an_empty_line() -> None:
    """A reply is the action and an empty line."""
    assert render(b"DUNNO") == b"action=DUNNO\n\n"


@pytest.mark.parametrize("action", [b"", b"a\nb", b"a\0b"])
def test_render_refuses_what_is_no_line(action: bytes) -> None:
    """An action that would be read as something else is a fault of the program."""
    with pytest.raises(ValueError, match="not one line of an action"):
        render(action)


def test_nothing_is_held_behind_an_error() -> None:
    """Whatever was there of the request with the fault."""
    parser = PolicyParser()
    assert parser.feed(START + b"no attribute\nrecipient=") == []
    assert parser.error is not None
    assert parser.idle


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (START + b"\n", True),
        (START + b"a=b\n\n", True),
        (START + b"a=" + b"x" * (MAX_LINE - len(START) - 4) + b"\n\n", True),
        (START + b"a=" + b"x" * (MAX_LINE - len(START) - 3) + b"\n\n", False),
        (START + b"a=\0\n\n", False),
        (START + b"a=b\n", False),
        (START + b"a=b\na=b\n\n", False),
        (START + b"a\n\n", False),
        (START + b"\n" + START + b"\n", False),
        (START + b"".join(b"a%d=\n" % n for n in range(MAX_ATTRIBUTES - 1)) + b"\n", True),
        (START + b"".join(b"a%d=\n" % n for n in range(MAX_ATTRIBUTES)) + b"\n", False),
        (b"request=another\n\n", False),
        (b"a=b\n\n", False),
    ],
)
def test_what_is_one_whole_request(data: bytes, whole: bool) -> None:
    """Within the limits, and without any fault; all else is the parser's."""
    assert (whole_request(data) is not None) is whole
