"""One Postfix smtpd's conversation with the policy server, without its socket.

The same shape as a socketmap Session, so that one server moves both.  It acts
at RCPT and VRFY, and at END-OF-MESSAGE where the mail has one recipient
(its real size is known then, and the quota may have changed since RCPT);
everywhere else it says DUNNO, which leaves the mail to the restrictions
behind it (Postfix SMTPD_POLICY_README).

In trouble it says nothing and is `finished`: Postfix then asks once more on
another connection, and after that applies its own `default_action`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from gateway.frontends.frontend import FrontEndTable
from gateway.frontends.judge import Decision, Question
from gateway.frontends.judging import Judging
from gateway.frontends.judging_session import JudgingSession
from gateway.frontends.origin import AnswerOrigin
from gateway.frontends.policy_cache import PolicyActionCache
from gateway.protocols.address import parse_bare
from gateway.protocols.policy import (
    END_OF_MESSAGE,
    RCPT,
    VRFY,
    PolicyParser,
    PolicyRequest,
    render,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.frontend import Serving, SessionFor, VerdictWriter
    from gateway.frontends.judge import Judge
    from gateway.mta.lookups import TableAnswers
    from gateway.verification.decider import Decider
    from gateway.verification.model import Verdict

    # Hears of each request that was judged or skipped.
    Observer = Callable[[PolicyRequest, Decision], None]

_DUNNO = render(b"DUNNO")


class PolicyTable(FrontEndTable, Protocol):
    """What is read of [policy] here: a property a setting (gateway/config/tables/policy.py)."""


class PolicySession(JudgingSession):
    """The state between the bytes of one smtpd and the engine."""

    __slots__ = ("_actions", "_observe_cached")

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        *,
        observe: Observer | None = None,
        complain: Callable[[str], None] | None = None,
        actions: PolicyActionCache | None = None,
        faults_only: bool = False,
        count: Observer | None = None,
        origin: AnswerOrigin | None = None,
    ) -> None:
        """As a Judging's; `actions`, of the same judge, are those of all of a server's.

        With `faults_only`, `observe` need not hear of decisions that were
        remembered: they are never faults.
        """
        super().__init__(
            Judging(decider, judge, observe=observe, count=count, origin=origin),
            PolicyParser(),
            complain=complain,
        )
        self._actions = actions
        self._observe_cached = None if faults_only else observe

    def cached_reply(self, data: bytes) -> bytes | None:
        """The action for `data` if it is cached; else None, and nothing has happened."""
        if self._actions is None or not self._between:
            return None
        if self._judging.origin is not None:
            self._judging.origin.looked_up()
        return self._actions.cached_reply(data, self._observe_cached)

    def _answer(self, request: PolicyRequest) -> bytes:
        """The action for one request, or nothing yet where another server must be asked."""
        if not _acts_on(request):
            return _DUNNO
        question = Question(
            parse_bare(request.recipient),
            sender=None if request.protocol_state == VRFY else request.sender,
            client=request.client_address,
            authenticated=request.sasl_username,
            size=request.size,
        )
        decision = self._judging.judged(request, question)
        if decision is None:
            return b""
        action = render(decision.action)
        if self._actions is not None:
            self._actions.keep(request, decision, action)
        return action

    def _resolve(self, told: Verdict | TableAnswers) -> bytes:
        decision = self._judging.resolved(told)
        return b"" if decision is None else render(decision.action)


def _acts_on(request: PolicyRequest) -> bool:
    """Whether the recipient of this request is to be judged.

    At END-OF-MESSAGE Postfix names the recipient only where there is one.
    """
    if request.protocol_state in (RCPT, VRFY):
        return True
    return request.protocol_state == END_OF_MESSAGE and bool(request.recipient)


def sessions(serving: Serving[Judge, PolicyTable]) -> SessionFor:
    """What makes the sessions of smtpds."""
    memory, judge, counters = serving.memory, serving.judge, serving.counters
    actions = PolicyActionCache(memory, judge, counters.cached_decision)
    serving.caches.append(actions)
    written = serving.log.enabled

    def count(request: PolicyRequest, decision: Decision) -> None:
        counters.decision(decision, request.recipient, request.sender, request.client_address)

    def session(client: str) -> PolicySession:
        origin = AnswerOrigin(memory) if written else None
        return PolicySession(
            memory,
            judge,
            observe=partial(_write, serving.log, origin),
            complain=partial(serving.complain, client),
            actions=actions,
            faults_only=not written,
            count=count,
            origin=origin,
        )

    return session


def _write(
    log: VerdictWriter, origin: AnswerOrigin | None, request: PolicyRequest, decision: Decision
) -> None:
    """One request that was judged or skipped."""
    if log.quiet(decision.verdict):
        return
    log.decision(
        decision,
        origin,
        {
            "instance": request.instance,
            "queue_id": request.queue_id,
            "state": request.protocol_state,
            "client": request.client_address,
            "sender": log.sender(request.sender),
            "recipient": log.address(request.recipient),
        },
        decision.action,
    )
