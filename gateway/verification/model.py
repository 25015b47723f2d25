"""The engine's words: a Query goes in, a Verdict comes out.

All values are frozen.  A verdict says what is true of the recipient and why;
it knows no reply code, no socket and no protocol.  Its limits: reasons and
evidence are bytes or numbers as the store has them, unfiltered; whoever shows
them to a client or in a log makes them printable first.
"""

from __future__ import annotations

from gateway.values import Value

# The longest recipient that is remembered (RFC 5321, 4.5.3.1: 64 + 1 + 255
# bytes), and the longest reason (a reply line, 4.5.3.1.5).  Who makes longer ones up
# is answered, and costs no memory.
MAX_RECIPIENT = 320
MAX_REASON = 512


class Kind:
    """One of the things that can be true of a recipient; the set is closed (`KINDS`).

    `name` is the word for logs, metrics and configuration; `temporary` tells
    whether asking again later may give another answer, `accepts` whether the
    mail is taken.  Kinds are compared by identity.
    """

    __slots__ = ("accepts", "name", "temporary")

    DELIVERABLE: Kind
    CREATED: Kind
    CATCH_ALL: Kind
    NONEXISTENT: Kind
    NOT_POSTABLE: Kind
    DENIED: Kind
    OVER_QUOTA: Kind
    OVER_QUOTA_PERMANENT: Kind
    SIZE_OVER_QUOTA: Kind
    REFUSED: Kind
    BAD_ADDRESS: Kind
    RESERVED: Kind
    DISABLED: Kind
    NOT_CREATABLE: Kind
    NOT_FOR_MAIL: Kind
    STORE_FAULT: Kind
    UPSTREAM_FAULT: Kind

    def __init__(self, name: str, *, temporary: bool, accepts: bool = False) -> None:
        self.name = name
        self.temporary = temporary
        self.accepts = accepts

    def __repr__(self) -> str:
        return f"Kind({self.name})"


Kind.DELIVERABLE = Kind("deliverable", temporary=False, accepts=True)
# No mailbox yet; delivery makes it (autocreate_post in imapd.conf).
Kind.CREATED = Kind("created-on-delivery", temporary=False, accepts=True)
# Not deliverable itself; delivery puts the mail into lmtp_catchall_mailbox.
Kind.CATCH_ALL = Kind("catch-all", temporary=False, accepts=True)
Kind.NONEXISTENT = Kind("nonexistent", temporary=False)
# A shared folder that everybody may see and not everybody may post to.
Kind.NOT_POSTABLE = Kind("not-postable", temporary=False)
# Blocked for this service in the userdeny database.
Kind.DENIED = Kind("denied", temporary=False)
Kind.OVER_QUOTA = Kind("over-quota", temporary=True)
# Over quota where lmtp_over_quota_perm_failure says that this is final.
Kind.OVER_QUOTA_PERMANENT = Kind("over-quota-permanent", temporary=False)
# Under quota now, and the announced size does not fit into what is free.
Kind.SIZE_OVER_QUOTA = Kind("size-over-quota", temporary=True)
# A backend's own permanent refusal that fits no other kind.
Kind.REFUSED = Kind("refused", temporary=False)
Kind.BAD_ADDRESS = Kind("bad-address", temporary=False)
# Being created or renamed at this moment.
Kind.RESERVED = Kind("reserved", temporary=True)
# Blocked for the delivery service in the userdeny database: delivery tries again.
Kind.DISABLED = Kind("disabled", temporary=True)
# Delivery would make the mailbox, and cannot: Cyrus allows no such name.
Kind.NOT_CREATABLE = Kind("not-creatable", temporary=True)
# A calendar, an address book or the like, where mail should go.
Kind.NOT_FOR_MAIL = Kind("not-for-mail", temporary=True)
# The store cannot be read, or what it holds makes no sense.
Kind.STORE_FAULT = Kind("store-fault", temporary=True)
# A backend or mupdate could not be asked.
Kind.UPSTREAM_FAULT = Kind("upstream-fault", temporary=True)

KINDS: tuple[Kind, ...] = tuple(kind for kind in vars(Kind).values() if isinstance(kind, Kind))


class Step(Value):
    """One step of the engine, as `explain` prints it: what was looked at, and what it showed.

    `name` is one of STEPS; `facts` are pairs of a word and a value (bytes,
    str, int, bool or None).
    """

    __slots__ = ("facts", "name")
    facts: tuple[tuple[str, object], ...]
    name: str

    def __init__(self, name: str, **facts: object) -> None:
        self._freeze(tuple(facts.items()), name)


STEPS = (
    "name",
    "userdeny",
    "mailbox",
    "autocreate",
    "catch-all",
    "delivery",
    "mupdate",
    "acl",
    "backend",
    "stale",
    "quota",
    "size",
    "fault",
)


class Query(Value):
    """One question: may `recipient` get a mail of `size` bytes now?

    `recipient` is the address as it came, in bytes, without angle brackets.
    `size` is the announced size in bytes, or None where none was announced.
    `hops` is how often other servers have passed the question on.  `folded`
    tells that whoever asked may have put the address in lower case, as
    Postfix does with the keys of a socketmap.
    """

    __slots__ = ("folded", "hops", "recipient", "size")
    folded: bool
    hops: int
    recipient: bytes
    size: int | None

    def __init__(
        self,
        recipient: bytes,
        size: int | None = None,
        hops: int = 0,
        *,
        folded: bool = False,
    ) -> None:
        self._freeze(folded, hops, recipient, size)


class QuotaUse(Value):
    """What the quota root that decides holds: storage and annotations in bytes, others counted.

    A limit of None means that there is none for that resource.
    """

    __slots__ = (
        "annotations_limit",
        "annotations_used",
        "folders_limit",
        "folders_used",
        "messages_limit",
        "messages_used",
        "root",
        "storage_limit",
        "storage_used",
    )
    annotations_limit: int | None
    annotations_used: int
    folders_limit: int | None
    folders_used: int
    messages_limit: int | None
    messages_used: int
    root: bytes
    storage_limit: int | None
    storage_used: int

    def __init__(
        self,
        root: bytes,
        storage_used: int,
        storage_limit: int | None,
        messages_used: int,
        messages_limit: int | None,
        *,
        annotations_used: int = 0,
        annotations_limit: int | None = None,
        folders_used: int = 0,
        folders_limit: int | None = None,
    ) -> None:
        self._freeze(
            annotations_limit,
            annotations_used,
            folders_limit,
            folders_used,
            messages_limit,
            messages_used,
            root,
            storage_limit,
            storage_used,
        )


class Evidence(Value):
    """What the verdict rests on; a field is None where the engine did not get that far.

    `mailbox` is the internal name, `server` the backend that was asked,
    `fault` the fault's own message for the log.
    """

    __slots__ = ("deny_pattern", "fault", "mailbox", "quota", "server", "userid")
    deny_pattern: bytes | None
    fault: str | None
    mailbox: bytes | None
    quota: QuotaUse | None
    server: str | None
    userid: bytes | None

    def __init__(
        self,
        *,
        mailbox: bytes | None = None,
        userid: bytes | None = None,
        quota: QuotaUse | None = None,
        deny_pattern: bytes | None = None,
        server: str | None = None,
        fault: str | None = None,
    ) -> None:
        self._freeze(deny_pattern, fault, mailbox, quota, server, userid)


NO_EVIDENCE = Evidence()


class Verdict(Value):
    """The answer.  `reason` is the text that a front end may show, in bytes.

    `cacheable` is False for whatever must be asked again the next time:
    faults, and answers of servers that cannot tell when they change.
    """

    __slots__ = ("cacheable", "evidence", "kind", "reason")
    cacheable: bool
    evidence: Evidence
    kind: Kind
    reason: bytes

    def __init__(
        self,
        kind: Kind,
        reason: bytes,
        evidence: Evidence = NO_EVIDENCE,
        *,
        cacheable: bool = True,
    ) -> None:
        self._freeze(cacheable, evidence, kind, reason)
