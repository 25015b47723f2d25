"""Texts for SMTP clients: what a placeholder can and cannot bring in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frontends.replytext import MAX_RECIPIENT, cut, fill, pieces, printable


@pytest.mark.parametrize(
    ("data", "ascii_text", "utf8_text"),
    [
        (b"fred@example.org", "fred@example.org", "fred@example.org"),
        (b"100%", "100%", "100%"),
        (b"a\r\nb\tc\0d", "a??b?c?d", "a??b?c?d"),
        (b"\x1b[31mred\x7f", "?[31mred?", "?[31mred?"),
        ("gr\u00fcn".encode(), "gr?n", "gr\u00fcn"),
        (b"gr\xfcn", "gr?n", "gr?n"),
        ("\u202egro.elpmaxe\u2028".encode(), "?gro.elpmaxe?", "?gro.elpmaxe?"),
        ("\ufffd".encode(), "?", "?"),
        (b"", "", ""),
    ],
)
def test_unprintable_is_replaced(data: bytes, ascii_text: str, utf8_text: str) -> None:
    """What cannot be shown becomes one question mark a character."""
    assert printable(data, smtputf8=False) == ascii_text
    assert printable(data, smtputf8=True) == utf8_text


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("abc", 0, ""),
        ("abc", -1, ""),
        ("a\u00fcb", 2, "a"),
        ("a\u00fcb", 3, "a\u00fc"),
    ],
)
def test_a_text_is_cut_between_two_characters(text: str, limit: int, kept: str) -> None:
    """A text is cut between two characters, never within one."""
    assert cut(text, limit) == kept


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", ("plain",)),
        ("{reason}", ("{reason}",)),
        ("<{recipient}>: {reason}.", ("<", "{recipient}", ">: ", "{reason}", ".")),
    ],
)
def test_a_template_is_cut_at_its_placeholders(template: str, expected: tuple[str, ...]) -> None:
    """A template is cut at its placeholders."""
    assert pieces(template) == expected


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{user}", r"unknown placeholder \{user\}; known are \{recipient\} and \{reason\}"),
        ("{}", r"unknown placeholder \{\}"),
        ("{reason!r}", r"unknown placeholder"),
        ("{reason", "a brace that belongs to no placeholder"),
        ("reason}", "a brace that belongs to no placeholder"),
        ("{{reason}}", "a brace that belongs to no placeholder"),
    ],
)
def test_unknown_placeholders_are_refused(template: str, problem: str) -> None:
    """Anything else in braces is refused, with the placeholders that exist."""
    with pytest.raises(ValueError, match=problem):
        pieces(template)


def test_placeholders_are_not_expanded_twice() -> None:
    """A recipient that looks like a placeholder stays what it is."""
    template = pieces("{recipient} {reason}")
    assert fill(template, b"{reason}", b"{recipient}", 99, smtputf8=False) == "{reason} {recipient}"


def test_long_recipient_leaves_room_for_the_reason() -> None:
    """A recipient is cut at its own limit, and what follows it is still said."""
    text = fill(pieces("{recipient}: no"), b"x" * 5000, b"", 490, smtputf8=False)
    assert text == "x" * MAX_RECIPIENT + ": no"


@given(st.binary(max_size=600), st.binary(max_size=600), st.integers(1, 500), st.booleans())
def test_filled_text_is_safe(recipient: bytes, reason: bytes, limit: int, smtputf8: bool) -> None:
    """Whatever bytes come, the text is printable, within its limit, and ASCII where it must be."""
    text = fill(pieces("<{recipient}>: {reason}!"), recipient, reason, limit, smtputf8=smtputf8)
    assert text.isprintable()
    assert len(text.encode()) <= limit
    assert smtputf8 or text.isascii()
