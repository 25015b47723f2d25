"""The socketmap codec: netstrings in any pieces, and every way to get them wrong."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.protocols.socketmap import (
    MAX_LENGTH_DIGITS,
    MAX_REQUEST,
    Decoder,
    bad_protocol,
    encode,
    hops_of,
    split_request,
    with_hops,
)


def conversation(*pieces: bytes) -> tuple[list[bytes], str | None]:
    """What a decoder makes of the pieces, and the error once the peer has ended."""
    decoder = Decoder()
    payloads = [payload for piece in pieces for payload in decoder.feed(piece)]
    decoder.end()
    return payloads, str(decoder.error) if decoder.error is not None else None


@pytest.mark.parametrize(
    ("data", "payloads", "error"),
    [
        (b"", [], None),
        (b"11:cyrus alice,", [b"cyrus alice"], None),
        (b"0:,", [b""], None),
        (b"11:cyrus alice,9:cyrus bob,", [b"cyrus alice", b"cyrus bob"], None),
        (b"00000011:cyrus alice,", [b"cyrus alice"], None),
        (b"7:a,b:c,,,", [b"a,b:c,,"], None),
        (b":x", [], "missing length"),
        (b"x", [], "missing length"),
        (b" 11:cyrus alice,", [], "missing length"),
        (b"+11:cyrus alice,", [], "missing length"),
        (b"-1:cyrus alice,", [], "missing length"),
        (b"0xb:cyrus alice,", [], "missing length"),
        (b"11;cyrus alice,", [], "missing length"),
        ("\u0661\u0661:cyrus alice,".encode(), [], "missing length"),
        (b"11", [], "missing length"),
        (b"GET / HTTP/1.0\r\n\r\n", [], "missing length"),
        (b"\x16\x03\x01\x02\x00", [], "missing length"),
        (b"11:", [], "request size doesn't match length"),
        (b"11:cyrus ali", [], "request size doesn't match length"),
        (b"10241:" + b"x" * 10241 + b",", [], "request size doesn't match length"),
        (b"10241:", [], "request size doesn't match length"),
        (b"99999999999999999999999999:x", [], "request size doesn't match length"),
        (b"0" * 65, [], "request size doesn't match length"),
        (b"11:cyrus alice", [], "missing terminator"),
        (b"11:cyrus alice;", [], "missing terminator"),
        (b"10:cyrus alice,", [], "missing terminator"),
        (b"0:x", [], "missing terminator"),
        (b"11:cyrus alice,x9:cyrus bob,", [b"cyrus alice"], "missing length"),
        (b"11:cyrus alice,\n", [b"cyrus alice"], "missing length"),
    ],
)
def test_requests_and_errors_of_one_connection(
    data: bytes, payloads: list[bytes], error: str | None
) -> None:
    """Whole requests come out in order; the first fault ends the conversation."""
    assert conversation(data) == (payloads, error)


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_every_split_gives_the_same_requests(data: bytes, cuts: list[int]) -> None:
    """How the network cuts the bytes makes no difference, and nothing raises."""
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges) if a < b]
    assert conversation(*pieces) == conversation(data)


@given(
    payloads=st.lists(st.binary(max_size=60), max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_what_is_encoded_is_decoded(payloads: list[bytes], cuts: list[int]) -> None:
    """Any payloads come through, one byte at a time or all at once."""
    data = b"".join(map(encode, payloads))
    assert conversation(data) == (payloads, None)
    assert conversation(*(data[i : i + 1] for i in range(len(data)))) == (payloads, None)


def test_the_longest_request_is_taken_and_a_longer_one_refused_before_its_body() -> None:
    """The limit is checked on the announced length, not on what was buffered."""
    assert conversation(encode(b"k" * MAX_REQUEST)) == ([b"k" * MAX_REQUEST], None)
    decoder = Decoder()
    assert decoder.feed(b"%d:" % (MAX_REQUEST + 1)) == []
    assert decoder.error is not None


def test_leading_zeros_come_to_an_end() -> None:
    """As many digits as the limit allows are a length, one more is an error."""
    padded = b"1".rjust(MAX_LENGTH_DIGITS, b"0")
    assert conversation(padded + b":x,") == ([b"x"], None)
    assert conversation(b"0" + padded + b":x,")[1] == "request size doesn't match length"


def test_nothing_is_parsed_behind_an_error() -> None:
    """Leftovers of a broken conversation are never requests."""
    decoder = Decoder()
    decoder.feed(b"x")
    assert decoder.feed(b"9:cyrus bob,") == []
    assert decoder.idle


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        (b"cyrus alice", (b"cyrus", b"alice")),
        (b"cyrus a b", (b"cyrus", b"a b")),
        (b"cyrus  a", (b"cyrus", b" a")),
        (b" alice", (b"", b"alice")),
        (b" ", (b"", b"")),
        (b"cyrus al\0ice", (b"cyrus", b"al\0ice")),
    ],
)
def test_a_request_is_a_map_name_and_a_key(payload: bytes, request_: tuple[bytes, bytes]) -> None:
    """The first space separates; the key may hold more of them."""
    assert split_request(payload) == request_


@pytest.mark.parametrize("payload", [b"", b"alice", b"cyrus\talice", b"\0cyrus alice", b"c\0y a"])
def test_a_request_without_a_key_is_an_error(payload: bytes) -> None:
    """No space, or a NUL before it: there is no key."""
    with pytest.raises(ProtocolError, match="missing key"):
        split_request(payload)


def test_the_error_becomes_the_last_reply() -> None:
    """The peer reads what it did wrong."""
    assert bad_protocol(ProtocolError("missing key")) == b"PERM Bad protocol (missing key)"


def test_the_longest_length_may_come_before_its_colon() -> None:
    """As many digits as are allowed are waited with."""
    digits = b"1".rjust(MAX_LENGTH_DIGITS, b"0")
    assert conversation(digits, b":x,") == ([b"x"], None)
    assert conversation(b"0" + digits, b":x,")[1] == "request size doesn't match length"


@pytest.mark.parametrize(
    ("map_name", "hops"),
    [
        (b"cyrus", 0),
        (b"7", 0),
        (b"", 0),
        (b"cyrus;hop=2", 2),
        (b"cyrus;hop=999", 999),
        (b"cyrus;hop=1000", 0),
        (b"cyrus;hop=", 0),
        (b"cyrus;hop=x", 0),
        (b"cyrus;hop=-1", 0),
        (b"cyrus;hop=2;hop=3", 3),
    ],
)
def test_hops_of_a_map_name(map_name: bytes, hops: int) -> None:
    """How often a question was passed on, where the map name says it in our way."""
    assert hops_of(map_name) == hops


def test_hops_are_read_as_they_are_written() -> None:
    """Whatever the map was called before."""
    assert [hops_of(with_hops(b"smmapd", number)) for number in (0, 1, 16)] == [0, 1, 16]
