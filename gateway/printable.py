"""Untrusted bytes and text, fit for a log line: printable, one line, cut."""

from __future__ import annotations

# Enough for any address (RFC 5321: 320 octets at most) with its escapes.
DEFAULT_LIMIT = 512
_CUT = "..."


def printable(text: bytes | str, limit: int = DEFAULT_LIMIT) -> str:
    """`text` with whatever does not print written as an escape, at most `limit` characters.

    Bytes that are not UTF-8 become `\\xNN`; control characters, line breaks,
    bidirectional marks and lone surrogates become `\\n`, `\\xNN` or `\\uNNNN`.
    What is cut ends in three dots.  No input raises.
    """
    # More input than this cannot show: every byte gives at least a quarter of a character.
    head = text[: 4 * limit + 4]
    decoded = head.decode("utf-8", "backslashreplace") if isinstance(head, bytes) else head
    if not decoded.isprintable():
        decoded = "".join(map(_escape, decoded))
    return decoded if len(decoded) <= limit else decoded[: max(0, limit - len(_CUT))] + _CUT


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
