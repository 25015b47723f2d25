"""Verifies recipients against a Cyrus store, as one of two authorities.

An authority is an order of checks of its own: "delivery"
(delivery_checks.py), which says what lmtpd does with a mail, and "smmapd"
(smmapd_checks.py), which says what the C program of that name says.  Here is
what they have in common: faults of the store, and other servers that must be
asked.  Where the C programs refuse permanently because of their own trouble, the
verdict here is temporary: a recipient is never lost to a fault of ours.

`decide` never raises for a fault of the store, and never blocks unless the
store is on an SQL server (questions.py); it returns a Verdict, or a `Pending`
where another server has to be asked first.  `advance`
asks it and blocks up to that server's deadline: an event loop runs it on a
thread.  `verify` does both, until there is a verdict.
"""

from __future__ import annotations

import time

from gateway.errors import RecordDamaged, StoreError
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Verdict
from gateway.verification.records import SMMAPD, Records
from gateway.verification.smmapd_checks import SmmapdChecks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.mailboxlist import Seen
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.decider import Authority
    from gateway.verification.model import Query
    from gateway.verification.murder import MurderUpstreams
    from gateway.verification.steps import Step

DELIVERY = "delivery"
AUTHORITIES = (DELIVERY, SMMAPD)


class Verifier:
    """Verifies recipients against `store` as `authority` says.

    The store is read on every call and never cached here.  `kicks_mupdate`:
    mupdate is asked for mailboxes that the list does not hold.
    `murder` are the servers that hold what this one does not, for several
    engines to share; where it is None they are made from imapd.conf when they
    are needed.
    """

    __slots__ = ("authority", "kicks_mupdate", "murder", "store")

    def __init__(
        self,
        store: CyrusStore,
        authority: Authority,
        *,
        kicks_mupdate: bool,
        murder: MurderUpstreams | None,
    ) -> None:
        self.store = store
        self.authority = authority
        self.kicks_mupdate = kicks_mupdate
        self.murder = murder

    @classmethod
    def for_store(
        cls, store: CyrusStore, murder: MurderUpstreams | None = None, *, answers: str = SMMAPD
    ) -> Verifier:
        """A Verifier that does as the store's imapd.conf says, as the authority `answers`."""
        return cls(
            store,
            _authority(store, answers),
            kicks_mupdate=store.conf.kicks_mupdate,
            murder=murder,
        )

    def answering(self, answers: str) -> Verifier:
        """The same engine as the authority `answers`."""
        if answers in ("", self.authority.name):
            return self
        return type(self)(
            self.store,
            _authority(self.store, answers),
            kicks_mupdate=self.kicks_mupdate,
            murder=self.murder,
        )

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """The verdict on `query`; may block while another server is asked.

        Steps are appended to `trace` where one is given.
        """
        self.store.begin(time.monotonic())
        try:
            outcome = self.decide(query, trace)
        finally:
            self.store.begin(None)
        return self.resolve(outcome, trace) if isinstance(outcome, Pending) else outcome

    def decide(
        self, query: Query, trace: list[Step] | None = None, *, kicked: bool = False
    ) -> Verdict | Pending:
        """The verdict as far as this machine's files tell, or which server must be asked.

        `kicked`: mupdate has been kicked for this query already.
        """
        self.store.refresh()
        return self.decide_now(query, trace, kicked=kicked)

    def expire_tick(self) -> None:
        """Time has passed: nothing to do here, where every answer is made again (see cache)."""

    def decide_now(
        self,
        query: Query,
        trace: list[Step] | None = None,
        *,
        kicked: bool = False,
        quota_get: Callable[[bytes], bytes | None] | None = None,
        seen: Seen | None = None,
    ) -> Verdict | Pending:
        """As `decide`, for a caller that has refreshed the store since the question came.

        `quota_get` reads quota roots in the store's stead (QuotaRoots.find); a record that
        was `seen` since then is not looked for again.
        """
        try:
            kicks = self.kicks_mupdate and not kicked
            records = Records(self.store, trace, kicks=kicks, quota_get=quota_get, seen=seen)
            return self.authority.decide(query, records)
        except StoreError as fault:
            return _store_fault(fault, trace)

    def resolve(self, pending: Pending, trace: list[Step] | None = None) -> Verdict:
        """Ask the server that `pending` names, and those to be asked after it."""
        outcome = self.advance(pending, trace)
        return self.resolve(outcome, trace) if isinstance(outcome, Pending) else outcome

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        """Ask the server that `pending` names; another may have to be asked after that.

        Blocks up to that server's deadline, which runs from `since` (a moment
        of time.monotonic, the default is now).
        """
        if pending.answers not in ("", self.authority.name):
            return self.answering(pending.answers).advance(pending, trace, since=since)
        if pending.server is not None and pending.server == self.store.server:
            from gateway.verification.questions import answer  # noqa: PLC0415  (as below)

            return answer(self.store, pending, lambda query: self.decide(query, trace), since)
        came = since if since is not None else time.monotonic()
        self.store.begin(came)
        try:
            return self._asked(pending, trace, since, came)
        finally:
            self.store.begin(None)

    def _asked(
        self, pending: Pending, trace: list[Step] | None, since: float | None, came: float
    ) -> Verdict | Pending:
        """The outcome where a backend or mupdate is asked; the question came at `came`."""
        murder = self.murder
        if murder is None:
            # A look-up that needs no other server does not import what asks one.
            from gateway.verification.murder import MurderUpstreams  # noqa: PLC0415

            murder = self.murder = MurderUpstreams.for_conf(self.store.conf)
        if pending.server is None:
            return self._kicked(pending, murder, trace, came, came)
        verdict = murder.backends.verdict(
            pending.server, pending.query, pending.evidence, trace, since=since
        )
        if not verdict.kind.missing or not self.kicks_mupdate:
            return verdict
        # The list says that the mailbox is there, the backend that it is not: it
        # has been moved or deleted, and mupdate takes seconds to tell.
        outcome = self._kicked(pending, murder, trace, time.monotonic(), came)
        moved = not isinstance(outcome, Pending) or outcome.server != pending.server
        return outcome if moved else verdict

    def _kicked(
        self,
        pending: Pending,
        murder: MurderUpstreams,
        trace: list[Step] | None,
        since: float,
        came: float,
    ) -> Verdict | Pending:
        """What is decided once the list is as current as at `since`; the question came at `came`.

        The server to be asked then is of a list that is current, unless nobody
        had been asked before.
        """
        began = time.monotonic()
        problem = murder.kick(since, came)
        if trace is not None:
            from gateway.verification.steps import Step  # noqa: PLC0415  (explanations only)

            trace.append(Step("mupdate", time.monotonic() - began, problem=problem))
        outcome = self.decide(pending.query, trace, kicked=True)
        if problem is None:
            return outcome
        if isinstance(outcome, Verdict) and not outcome.kind.missing:
            return outcome
        if isinstance(outcome, Pending) and pending.server is None:
            return outcome
        # The C program would refuse here; but the copy of the list is known not
        # to be current, and a refusal would lose the mail of a mailbox that was
        # just created or moved.
        evidence = Evidence(
            mailbox=outcome.evidence.mailbox, userid=outcome.evidence.userid, fault=problem
        )
        return Verdict(Kind.UPSTREAM_FAULT, Kind.NONEXISTENT.text, evidence, cacheable=False)


def _authority(store: CyrusStore, answers: str) -> Authority:
    if answers == SMMAPD:
        return SmmapdChecks(store)
    # A look-up as smmapd does not import what delivery needs.
    from gateway.verification.delivery_checks import DeliveryChecks  # noqa: PLC0415

    return DeliveryChecks(store)


def _store_fault(fault: StoreError, trace: list[Step] | None) -> Verdict:
    text = fault.text if isinstance(fault, RecordDamaged) else Kind.STORE_FAULT.text
    if trace is not None:
        from gateway.verification.steps import Step  # noqa: PLC0415  (explanations only)

        trace.append(Step("fault", problem=str(fault)))
    return Verdict(Kind.STORE_FAULT, text, Evidence(fault=str(fault)), cacheable=False)
