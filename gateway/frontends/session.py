"""A conversation with one client, without its socket: events wait, and are answered in order.

A QueuedSession takes the client's bytes and gives the replies' bytes back, in the order of
the events, whatever moves them: standard input and output, or an event loop.  It
promises that one call answers at most `limit` events, so that a client that sends
without end cannot keep the others waiting, and that it stops at a question for another
server (`pending`), which the caller resolves where it may block.

A process for one question imports this: no `typing` here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    from gateway.errors import ProtocolError
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.verification.model import Pending, Verdict

    class EventParser(Protocol):
        """Turns bytes into events; with an `error`, the peer broke the protocol behind them."""

        error: ProtocolError | None

        @property
        def idle(self) -> bool:
            """Nothing of an unfinished event is held."""

        def feed(self, data: bytes) -> Sequence[Any]:
            """The events that `data` completes."""

        def end(self) -> None:
            """The peer sends no more."""


class QueuedSession:
    """The state between the bytes of one peer and the engine.

    `finished`: the last word has been said.  A subclass says what an event means
    and where `pending` is.
    """

    __slots__ = ("_between", "_parser", "_queue", "finished")

    # Events answered in one call before other clients are served: about a tenth of a millisecond.
    batch: int

    def __init__(self, parser: EventParser) -> None:
        self._parser = parser
        self._queue: list[Any] = []  # the next event last
        self._between = True  # idle and not finished; kept, because `cached_reply` asks each time
        self.finished = False

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question for others; nothing is answered before it is resolved."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """True while events wait for `replies`, or one for another server."""
        return bool(self._queue) or self.pending is not None

    @property
    def idle(self) -> bool:
        """True between events: nothing waits, and no part of one is held."""
        return not self.busy and self._parser.idle

    @property
    def engaged(self) -> bool:
        """False: each request is on its own."""
        return False

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Take bytes from the peer; empty bytes are their end.

        `coalesced` says that other bytes came before these in the same piece of the wire.
        """
        if self.finished:
            return
        self._between = False
        self._arrived()
        if data:
            # An event may have come in pieces, and several in one, the last of
            # them after the tick's look at the files.
            began = not self._parser.idle
            events = self._parser.feed(data)
            if coalesced or began or len(events) != 1:
                self._expire_tick()
            if events:
                self._queue[:0] = reversed(events)
        else:
            self._parser.end()

    def replies(self, limit: int | None = None) -> bytes:
        """Answer up to `limit` (default: `batch`) waiting events; the replies as they are sent."""
        limit = self.batch if limit is None else limit
        out: list[bytes] = []
        queue = self._queue
        waits = self.pending is not None
        while queue and limit and not waits:
            limit -= 1
            out.append(self._answer(queue.pop()))
            waits = self.pending is not None
        done = not queue and not waits
        if done and self._parser.error is not None and not self.finished:
            out.append(self._refuse(self._parser.error))
        self._between = done and self._parser.idle and not self.finished
        return b"".join(out)

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """The reply to the request that was pending; nothing yet where more must be asked."""
        reply = self._resolve(told)
        self._between = self.idle
        return reply

    def _arrived(self) -> None:
        """Bytes have come, or the end of them."""
        raise NotImplementedError

    def _expire_tick(self) -> None:
        """Time has passed: whatever happened until now must show in the next answer."""
        raise NotImplementedError

    def _answer(self, event: Any) -> bytes:
        """The reply to one event; nothing where it has none, or not yet."""
        raise NotImplementedError

    def _resolve(self, told: Verdict | TableAnswers) -> bytes:
        """The reply to the request that was pending; nothing where it waits for more."""
        raise NotImplementedError

    def _refuse(self, error: ProtocolError) -> bytes:
        """The last word to a peer that broke the protocol; the session is `finished` then."""
        raise NotImplementedError
