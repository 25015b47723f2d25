"""One client's questions on their way through judge and engine, whatever brings the questions.

A question that another server must answer, or a table of the mail server's,
waits here (`pending`) until it is resolved; nothing else is asked meanwhile.
Observers and counters hear of each decision.  Limits: one question at a
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.frontends.judge import Decision
from gateway.frontends.origin import ASKED, NONE
from gateway.mta.lookups import Lookups
from gateway.verification.model import Pending, Query, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Judge, Question
    from gateway.frontends.lastchecks import LastCheck, Told
    from gateway.frontends.origin import AnswerOrigin
    from gateway.mta.lookups import TableAnswers
    from gateway.verification.decider import Decider

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[RequestT]):
    """The request that others have to be asked about; `last_check` where its verdict is known."""

    request: RequestT
    question: Question
    pending: Pending | Lookups
    last_check: LastCheck | None


class Judging(Generic[RequestT]):
    """From a request's question to its decision.

    `observe` hears of each decision; `count` of those that are not counted
    in the reply cache.  `origin`, on the same decider, is marked for
    the observer.
    """

    __slots__ = ("_count", "_decider", "_observe", "_waiting", "judge", "origin")

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        *,
        observe: Callable[[RequestT, Decision], None] | None = None,
        count: Callable[[RequestT, Decision], None] | None = None,
        origin: AnswerOrigin | None = None,
    ) -> None:
        self.judge = judge
        self.origin = origin
        self._count = count
        self._decider = decider
        self._observe = observe
        self._waiting: _Waiting[RequestT] | None = None

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question for another server, or for the mail server's tables."""
        return self._waiting.pending if self._waiting is not None else None

    def expire_tick(self) -> None:
        """Time has passed: whatever happened until now must show in the next decision."""
        self._decider.expire_tick()

    def judged(self, request: RequestT, question: Question) -> Decision | None:
        """The decision on `request`, or None where another server must be asked first."""
        origin = self.origin
        if origin is not None:
            origin.source = NONE  # not that of the request before, in the same piece
        begun = self.judge.prepare(question)
        if isinstance(begun, Decision):
            return self.decided(request, begun)
        if isinstance(begun, Verdict):
            return self._ended(request, question, begun)
        outcome = self._decide(begun)
        if isinstance(outcome, Pending):
            self._waiting = _Waiting(request, question, outcome, None)
            return None
        return self._ended(request, question, outcome)

    def resolved(self, told: Verdict | TableAnswers) -> Decision | None:
        """The decision on the request that was pending, or None where more must be asked.

        It is not cached: the scope was asked some turns ago, and may say
        something else by now.
        """
        waiting = self._waiting
        assert waiting is not None
        self._waiting = None
        if waiting.last_check is not None:
            return self._checked_last(waiting.request, waiting.question, waiting.last_check, told)
        assert isinstance(told, Verdict)
        return self._ended(waiting.request, waiting.question, told)

    def _decide(self, query: Query) -> Verdict | Pending:
        return self._decider.decide(query) if self.origin is None else self.origin.decide(query)

    def _ended(self, request: RequestT, question: Question, verdict: Verdict) -> Decision | None:
        """The engine has given its verdict: the decision, or None while it is checked."""
        last_check = self.judge.last_check(question, verdict)
        if last_check is None:
            return self.decided(request, self.judge.conclude(question, verdict))
        return self._checked_last(request, question, last_check, None)

    def _checked_last(
        self, request: RequestT, question: Question, last_check: LastCheck, told: Told | None
    ) -> Decision | None:
        """Go on with a last check until another server must be asked."""
        try:
            asked = next(last_check) if told is None else last_check.send(told)
            while True:
                answer = self._decide(asked) if isinstance(asked, Query) else self._recall(asked)
                if isinstance(answer, (Pending, Lookups)):
                    self._waiting = _Waiting(request, question, answer, last_check)
                    return None
                asked = last_check.send(answer)
        except StopIteration as ended:
            return self.decided(request, self.judge.conclude_checked(question, ended.value))

    def _recall(self, lookups: Lookups) -> TableAnswers | Lookups:
        """The answers where all of them are remembered, else the question itself."""
        answers = self.judge.recall(lookups)
        if answers is None and self.origin is not None:
            self.origin.source = ASKED
        return lookups if answers is None else answers

    def decided(self, request: RequestT, decision: Decision) -> Decision:
        """`decision`, of which everybody has heard."""
        if self._count is not None:
            self._count(request, decision)
        if self._observe is not None:
            self._observe(request, decision)
        return decision
