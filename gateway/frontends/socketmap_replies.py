"""What each kind of verdict is on each front end: the one table, and what a socketmap says.

The table is plain tuples, because `smmapd` on standard input renders replies
from it within milliseconds of its exec and must not import what a checked,
configurable table needs.  `gateway.frontends.replies` builds that one from
the same rows.

A socketmap says the kind's own `status`, which is what the C program says
(imap/smmapd.c), except that a fault of the server's own is TEMP, not PERM.  It is
fixed: Postfix and Sendmail read it, and show the text to nobody but their own log.
"""

from __future__ import annotations

from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.waiver import Waiver

    # Called for each verdict with the key as it came, and why it is not carried out.
    Observer = Callable[[bytes, Verdict, Waiver | None], None]

# Bytes of a reply's payload that Postfix accepts (dict_sockmap.c); only a deny
# message can be as long, and it is cut.
MAX_PAYLOAD = 100_000

# kind, SMTP code, enhanced status code (RFC 3463), text, whether the SMTP text is the
# verdict's own reason wherever it has one, and when the reply is given: a sentence for
# gateway.toml(5), of a kind that refuses.  Backticks stand around settings.
# Codes and texts are those of lmtpd for the same state (imap/lmtpengine.c,
# lmtp_err.et), so that RCPT says what the delivery would say.
Row = tuple[Kind, int, str, str, bool, str]
ROWS: tuple[Row, ...] = (
    (Kind.DELIVERABLE, 250, "2.1.5", "OK", False, ""),
    (Kind.CREATED, 250, "2.1.5", "OK", False, ""),
    (Kind.CATCH_ALL, 250, "2.1.5", "OK", False, ""),
    (
        *(Kind.NONEXISTENT, 550, "5.1.1", "User unknown", False),
        "There is no such mailbox, or nobody may see it.",
    ),
    (
        *(Kind.NOT_POSTABLE, 550, "5.7.1", "Permission denied", False),
        "A shared folder that not everybody may post to.",
    ),
    (
        *(Kind.DENIED, 550, "5.2.1", "Access to this service has been blocked", True),
        "The userdeny database blocks the user; {reason} is its message.",
    ),
    (
        *(Kind.OVER_QUOTA, 452, "4.2.2", "Over quota", False),
        "The mailbox is over quota.",
    ),
    (
        *(Kind.OVER_QUOTA_PERMANENT, 552, "5.2.2", "Over quota", False),
        "The mailbox is over quota and imapd.conf sets lmtp_over_quota_perm_failure.",
    ),
    (
        *(Kind.SIZE_OVER_QUOTA, 452, "4.2.2", "Message exceeds the free quota", False),
        "The announced size is larger than the free quota (see size_check). With size_check = "
        "permanent, `code` is 552 and `enhanced` is 5.2.2 by default.",
    ),
    (
        *(Kind.REFUSED, 550, "5.2.0", "Mailbox refuses mail", True),
        "Another server refused the recipient for a reason of its own.",
    ),
    (
        *(Kind.BAD_ADDRESS, 553, "5.1.3", "Bad recipient address syntax", False),
        "The recipient is not an address.",
    ),
    (
        *(Kind.RESERVED, 451, "4.2.1", "Mailbox is currently reserved", False),
        "The mailbox is being created or renamed.",
    ),
    (
        *(Kind.DISABLED, 451, "4.2.1", "Mailbox has been disabled", False),
        "The userdeny database blocks the user for the delivery service.",
    ),
    (
        *(Kind.NOT_CREATABLE, 451, "4.3.0", "Invalid mailbox name", False),
        "Delivery would make the mailbox (autocreate_post), and Cyrus allows no such name.",
    ),
    (
        *(Kind.NOT_FOR_MAIL, 451, "4.2.0", "Operation is not supported on mailbox", False),
        "The mailbox is a calendar, an address book or one of Sieve scripts.",
    ),
    (
        *(Kind.STORE_FAULT, 451, "4.3.0", "System I/O error", False),
        "The store cannot be read.",
    ),
    (
        *(Kind.UPSTREAM_FAULT, 451, "4.4.3", "Mailbox server is not available", False),
        "The server that holds the mailbox cannot be asked.",
    ),
)

_START: dict[Kind, bytes] = {kind: kind.status + b" " for kind in KINDS}
_TEXT: dict[Kind, bytes] = {row[0]: row[3].encode("ascii") for row in ROWS}


_NOBODY = Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text)


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
    return (_START[kind] + (verdict.reason or _TEXT[kind]))[:MAX_PAYLOAD]


def rendered(key: bytes, verdict: Verdict, waiver: Waiver | None) -> bytes:
    """The payload of the reply to `key`: found where the verdict is not carried out."""
    return b"OK " + key if waiver is not None else socketmap_payload(verdict, key)
