"""Mailbox types in words."""

from __future__ import annotations

import pytest

from gateway.cyrus import mailboxrecord, mailboxtypes


@pytest.mark.parametrize(
    ("mbtype", "words"),
    [
        (mailboxrecord.MBTYPE_EMAIL, "e-mail"),
        (mailboxrecord.MBTYPE_CALENDAR | mailboxrecord.MBTYPE_REMOTE, "calendar, remote"),
        (mailboxrecord.MBTYPE_RESERVE | mailboxrecord.MBTYPE_MOVING, "e-mail, reserved, moving"),
        (7, "kind 7"),
        (1 << 20, "e-mail, unknown bits 0x100000"),
    ],
)
def test_words(mbtype: int, words: str) -> None:
    """The kind, then the flags; nothing is left out."""
    assert mailboxtypes.words(mbtype) == words
