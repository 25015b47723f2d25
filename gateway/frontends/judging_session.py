"""What the conversations with Postfix' policy clients and with milters' MTAs have in common.

Bytes become events, events wait in a queue, and those that ask about a
recipient go to the judge and the engine.  A question for another server stops
the queue until it is resolved.  A subclass says what its events mean and how
its peer is told a decision.

In trouble nothing is said, the complaint is passed on, and the session is
`finished`: neither protocol has a word for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from gateway.frontends.course import NONE
from gateway.frontends.judge import Decision
from gateway.verification.verifier import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.errors import ProtocolError
    from gateway.frontends.course import Course
    from gateway.frontends.judge import Judge, Question
    from gateway.verification.decider import Decider
    from gateway.verification.model import Verdict

EventT = TypeVar("EventT")
EventT_co = TypeVar("EventT_co", covariant=True)
RequestT = TypeVar("RequestT")

# Events answered in one call before the other clients have their turn: about a tenth of a
# millisecond.  A peer that waits for its answers, as MTAs do, has one or two under way.
TURN = 4


class Parser(Protocol[EventT_co]):
    """Turns bytes into events; where `error` is set, the peer broke the protocol behind them."""

    error: ProtocolError | None

    @property
    def idle(self) -> bool:
        """Nothing of an unfinished event is held."""

    def feed(self, data: bytes) -> Sequence[EventT_co]:
        """The events that `data` completes."""

    def end(self) -> None:
        """The peer sends no more."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[RequestT]):
    """The request whose verdict another server has to give."""

    request: RequestT
    question: Question
    pending: Pending


class JudgingSession(ABC, Generic[EventT, RequestT]):
    """The state between the bytes of one peer and the engine.

    `observe` hears of each decision; `complain` of what breaks the protocol.
    `count` hears of the decisions that are not counted where they were kept
    ready.  `course`, on the same decider, is marked for whoever observes.
    """

    __slots__ = (
        "_between",
        "_complain",
        "_count",
        "_course",
        "_decider",
        "_judge",
        "_observe",
        "_parser",
        "_queue",
        "_waiting",
        "finished",
    )

    def __init__(
        self,
        decider: Decider,
        judge: Judge,
        parser: Parser[EventT],
        *,
        observe: Callable[[RequestT, Decision], None] | None = None,
        complain: Callable[[str], None] | None = None,
        count: Callable[[RequestT, Decision], None] | None = None,
        course: Course | None = None,
    ) -> None:
        self._count = count
        self._course = course
        self._decider = decider
        self._judge = judge
        self._observe = observe
        self._complain = complain
        self._parser = parser
        self._queue: list[EventT] = []  # the next one last
        self._waiting: _Waiting[RequestT] | None = None
        self._between = True  # idle and not finished; kept, because `quick` asks each time
        self.finished = False

    @property
    def pending(self) -> Pending | None:
        """A question for another server; nothing is answered before it is resolved."""
        return self._waiting.pending if self._waiting is not None else None

    @property
    def busy(self) -> bool:
        """True while events wait for `replies`, or one for another server."""
        return bool(self._queue) or self._waiting is not None

    @property
    def idle(self) -> bool:
        """True between events: nothing waits, and no part of one is held."""
        return not self.busy and self._parser.idle

    def receive(self, data: bytes, *, late: bool = False) -> None:
        """Take bytes from the peer; empty bytes are their end.

        `late` tells that others came first in the same piece of the wire.
        """
        if self.finished:
            return
        self._between = False
        if self._course is not None:
            self._course.arrived()
        if data:
            # An event may have come in pieces, and several in one, the last of
            # them after the turn's look at the files.
            began = not self._parser.idle
            events = self._parser.feed(data)
            if late or began or len(events) != 1:
                self._decider.again()
            if events:
                self._queue[:0] = reversed(events)
        else:
            self._parser.end()

    def replies(self, limit: int = TURN) -> bytes:
        """Answer up to `limit` waiting events; the replies as they go to the peer."""
        out: list[bytes] = []
        while self._queue and limit and self._waiting is None:
            limit -= 1
            out.append(self._answer(self._queue.pop()))
        if not self.busy and self._parser.error is not None and not self.finished:
            self.finished = True
            if self._complain is not None:
                self._complain(str(self._parser.error))
        self._between = self.idle and not self.finished
        return b"".join(out)

    def resolved(self, verdict: Verdict) -> bytes:
        """The reply to the request that was pending."""
        waiting = self._waiting
        assert waiting is not None
        self._waiting = None
        self._between = self.idle
        decision = self._judge.end(waiting.question, verdict)
        # The scope was asked some turns ago, and may say something else by now.
        return self._decided(waiting.request, decision, keep=False)

    def _judged(self, request: RequestT, question: Question) -> bytes:
        """The reply to `request`, or nothing yet where another server must be asked."""
        course = self._course
        if course is not None:
            course.source = NONE  # not that of the request before, in the same piece
        begun = self._judge.begin(question)
        if isinstance(begun, Decision):
            return self._decided(request, begun, keep=True)
        outcome = self._decider.decide(begun) if course is None else course.decide(begun)
        if isinstance(outcome, Pending):
            self._waiting = _Waiting(request, question, outcome)
            return b""
        return self._decided(request, self._judge.end(question, outcome), keep=True)

    def _decided(self, request: RequestT, decision: Decision, *, keep: bool) -> bytes:
        if self._count is not None:
            self._count(request, decision)
        if self._observe is not None:
            self._observe(request, decision)
        return self._reply(request, decision, keep=keep)

    @abstractmethod
    def _answer(self, event: EventT) -> bytes:
        """The reply to one event; nothing where it has none, or not yet."""

    @abstractmethod
    def _reply(self, request: RequestT, decision: Decision, *, keep: bool) -> bytes:
        """How the peer is told `decision`; it may be kept ready where `keep` says so."""
