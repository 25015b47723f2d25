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
def test_the_words_are_the_kind_and_then_the_flags(mbtype: int, words: str) -> None:
    """The kind, then the flags; nothing is left out."""
    assert mailboxtypes.words(mbtype) == words


def test_every_type_has_its_letter_and_words() -> None:
    """mailboxrecord.TYPES: one without would be an unknown type in a list, unknown bits to people."""
    constants = {
        value: name for name, value in vars(mailboxrecord).items() if name[:7] == "MBTYPE_"
    }
    del constants[mailboxrecord.MBTYPE_KIND]
    missing = set(constants) - {mbtype for _, mbtype, _ in mailboxrecord.TYPES}
    assert missing == set(), f"TYPES needs a row for {[constants[each] for each in missing]}"
    letters = [letter for letter, _, _ in mailboxrecord.TYPES]
    assert len(set(letters)) == len(letters)
