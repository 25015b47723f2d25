"""The records that a question is answered by; each look is told to the trace, if there is one.

Both authorities look at the same databases; what they make of it differs.
Raises StoreError where a database cannot be read or a record makes no sense.
"""

from __future__ import annotations

from gateway.cyrus.mailboxrecord import (
    MBTYPE_COLLECTION,
    MBTYPE_EMAIL,
    MBTYPE_JMAPNOTIFY,
    MBTYPE_JMAPPUSHSUB,
    MBTYPE_JMAPSUBMIT,
    MBTYPE_KIND,
    MBTYPE_MOVING,
    MBTYPE_NETNEWS,
    MBTYPE_RESERVE,
)
from gateway.errors import DatabaseEmpty
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.mailboxlist import Seen
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.quota import QuotaRecord
    from gateway.cyrus.store import CyrusStore
    from gateway.cyrus.userdeny import Denial
    from gateway.verification.model import Query
    from gateway.verification.steps import Step


SMMAPD, DELIVERY = "smmapd", "delivery"

# Kinds of mailboxes that lmtpd opens and puts mail into; the last two from Cyrus 3.8 on, which the
# list does not tell.  It looks at the name for what else they are for (`DeliveryNaming.kept_by`).
_FOR_MAIL = (
    MBTYPE_EMAIL,
    MBTYPE_NETNEWS,
    MBTYPE_JMAPSUBMIT,
    MBTYPE_JMAPPUSHSUB,
    MBTYPE_JMAPNOTIFY,
    MBTYPE_COLLECTION,
)


def unfit(entry: MailboxEntry, *, delivery: bool) -> Kind | None:
    """What makes a mailbox unfit for mail: the kind of verdict, None where nothing does.

    The one place that knows, for whatever mail may be put into: an INBOX, a shared folder, a
    user's folder that saves a mail, the catch-all mailbox.  `delivery`: as the authority of that
    name; the C program looks at no more than a reservation.
    """
    mbtype = entry.mbtype
    if mbtype & MBTYPE_RESERVE:
        return Kind.RESERVED
    if not delivery:
        return None
    if mbtype & MBTYPE_MOVING:
        return Kind.RESERVED
    if mbtype & MBTYPE_KIND not in _FOR_MAIL:
        return Kind.NOT_FOR_MAIL
    return None


class Records:
    """What one question looks up.

    `kicks`: mupdate is to be kicked for a mailbox that is missing.

    `quota_get` reads quota roots in the store's stead (QuotaRoots.find).  `seen` is a
    record that was looked for already, for the same question (MailboxList.find).
    """

    __slots__ = ("_asked", "_quota_get", "_seen", "kicks", "store", "trace")

    def __init__(
        self,
        store: CyrusStore,
        trace: list[Step] | None,
        *,
        kicks: bool,
        quota_get: Callable[[bytes], bytes | None] | None,
        seen: Seen | None = None,
    ) -> None:
        self.store = store
        self.trace = trace
        self.kicks = kicks
        self._asked: set[bytes] = set()  # names that the userdeny database does not block
        self._quota_get = quota_get
        self._seen = seen

    def note(self, name: str, **facts: object) -> None:
        """Tell the trace of a step."""
        if self.trace is not None:
            from gateway.verification.steps import Step  # noqa: PLC0415  (explanations only)

            self.trace.append(Step(name, **facts))

    def denial(self, userid: bytes, service: bytes) -> Denial | None:
        """The denial of a user at a service."""
        denials = self.store.denials
        denial = denials.check(userid, service)
        if self.trace is not None:
            from gateway.verification.steps import userdeny_step  # noqa: PLC0415  (as above)

            self.trace.append(userdeny_step(denials, userid, service, denial))
        return denial

    def denied(self, userid: bytes | None) -> Verdict | None:
        """The verdict on a user that is blocked at our own service; a user is asked for once."""
        if userid is None or userid in self._asked:
            return None
        self._asked.add(userid)
        denial = self.denial(userid, self.store.service)
        if denial is None:
            return None
        evidence = Evidence(userid=userid, deny_pattern=denial.pattern)
        return Verdict(Kind.DENIED, denial.message, evidence)

    def mailbox(self, name: MailboxName) -> MailboxEntry | None:
        """The mailbox; None where there is none for mail."""
        mailboxes = self.store.mailboxes
        try:
            entry = mailboxes.lookup(name, self._seen)
        except DatabaseEmpty:
            # mupdate may have it a moment later.
            if not self.kicks:
                raise
            entry = None
        if self.trace is not None:
            from gateway.verification.steps import mailbox_step  # noqa: PLC0415  (as above)

            self.trace.append(mailbox_step(mailboxes, name, entry))
        return entry

    def refused(
        self, entry: MailboxEntry, query: Query, evidence: Evidence, authority: str
    ) -> Verdict | Pending | None:
        """What a record that takes no mail says to an authority; None where it may."""
        kind = unfit(entry, delivery=authority == DELIVERY)
        if kind is None:
            return None
        if self.kicks and entry.mbtype & MBTYPE_RESERVE:
            # mupdate tells of a creation's second half seconds after the first.
            return Pending(query, None, evidence, authority)
        return Verdict(kind, kind.text, evidence, cacheable=not kind.passes)

    def rights(self, entry: MailboxEntry) -> int:
        """What a sender that is nobody in particular may do."""
        from gateway.cyrus import acl  # noqa: PLC0415  (of shared folders only)

        rights = acl.rights(entry.acl)
        if self.trace is not None:
            self.note(
                "acl",
                acl=entry.acl,
                lookup=bool(rights & acl.LOOKUP),
                post=bool(rights & acl.POST),
            )
        return rights

    def quota(self, *names: bytes) -> QuotaRecord | None:
        """The record of the quota root of a mailbox, given by internal names; None without one."""
        return self.store.quotas.nearest(names, self._quota_get)

    def note_quota(self, mailbox: bytes, use: QuotaRecord | None, refusal: Kind | None) -> None:
        """Tell the trace what the quota root of a mailbox means: a refusal of that kind, or no."""
        if self.trace is not None:
            self.note(
                "quota",
                file=self.store.quotas.path,
                format=self.store.quotas.database.format,
                mailbox=mailbox,
                use=use,
                refusal=refusal.name if refusal is not None else None,
            )
