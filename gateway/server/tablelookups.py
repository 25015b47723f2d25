"""Questions for Postfix' tables, on their way: asked on threads, answered on the event loop.

Where there is no loop, a lock takes its part (gateway/server/helpers.py): everything
here is called by the thread that holds it.

Callers that ask for the same key share one question (single flight).  Keys that
come within WINDOW seconds go in one call of postmap, and while calls are rare
they wait for each other longer: no more than CALLS a second are made, whatever
comes.  Each run of tables has MAX_CALLS calls in progress at most, so that one that
hangs holds up no caller that does not need it.

What cannot be asked in time has a fault instead of an answer: a run whose
waiting keys would take longer than the deadline is not asked for more of them
("too many unknown recipients"), and the deadline of each question holds from
when it came.  A fault is a temporary failure, never a permanent refusal.

Limits: CALLS and MAX_WAITING are those of a process; there may be several.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gateway.errors import MailServerError
from gateway.mta.lookups import DEADLINE, Lookup, TableAnswers, by_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.mta.lookups import Lookups
    from gateway.mta.postfix import Postfix
    from gateway.mta.tablecache import Proof
    from gateway.mta.tables import Run

    Told = dict[bytes, bytes | None]

# Seconds that a key waits for others to come with it.
WINDOW = 0.004

# Calls a second in the long run, and at once after a pause.  Each starts a
# program: some 5 ms of CPU, of which the event loop loses a tenth.
CALLS = 40.0
BURST = 40.0

# Calls in progress to one run of tables, and all together.
MAX_CALLS = 4
THREADS = 16

# Keys that wait for one run; each is an unknown recipient's.
MAX_WAITING = 4096

_BUSY = "is asked for more unknown recipients than it can answer in time; they are deferred"
_LATE = f"has not answered within {DEADLINE:g} s; look at what it asks"


class LoopHelpers(Protocol):
    """Threads for work that may block, and a clock; callbacks of either run on the loop."""

    def spawn(
        self, work: Callable[[], Told], finished: Callable[[Told | BaseException], None]
    ) -> None:
        """Have `work` done; `finished` hears what it gave or raised, not before this returns."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` in so many seconds."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call `call`, but not before this returns."""


class _Group:
    """One question, and what is still missing for its answers."""

    __slots__ = ("answered", "answers", "missing")

    def __init__(
        self, answers: TableAnswers, missing: int, answered: Callable[[TableAnswers], None]
    ) -> None:
        self.answers = answers
        self.missing = missing
        self.answered = answered


class _Key:
    """One key that waits for a run, or is in progress, and all groups that need it."""

    __slots__ = ("groups", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.groups: list[_Group] = []


class _RunQueue:
    """The keys for one run of tables."""

    __slots__ = ("keys", "run", "under_way", "waiting")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.keys: dict[bytes, _Key] = {}  # that wait or are in progress
        self.waiting: deque[bytes] = deque()
        self.under_way = 0


class TableQuestions:
    """Asks the tables of one Postfix for an event loop.

    `defect` hears of an unexpected exception; the caller gets a fault.
    """

    def __init__(
        self,
        postfix: Postfix,
        *,
        defect: Callable[[BaseException], None] | None = None,
        helpers: LoopHelpers | None = None,
    ) -> None:
        """`helpers` are those beside gevent's loop unless given."""
        if helpers is None:
            # A caller that brings others has no gevent.
            from gateway.server.loopthreads import LoopThreads  # noqa: PLC0415

            helpers = LoopThreads(THREADS)
        self.calls = 0  # programs started
        self.keys = 0  # keys asked for with them
        self.shared = 0  # keys that had been asked for already
        self.busy = 0  # keys that were not asked for, because there were too many
        self._asker = postfix.tables.asker
        self._memory = postfix.tables.memory
        self._defect = defect
        self._queues: dict[Run, _RunQueue] = {}
        self._helpers = helpers
        self._planned = False
        self._tokens = BURST
        self._filled = time.monotonic()

    def ask(self, lookups: Lookups, answered: Callable[[TableAnswers], None]) -> None:
        """Have `lookups` answered; `answered` is called on the loop, never before this returns."""
        answers, missing = self._memory.recall(lookups)
        group = _Group(answers, 0, answered)
        until = lookups.until if lookups.until is not None else time.monotonic() + DEADLINE
        for run, keys in by_run(missing).items():
            queue = self._queues.get(run)
            if queue is None:
                queue = self._queues[run] = _RunQueue(run)
            if not self._has_room(queue, len(keys)):
                self.busy += len(keys)
                answers.faults[run] = f"{run.name}: {_BUSY}"
                continue
            for key in keys:
                waiting = queue.keys.get(key)
                if waiting is None:
                    waiting = queue.keys[key] = _Key(until)
                    queue.waiting.append(key)
                else:
                    self.shared += 1
                waiting.groups.append(group)
                group.missing += 1
        if group.missing:
            self._plan(WINDOW)
        else:
            self._helpers.soon(partial(self._tell, group))

    def _has_room(self, queue: _RunQueue, more: int) -> bool:
        """Whether `more` keys would be answered in time, as far as can be told."""
        waiting = len(queue.keys) + more
        ahead = waiting * self._asker.seconds_a_key(queue.run) / MAX_CALLS
        return waiting <= MAX_WAITING and (ahead < DEADLINE / 2 or len(queue.keys) < MAX_CALLS)

    def _plan(self, seconds: float) -> None:
        """Look at what waits in so many seconds, or sooner if that is planned."""
        if not self._planned:
            self._planned = True
            self._helpers.later(seconds, self._go_on)

    def _go_on(self) -> None:
        """Start the calls that may be started now."""
        self._planned = False
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * CALLS)
        self._filled = now
        ready = [
            each for each in self._queues.values() if each.waiting and each.under_way < MAX_CALLS
        ]
        # The longest wait first: a token is rare under attack.
        ready.sort(key=lambda each: each.keys[each.waiting[0]].until)
        for queue in ready:
            self._give_up(queue, now)
            if queue.waiting and self._tokens >= 1.0:
                self._tokens -= 1.0
                self._start(queue)
        if any(queue.waiting and queue.under_way < MAX_CALLS for queue in ready):
            self._plan(max(WINDOW, (1.0 - self._tokens) / CALLS))

    def _give_up(self, queue: _RunQueue, now: float) -> None:
        """Tell callers that have waited for too long."""
        while queue.waiting and queue.keys[queue.waiting[0]].until <= now:
            key = queue.waiting.popleft()
            self._finished(queue, key, None, f"{queue.run.name}: {_LATE}")

    def _start(self, queue: _RunQueue) -> None:
        most = self._asker.keys_at_once(queue.run)
        keys = [queue.waiting.popleft() for _ in range(min(most, len(queue.waiting)))]
        queue.under_way += 1
        self.calls += 1
        self.keys += len(keys)
        proof = self._memory.proof(queue.run)
        # The last one's: whose time is over sooner must not end the call for the others.
        until = max(queue.keys[key].until for key in keys)
        self._helpers.spawn(
            partial(self._asker.ask, queue.run, keys, until),
            partial(self._ended, queue, keys, proof),
        )

    def _ended(
        self,
        queue: _RunQueue,
        keys: list[bytes],
        proof: Proof | None,
        outcome: Told | BaseException,
    ) -> None:
        queue.under_way -= 1
        fault = ""
        told = None
        if isinstance(outcome, BaseException):
            if isinstance(outcome, MemoryError):
                raise outcome
            if not isinstance(outcome, MailServerError) and self._defect is not None:
                self._defect(outcome)
            fault = str(outcome)
        else:
            told = outcome
            self._memory.keep(queue.run, told, proof)
        for key in keys:
            self._finished(queue, key, told, fault)
        if queue.waiting:
            self._plan(0)

    def _finished(self, queue: _RunQueue, key: bytes, told: Told | None, fault: str) -> None:
        """One key has its answer, or a fault."""
        for group in queue.keys.pop(key).groups:
            if told is not None:
                group.answers.values[Lookup(queue.run, key)] = told.get(key)
            else:
                group.answers.faults[queue.run] = fault
            group.missing -= 1
            if not group.missing:
                self._tell(group)

    def _tell(self, group: _Group) -> None:
        """A defect in a callback must not keep the answer from the others."""
        try:
            group.answered(group.answers)
        except Exception as error:
            if self._defect is None or isinstance(error, MemoryError):
                raise
            self._defect(error)
