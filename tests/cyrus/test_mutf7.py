"""Modified UTF-7: examples of RFC 3501 and what Cyrus makes of broken UTF-8."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.mutf7 import decode, encode, is_encoded

PAIRS = [
    ("", b""),
    ("Sub Folder", b"Sub Folder"),
    ("A&B", b"A&-B"),
    ("&", b"&-"),
    ("&&", b"&-&-"),
    ("Größe", b"Gr&APYA3w-e"),
    ("Größe/Ünter", b"Gr&APYA3w-e/&ANw-nter"),
    ("ö&ö", b"&APY-&-&APY-"),
    ("台北", b"&U,BTFw-"),
    ("日本語", b"&ZeVnLIqe-"),
    ("\U0001f600 smile", b"&2D3eAA- smile"),
    ("\x01\x7f", b"&AAEAfw-"),
    ("\t", b"&AAk-"),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
]


@pytest.mark.parametrize(("shown", "stored"), PAIRS)
def test_names_there_and_back(shown: str, stored: bytes) -> None:
    """Printable ASCII stands for itself, the rest is base64 of UTF-16."""
    assert encode(shown.encode()) == stored
    assert decode(stored) == shown


@pytest.mark.parametrize(
    ("broken", "shown"),
    [
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\xe2\x82", "\ufffd"),
        (b"ok\xe2\x82ok", "ok\ufffdok"),
        (b"\xc0\xaf", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"),
        (b"\xc3", "\ufffd"),
    ],
)
def test_broken_utf8_becomes_replacement_characters(broken: bytes, shown: str) -> None:
    """Each maximal ill-formed part becomes one U+FFFD."""
    assert decode(encode(broken)) == shown


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        (b"", True),
        (b"Work", True),
        (b"W\xc3\xb6rk", False),
        (b"W\x1frk", False),
        (b"A&B", False),
        (b"A&", False),
        (b"A&-B", True),
        (b"a&-c&d", False),
        (b"a&b&-c", False),
        (b"Gr\xc3\xb6\xc3\x9fe&APY-", False),
        # one unit and two bits that are zero; the same with another bit set; the bits of half a one
        (b"&APY-", True),
        (b"&APZ-", False),
        (b"&D-", False),
        (b"&AP-", False),
        (b"&APYA-", False),
        # two units and four bits; three, and none
        (b"&U,BTFw-", True),
        (b"&U,BTFx-", False),
        (b"&U/BTFw-", False),
        (b"&AOQA9gD8-", True),
        (b"R&D-Team", False),
        (b"A&B-C", False),
        (b"Q&A 1", False),
        (b"R&AOQ-&-", True),
        (b"R&AOQ-&D-", False),
    ],
)
def test_what_counts_as_encoded(name: bytes, encoded: bool) -> None:
    """Whole units of 16 bits in each group, what is left of the last letter zero."""
    assert is_encoded(name) is encoded


@given(st.text())
def test_what_is_encoded_counts_as_encoded(text: str) -> None:
    """Whatever the text is."""
    assert is_encoded(encode(text.encode("utf-8", "replace")))


@pytest.mark.parametrize(
    "name", [b"&", b"a&b", b"&AP", b"&A-", b"&\xff-", b"\xff", b"&2D0-", b"a\tb", b"&,,,,,-"]
)
def test_what_is_not_modified_utf7_is_refused(name: bytes) -> None:
    """Unfinished shifts, stray bytes and lone surrogates raise ValueError."""
    with pytest.raises(ValueError, match=r"in b"):
        decode(name)


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    """decode() undoes encode() for any text."""
    stored = encode(text.encode("utf-8", "replace"))
    assert stored.isascii()
    assert decode(stored) == text.encode("utf-8", "replace").decode()


@given(st.binary())
def test_any_bytes_are_encoded_and_decoded_or_refused(name: bytes) -> None:
    """encode() takes anything; decode() takes it or raises ValueError."""
    assert decode(encode(name)) == name.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        decode(name)
