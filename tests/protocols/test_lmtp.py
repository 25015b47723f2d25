"""LMTP replies and commands: what is understood, in whatever pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.protocols import lmtp
from gateway.protocols.address import Address, parse_path
from gateway.protocols.lmtp import MAX_LINE, MAX_LINES, LmtpReply, ReplyDecoder

GOOD: list[tuple[bytes, list[LmtpReply]]] = [
    (b"250 2.1.5 ok\r\n", [LmtpReply(250, b"2.1.5", (b"ok",))]),
    (b"250 ok\r\n", [LmtpReply(250, b"", (b"ok",))]),
    (b"250\r\n", [LmtpReply(250, b"", (b"",))]),
    (b"250 \n", [LmtpReply(250, b"", (b"",))]),
    (b"550 5.1.1 User unknown\n", [LmtpReply(550, b"5.1.1", (b"User unknown",))]),
    (
        # Cyrus says the enhanced code on the last line only (imap/lmtp_err.et).
        b"550-Mailbox unknown.\r\n550-Sorry.\r\n550 5.1.1 User unknown\r\n",
        [LmtpReply(550, b"5.1.1", (b"Mailbox unknown.", b"Sorry.", b"User unknown"))],
    ),
    # An enhanced code of another class, or none.
    (b"550 4.1.1 what\r\n", [LmtpReply(550, b"", (b"4.1.1 what",))]),
    (b"452 4.2 full\r\n", [LmtpReply(452, b"", (b"4.2 full",))]),
    (b"452 4.2.1000 full\r\n", [LmtpReply(452, b"", (b"4.2.1000 full",))]),
    (b"452 4.2.100 full\r\n", [LmtpReply(452, b"4.2.100", (b"full",))]),
    (b"452 4.x.2 full\r\n", [LmtpReply(452, b"", (b"4.x.2 full",))]),
    (b"452 4.2.2\r\n", [LmtpReply(452, b"4.2.2", (b"",))]),
    (
        b"250 2.1.0 ok\r\n550 5.1.10 no\r\n250 2.0.0 ok\r\n",
        [
            LmtpReply(250, b"2.1.0", (b"ok",)),
            LmtpReply(550, b"5.1.10", (b"no",)),
            LmtpReply(250, b"2.0.0", (b"ok",)),
        ],
    ),
    (b"220 " + b"x" * (MAX_LINE - 4) + b"\r\n", [LmtpReply(220, b"", (b"x" * (MAX_LINE - 4),))]),
]

BAD: list[tuple[bytes, str]] = [
    (b"\r\n", "not a line of a reply: b''"),
    (b"hello\r\n", "not a line of a reply: b'hello'"),
    (b"25 ok\r\n", "not a line of a reply: b'25 ok'"),
    (b"150 ok\r\n", "not a line of a reply: b'150 ok'"),
    (b"650 ok\r\n", "not a line of a reply: b'650 ok'"),
    (b"250_ok\r\n", "not a line of a reply: b'250_ok'"),
    (b"250-one\r\n251 two\r\n", "a reply has two codes: b'250' and b'251'"),
    (b"250 " + b"x" * MAX_LINE + b"\r\n", f"a line of a reply is longer than {MAX_LINE} bytes"),
    (b"x" * (MAX_LINE + 2), f"a line of a reply is longer than {MAX_LINE} bytes"),
    (b"250-x\r\n" * MAX_LINES, f"a reply has more than {MAX_LINES} lines"),
]


def decode(pieces: list[bytes]) -> tuple[list[LmtpReply], str | None]:
    """The replies in `pieces`, and the error behind them."""
    decoder = ReplyDecoder()
    replies = [reply for piece in pieces for reply in decoder.feed(piece)]
    return replies, str(decoder.error) if decoder.error is not None else None


@pytest.mark.parametrize(("data", "replies"), GOOD)
def test_replies_are_read(data: bytes, replies: list[LmtpReply]) -> None:
    """Codes, enhanced codes, texts."""
    assert decode([data]) == (replies, None)


@pytest.mark.parametrize(("data", "problem"), BAD)
def test_what_is_no_reply_is_an_error(data: bytes, problem: str) -> None:
    """And nothing behind it is read."""
    assert decode([data, b"250 ok\r\n"]) == ([], problem)


PIECES = st.sampled_from(
    [b"250", b"250-", b" ", b"-", b"\r", b"\n", b"\r\n", b"5.1.1", b"550 5.1.1 no\r\n", b"x", b"\0"]
)


@given(st.lists(PIECES | st.binary(max_size=8)), st.lists(st.integers(0, 100)))
def test_every_split_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    """The same replies and the same error, and nothing is raised."""
    data = b"".join(parts)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert decode(pieces) == decode([data])


ADDRESSES: list[tuple[bytes, bytes]] = [
    (b"fred", b"fred"),
    (b"fred+a.b@example.org", b"fred+a.b@example.org"),
    (b"a b@example.org", b'"a b"@example.org'),
    (b'a"b\\c@example.org', b'"a\\"b\\\\c"@example.org'),
    (b"a@b@example.org", b'"a@b"@example.org'),
    (b"+shared", b"+shared"),
    (b"fr\xc3\xa9d@example.org", b"fr\xc3\xa9d@example.org"),
    (b"<x>@example.org", b'"<x>"@example.org'),
]


@pytest.mark.parametrize(("address", "written"), ADDRESSES)
def test_an_address_is_written_as_smtp_wants_it(address: bytes, written: bytes) -> None:
    """Quoted where it has specials."""
    assert lmtp.rcpt(address) == b"RCPT TO:<" + written + b">\r\n"


@given(
    st.binary(min_size=1, max_size=40).filter(
        lambda local: min(local) >= 0x20 and 0x7F not in local
    )
)
def test_whoever_reads_the_path_finds_the_address(local: bytes) -> None:
    """The same address comes out again."""
    address = local + b"@example.org"
    assert parse_path(b"<" + lmtp.path(address) + b">") == Address(address, b"example.org", local)


@pytest.mark.parametrize("address", [b"a\rb", b"a\nQUIT", b"a\0", b"\x7f", b"a\tb"])
def test_no_control_character_gets_into_a_command(address: bytes) -> None:
    """A recipient cannot speak for us."""
    with pytest.raises(ProtocolError, match="control character"):
        lmtp.rcpt(address)


@pytest.mark.parametrize(
    "domain",
    [
        b"x> SIZE=1",
        b"x>",
        b"x y",
        b"x> BODY=8BITMIME",
        b'x"',
        b"<x",
        b"x,y",
        b"x\\y",
        b"(x)",
        b"x;",
    ],
)
def test_no_domain_becomes_more_than_a_domain(domain: bytes) -> None:
    """Neither the end of the path nor a parameter."""
    with pytest.raises(ProtocolError, match="the domain has a character that no domain has"):
        lmtp.rcpt(b"fred@" + domain)


def test_what_a_domain_may_be() -> None:
    """Names, old ones with an underscore, addresses, and UTF-8."""
    for domain in ("a.example.org", "A-1.b_c", "[192.0.2.1]", "[IPv6:2001:db8::1]", "bücher.test"):
        address = f"fred@{domain}".encode()
        assert lmtp.rcpt(address) == b"RCPT TO:<" + address + b">\r\n"


def test_extensions_of_a_greeting() -> None:
    """In capitals, without parameters, and not the host's name."""
    replies, _ = decode(
        [b"250-mail.example.org\r\n250-8BITMIME\r\n250-size 1\r\n250 Pipelining\r\n"]
    )
    assert lmtp.features(replies[0]) == {b"8BITMIME", b"SIZE", b"PIPELINING"}


def test_a_reply_reads_as_a_line() -> None:
    """For logs."""
    (reply,), _ = decode([b"550-no\r\n550 5.1.1 never\r\n"])
    assert str(reply) == "550 5.1.1 no never"
    assert str(LmtpReply(421, b"", (b"",))) == "421"


@pytest.mark.parametrize(
    ("code", "good"), [(199, False), (200, True), (250, True), (299, True), (300, False)]
)
def test_which_replies_are_good(code: int, good: bool) -> None:
    """Those of the second hundred (RFC 5321, 4.2.1)."""
    assert LmtpReply(code, b"", ()).good is good


def test_the_longest_line_may_come_without_its_end() -> None:
    """Its CR is one byte more, and does not count."""
    line = b"220 " + b"x" * (MAX_LINE - 4)
    whole = [LmtpReply(220, b"", (b"x" * (MAX_LINE - 4),))]
    assert decode([line + b"\r", b"\n"]) == (whole, None)
    assert decode([line, b"\r\n"]) == (whole, None)


@pytest.mark.parametrize("byte", [b"\x80", b"\xff"])
def test_bytes_above_127_need_no_quotes(byte: bytes) -> None:
    """RFC 6531 has them in local parts."""
    assert lmtp.path(byte + b"@example.org") == byte + b"@example.org"


def test_no_more_of_a_line_is_kept_than_it_may_have() -> None:
    """The error comes with the byte that is too many, not with the line's end."""
    decoder = ReplyDecoder()
    assert decoder.feed(b"x" * (MAX_LINE + 1)) == []
    assert decoder.error is None
    assert decoder.feed(b"x") == []
    assert decoder.error is not None
    assert decoder.idle
