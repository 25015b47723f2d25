"""A mailbox's type in words, for people; the constants are in `mailboxlist`."""

from __future__ import annotations

from gateway.cyrus import mailboxlist

# The low four bits: what kind of mailbox it is.
_KIND_BITS = 0xF
_KINDS = {
    mailboxlist.MBTYPE_EMAIL: "e-mail",
    mailboxlist.MBTYPE_NETNEWS: "news",
    mailboxlist.MBTYPE_JMAPSUBMIT: "JMAP submission",
    mailboxlist.MBTYPE_JMAPPUSHSUB: "JMAP push subscriptions",
    mailboxlist.MBTYPE_JMAPNOTIFY: "JMAP notifications",
    mailboxlist.MBTYPE_SIEVE: "Sieve scripts",
    mailboxlist.MBTYPE_COLLECTION: "collection",
    mailboxlist.MBTYPE_CALENDAR: "calendar",
    mailboxlist.MBTYPE_ADDRESSBOOK: "address book",
}
_FLAGS = {
    mailboxlist.MBTYPE_REMOTE: "remote",
    mailboxlist.MBTYPE_RESERVE: "reserved",
    mailboxlist.MBTYPE_MOVING: "moving",
    mailboxlist.MBTYPE_DELETED: "deleted",
    mailboxlist.MBTYPE_INTERMEDIATE: "intermediate",
    mailboxlist.MBTYPE_LEGACY_DIRS: "legacy folders",
}


def words(mbtype: int) -> str:
    """`e-mail`, `calendar, remote`, ...; bits without a name as a number."""
    named = _KIND_BITS | sum(_FLAGS)
    kind = mbtype & _KIND_BITS
    parts = [_KINDS.get(kind, f"kind {kind}")]
    parts += [word for flag, word in _FLAGS.items() if mbtype & flag]
    if mbtype & ~named:
        parts.append(f"unknown bits {mbtype & ~named:#x}")
    return ", ".join(parts)
