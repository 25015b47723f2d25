"""What the conversations with Postfix' policy clients and with milters' MTAs have in common.

Bytes become events, events wait in a queue, and those that ask about a
recipient go to the judge and the engine (judging.py).  A question for another
server stops the queue until it is resolved.  A subclass says what its events
mean and how its peer is told a decision.

In trouble nothing is said, the complaint is passed on, and the session is
`finished`: neither protocol has a word for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.errors import ProtocolError
    from gateway.frontends.judging import Judging
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.verification.model import Pending, Verdict

EventT = TypeVar("EventT")
EventT_co = TypeVar("EventT_co", covariant=True)

# Events answered in one call before other clients are served: about a tenth of a
# millisecond.  A peer that waits for its answers, as MTAs do, has one or two under way.
BATCH = 4


class EventParser(Protocol[EventT_co]):
    """Turns bytes into events; where `error` is set, the peer broke the protocol behind them."""

    error: ProtocolError | None

    @property
    def idle(self) -> bool:
        """Nothing of an unfinished event is held."""

    def feed(self, data: bytes) -> Sequence[EventT_co]:
        """The events that `data` completes."""

    def end(self) -> None:
        """The peer sends no more."""


class JudgingSession(ABC, Generic[EventT]):
    """The state between the bytes of one peer and the engine.

    `judging` is this peer's; `complain` hears of what breaks the protocol.
    """

    __slots__ = ("_between", "_complain", "_judging", "_parser", "_queue", "finished")

    def __init__(
        self,
        judging: Judging[Any],
        parser: EventParser[EventT],
        *,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        self._complain = complain
        self._judging = judging
        self._parser = parser
        self._queue: list[EventT] = []  # the next one last
        self._between = True  # idle and not finished; kept, because `cached_reply` asks each time
        self.finished = False

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question for others; nothing is answered before it is resolved."""
        return self._judging.pending

    @property
    def busy(self) -> bool:
        """True while events wait for `replies`, or one for another server."""
        return bool(self._queue) or self._judging.pending is not None

    @property
    def idle(self) -> bool:
        """True between events: nothing waits, and no part of one is held."""
        return not self.busy and self._parser.idle

    @property
    def engaged(self) -> bool:
        """False: a request stands for itself."""
        return False

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Take bytes from the peer; empty bytes are their end.

        `coalesced` says that other bytes came before these in the same piece of the wire.
        """
        if self.finished:
            return
        self._between = False
        if self._judging.origin is not None:
            self._judging.origin.arrived()
        if data:
            # An event may have come in pieces, and several in one, the last of
            # them after the tick's look at the files.
            began = not self._parser.idle
            events = self._parser.feed(data)
            if coalesced or began or len(events) != 1:
                self._judging.expire_tick()
            if events:
                self._queue[:0] = reversed(events)
        else:
            self._parser.end()

    def replies(self, limit: int = BATCH) -> bytes:
        """Answer up to `limit` waiting events; the replies as they go to the peer."""
        out: list[bytes] = []
        while self._queue and limit and self._judging.pending is None:
            limit -= 1
            out.append(self._answer(self._queue.pop()))
        if not self.busy and self._parser.error is not None and not self.finished:
            self.finished = True
            if self._complain is not None:
                self._complain(str(self._parser.error))
        self._between = self.idle and not self.finished
        return b"".join(out)

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """The reply to the request that was pending; nothing yet where more must be asked."""
        reply = self._resolve(told)
        self._between = self.idle
        return reply

    @abstractmethod
    def _answer(self, event: EventT) -> bytes:
        """The reply to one event; nothing where it has none, or not yet."""

    @abstractmethod
    def _resolve(self, told: Verdict | TableAnswers) -> bytes:
        """The reply to the request that was pending; nothing where it waits for more."""
