"""Questions for other servers, on their way: asked on threads, answered on the event loop.

Where there is no loop, a lock takes its part (gateway/server/helpers.py): everything
here is called by the thread that holds it.

Callers that wait for the same answer share one question (single flight).  At most
`max_concurrency` questions are put to one server at once, the others wait in its
queue, so that a server that hangs takes up its own threads and no others.  mupdate
is asked one at a time, since one kick serves all that wait for it.

The time in the queue counts towards the deadline: a question is told when it was
asked, and is given up where its deadline is over.  Where its
answer is that another server must be asked, the time runs on.

Limits: THREADS questions are in progress at once, whichever server is asked.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gateway.mta.lookups import Lookups
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.mta.lookups import TableAnswers
    from gateway.verification.model import Query

    # Asks the mail server's tables.
    AskTables = Callable[[Lookups, Callable[[TableAnswers], None]], None]
    # Asks the server that the Pending names; blocks, on a thread.
    Advance = Callable[[Pending, float], Verdict | Pending]
    Answered = Callable[[Verdict | TableAnswers], None]
    Outcome = Verdict | Pending | BaseException
    Key = tuple[str, str | None, Query]

# Questions in progress to one server.
MAX_CONCURRENCY = 8

# Threads, which are made when they are needed: several servers that hang at
# once must not keep the others waiting.
THREADS = 128


class Threads(Protocol):
    """Does work that may block on threads."""

    def spawn(
        self, work: Callable[[], Verdict | Pending], finished: Callable[[Outcome], None]
    ) -> None:
        """Have `work` done; `finished` hears what it gave or raised, not before this returns."""


class _SharedQuestion:
    """One question and all callers that wait for its answer."""

    __slots__ = ("key", "pending", "since", "waiting")

    def __init__(self, key: Key, pending: Pending, answered: Answered, since: float) -> None:
        self.key = key
        self.pending = pending
        self.since = since
        self.waiting = [answered]


class _ServerQueue:
    """The questions for one server."""

    __slots__ = ("queue", "size", "under_way")

    def __init__(self, size: int) -> None:
        self.size = size
        self.under_way = 0
        self.queue: deque[_SharedQuestion] = deque()


class Dispatcher:
    """Asks other servers for an event loop.

    `advance` runs on a thread; `max_concurrency` is how many questions one server is
    asked at once, and `concurrency_of` has those for which it is another number.  `defect`
    hears of an unexpected exception; the question's verdict is then a fault.
    `tables` takes the questions for the mail server's tables (tablelookups.py),
    which others ask.
    """

    def __init__(
        self,
        advance: Advance,
        *,
        max_concurrency: int = MAX_CONCURRENCY,
        concurrency_of: Mapping[str, int] | None = None,
        threads: int = THREADS,
        defect: Callable[[BaseException], None] | None = None,
        tables: AskTables | None = None,
        pool: Threads | None = None,
    ) -> None:
        """`pool` has at least `threads` threads; default: those beside gevent's loop."""
        if pool is None:
            # A caller that brings threads of another kind has no gevent.
            from gateway.server.loopthreads import LoopThreads  # noqa: PLC0415

            pool = LoopThreads(threads)
        self._tables = tables
        self.asked = 0  # questions asked of other servers since the start
        self.shared = 0  # those that found the same one in progress
        self._advance = advance
        self._defect = defect
        self._max_concurrency = max_concurrency
        # One kick of mupdate serves all that wait for it.
        self._limits: dict[str | None, int] = {None: 1}
        self._limits.update(concurrency_of or {})
        self._threads = threads
        self._under_way = 0
        self._pool = pool
        self._questions: dict[Key, _SharedQuestion] = {}
        self._servers: dict[str | None, _ServerQueue] = {}
        # Servers that could be asked more, but for the number of threads.
        self._held: deque[_ServerQueue] = deque()

    def __len__(self) -> int:
        """Questions in progress and queued."""
        return len(self._questions)

    def ask(self, pending: Pending | Lookups, answered: Answered) -> None:
        """Have `pending` answered; `answered` is called on the loop, never before this returns."""
        if isinstance(pending, Lookups):
            assert self._tables is not None
            self._tables(pending, answered)
            return
        self._ask(pending, answered, time.monotonic())

    def _ask(self, pending: Pending, answered: Answered, since: float) -> None:
        key = pending.key
        question = self._questions.get(key)
        if question is not None:
            self.shared += 1
            question.waiting.append(answered)
            return
        question = self._questions[key] = _SharedQuestion(key, pending, answered, since)
        server = self._servers.get(pending.server)
        if server is None:
            size = self._limits.get(pending.server, self._max_concurrency)
            server = self._servers[pending.server] = _ServerQueue(size)
        server.queue.append(question)
        self._go_on(server)

    def _go_on(self, server: _ServerQueue) -> None:
        while server.queue and server.under_way < server.size:
            if self._under_way >= self._threads:
                if server not in self._held:
                    self._held.append(server)
                return
            question = server.queue.popleft()
            server.under_way += 1
            self._under_way += 1
            self.asked += 1
            self._pool.spawn(
                partial(self._advance, question.pending, question.since),
                partial(self._finished, server, question),
            )

    def _finished(self, server: _ServerQueue, question: _SharedQuestion, result: Outcome) -> None:
        server.under_way -= 1
        self._under_way -= 1
        del self._questions[question.key]
        self._go_on(server)
        if not server.queue and not server.under_way:
            self._servers.pop(question.pending.server, None)
        while self._held and self._under_way < self._threads:
            self._go_on(self._held.popleft())
        outcome = self._outcome(result)
        for answered in question.waiting:
            if isinstance(outcome, Pending):
                self._ask(outcome, answered, question.since)
            else:
                self._tell(answered, outcome)

    def _tell(self, answered: Answered, verdict: Verdict) -> None:
        """Tell one caller; a defect in that must not keep the answer from the others."""
        try:
            answered(verdict)
        except Exception as error:
            if self._defect is None or isinstance(error, MemoryError):
                raise
            self._defect(error)

    def _outcome(self, result: Outcome) -> Verdict | Pending:
        if not isinstance(result, BaseException):
            return result
        if isinstance(result, MemoryError):
            raise result
        if self._defect is not None:
            self._defect(result)
        fault = f"cannot ask another server: {result!r}"
        return Verdict(Kind.UPSTREAM_FAULT, b"", Evidence(fault=fault), cacheable=False)
