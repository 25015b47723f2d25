"""A mailbox's type in words, for people; the constants are in `mailboxrecord`."""

from __future__ import annotations

from gateway.cyrus import mailboxrecord

# The low four bits: what kind of mailbox it is.
_KIND_BITS = 0xF
_KINDS = {
    mailboxrecord.MBTYPE_EMAIL: "e-mail",
    mailboxrecord.MBTYPE_NETNEWS: "news",
    mailboxrecord.MBTYPE_JMAPSUBMIT: "JMAP submission",
    mailboxrecord.MBTYPE_JMAPPUSHSUB: "JMAP push subscriptions",
    mailboxrecord.MBTYPE_JMAPNOTIFY: "JMAP notifications",
    mailboxrecord.MBTYPE_SIEVE: "Sieve scripts",
    mailboxrecord.MBTYPE_COLLECTION: "collection",
    mailboxrecord.MBTYPE_CALENDAR: "calendar",
    mailboxrecord.MBTYPE_ADDRESSBOOK: "address book",
}
_FLAGS = {
    mailboxrecord.MBTYPE_REMOTE: "remote",
    mailboxrecord.MBTYPE_RESERVE: "reserved",
    mailboxrecord.MBTYPE_MOVING: "moving",
    mailboxrecord.MBTYPE_DELETED: "deleted",
    mailboxrecord.MBTYPE_INTERMEDIATE: "intermediate",
    mailboxrecord.MBTYPE_LEGACY_DIRS: "legacy folders",
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
