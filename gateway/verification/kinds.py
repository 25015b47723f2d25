"""The kinds of verdict: what can be true of a recipient, and what follows from it.

A new kind has to say all of it here; what it is not asked for is in CONTRIBUTING.md ("Add a
verdict kind").  Nothing here knows a reply code, a front end or a protocol but smmapd's own.
"""

from __future__ import annotations


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
      server's word and `text` are recognized by (upstreamanswers.py);
    - `audit_event`: the word of Cyrus' auditlog for it (`AUDIT_EVENTS`);
    - `missing`: there is no mailbox, or none that may be known: what is known of another reading
      of the address outweighs it, and mupdate may have heard of the mailbox;
    - `other_readings`: whether another reading or spelling of the address may save the mail.
      Only what is permanently refused is looked at again;
    - `catch_all`: whether delivery asks lmtp_catchall_mailbox for what it refuses so; not where
      RCPT passes and DATA fails, nor where the gateway's own administrator refuses (`NOT_CAUGHT`);
    - `passes`: it passes by itself in moments: it is not remembered, the answer is never permanent,
      and a folder in that state counts as one that still saves a mail;
    - `for_now`: the kind that says the same of this moment only; None where there is none.

    Kinds are compared by identity.
    """

    __slots__ = (
        "accepts",
        "audit_event",
        "catch_all",
        "for_now",
        "missing",
        "name",
        "other_readings",
        "our_fault",
        "passes",
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
        text: bytes,
        status: bytes,
        audit_event: str,
        missing: bool = False,
        other_readings: bool = False,
        catch_all: bool = False,
        passes: bool = False,
        for_now: Kind | None = None,
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
        self.audit_event = audit_event
        self.missing = missing
        self.other_readings = other_readings
        self.catch_all = catch_all
        self.passes = passes
        self.for_now = for_now

    def __repr__(self) -> str:
        return f"Kind({self.name})"


# The settings of [remote] that say how long another server's answer counts: remember_yes,
# remember_no, remember_over_quota.
YES, NO, OVER_QUOTA = REMEMBERED = ("yes", "no", "over_quota")


# The words of the C program (imap/smmapd.c, auditlog_client): those of who gets the mail, of
# three states, and of everything else.
AUDIT_EVENTS = AUDIT_OK, AUDIT_NONEXISTENT, AUDIT_DENIED, AUDIT_OVER_QUOTA, AUDIT_FAILED = (
    *("ok", "nonexistent", "denied", "overquota", "failed"),
)


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
        text=b"",
        status=b"OK",
        audit_event=AUDIT_OK,
    )


def _refused(
    name: str,
    text: bytes = b"",
    remembered_as: str = NO,
    *,
    audit_event: str,
    other_readings: bool,
    catch_all: bool,
    status: bytes = b"PERM",
    missing: bool = False,
    for_now: Kind | None = None,
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
        audit_event=audit_event,
        missing=missing,
        other_readings=other_readings,
        catch_all=catch_all,
        for_now=for_now,
    )


def _deferred(
    name: str,
    text: bytes = b"",
    remembered_as: str | None = None,
    *,
    audit_event: str,
    catch_all: bool,
    passes: bool = False,
) -> Kind:
    """A kind of recipient that gets no mail now, and may later."""
    return Kind(
        name,
        accepts=False,
        temporary=True,
        our_fault=False,
        permanent_reply_allowed=not passes,
        try_next_server=False,
        remembered_as=remembered_as,
        text=text,
        status=b"TEMP",
        audit_event=audit_event,
        catch_all=catch_all,
        passes=passes,
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
        status=b"TEMP",
        audit_event=AUDIT_FAILED,
    )


Kind.DELIVERABLE = _accepted("deliverable")
# No mailbox yet; delivery makes it (autocreate_post in imapd.conf).
Kind.CREATED = _accepted("created-on-delivery")
# Not deliverable itself; delivery puts the mail into lmtp_catchall_mailbox.
Kind.CATCH_ALL = _accepted("catch-all")
Kind.NONEXISTENT = _refused(
    *("nonexistent", b"Mailbox does not exist"),
    status=b"NOTFOUND",
    audit_event=AUDIT_NONEXISTENT,
    missing=True,
    other_readings=True,
    catch_all=True,
)
# A shared folder that everybody may see and not everybody may post to.
Kind.NOT_POSTABLE = _refused(
    *("not-postable", b"Permission denied"),
    audit_event=AUDIT_FAILED,
    other_readings=True,
    catch_all=True,
)
# Blocked for this service in the userdeny database, which has the text: the gateway's own
# administrator means the user, in each spelling.
Kind.DENIED = _refused(
    "denied",
    status=b"NOTFOUND",
    audit_event=AUDIT_DENIED,
    other_readings=False,
    catch_all=False,
)
Kind.OVER_QUOTA = _deferred(
    *("over-quota", b"Over quota", OVER_QUOTA), audit_event=AUDIT_OVER_QUOTA, catch_all=True
)
# Over quota where lmtp_over_quota_perm_failure says that this is final.
Kind.OVER_QUOTA_PERMANENT = _refused(
    *("over-quota-permanent", b"Over quota", OVER_QUOTA),
    audit_event=AUDIT_OVER_QUOTA,
    other_readings=True,
    catch_all=True,
    for_now=Kind.OVER_QUOTA,
)
# Under quota now, and the announced size does not fit into what is free; true of one mail only.
# The text is ours: the C program is told no sizes.
Kind.SIZE_OVER_QUOTA = _deferred(
    *("size-over-quota", b"Message does not fit into the free quota"),
    audit_event=AUDIT_FAILED,
    catch_all=False,
)
# A backend's own permanent refusal, with its text, that fits no other kind: delivery hears it from
# the backend after DATA.
Kind.REFUSED = _refused("refused", audit_event=AUDIT_FAILED, other_readings=True, catch_all=False)
# A bare domain or any other odd key is not a mailbox. The text is ours.
Kind.BAD_ADDRESS = _refused(
    *("bad-address", b"Bad recipient address syntax"),
    status=b"NOTFOUND",
    audit_event=AUDIT_FAILED,
    other_readings=True,
    catch_all=False,
)
# Being created or renamed at this moment.
Kind.RESERVED = _deferred(
    *("reserved", b"Mailbox is currently reserved"),
    audit_event=AUDIT_FAILED,
    catch_all=True,
    passes=True,
)
# Blocked for the delivery service in the userdeny database: delivery tries again.
Kind.DISABLED = _deferred(
    *("disabled", b"Mailbox has been disabled"), audit_event=AUDIT_FAILED, catch_all=True
)
# Delivery would make the mailbox, and cannot: Cyrus allows no such name.
Kind.NOT_CREATABLE = _deferred(
    *("not-creatable", b"Invalid mailbox name"), audit_event=AUDIT_FAILED, catch_all=True
)
# A calendar, an address book or Sieve scripts, where mail should go.
Kind.NOT_FOR_MAIL = _deferred(
    *("not-for-mail", b"Operation is not supported on mailbox"),
    audit_event=AUDIT_FAILED,
    catch_all=False,
)
# The store cannot be read, or what it holds makes no sense.
Kind.STORE_FAULT = _fault("store-fault", b"System I/O error")
# A backend or mupdate could not be asked. The text is ours.
Kind.UPSTREAM_FAULT = _fault("upstream-fault", b"Mailbox server is not available")

KINDS: tuple[Kind, ...] = tuple(kind for kind in vars(Kind).values() if isinstance(kind, Kind))

# Refusals with which a mail does not go to lmtp_catchall_mailbox, for the documents.
NOT_CAUGHT = tuple(kind for kind in KINDS if not (kind.accepts or kind.our_fault or kind.catch_all))
