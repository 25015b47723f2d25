"""From a recipient to a decision: what policy and milter do alike.

    Question -> Scope (is it ours?) -> engine (Query, Verdict)
             -> where it would be refused: the mail server (last check) -> Decision

The front ends bring a `Question` and translate the `Decision`; everything in
between is here, so that both interfaces decide alike.  There are three ways
through: `judge` asks the engine itself; an event loop, which must not wait for
another server, calls `prepare`, asks the engine in its own way, takes care of the
`last_check` where there is one, and then calls `conclude` or `conclude_checked`.

Which refusals are not carried out, `waiver` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from gateway.frontends.lastchecks import LastChecks
from gateway.frontends.replies import ReplyTable, SmtpReply
from gateway.frontends.scope import Scope, Skip
from gateway.frontends.waiver import NO_WAIVERS, Waiver, Waivers
from gateway.protocols.address import Address, BadAddress
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Query, Verdict

# What a permanent refusal becomes while a file is not settled that could save the recipient.
UNSETTLED = Verdict(
    Kind.STORE_FAULT,
    Kind.STORE_FAULT.text,
    Evidence(fault="a file of [scope] was changed just now, or cannot be used; it may save them"),
    cacheable=False,
)

if TYPE_CHECKING:
    from gateway.frontends.lastchecks import Asked, LastCheck, Told
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.mta.postfix import Postfix


class JudgeEngine(Protocol):
    """The engine, as far as a front end needs it."""

    def verify(self, query: Query) -> Verdict:
        """The verdict on `query`; may wait for another server."""


def unscoped(recipient: Address | BadAddress, engine: JudgeEngine) -> Verdict:
    """The verdict on `recipient` as if it were ours, or that it is not an address."""
    if isinstance(recipient, BadAddress):
        return _bad_address(recipient)
    return engine.verify(Query(recipient.address))


def _bad_address(recipient: BadAddress) -> Verdict:
    return Verdict(Kind.BAD_ADDRESS, recipient.problem.encode())


@dataclass(frozen=True, slots=True)
class Question:
    """What a front end knows when it is asked about one recipient.

    `sender` is the bare address of MAIL FROM, empty for the null sender and
    None where there was no MAIL (VRFY).  `client` is the client's address as
    the MTA writes it, `authenticated` its login name, `mailer` the value of
    {rcpt_mailer}; each is empty where it is not known.  `size` is in bytes.
    `smtputf8`: the client asked for SMTPUTF8.
    """

    recipient: Address | BadAddress
    sender: bytes | None = None
    client: bytes = b""
    authenticated: bytes = b""
    mailer: bytes = b""
    size: int | None = None
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a recipient.

    Either `skip` says why it was not judged, or there is a `verdict`.
    `waiver` says why a verdict that refuses is not carried out.  `reply`
    and `action` say the refusal to an SMTP client and to Postfix; None and
    `DUNNO` where nothing is refused.  One that is not `lasting` rests on more
    than the files that the engine and the scope read.
    """

    verdict: Verdict | None = None
    skip: Skip | None = None
    waiver: Waiver | None = None
    reply: SmtpReply | None = None
    action: bytes = b"DUNNO"
    lasting: bool = True

    @property
    def refuse(self) -> bool:
        """True where the recipient is refused, for now or permanently."""
        return self.reply is not None


class Judge:
    """Decides about recipients for one front end.

    `check_size` hands the announced size to the engine, which compares it
    with the free quota.  `postfix`, of the same scope, is asked before a
    refusal.
    """

    __slots__ = ("_check_size", "_last_checks", "_postfix", "_replies", "_scope", "_waivers")

    def __init__(
        self,
        scope: Scope,
        replies: ReplyTable,
        *,
        waivers: Waivers = NO_WAIVERS,
        check_size: bool = False,
        postfix: Postfix | None = None,
    ) -> None:
        self._scope = scope
        self._postfix = postfix
        self._last_checks = LastChecks(scope, postfix, replies) if postfix is not None else None
        self._replies = replies
        self._waivers = waivers
        self._check_size = check_size

    @property
    def scope(self) -> Scope:
        """Whose recipients are judged."""
        return self._scope

    @property
    def checks_size(self) -> bool:
        """Whether the announced size makes a difference."""
        return self._check_size

    def judge(self, question: Question, verifier: JudgeEngine) -> Decision:
        """The decision on `question`; waits where the engine does."""
        begun = self.prepare(question)
        if isinstance(begun, Decision):
            return begun
        verdict = begun if isinstance(begun, Verdict) else verifier.verify(begun)
        last_check = self.last_check(question, verdict)
        if last_check is None:
            return self.conclude(question, verdict)
        try:
            asked = next(last_check)
            while True:
                asked = last_check.send(self._tell(asked, verifier))
        except StopIteration as ended:
            return self.conclude_checked(question, ended.value)

    def _tell(self, asked: Asked, verifier: JudgeEngine) -> Told:
        if isinstance(asked, Query):
            return verifier.verify(asked)
        assert self._postfix is not None
        return self._postfix.tables.ask(asked)

    def prepare(self, question: Question) -> Query | Verdict | Decision:
        """What the engine is to be asked, or what need not be asked of it."""
        recipient = question.recipient
        skip = self._scope.skip(
            recipient,
            client=question.client,
            authenticated=question.authenticated,
            mailer=question.mailer,
        )
        if skip is not None:
            return Decision(skip=skip)
        if isinstance(recipient, BadAddress):
            return _bad_address(recipient)
        return Query(recipient.address, question.size if self._check_size else None)

    def last_check(self, question: Question, verdict: Verdict) -> LastCheck | None:
        """What has to be asked before `verdict` is carried out; None where that is nothing."""
        if self._last_checks is None or verdict.kind.accepts:
            return None
        return self._last_checks.of(question.recipient, question.mailer, verdict)

    def recall(self, lookups: Lookups) -> TableAnswers | None:
        """The answers of the mail server's tables, if all of them are remembered."""
        assert self._postfix is not None
        answers, missing = self._postfix.tables.memory.recall(lookups)
        return None if missing else answers

    def conclude_checked(self, question: Question, checked: Skip | Verdict) -> Decision:
        """The decision on `question` after its last check."""
        if isinstance(checked, Skip):
            return Decision(skip=checked, lasting=False)
        return replace(self.conclude(question, checked), lasting=False)

    def conclude(self, question: Question, verdict: Verdict) -> Decision:
        """The decision on `question`, now that its verdict is known and final."""
        recipient = question.recipient
        shown = recipient.address if isinstance(recipient, Address) else b""
        reply = self._replies.smtp(verdict, shown, smtputf8=question.smtputf8)
        if reply is None:
            return Decision(verdict)
        if not (reply.temporary or self._scope.aliases_settled) and shown:
            # It may be an alias: what the file says is not known yet.
            verdict = UNSETTLED
            reply = self._replies.smtp(verdict, shown, smtputf8=question.smtputf8)
            assert reply is not None, "a fault of ours is never acceptance"
        waiver = self._waivers.of(verdict.kind, temporary=reply.temporary, sender=question.sender)
        if waiver is not None:
            return Decision(verdict, waiver=waiver)
        return Decision(verdict, reply=reply, action=self._replies.policy(verdict, shown))
