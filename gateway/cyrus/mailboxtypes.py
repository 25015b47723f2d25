"""A mailbox's type in words, for people; the types are those of `mailboxrecord.TYPES`."""

from __future__ import annotations

from gateway.cyrus.mailboxrecord import MBTYPE_KIND, TYPES

_KINDS = {mbtype: word for _, mbtype, word in TYPES if mbtype & MBTYPE_KIND == mbtype}
_FLAGS = {mbtype: word for _, mbtype, word in TYPES if mbtype not in _KINDS}


def words(mbtype: int) -> str:
    """`e-mail`, `calendar, remote`, ...; bits without a name as a number."""
    named = MBTYPE_KIND | sum(_FLAGS)
    kind = mbtype & MBTYPE_KIND
    parts = [_KINDS.get(kind, f"kind {kind}")]
    parts += [word for flag, word in _FLAGS.items() if mbtype & flag]
    if mbtype & ~named:
        parts.append(f"unknown bits {mbtype & ~named:#x}")
    return ", ".join(parts)
