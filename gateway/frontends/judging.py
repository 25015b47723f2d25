"""One client's questions on their way through judge and engine, whatever brings the questions.

A question that another server must answer waits here (`pending`) until it is
resolved; nothing else is asked meanwhile.  Who observes and who counts hears of
each decision.  Limits: one question at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.frontends.course import NONE
from gateway.frontends.judge import Decision
from gateway.verification.verifier import Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.course import Course
    from gateway.frontends.judge import Judge, Question
    from gateway.verification.decider import Decider
    from gateway.verification.model import Verdict

RequestT = TypeVar("RequestT")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[RequestT]):
    """The request whose verdict another server has to give."""

    request: RequestT
    question: Question
    pending: Pending


class Judging(Generic[RequestT]):
    """From a request's question to its decision.

    `observe` hears of each decision; `count` of those that are not counted
    where they were kept ready.  `course`, on the same decider, is marked for
    whoever observes.
    """

    __slots__ = ("_count", "_decider", "_observe", "_waiting", "course", "judge")

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        *,
        observe: Callable[[RequestT, Decision], None] | None = None,
        count: Callable[[RequestT, Decision], None] | None = None,
        course: Course | None = None,
    ) -> None:
        self.judge = judge
        self.course = course
        self._count = count
        self._decider = decider
        self._observe = observe
        self._waiting: _Waiting[RequestT] | None = None

    @property
    def pending(self) -> Pending | None:
        """A question for another server."""
        return self._waiting.pending if self._waiting is not None else None

    def again(self) -> None:
        """Time has passed: whatever happened until now must show in the next decision."""
        self._decider.again()

    def judged(self, request: RequestT, question: Question) -> Decision | None:
        """The decision on `request`, or None where another server must be asked first."""
        course = self.course
        if course is not None:
            course.source = NONE  # not that of the request before, in the same piece
        begun = self.judge.begin(question)
        if isinstance(begun, Decision):
            return self.decided(request, begun)
        outcome = self._decider.decide(begun) if course is None else course.decide(begun)
        if isinstance(outcome, Pending):
            self._waiting = _Waiting(request, question, outcome)
            return None
        return self.decided(request, self.judge.end(question, outcome))

    def resolved(self, verdict: Verdict) -> tuple[RequestT, Decision]:
        """The request that was pending, and the decision on it.

        It is not kept ready: the scope was asked some turns ago, and may say
        something else by now.
        """
        waiting = self._waiting
        assert waiting is not None
        self._waiting = None
        decision = self.judge.end(waiting.question, verdict)
        return waiting.request, self.decided(waiting.request, decision)

    def decided(self, request: RequestT, decision: Decision) -> Decision:
        """`decision`, of which everybody has heard."""
        if self._count is not None:
            self._count(request, decision)
        if self._observe is not None:
            self._observe(request, decision)
        return decision
