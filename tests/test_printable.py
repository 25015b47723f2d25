"""Strangers' bytes in log lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.printable import printable

CASES: list[tuple[bytes | str, str]] = [
    (b"fred@example.org", "fred@example.org"),
    ("straße@exämple.org".encode(), "straße@exämple.org"),
    (b"a\r\nb\0c\x7f", "a\\r\\nb\\x00c\\x7f"),
    (b"\xff\xfe", "\\xff\\xfe"),
    (b"\x1b[31m", "\\x1b[31m"),
    ("\u202eabc", "\\u202eabc"),
    ("\udcff", "\\udcff"),
    (b"", ""),
]


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_what_does_not_print_becomes_an_escape(text: bytes | str, shown: str) -> None:
    """The line stays one line, and the terminal stays as it is."""
    assert printable(text) == shown


def test_what_is_long_is_cut() -> None:
    """Three dots say so."""
    assert printable("x" * 11, 10) == "xxxxxxx..."
    assert printable("x" * 10, 10) == "x" * 10
    assert printable(b"\xff" * 10**6, 20) == "\\xff\\xff\\xff\\xff\\..."


@given(st.binary(max_size=300) | st.text(max_size=300), st.integers(4, 200))
def test_whatever_comes_out_prints_and_is_short(text: bytes | str, limit: int) -> None:
    """No input raises anything."""
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
