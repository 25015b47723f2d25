"""How long questions take, and how other servers answer them.

Counted are the questions that were not answered from memory: the cache and
the ready replies never come here.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

from gateway.counted import (
    LOOKUP,
    REST,
    SUM,
    UPSTREAM,
    UPSTREAM_QUESTIONS,
    Numbers,
)
from gateway.observability.metrics.snapshot import Upstream
from gateway.printable import printable
from gateway.verification.model import Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counted import MetricKey
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.decider import Engine
    from gateway.verification.model import Query, Verdict
    from gateway.verification.steps import Step

# Seconds; upper bounds of the buckets.  A look-up in files in memory takes some
# tens of microseconds, another server milliseconds to its deadline.
LOOKUP_BOUNDS = (25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.25, 1.0)
UPSTREAM_BOUNDS = (1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# The kinds of other servers, and what became of a question to one.
BACKEND = "backend"
MUPDATE = "mupdate"
UPSTREAMS = (BACKEND, MUPDATE)
ANSWERED = "answered"
FAILED = "failed"
OUTCOMES = (ANSWERED, FAILED)

# Characters of a server's name and of its problem.
SHOWN = 200
# Servers whose last answer is remembered; a Murder has fewer.
MAX_SERVERS = 64


class Histogram:
    """How many durations fell under each bound, in seconds, and their sum."""

    __slots__ = ("_bounds", "_buckets", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self._buckets[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def numbers(self, key: Callable[[str], MetricKey]) -> Numbers:
        """For a snapshot: the buckets, not cumulative, by their bounds, and the sum."""
        found: Numbers = {key(SUM): self._sum}
        for bound, count in zip((*self._bounds, REST), self._buckets, strict=True):
            found[key(str(bound))] = count
        return found


class Timings:
    """What one process has measured; told on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lookups = Histogram(LOOKUP_BOUNDS)
        self._upstreams = {kind: Histogram(UPSTREAM_BOUNDS) for kind in UPSTREAMS}
        self._questions = {(kind, outcome): 0 for kind in UPSTREAMS for outcome in OUTCOMES}
        self._last: dict[tuple[str, str], Upstream] = {}

    def lookup(self, seconds: float) -> None:
        """A recipient was judged, as far as this machine's files tell."""
        with self._lock:
            self._lookups.observe(seconds)

    def upstream(self, kind: str, name: str, problem: str, seconds: float) -> None:
        """Another server was asked; `problem` is empty where it has answered."""
        with self._lock:
            self._upstreams[kind].observe(seconds)
            self._questions[kind, FAILED if problem else ANSWERED] += 1
            if len(self._last) < MAX_SERVERS or (kind, name) in self._last:
                self._last[kind, name] = Upstream(time.time(), kind, name, problem)

    def numbers(self) -> Numbers:
        """All counts, for a snapshot."""
        with self._lock:
            found = self._lookups.numbers(LOOKUP.of)
            for kind, histogram in self._upstreams.items():
                found |= histogram.numbers(partial(UPSTREAM.of, kind))
            for (kind, outcome), count in self._questions.items():
                found[UPSTREAM_QUESTIONS.of(kind, outcome)] = count
        return found

    def last(self) -> list[Upstream]:
        """The last answer of each server."""
        with self._lock:
            return list(self._last.values())


class ClockedEngine:
    """An engine for threads, of whatever kind, that tells `timings` how long everything took."""

    def __init__(self, engine: Engine, timings: Timings) -> None:
        self._engine = engine
        self._timings = timings

    @property
    def store(self) -> CyrusStore | None:
        """As the engine's."""
        return self._engine.store

    def answering(self, answers: str) -> ClockedEngine:
        """As the engine's, told to the same."""
        return ClockedEngine(self._engine.answering(answers), self._timings)

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """The verdict on `query`; waits for other servers."""
        outcome = self.decide(query)
        while isinstance(outcome, Pending):
            outcome = self.advance(outcome, trace)
        return outcome

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict as far as this machine tells, or what must be asked."""
        start = time.perf_counter()
        outcome = self._engine.decide(query)
        self._timings.lookup(time.perf_counter() - start)
        return outcome

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        """Ask the server that `pending` names; each server that was asked is timed by itself."""
        steps: list[Step] = []
        start = time.perf_counter()
        outcome = self._engine.advance(pending, steps, since=since)
        whole = time.perf_counter() - start
        asked = [step for step in steps if step.name in UPSTREAMS]
        for step in asked:
            facts = dict(step.facts)
            server, problem = facts.get("server"), facts.get("problem")
            self._timings.upstream(
                step.name,
                printable(str(server or ""), SHOWN),
                printable(str(problem or ""), SHOWN),
                step.seconds or 0.0,
            )
        if not asked:
            # The databases are on an SQL server, and have been looked up.
            self._timings.lookup(whole)
        if trace is not None:
            trace += steps
        return outcome
