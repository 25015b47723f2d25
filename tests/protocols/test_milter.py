"""The codec of the milter protocol."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.milter import (
    ABORT,
    END_OF_MESSAGE,
    MAX_MACROS,
    MAX_PACKET,
    NEXT_CLIENT,
    OTHERS,
    QUIT,
    Client,
    Event,
    Macros,
    Mail,
    MilterParser,
    MilterStep,
    Negotiation,
    Recipient,
    negotiated,
    packet,
    plain_address,
    refusal,
)
from gateway.protocols.milter_macros import MacroTable

OFFER = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))
OFFERED = Negotiation(6, 0x1FF, 0x1FFFFF)


def parsed(data: bytes, *, size: int = 1 << 20) -> tuple[list[Event], str | None]:
    """The events of `data` in pieces of `size` and its end, and what was wrong."""
    parser = MilterParser()
    events: list[Event] = []
    for at in range(0, len(data), size):
        events += parser.feed(data[at : at + size])
    parser.end()
    return events, None if parser.error is None else str(parser.error)


@pytest.mark.parametrize(
    ("command", "data", "event"),
    [
        (b"C", b"mx.test\x004\x12\x34192.0.2.1\0", Client(b"192.0.2.1", 0x1234)),
        (b"C", b"mx.test\x006\x12\x34IPv6:2001:db8::1\0", Client(b"2001:db8::1", 0x1234)),
        (b"C", b"mx.test\x006\x12\x342001:db8::1\0", Client(b"2001:db8::1", 0x1234)),
        (b"C", b"mx.test\x00L\0\0/run/x\0", Client(b"")),
        (b"C", b"mx.test\x00U", Client(b"")),
        (b"C", b"mx.test\x00U\0\x19192.0.2.1\0", Client(b"")),
        (b"C", b"\xff\x00U", Client(b"")),
        (b"C", b"mx.test\x00L\0\0", Client(b"")),
        (b"C", b"mx.test\x006\x12\x34", Client(b"", 0x1234)),
        (b"C", b"mx.test\x004\x12\x34192.0.2.1", Client(b"192.0.2.1", 0x1234)),
        (b"C", b"localhost\x004\0\x00127.0.0.1\0", Client(b"127.0.0.1", 0)),
        (b"M", b"<>\0", Mail(b"<>")),
        (b"M", b"<a@b.test>\0SIZE=1\0SMTPUTF8\0", Mail(b"<a@b.test>", (b"SIZE=1", b"SMTPUTF8"))),
        (b"M", b"\0", Mail(b"")),
        (b"R", b"<a@b.test>\0", Recipient(b"<a@b.test>")),
        (b"R", b"<a@b.test>\0NOTIFY=NEVER\0", Recipient(b"<a@b.test>")),
        (b"D", b"Ri\x004ABC\0", Macros(b"R", b"i\x004ABC\0")),
        (b"D", b"R", Macros(b"R", b"")),
        (b"D", b"R" + b"x" * 9000, Macros(b"R", b"x" * MAX_MACROS)),
        (b"A", b"", ABORT),
        (b"E", b"the last piece", END_OF_MESSAGE),
        (b"K", b"", NEXT_CLIENT),
        (b"Q", b"", QUIT),
        *((step.command, b"whatever", step) for step in OTHERS),
    ],
)
def test_each_packet_is_one_step(command: bytes, data: bytes, event: Event) -> None:
    """What each packet says."""
    assert parsed(OFFER + packet(command, data)) == ([OFFERED, event], None)


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"i\x004ABC\0{auth_authen}\0alice\0", {"i": b"4ABC", "{auth_authen}": b"alice"}),
        (b"{i}\x004ABC\0", {"i": b"4ABC"}),
        (b"auth_authen\0alice\0", {"{auth_authen}": b""}),
        (b"", {"i": b""}),
        (b"i\0", {"i": b""}),
        (b"i\x004ABC", {"i": b""}),
        (b"i\x004ABC\0j\0", {"i": b"4ABC", "j": b""}),
        (b"i\0\0j\0mx\0", {"i": b"", "j": b"mx"}),
        (b"{i\x004ABC\0", {"i": b""}),
        (b"i\0one\0{i}\0two\0", {"i": b"one"}),
        (b"{i}\0one\0i\0two\0", {"i": b"one"}),
    ],
)
def test_long_names_of_macros_have_braces(data: bytes, values: dict[str, bytes]) -> None:
    """Long names have braces; a name without a value is empty, a value without its end is none."""
    table = MacroTable()
    table.tell(Macros(b"R", data))
    assert {name: table.value(name) for name in values} == values


def test_a_step_sees_the_macros_of_earlier_ones() -> None:
    """And of its own that were told before; those of later steps are of the past."""
    table = MacroTable()
    for command, value in ((b"C", b"connect"), (b"M", b"mail"), (b"R", b"rcpt")):
        table.tell(Macros(command, b"i\0%b\0%b\0x\0" % (value, command.lower())))
    assert [table.value(name) for name in "icmr"] == [b"rcpt", b"x", b"x", b"x"]
    for _ in range(2):
        table.step(b"R")
        assert table.value("i") == b"rcpt"
    table.tell(Macros(b"R", b"{rcpt_mailer}\0lmtp\0"))
    assert [table.value("i"), table.value("r")] == [b"mail", b""]
    for command in (b"L", b"T", b"A", b"E"):
        table.step(command)
    assert table.value("{rcpt_mailer}") == b"lmtp"
    table.step(b"M")
    assert [table.value("i"), table.value("{rcpt_mailer}")] == [b"mail", b""]
    table.step(b"C")
    assert table.value("i") == b"connect"
    table.clear()
    assert table.value("i") == b""


@pytest.mark.parametrize("told", [Macros(b"?", b"i\0x\0"), Macros(b"R", b"i")])
def test_macros_of_no_use(told: Macros) -> None:
    """Those of no step, and those without any end, take nothing away."""
    table = MacroTable()
    table.tell(Macros(b"R", b"i\0kept\0"))
    table.tell(told)
    assert table.value("i") == b"kept"


@pytest.mark.parametrize(
    ("data", "before", "error"),
    [
        (packet(b"R", b"x\0"), 0, "b'R' before a negotiation"),
        (packet(b"D", b"C") + packet(b"Q"), 1, "b'Q' before a negotiation"),
        (OFFER + OFFER, 1, "a second negotiation"),
        (packet(b"O", b"\0" * 11), 0, "a negotiation of 11 bytes"),
        (packet(b"O", struct.pack("!III", 1, 0, 0)), 0, "version 1 of the protocol"),
        (OFFER + packet(b"z", b"x"), 1, "the unknown command b'z'"),
        (OFFER + b"\0\0\0\0", 1, "a packet of 0 bytes"),
        (OFFER + struct.pack("!I", MAX_PACKET + 1), 1, f"a packet of {MAX_PACKET + 1} bytes"),
        (b"EHLO mx.test\r\n", 0, "is that an MTA's milter client?"),
        (OFFER + packet(b"D"), 1, "macros for no step"),
        (OFFER + packet(b"C", b"mx.test"), 1, "a client of the unknown kind b''"),
        (OFFER + packet(b"C", b"mx.test\0Z\0\0x\0"), 1, "a client of the unknown kind b'Z'"),
        (OFFER + packet(b"C", b"mx.test\x004"), 1, "a client of the unknown kind b'4'"),
        (OFFER + packet(b"C", b"mx.test\x006\x12"), 1, "a client of the unknown kind b'6'"),
        (OFFER + packet(b"C", b"mx.test\0L\0"), 1, "a client of the unknown kind b'L'"),
        (OFFER + packet(b"M", b"<a@b.test>"), 1, "MAIL without an end"),
        (OFFER + packet(b"M"), 1, "MAIL without an end"),
        (OFFER + packet(b"R", b"<a@b.test>"), 1, "RCPT without an end"),
        (OFFER + packet(b"R", b"x\0")[:-1], 1, "the connection ended within a packet"),
        (OFFER + b"\0", 1, "the connection ended within a packet"),
    ],
)
def test_what_breaks_the_protocol(data: bytes, before: int, error: str) -> None:
    """What came before it counts; nothing behind it does."""
    for size in (1, 7, 1 << 20):
        events, found = parsed(data, size=size)
        assert len(events) == before
        assert found is not None
        assert error in found
    parser = MilterParser()
    parser.feed(data)
    parser.end()
    assert parser.feed(OFFER) == []


def test_a_farewell_is_the_end() -> None:
    """What follows it, in the same piece or another one, does not matter."""
    parser = MilterParser()
    assert parser.feed(OFFER + packet(b"Q") + b"GET /") == [OFFERED, QUIT]
    assert parser.feed(b"\xff" * 100) == []
    parser.end()
    assert parser.error is None
    assert parser.idle


def test_the_longest_packet() -> None:
    """It is held until it is whole, and not a byte longer."""
    parser = MilterParser()
    parser.feed(OFFER)
    whole = packet(b"B", b"x" * (MAX_PACKET - 1))
    assert parser.feed(whole[:-1]) == []
    assert not parser.idle
    assert parser.feed(whole[-1:]) == [MilterStep(b"B")]
    assert parser.idle


_STEPS = st.sampled_from([b"C", b"M", b"R", b"D", b"A", b"E", b"K", b"H", b"B"])
_PACKETS = st.lists(st.tuples(_STEPS, st.binary(max_size=40)), max_size=8)


@given(_PACKETS, st.binary(max_size=20), st.integers(1, 30))
def test_every_split_gives_the_same(
    packets: list[tuple[bytes, bytes]], rest: bytes, size: int
) -> None:
    """The same events, and the same error."""
    data = OFFER + b"".join(packet(command, told + b"\0") for command, told in packets) + rest
    assert parsed(data, size=size) == parsed(data)


def test_replies_are_as_they_go_to_the_mta() -> None:
    """As they go to the MTA."""
    assert packet(b"c") == b"\0\0\0\1c"
    assert refusal(b"550 5.1.1 no %") == b"\0\0\0\x11y550 5.1.1 no %%\0"
    offer = negotiated(6, 0x5372, [(0, b"j {a}"), (3, b"i")])
    head = struct.pack("!III", 6, 0, 0x5372)
    assert offer == packet(b"O", head + b"\0\0\0\0j {a}\0\0\0\0\3i\0")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"IPv6:2001:db8::1", b"2001:db8::1"),
        (b"ipv6:::1", b"::1"),
        (b"192.0.2.1", b"192.0.2.1"),
        (b"", b""),
    ],
)
def test_addresses_lose_the_tag_of_ipv6(text: bytes, address: bytes) -> None:
    """Without the tag that Sendmail writes before IPv6."""
    assert plain_address(text) == address
