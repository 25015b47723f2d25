"""wildmat: patterns and services, after lib/wildmat.c."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cyrus.wildmat import wildmat

CASES = [
    (b"smmap", b"smmap", True),
    (b"smmap", b"SMMAP", False),
    (b"smmap", b"smma", False),
    (b"smmap", b"smmapd", False),
    (b"smmap", b"*", True),
    (b"", b"*", True),
    (b"", b"", True),
    (b"smmap", b"", False),
    (b"smmap", b"**", True),
    (b"smmap", b"smm*", True),
    (b"smmap", b"*map", True),
    (b"smmap", b"s*m*p", True),
    (b"smmap", b"s*x*p", False),
    (b"smmap", b"*m", False),
    (b"smmap", b"smmap*", True),
    (b"smmap", b"smma?", True),
    (b"smmap", b"smmap?", False),
    (b"smmap", b"?????", True),
    (b"sm*ap", rb"sm\*ap", True),
    (b"smmap", rb"sm\map", True),
    (b"smmap", b"smmap\\", False),
    (b"smmap", b"sm[a-z]ap", True),
    (b"smmap", b"sm[n-z]ap", False),
    (b"smmap", b"sm[^a-z]ap", False),
    (b"smmap", b"sm[^n-z]ap", True),
    (b"smmap", b"sm[xm]ap", True),
    (b"a-b", b"a[-x]b", True),
    (b"a-b", b"a[x-]b", True),
    (b"a0b", b"a[-x]b", False),
    (b"b", b"[a-c]", True),
    (b"c", b"[a-c]", True),
    (b"d", b"[a-c]", False),
    (b"a]b", b"a[]x]b", True),
    (b"a^b", b"a[x^]b", True),
    (b"axb", b"a[]-z]b", True),
    (b"axb", b"a[^]-z]b", False),
    (b"a-b", b"a[^-]b", False),
    (b"adb", b"a[a-c-e]b", True),
    (b"smmap", b"sm[a-", False),
    (b"smmap", b"sm[a", False),
    (b"smmap", b"sm[", False),
    (b"smmap", b"sm[^", False),
    (b"smmap", b"sm[m", False),
    (b"b", b"[a-\xff]", False),
    (b"b", b"[a-\x7f]", True),
    (b"b", b"[\x80-c]", True),
    (b"b", b"[\x80-\xff]", False),
    (b"\xc3\xb6", b"??", True),
    (b" smmap", b"smmap", False),
]


@pytest.mark.parametrize(("text", "pattern", "matches"), CASES)
def test_patterns_match_as_cyrus_matches_them(text: bytes, pattern: bytes, matches: bool) -> None:
    """Stars, single bytes, classes and literals match as Cyrus does."""
    assert wildmat(text, pattern) is matches


def test_many_stars_take_no_time_and_no_stack() -> None:
    """The work is bounded by the product of the lengths, whatever the pattern."""
    assert wildmat(b"a" * 2000, b"*a" * 1000 + b"b") is False
    assert wildmat(b"a" * 2000, b"*" * 5000) is True


@given(st.binary(), st.binary() | st.text("ab*?[]^-\\").map(str.encode))
def test_any_pattern_matches_or_does_not(text: bytes, pattern: bytes) -> None:
    """Any pattern matches or does not; a star in front matches whatever it did."""
    if wildmat(text, pattern):
        assert wildmat(b"x" + text, b"*" + pattern)


@given(st.binary())
def test_a_quoted_text_matches_itself_only(text: bytes) -> None:
    """With a backslash before each byte nothing is special."""
    quoted = b"".join(b"\\" + bytes((byte,)) for byte in text)
    assert wildmat(text, quoted)
    assert not wildmat(text + b"x", quoted)
