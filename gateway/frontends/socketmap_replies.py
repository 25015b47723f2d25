"""What each kind of verdict is on each front end: the one table, and its socketmap column.

The table is plain tuples, because `smmapd` on standard input renders replies
from it within milliseconds of its exec and must not import what a checked,
configurable table needs.  `gateway.frontends.replies` builds that one from
the same rows.

The socketmap column is what the C program says (imap/smmapd.c), except that a
fault of the server's own is TEMP, not PERM.  It is fixed: Postfix and
Sendmail read the status, and show the text to nobody but their own log.
"""

from __future__ import annotations

from gateway.verification.model import Kind, Verdict
from gateway.verification.texts import NONEXISTENT_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.waiver import Waiver

    # Called for each verdict with the key as it came, and why it is not carried out.
    Observer = Callable[[bytes, Verdict, Waiver | None], None]

# Bytes of a reply's payload that Postfix accepts (dict_sockmap.c); only a deny
# message can be as long, and it is cut.
MAX_PAYLOAD = 100_000

# kind, socketmap status, SMTP code, enhanced status code (RFC 3463), text, and
# whether the SMTP text is the verdict's own reason wherever it has one.
# Codes and texts are those of lmtpd for the same state (imap/lmtpengine.c,
# lmtp_err.et), so that RCPT says what the delivery would say.
Row = tuple[Kind, bytes, int, str, str, bool]
ROWS: tuple[Row, ...] = (
    (Kind.DELIVERABLE, b"OK", 250, "2.1.5", "OK", False),
    (Kind.CREATED, b"OK", 250, "2.1.5", "OK", False),
    (Kind.CATCH_ALL, b"OK", 250, "2.1.5", "OK", False),
    (Kind.NONEXISTENT, b"NOTFOUND", 550, "5.1.1", "User unknown", False),
    (Kind.NOT_POSTABLE, b"PERM", 550, "5.7.1", "Permission denied", False),
    (Kind.DENIED, b"NOTFOUND", 550, "5.2.1", "Access to this service has been blocked", True),
    (Kind.OVER_QUOTA, b"TEMP", 452, "4.2.2", "Over quota", False),
    (Kind.OVER_QUOTA_PERMANENT, b"PERM", 552, "5.2.2", "Over quota", False),
    (Kind.SIZE_OVER_QUOTA, b"TEMP", 452, "4.2.2", "Message exceeds the free quota", False),
    (Kind.REFUSED, b"PERM", 550, "5.2.0", "Mailbox refuses mail", True),
    # A bare domain or any other odd key is not a mailbox: PERM would make Postfix
    # answer 451 4.3.5 "Server configuration error".
    (Kind.BAD_ADDRESS, b"NOTFOUND", 553, "5.1.3", "Bad recipient address syntax", False),
    (Kind.RESERVED, b"TEMP", 451, "4.2.1", "Mailbox is currently reserved", False),
    (Kind.DISABLED, b"TEMP", 451, "4.2.1", "Mailbox has been disabled", False),
    (Kind.NOT_CREATABLE, b"TEMP", 451, "4.3.0", "Invalid mailbox name", False),
    (Kind.NOT_FOR_MAIL, b"TEMP", 451, "4.2.0", "Operation is not supported on mailbox", False),
    (Kind.STORE_FAULT, b"TEMP", 451, "4.3.0", "System I/O error", False),
    (Kind.UPSTREAM_FAULT, b"TEMP", 451, "4.4.3", "Mailbox server is not available", False),
)

_STATUS: dict[Kind, bytes] = {row[0]: row[1] + b" " for row in ROWS}
_TEXT: dict[Kind, bytes] = {row[0]: row[4].encode("ascii") for row in ROWS}


_NOBODY = Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT)


def _may_be_a_domain(key: bytes) -> bool:
    """Whether `key` may ask for a domain: a bare word, `*`, `@a.b`, or nothing at all.

    Postfix asks for those where `virtual_mailbox_domains` is what it is by
    default, and whatever is found there is ours for the whole world.
    """
    local, at, _ = key.rpartition(b"@")
    return not (at and local)


def socketmap_payload(verdict: Verdict, key: bytes) -> bytes:
    """The reply to `key`, without the netstring around it.

    `OK KEY`, or the status and the verdict's reason; there is always a blank
    behind the status (Sendmail needs it) and a text behind the blank.
    """
    kind = verdict.kind
    if kind is Kind.DELIVERABLE or (kind.accepts and not _may_be_a_domain(key)):
        return b"OK " + key
    if kind.accepts:
        kind, verdict = Kind.NONEXISTENT, _NOBODY
    return (_STATUS[kind] + (verdict.reason or _TEXT[kind]))[:MAX_PAYLOAD]


def rendered(key: bytes, verdict: Verdict, waiver: Waiver | None) -> bytes:
    """The payload of the reply to `key`: found where the verdict is not carried out."""
    return b"OK " + key if waiver is not None else socketmap_payload(verdict, key)
