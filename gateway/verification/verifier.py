"""The order of checks: recipient, userdeny, mailbox, post right, backend, quota.

The order and the texts are those of the C program (imap/smmapd.c,
verify_user; lib/imap_err.et), so that a reply here and a reply there are the
same bytes.  Where the C program refuses for ever because of its own trouble
(an unreadable record, a mailbox that is just being created), the verdict here
is temporary: a recipient is never lost to a fault of ours.

`decide` never raises for a fault of the store, and never blocks unless the
store is on an SQL server (questions.py); it returns a Verdict, or a `Pending`
where another server has to be asked first.  `advance`
asks it and blocks up to that server's deadline: an event loop runs it on a
thread.  `verify` does both, until there is a verdict.
"""

from __future__ import annotations

import time

from gateway.cyrus import acl
from gateway.cyrus.mailboxlist import MBTYPE_REMOTE, MBTYPE_RESERVE
from gateway.errors import DatabaseEmpty, RecordDamaged, StoreError
from gateway.values import Value
from gateway.verification.model import Evidence, Kind, Step, Verdict
from gateway.verification.steps import mailbox_step, name_step, quota_use, userdeny_step
from gateway.verification.texts import (
    IO_ERROR_TEXT,
    NONEXISTENT_TEXT,
    NOT_POSTABLE_TEXT,
    OVER_QUOTA_TEXT,
    RESERVED_TEXT,
    SIZE_TEXT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.mailboxlist import MailboxEntry, MailboxList
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.elsewhere import Elsewhere
    from gateway.verification.model import Query


class Pending(Value):
    """A question that only another server can answer.

    `server` is the one to ask, a backend or the store's own SQL server, or
    None where mupdate is to be kicked and the mailbox list read once more.
    """

    __slots__ = ("evidence", "query", "server")
    evidence: Evidence
    query: Query
    server: str | None

    def __init__(self, query: Query, server: str | None, evidence: Evidence) -> None:
        self._freeze(evidence, query, server)

    @property
    def key(self) -> tuple[str | None, bytes, int, int | None]:
        """Questions with the same key have the same answer."""
        query = self.query
        return self.server, query.recipient, query.hops, query.size


class Verifier:
    """Verifies recipients against a Cyrus store.

    `store` is read on every call and never cached here.
    `over_quota_permanent` is imapd.conf's lmtp_over_quota_perm_failure.
    `elsewhere` are the servers that hold what this one does not, for several
    engines to share; where it is None they are made from imapd.conf when they
    are needed.
    """

    __slots__ = ("_over_quota", "elsewhere", "kicks_mupdate", "store")

    def __init__(
        self,
        store: CyrusStore,
        *,
        over_quota_permanent: bool,
        kicks_mupdate: bool,
        elsewhere: Elsewhere | None,
    ) -> None:
        self.store = store
        self.kicks_mupdate = kicks_mupdate
        self.elsewhere = elsewhere
        self._over_quota = Kind.OVER_QUOTA_PERMANENT if over_quota_permanent else Kind.OVER_QUOTA

    @classmethod
    def for_store(cls, store: CyrusStore, elsewhere: Elsewhere | None = None) -> Verifier:
        """A Verifier that does as the store's imapd.conf says."""
        conf = store.conf
        return cls(
            store,
            over_quota_permanent=conf.lmtp_over_quota_perm_failure,
            kicks_mupdate=conf.kicks_mupdate,
            elsewhere=elsewhere,
        )

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """The verdict on `query`; may block while another server is asked.

        Steps are appended to `trace` where one is given.
        """
        if self.store.server is not None:
            self.store.begin(time.monotonic())
        outcome = self.decide(query, trace)
        return self.resolve(outcome, trace) if isinstance(outcome, Pending) else outcome

    def decide(
        self, query: Query, trace: list[Step] | None = None, *, kicked: bool = False
    ) -> Verdict | Pending:
        """The verdict as far as this machine's files tell, or who must be asked.

        `kicked` tells that mupdate has been kicked for this query already.
        """
        self.store.refresh()
        return self.decide_now(query, trace, kicked=kicked)

    def again(self) -> None:
        """Time has passed: nothing to do here, where every answer is made anew (see cache)."""

    def decide_now(
        self,
        query: Query,
        trace: list[Step] | None = None,
        *,
        kicked: bool = False,
        quota_get: Callable[[bytes], bytes | None] | None = None,
    ) -> Verdict | Pending:
        """As `decide`, for a caller that has refreshed the store since the question came.

        `quota_get` reads quota roots in the store's stead (QuotaRoots.find).
        """
        try:
            return self._decide(query, trace, kicked, quota_get)
        except StoreError as fault:
            return _store_fault(fault, trace)

    def resolve(self, pending: Pending, trace: list[Step] | None = None) -> Verdict:
        """Ask whom `pending` names, and whoever is to be asked after that."""
        outcome = self.advance(pending, trace)
        return self.resolve(outcome, trace) if isinstance(outcome, Pending) else outcome

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        """Ask the one whom `pending` names; another may have to be asked after that.

        Blocks up to that server's deadline, which runs from `since` (a moment
        of time.monotonic, the default is now).
        """
        if pending.server is not None and pending.server == self.store.server:
            from gateway.verification.questions import answer  # noqa: PLC0415  (as below)

            return answer(self, pending, trace, since)
        came = since if since is not None else time.monotonic()
        self.store.begin(came)
        elsewhere = self.elsewhere
        if elsewhere is None:
            # A look-up that needs no other server does not import what asks one.
            from gateway.verification.elsewhere import Elsewhere  # noqa: PLC0415

            elsewhere = self.elsewhere = Elsewhere.for_conf(self.store.conf)
        if pending.server is None:
            return self._kicked(pending, elsewhere, trace, came, came)
        verdict = elsewhere.backends.verdict(
            pending.server, pending.query, pending.evidence, trace, since=since
        )
        if verdict.kind is not Kind.NONEXISTENT or not self.kicks_mupdate:
            return verdict
        # The list says that the mailbox is there, the backend that it is not: it
        # has been moved or deleted, and mupdate takes seconds to tell.
        outcome = self._kicked(pending, elsewhere, trace, time.monotonic(), came)
        moved = not isinstance(outcome, Pending) or outcome.server != pending.server
        return outcome if moved else verdict

    def _kicked(
        self,
        pending: Pending,
        elsewhere: Elsewhere,
        trace: list[Step] | None,
        since: float,
        came: float,
    ) -> Verdict | Pending:
        """What is decided once the list is as current as at `since`; the question came at `came`.

        Whoever is to be asked then is of a list that is current, unless nobody
        had been asked before.
        """
        problem = elsewhere.kick(since, came)
        if trace is not None:
            trace.append(Step("mupdate", problem=problem))
        outcome = self.decide(pending.query, trace, kicked=True)
        if problem is None:
            return outcome
        if isinstance(outcome, Verdict) and outcome.kind is not Kind.NONEXISTENT:
            return outcome
        if isinstance(outcome, Pending) and pending.server is None:
            return outcome
        # The C program would refuse here; but the copy of the list is known not
        # to be current, and a refusal would lose the mail of a mailbox that was
        # just created or moved.
        evidence = Evidence(
            mailbox=outcome.evidence.mailbox, userid=outcome.evidence.userid, fault=problem
        )
        return Verdict(Kind.UPSTREAM_FAULT, NONEXISTENT_TEXT, evidence, cacheable=False)

    def _decide(
        self,
        query: Query,
        trace: list[Step] | None,
        kicked: bool,
        quota_get: Callable[[bytes], bytes | None] | None,
    ) -> Verdict | Pending:
        """The outcome of the first reading of the address that takes the mail, or is blocked.

        Where none does, it is that of the first whose mailbox there is.
        """
        store = self.store
        best: Verdict | Pending | None = None
        asked: set[bytes] = set()  # names that are not in the userdeny database
        for name in store.naming.readings(query.recipient):
            if not name.dbkey and store.mailboxes.has_newer_keys():
                continue
            outcome = self._decide_reading(
                query, name, asked, trace, kicked=kicked, quota_get=quota_get
            )
            if not _may_be_another(outcome):
                return outcome
            if best is None or (_is_missing(best) and not _is_missing(outcome)):
                best = outcome
        assert best is not None, "an address has a reading that counts in every list"
        return best

    def _decide_reading(
        self,
        query: Query,
        name: MailboxName,
        asked: set[bytes],
        trace: list[Step] | None,
        *,
        kicked: bool,
        quota_get: Callable[[bytes], bytes | None] | None,
    ) -> Verdict | Pending:
        store = self.store
        userid = name.userid
        if trace is not None:
            trace.append(name_step(name))
        denied = self._denied(userid, asked, trace)
        if denied is not None:
            return denied

        asks_mupdate = self.kicks_mupdate and not kicked
        entry = _looked_up(store.mailboxes, name, may_be_empty=asks_mupdate)
        if trace is not None:
            trace.append(mailbox_step(store.mailboxes, name, entry))
        evidence = Evidence(mailbox=name.internal, userid=userid)
        if entry is None:
            if asks_mupdate:
                return Pending(query, None, evidence)
            return Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT, evidence)
        # A user whose mailbox is reached under another name is blocked under his own, too.
        denied = self._denied(name.owner, asked, trace)
        if denied is not None:
            return denied
        evidence = Evidence(mailbox=entry.name, userid=userid)
        if entry.mbtype & MBTYPE_RESERVE:
            if asks_mupdate:
                # mupdate tells of a creation's second half seconds after the first.
                return Pending(query, None, evidence)
            return Verdict(Kind.RESERVED, RESERVED_TEXT, evidence, cacheable=False)

        if userid is None:
            # A shared folder: whoever sends mail is nobody in particular.
            rights = acl.rights(entry.acl)
            if trace is not None:
                trace.append(
                    Step(
                        "acl",
                        acl=entry.acl,
                        lookup=bool(rights & acl.LOOKUP),
                        post=bool(rights & acl.POST),
                    )
                )
            if not rights & acl.POST:
                if rights & acl.LOOKUP:
                    return Verdict(Kind.NOT_POSTABLE, NOT_POSTABLE_TEXT, evidence)
                return Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT, evidence)

        if entry.mbtype & MBTYPE_REMOTE:
            server = entry.server.decode("utf-8", "backslashreplace")
            evidence = Evidence(mailbox=entry.name, userid=userid, server=server)
            return Pending(query, server, evidence)
        return self._quota_verdict(query, name.quota_names, userid, trace, quota_get)

    def _denied(
        self, userid: bytes | None, asked: set[bytes], trace: list[Step] | None
    ) -> Verdict | None:
        """The verdict on a user who is blocked; None where he is not, or has been `asked` for."""
        if userid is None or userid in asked:
            return None
        asked.add(userid)
        store = self.store
        denial = store.denials.check(userid, store.service)
        if trace is not None:
            trace.append(userdeny_step(store.denials, userid, store.service, denial))
        if denial is None:
            return None
        evidence = Evidence(userid=userid, deny_pattern=denial.pattern)
        return Verdict(Kind.DENIED, denial.message, evidence)

    def _quota_verdict(
        self,
        query: Query,
        names: tuple[bytes, ...],
        userid: bytes | None,
        trace: list[Step] | None,
        quota_get: Callable[[bytes], bytes | None] | None,
    ) -> Verdict:
        mailbox = names[-1]
        record = self.store.quotas.nearest(names, quota_get)
        use = quota_use(record) if record is not None else None
        exceeded = record is not None and record.exceeded()
        if trace is not None:
            trace.append(
                Step(
                    "quota",
                    file=self.store.quotas.path,
                    format=self.store.quotas.database.format,
                    mailbox=mailbox,
                    use=use,
                    exceeded=exceeded,
                    permanent=self._over_quota is Kind.OVER_QUOTA_PERMANENT,
                )
            )
        evidence = Evidence(mailbox=mailbox, userid=userid, quota=use)
        if exceeded:
            return Verdict(self._over_quota, OVER_QUOTA_TEXT, evidence)
        if query.size is not None and record is not None:
            fits = not record.exceeded(storage_more=query.size)
            if trace is not None:
                trace.append(Step("size", size=query.size, fits=fits))
            if not fits:
                return Verdict(Kind.SIZE_OVER_QUOTA, SIZE_TEXT, evidence)
        return Verdict(Kind.DELIVERABLE, b"", evidence)


def _is_missing(outcome: Verdict | Pending) -> bool:
    """Whether no mailbox was found, or none that may be known."""
    if isinstance(outcome, Pending):
        return outcome.server is None
    return outcome.kind is Kind.NONEXISTENT


def _may_be_another(outcome: Verdict | Pending) -> bool:
    """Whether the next reading of an address may still make a difference.

    It may save a mail that would be refused for ever, unless the user is blocked.
    """
    if isinstance(outcome, Pending):
        return outcome.server is None
    kind = outcome.kind
    return not kind.temporary and kind not in (Kind.DELIVERABLE, Kind.DENIED)


def _looked_up(
    mailboxes: MailboxList, name: MailboxName, *, may_be_empty: bool
) -> MailboxEntry | None:
    """The mailbox; of a list without any record None where mupdate may have one a moment later."""
    try:
        return mailboxes.lookup(name)
    except DatabaseEmpty:
        if not may_be_empty:
            raise
        return None


def _store_fault(fault: StoreError, trace: list[Step] | None) -> Verdict:
    text = fault.text if isinstance(fault, RecordDamaged) else IO_ERROR_TEXT
    if trace is not None:
        trace.append(Step("fault", problem=str(fault)))
    return Verdict(Kind.STORE_FAULT, text, Evidence(fault=str(fault)), cacheable=False)
