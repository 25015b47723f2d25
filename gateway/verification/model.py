"""The engine's words: a Query goes in, a Verdict comes out, or a question for another server.

All values are frozen.  A verdict says what is true of the recipient and why;
it knows no reply code, no socket and no protocol.  Its limits: reasons and
evidence are bytes or numbers as the store has them, unfiltered; code that shows
them to a client or in a log makes them printable first.
"""

from __future__ import annotations

from gateway.values import Value

# The longest recipient that is remembered (RFC 5321, 4.5.3.1: 64 + 1 + 255
# bytes), and the longest reason (a reply line, 4.5.3.1.5).  A client that makes longer ones up
# is answered, and costs no memory.
MAX_RECIPIENT = 320
MAX_REASON = 512


class Kind:
    """One of the things that can be true of a recipient; the set is closed (`KINDS`).

    What follows from a kind is said here and nowhere else, and a new kind has to
    say all of it:

    - `name`: the word for logs, metrics and configuration;
    - `accepts`: whether the mail is taken;
    - `temporary`: whether asking again later may give another answer;
    - `our_fault`: it says nothing of the recipient, only that we could not find
      out (`on_error` and the null sender's waiver);
    - `permanent_reply_allowed`: whether it may be configured to be answered with
      a 5xx code; never where mail would be lost that can be delivered later;
    - `try_next_server`: whether one of several servers that says so of itself is
      a reason to ask the next one;
    - `remembered_as`: which of the settings `remember_*` says how long another
      server's answer counts (`REMEMBERED`), None: it is asked again each time;
    - `text`: the reason that the engine gives with it, as the C program words it
      (lib/imap_err.et) where that has the case; empty where each verdict has its own, or none;
    - `status`: the word of smmapd's protocol for it, which is also what another
      server's word and `text` are recognized by (upstreamanswers.py).

    Kinds are compared by identity.
    """

    __slots__ = (
        "accepts",
        "name",
        "our_fault",
        "permanent_reply_allowed",
        "remembered_as",
        "status",
        "temporary",
        "text",
        "try_next_server",
    )

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

    def __init__(
        self,
        name: str,
        *,
        accepts: bool,
        temporary: bool,
        our_fault: bool,
        permanent_reply_allowed: bool,
        try_next_server: bool,
        remembered_as: str | None,
        text: bytes = b"",
        status: bytes = b"TEMP",
    ) -> None:
        self.name = name
        self.accepts = accepts
        self.temporary = temporary
        self.our_fault = our_fault
        self.permanent_reply_allowed = permanent_reply_allowed
        self.try_next_server = try_next_server
        self.remembered_as = remembered_as
        self.text = text
        self.status = status

    def __repr__(self) -> str:
        return f"Kind({self.name})"


# The settings of [remote] that say how long another server's answer counts: remember_yes,
# remember_no, remember_over_quota.
YES, NO, OVER_QUOTA = REMEMBERED = ("yes", "no", "over_quota")


def _accepted(name: str) -> Kind:
    """A kind of mail that is taken."""
    return Kind(
        name,
        accepts=True,
        temporary=False,
        our_fault=False,
        permanent_reply_allowed=False,
        try_next_server=False,
        remembered_as=YES,
        status=b"OK",
    )


def _refused(
    name: str, text: bytes = b"", remembered_as: str = NO, *, status: bytes = b"PERM"
) -> Kind:
    """A kind of recipient that gets no mail, now or later.

    `status` is NOTFOUND where a mail server is to answer as it does to an unknown user: PERM
    makes Postfix answer 451 4.3.5 "Server configuration error".
    """
    return Kind(
        name,
        accepts=False,
        temporary=False,
        our_fault=False,
        permanent_reply_allowed=True,
        try_next_server=False,
        remembered_as=remembered_as,
        text=text,
        status=status,
    )


def _deferred(
    name: str,
    text: bytes = b"",
    remembered_as: str | None = None,
    *,
    permanent_reply_allowed: bool = True,
) -> Kind:
    """A kind of recipient that gets no mail now, and may later."""
    return Kind(
        name,
        accepts=False,
        temporary=True,
        our_fault=False,
        permanent_reply_allowed=permanent_reply_allowed,
        try_next_server=False,
        remembered_as=remembered_as,
        text=text,
    )


def _fault(name: str, text: bytes) -> Kind:
    """A fault of ours, or of a server that we ask."""
    return Kind(
        name,
        accepts=False,
        temporary=True,
        our_fault=True,
        permanent_reply_allowed=False,
        try_next_server=True,
        remembered_as=None,
        text=text,
    )


Kind.DELIVERABLE = _accepted("deliverable")
# No mailbox yet; delivery makes it (autocreate_post in imapd.conf).
Kind.CREATED = _accepted("created-on-delivery")
# Not deliverable itself; delivery puts the mail into lmtp_catchall_mailbox.
Kind.CATCH_ALL = _accepted("catch-all")
Kind.NONEXISTENT = _refused("nonexistent", b"Mailbox does not exist", status=b"NOTFOUND")
# A shared folder that everybody may see and not everybody may post to.
Kind.NOT_POSTABLE = _refused("not-postable", b"Permission denied")
# Blocked for this service in the userdeny database, which has the text.
Kind.DENIED = _refused("denied", status=b"NOTFOUND")
Kind.OVER_QUOTA = _deferred("over-quota", b"Over quota", OVER_QUOTA)
# Over quota where lmtp_over_quota_perm_failure says that this is final.
Kind.OVER_QUOTA_PERMANENT = _refused("over-quota-permanent", b"Over quota", OVER_QUOTA)
# Under quota now, and the announced size does not fit into what is free; true of one mail only.
# The text is ours: the C program is told no sizes.
Kind.SIZE_OVER_QUOTA = _deferred("size-over-quota", b"Message does not fit into the free quota")
# A backend's own permanent refusal, with its text, that fits no other kind.
Kind.REFUSED = _refused("refused")
# A bare domain or any other odd key is not a mailbox. The text is ours.
Kind.BAD_ADDRESS = _refused("bad-address", b"Bad recipient address syntax", status=b"NOTFOUND")
# Being created or renamed at this moment.
Kind.RESERVED = _deferred(
    "reserved", b"Mailbox is currently reserved", permanent_reply_allowed=False
)
# Blocked for the delivery service in the userdeny database: delivery tries again.
Kind.DISABLED = _deferred("disabled", b"Mailbox has been disabled")
# Delivery would make the mailbox, and cannot: Cyrus allows no such name.
Kind.NOT_CREATABLE = _deferred("not-creatable", b"Invalid mailbox name")
# A calendar, an address book or the like, where mail should go.
Kind.NOT_FOR_MAIL = _deferred("not-for-mail", b"Operation is not supported on mailbox")
# The store cannot be read, or what it holds makes no sense.
Kind.STORE_FAULT = _fault("store-fault", b"System I/O error")
# A backend or mupdate could not be asked. The text is ours.
Kind.UPSTREAM_FAULT = _fault("upstream-fault", b"Mailbox server is not available")

KINDS: tuple[Kind, ...] = tuple(kind for kind in vars(Kind).values() if isinstance(kind, Kind))


class Query(Value):
    """One question: may `recipient` get a mail of `size` bytes now?

    `recipient` is the address as it came, in bytes, without angle brackets.
    `size` is the announced size in bytes, or None where none was announced.
    `hops` is how often other servers have passed the question on.  `folded`
    says that the client may have put the address in lower case, as
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
        self.folded = folded
        self.hops = hops
        self.recipient = recipient
        self.size = size
        self._freeze()


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
        self.annotations_limit = annotations_limit
        self.annotations_used = annotations_used
        self.folders_limit = folders_limit
        self.folders_used = folders_used
        self.messages_limit = messages_limit
        self.messages_used = messages_used
        self.root = root
        self.storage_limit = storage_limit
        self.storage_used = storage_used
        self._freeze()


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
        self.deny_pattern = deny_pattern
        self.fault = fault
        self.mailbox = mailbox
        self.quota = quota
        self.server = server
        self.userid = userid
        self._freeze()


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
        self.cacheable = cacheable
        self.evidence = evidence
        self.kind = kind
        self.reason = reason
        self._freeze()


class Pending(Value):
    """A question that only another server can answer.

    `server` is the one to ask, a backend or the store's own SQL server, or
    None where mupdate is to be kicked and the mailbox list read once more.
    `answers` is the authority whose question it is; empty where every server
    has its own.
    """

    __slots__ = ("answers", "evidence", "query", "server")
    answers: str
    evidence: Evidence
    query: Query
    server: str | None

    def __init__(
        self, query: Query, server: str | None, evidence: Evidence, answers: str = ""
    ) -> None:
        self.answers = answers
        self.evidence = evidence
        self.query = query
        self.server = server
        self._freeze()

    @property
    def key(self) -> tuple[str, str | None, Query]:
        """Questions with the same key have the same answer."""
        return self.answers, self.server, self.query
