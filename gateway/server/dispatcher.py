"""Questions for other servers, on their way: asked on threads, answered on the event loop.

Where there is no loop, a lock takes its part (gateway/server/helpers.py): everything
here is called by who holds it.

Whoever waits for the same answer shares one question (single flight).  The
questions for one server are a lane: at most `lane` of them are under way at
once, the others wait in line, so that a server that hangs takes up its own
threads and nobody else's.  mupdate's lane has one place, since one kick serves
all who wait for it.

The time that a question waits in line counts as time that it takes: it is
told when it was asked, and is given up where its deadline is over.  Where its
answer is that somebody else has to be asked, the time runs on.

Limits: THREADS questions are under way at once, whoever is asked.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gateway.mta.lookups import Lookups
from gateway.verification.model import Evidence, Kind, Pending, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.mta.lookups import TableAnswers
    from gateway.verification.model import Query

    # Asks the mail server's tables.
    AskTables = Callable[[Lookups, Callable[[TableAnswers], None]], None]
    # Asks the one whom the Pending names; blocks, on a thread.
    Advance = Callable[[Pending, float], Verdict | Pending]
    Answered = Callable[[Verdict | TableAnswers], None]
    Outcome = Verdict | Pending | BaseException
    Key = tuple[str, str | None, Query]

# Questions under way to one server.
LANE = 8

# Threads, which are made when they are needed: several servers that hang at
# once must not keep the others waiting.
THREADS = 128


class Threads(Protocol):
    """Does work that may block on threads."""

    def spawn(
        self, work: Callable[[], Verdict | Pending], landed: Callable[[Outcome], None]
    ) -> None:
        """Have `work` done; `landed` hears what it gave or raised, not before this returns."""


class _SharedQuestion:
    """One question and all who wait for its answer."""

    __slots__ = ("key", "pending", "since", "waiting")

    def __init__(self, key: Key, pending: Pending, answered: Answered, since: float) -> None:
        self.key = key
        self.pending = pending
        self.since = since
        self.waiting = [answered]


class _ServerThreads:
    """The questions for one server."""

    __slots__ = ("queue", "size", "under_way")

    def __init__(self, size: int) -> None:
        self.size = size
        self.under_way = 0
        self.queue: deque[_SharedQuestion] = deque()


class Dispatcher:
    """Asks other servers for an event loop.

    `advance` runs on a thread; `lane` is how many questions one server is
    asked at once, and `lanes` has those for which it is another number.  `defect`
    hears of an exception that nobody expected; the question's verdict is then a fault.
    `tables` takes the questions for the mail server's tables (tablequestions.py),
    which others ask.
    """

    def __init__(
        self,
        advance: Advance,
        *,
        lane: int = LANE,
        lanes: Mapping[str, int] | None = None,
        threads: int = THREADS,
        defect: Callable[[BaseException], None] | None = None,
        tables: AskTables | None = None,
        pool: Threads | None = None,
    ) -> None:
        """`pool` has at least `threads` threads; default: those beside gevent's loop."""
        if pool is None:
            # Whoever brings threads of another kind has no gevent.
            from gateway.server.loopthreads import LoopThreads  # noqa: PLC0415

            pool = LoopThreads(threads)
        self._tables = tables
        self.asked = 0  # questions asked of other servers since the start
        self.shared = 0  # those that found the same one under way
        self._advance = advance
        self._defect = defect
        self._lane_size = lane
        # One kick of mupdate serves all who wait for it.
        self._sizes: dict[str | None, int] = {None: 1}
        self._sizes.update(lanes or {})
        self._threads = threads
        self._under_way = 0
        self._pool = pool
        self._dispatcher: dict[Key, _SharedQuestion] = {}
        self._lanes: dict[str | None, _ServerThreads] = {}
        # Lanes that could go on, but for the number of threads.
        self._held: deque[_ServerThreads] = deque()

    def __len__(self) -> int:
        """Questions under way and in line."""
        return len(self._dispatcher)

    def ask(self, pending: Pending | Lookups, answered: Answered) -> None:
        """Have `pending` answered; `answered` is called on the loop, never before this returns."""
        if isinstance(pending, Lookups):
            assert self._tables is not None
            self._tables(pending, answered)
            return
        self._ask(pending, answered, time.monotonic())

    def _ask(self, pending: Pending, answered: Answered, since: float) -> None:
        key = pending.key
        flight = self._dispatcher.get(key)
        if flight is not None:
            self.shared += 1
            flight.waiting.append(answered)
            return
        flight = self._dispatcher[key] = _SharedQuestion(key, pending, answered, since)
        lane = self._lanes.get(pending.server)
        if lane is None:
            size = self._sizes.get(pending.server, self._lane_size)
            lane = self._lanes[pending.server] = _ServerThreads(size)
        lane.queue.append(flight)
        self._go_on(lane)

    def _go_on(self, lane: _ServerThreads) -> None:
        while lane.queue and lane.under_way < lane.size:
            if self._under_way >= self._threads:
                if lane not in self._held:
                    self._held.append(lane)
                return
            flight = lane.queue.popleft()
            lane.under_way += 1
            self._under_way += 1
            self.asked += 1
            self._pool.spawn(
                partial(self._advance, flight.pending, flight.since),
                partial(self._landed, lane, flight),
            )

    def _landed(self, lane: _ServerThreads, flight: _SharedQuestion, landed: Outcome) -> None:
        lane.under_way -= 1
        self._under_way -= 1
        del self._dispatcher[flight.key]
        self._go_on(lane)
        if not lane.queue and not lane.under_way:
            self._lanes.pop(flight.pending.server, None)
        while self._held and self._under_way < self._threads:
            self._go_on(self._held.popleft())
        outcome = self._outcome(landed)
        for answered in flight.waiting:
            if isinstance(outcome, Pending):
                self._ask(outcome, answered, flight.since)
            else:
                self._tell(answered, outcome)

    def _tell(self, answered: Answered, verdict: Verdict) -> None:
        """Tell one who has waited; a defect in that must not keep it from the others."""
        try:
            answered(verdict)
        except Exception as error:
            if self._defect is None or isinstance(error, MemoryError):
                raise
            self._defect(error)

    def _outcome(self, landed: Outcome) -> Verdict | Pending:
        if not isinstance(landed, BaseException):
            return landed
        if isinstance(landed, MemoryError):
            raise landed
        if self._defect is not None:
            self._defect(landed)
        fault = f"cannot ask another server: {landed!r}"
        return Verdict(Kind.UPSTREAM_FAULT, b"", Evidence(fault=fault), cacheable=False)
