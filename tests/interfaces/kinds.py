"""Every kind of verdict as the tests expect it: the one place to add one.

`TABLE` is written down apart from the project's own (gateway/verification/kinds.py and
gateway/frontends/socketmap_replies.py): the codes and texts that lmtpd has for the same
state (imap/lmtpengine.c).  `VERDICTS` are recipients that real mail servers are asked
about (`cases`), in the mailboxes, quotas and denials below, which Cyrus' own tools make
(`store`).  A kind that these or the demo cannot show says why not.

Users without a domain are those of `example.org`, the default domain; `virt.example` is a
virtual domain; the user `bb` of the address stands for the shared folders (postuser).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.verification.kinds import Kind
from tests.interfaces.model import Rcpt
from tests.rigs.cyrus_tools import Mailbox, quota_record


@dataclass(frozen=True, slots=True)
class Row:
    """A verdict as a socketmap says it, and as an SMTP client should hear it.

    A text of None is the reason of the recipient's verdict.  `remembered` is the setting
    `remember_*` of [remote] that says how long another server's word for it counts; `event` is
    the C program's word of it in Cyrus' auditlog.  `others` is what may still take the mail:
    another reading of the address, the catch-all mailbox.
    """

    status: bytes
    code: int = 250
    enhanced: bytes = b""
    text: bytes | None = b""
    map_text: bytes | None = b""
    remembered: str | None = None
    event: str = "failed"
    others: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """Is it a permanent refusal?"""
        return self.code >= 500


READING, CATCH_ALL = "reading", "catch-all"

TABLE: Mapping[Kind, Row] = {
    Kind.DELIVERABLE: Row(b"OK", remembered="yes", event="ok"),
    Kind.CREATED: Row(b"OK", remembered="yes", event="ok"),
    Kind.CATCH_ALL: Row(b"OK", remembered="yes", event="ok"),
    Kind.NONEXISTENT: Row(
        *(b"NOTFOUND", 550, b"5.1.1", b"User unknown", b"Mailbox does not exist"),
        remembered="no",
        event="nonexistent",
        others=(READING, CATCH_ALL),
    ),
    Kind.NOT_POSTABLE: Row(
        *(b"PERM", 550, b"5.7.1", b"Permission denied", b"Permission denied"),
        remembered="no",
        others=(READING, CATCH_ALL),
    ),
    Kind.DENIED: Row(b"NOTFOUND", 550, b"5.2.1", None, None, remembered="no", event="denied"),
    Kind.OVER_QUOTA: Row(
        *(b"TEMP", 452, b"4.2.2", b"Over quota", b"Over quota"),
        remembered="over_quota",
        event="overquota",
        others=(CATCH_ALL,),
    ),
    Kind.OVER_QUOTA_PERMANENT: Row(
        *(b"PERM", 552, b"5.2.2", b"Over quota", b"Over quota"),
        remembered="over_quota",
        event="overquota",
        others=(READING, CATCH_ALL),
    ),
    Kind.SIZE_OVER_QUOTA: Row(
        *(b"TEMP", 452, b"4.2.2", b"Message exceeds the free quota"),
        b"Message does not fit into the free quota",
    ),
    Kind.REFUSED: Row(b"PERM", 550, b"5.2.0", None, None, remembered="no", others=(READING,)),
    Kind.BAD_ADDRESS: Row(
        *(b"NOTFOUND", 553, b"5.1.3", b"Bad recipient address syntax"),
        b"Bad recipient address syntax",
        remembered="no",
        others=(READING,),
    ),
    Kind.RESERVED: Row(
        b"TEMP",
        451,
        b"4.2.1",
        b"Mailbox is currently reserved",
        b"Mailbox is currently reserved",
        others=(CATCH_ALL,),
    ),
    Kind.DISABLED: Row(
        b"TEMP",
        451,
        b"4.2.1",
        b"Mailbox has been disabled",
        b"Mailbox has been disabled",
        others=(CATCH_ALL,),
    ),
    Kind.NOT_CREATABLE: Row(
        b"TEMP",
        451,
        b"4.3.0",
        b"Invalid mailbox name",
        b"Invalid mailbox name",
        others=(CATCH_ALL,),
    ),
    Kind.NOT_FOR_MAIL: Row(
        *(b"TEMP", 451, b"4.2.0", b"Operation is not supported on mailbox"),
        b"Operation is not supported on mailbox",
    ),
    Kind.STORE_FAULT: Row(b"TEMP", 451, b"4.3.0", b"System I/O error", None),
    Kind.UPSTREAM_FAULT: Row(b"TEMP", 451, b"4.4.3", b"Mailbox server is not available", None),
}


def expected(kind: Kind) -> Row:
    """What the tests expect of a kind."""
    assert kind in TABLE, f"TABLE in tests/interfaces/kinds.py needs a row for {kind.name}"
    return TABLE[kind]


# Kinds that no case of real mail servers has, and why.
NOT_ASKED_FOR = {
    Kind.CREATED: "needs autocreate_post: tests/delivery has it",
    Kind.CATCH_ALL: "needs lmtp_catchall_mailbox: tests/delivery has it",
    Kind.NOT_CREATABLE: "needs autocreate_post: tests/delivery has it",
}
# Kinds that no question of the demo (tests/demo/store.py) gets, and why.
NOT_IN_THE_DEMO = {
    Kind.CREATED: "needs autocreate_post, which would create the unknown users, too",
    Kind.CATCH_ALL: "needs lmtp_catchall_mailbox, which would take every refused mail",
    Kind.OVER_QUOTA_PERMANENT: "needs lmtp_over_quota_perm_failure, in the place of over-quota",
    Kind.REFUSED: "the word of another server",
    Kind.DISABLED: "olga's and dora's neighbours are enough: blocked for lmtp, answered like them",
    Kind.NOT_CREATABLE: "needs autocreate_post",
    Kind.NOT_FOR_MAIL: "a calendar in the place of INBOX, which Cyrus does not make",
    Kind.UPSTREAM_FAULT: "the fault of another server",
}

# imapd.conf.
SETTINGS = {"virtdomains": "userid", "defaultdomain": "example.org", "postuser": "bb"}
_BILL = "Pay your bill"
_ME = "lrswipkxtecdan"
_USERS = (
    *("fred", "fred.Lists", "fred.sent", "john^smith", "a b", "o'neil", "nob%ody", "fréd"),
    *("over", "overcount", "brim", "counted", "tight", "roomy", "denied", "muted"),
    *("elsewhere", "broken", "x" * 60, "ANNA", "annotated", "folders", "blocked"),
    *("over.Own", "fred.Full"),
)
MAILBOXES = (
    *(Mailbox(f"user.{name}", {name: _ME}) for name in _USERS),
    *(Mailbox(f"virt.example!user.{name}") for name in ("anna", "bert")),
    Mailbox("user.moving", mbtype="z"),
    Mailbox("user.dropped", mbtype="d"),
    Mailbox("user.agenda", {"agenda": _ME}, mbtype="c"),
    Mailbox("news", {"anyone": "lrsp"}),
    Mailbox("slot", {"anyone": "p"}),
    Mailbox("Fairs", {"anyone": "lrsp"}),
    Mailbox("virt.example!fair", {"anyone": "lrsp"}),
    Mailbox("board", {"anyone": "lrs"}),
    Mailbox("vault", {"anyone": "r"}),
    Mailbox("guests", {"anyone": "lrsp", "-anonymous": "p"}),
    Mailbox("staff", {"fred": "lrsp"}),
)
# Records of the mailbox list as they are on disk.
DAMAGED = {b"Nuser\x1fwrecked": b"%(A"}
QUOTAS = {
    b"user.over": quota_record(storage=(5 * 1024 + 1, 5)),
    b"user.overcount": quota_record(messages=(8, 7)),
    b"user.annotated": b"%(S (0) M (0) AS (1025 1) NF (1))",
    b"user.folders": b"%(S (0) M (0) AS (0) NF (3 2))",
    b"user.over.Own": quota_record(storage=(0, 5)),
    b"user.fred.Full": quota_record(storage=(5 * 1024 + 1, 5)),
    b"user.brim": quota_record(storage=(5 * 1024, 5)),
    b"user.counted": quota_record(messages=(7, 7)),
    b"user.tight": quota_record(storage=(0, 10)),
    b"user.roomy": quota_record(storage=(0, 1024)),
    b"user.broken": b"no quota at all",
    b"virt.example!user.bert": quota_record(storage=(1, 0)),
}
# By user: services, and the message.
DENIALS: Mapping[str, tuple[str, str | None]] = {
    "denied": ("smmap", _BILL),
    "muted": ("*", None),
    "blocked": ("lmtpunix", None),
    "elsewhere": ("imap,pop3", None),
}

UNKNOWN = Kind.NONEXISTENT
NO_POST = Kind.NOT_POSTABLE
BLOCKED = Kind.DENIED
OVER = Kind.OVER_QUOTA
TOO_LARGE = Kind.SIZE_OVER_QUOTA
FAULT = Kind.STORE_FAULT

FRED = Rcpt(b"fred@example.org")
NOBODY = Rcpt(b"nobody@example.org", UNKNOWN)
FULL = Rcpt(b"over@example.org", OVER)
# lib/imap_err.et, for what cannot be read.
BROKEN = Rcpt(b"broken@example.org", FAULT, reason=b"Mailbox has an invalid format")
SEE_ONLY = Rcpt(b"bb+board@example.org", NO_POST)
DENIED_USER = Rcpt(b"denied@example.org", BLOCKED, reason=_BILL.encode())

VERDICTS = {
    "a mailbox": FRED,
    "no such mailbox": NOBODY,
    "a deleted mailbox": Rcpt(b"dropped@example.org", UNKNOWN),
    "a mailbox that is just being made": Rcpt(b"moving@example.org", Kind.RESERVED),
    "denied with a message": DENIED_USER,
    "denied without a message": Rcpt(
        b"muted@example.org", BLOCKED, reason=b"Access to this service has been blocked"
    ),
    "denied for other services": Rcpt(b"elsewhere@example.org"),
    "a calendar in the place of INBOX": Rcpt(b"agenda@example.org", Kind.NOT_FOR_MAIL),
    "denied for the delivery service": Rcpt(b"blocked@example.org", Kind.DISABLED),
    "more storage than the limit": FULL,
    "as many messages as the limit": Rcpt(b"counted@example.org"),
    "more messages than the limit": Rcpt(b"overcount@example.org", OVER),
    "more annotations than the limit": Rcpt(b"annotated@example.org", OVER),
    "more folders than the limit": Rcpt(b"folders@example.org", OVER),
    "over quota, with a folder that is not": Rcpt(b"over+Own@example.org", OVER),
    "a folder over its own quota": Rcpt(b"fred+Full@example.org"),
    "storage exactly at the limit": Rcpt(b"brim@example.org"),
    "a damaged quota record": BROKEN,
    "a damaged mailbox record": Rcpt(b"wrecked@example.org", FAULT, reason=b"Invalid identifier"),
    "a shared folder that all may post to": Rcpt(b"bb+news@example.org"),
    "a shared folder that all may only post to": Rcpt(b"bb+slot@example.org"),
    "a shared folder that all may only see": SEE_ONLY,
    "a shared folder that nobody may see": Rcpt(b"bb+vault@example.org", UNKNOWN),
    "a shared folder with a negative right": Rcpt(b"bb+guests@example.org", NO_POST),
    "a shared folder of some users": Rcpt(b"bb+staff@example.org", UNKNOWN),
    "no such shared folder": Rcpt(b"bb+none@example.org", UNKNOWN),
    "the user of the shared folders itself": Rcpt(b"bb@example.org", UNKNOWN),
    "elsewhere: deliverable": Rcpt(b"away-ok@example.org"),
    "elsewhere: unknown": Rcpt(b"away-unknown@example.org", UNKNOWN),
    "elsewhere: denied": Rcpt(b"away-denied@example.org", BLOCKED, reason=b"Gone fishing"),
    "elsewhere: over quota": Rcpt(b"away-over@example.org", OVER),
    "elsewhere: over quota for good": Rcpt(
        b"away-over-for-good@example.org", Kind.OVER_QUOTA_PERMANENT
    ),
    "elsewhere: not postable": Rcpt(b"away-no-post@example.org", NO_POST),
    "elsewhere: refused": Rcpt(
        b"away-refused@example.org", Kind.REFUSED, reason=b"Moved to the branch office"
    ),
    "elsewhere: later": Rcpt(
        b"away-later@example.org", Kind.UPSTREAM_FAULT, reason=b"Ask me in a minute"
    ),
    "elsewhere: nobody answers": Rcpt(
        b"away-silent@example.org",
        Kind.UPSTREAM_FAULT,
        reason=b"Mailbox server is not available",
    ),
}

# Those whose mailboxes are on another server (`store`).
AWAY = tuple(rcpt for rcpt in VERDICTS.values() if rcpt.address.startswith(b"away-"))

# What the authority smmapd says instead.
SMMAPDS: Mapping[str, Kind] = {
    "a calendar in the place of INBOX": Kind.DELIVERABLE,
    "denied for the delivery service": Kind.DELIVERABLE,
    "as many messages as the limit": OVER,
    "more annotations than the limit": Kind.DELIVERABLE,
    "more folders than the limit": Kind.DELIVERABLE,
    "over quota, with a folder that is not": Kind.DELIVERABLE,
    "a folder over its own quota": OVER,
}
