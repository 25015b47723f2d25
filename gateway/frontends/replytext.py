"""Texts that go to SMTP clients: templates with placeholders, made safe.

A template is plain text with `{recipient}` and `{reason}` in it.  What the
placeholders stand for comes from the client, from a database or from another
server, so it is never sent as it is: whatever is not printable becomes `?`
(CR and LF with it), whatever is not ASCII becomes `?` unless the session
speaks SMTPUTF8 (RFC 6531), and every piece has its limit and is cut between
two characters.  A substituted text is not looked at for placeholders again.
"""

from __future__ import annotations

import re

RECIPIENT = "{recipient}"
REASON = "{reason}"
PLACEHOLDERS = (RECIPIENT, REASON)

# Octets of a recipient in a reply: the longest path of RFC 5321 (4.5.3.1.3).
MAX_RECIPIENT = 256

_PIECES = re.compile(r"(\{[^{}]*\})")


def pieces(template: str) -> tuple[str, ...]:
    """`template` cut at its placeholders; raises ValueError, which says what is wrong with it."""
    found = tuple(piece for piece in _PIECES.split(template) if piece)
    for piece in found:
        if piece in PLACEHOLDERS:
            continue
        if piece.startswith("{") and piece.endswith("}"):
            known = " and ".join(PLACEHOLDERS)
            raise ValueError(f"unknown placeholder {piece}; known are {known}")
        if "{" in piece or "}" in piece:
            raise ValueError("a brace that belongs to no placeholder")
    return found


def cut(text: str, limit: int) -> str:
    """The longest beginning of `text` that takes at most `limit` octets in UTF-8."""
    data = text.encode("utf-8")
    return text if len(data) <= limit else data[: max(limit, 0)].decode("utf-8", "ignore")


def printable(data: bytes, *, smtputf8: bool) -> str:
    """`data` as a client may see it: one `?` for each character that it may not."""
    text = data.decode("utf-8", "replace").replace("\ufffd", "?")
    if smtputf8:
        return "".join(char if char.isprintable() else "?" for char in text)
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def fill(
    template: tuple[str, ...], recipient: bytes, reason: bytes, limit: int, *, smtputf8: bool
) -> str:
    """The text of `template` for this recipient and reason, at most `limit` octets long."""
    text = ""
    for piece in template:
        if piece == RECIPIENT:
            # The input is cut first, so that the work is bounded too; four
            # octets more, so that a character cut there is cut away below.
            shown = printable(recipient[: MAX_RECIPIENT + 4], smtputf8=smtputf8)
            text += cut(shown, MAX_RECIPIENT)
        elif piece == REASON:
            text += printable(reason[: limit + 4], smtputf8=smtputf8)
        else:
            text += piece
    return cut(text.strip(), limit).strip()
