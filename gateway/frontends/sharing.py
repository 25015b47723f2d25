"""Questions for other servers from many threads: those who wait for the same answer share one.

The counterpart of flights.py for a process without an event loop, the
milter's: there the thread that has a question asks it itself.  At most `lane`
threads ask one server at once, and one kicks mupdate; the others wait for
their turn, and the time that they wait counts.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from gateway.verification.model import Evidence, Kind, Verdict
from gateway.verification.verifier import Pending

if TYPE_CHECKING:
    from gateway.frontends.remembering import Remembering
    from gateway.verification.decider import Engine
    from gateway.verification.model import Query, Step

    Key = tuple[str | None, bytes, int, int | None]


class _Flight:
    """One question under way; `outcome` stays None where asking it met a defect of ours."""

    __slots__ = ("done", "outcome", "since")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.done = threading.Event()
        self.outcome: Verdict | Pending | None = None


class Sharing:
    """What the threads of a process share."""

    def __init__(self, lane: int, memory: Remembering | None = None) -> None:
        """`lane` questions go to one server at once; `memory` are remembered verdicts."""
        self._lane_size = lane
        self._memory = memory
        self._lock = threading.Lock()
        self._flights: dict[Key, _Flight] = {}
        self._lanes: dict[str | None, threading.Semaphore] = {}

    def engine(self, engine: Engine) -> SharingEngine:
        """`engine`, which shares its questions."""
        return SharingEngine(engine, self)

    def decide(self, query: Query, engine: Engine) -> Verdict | Pending:
        """The outcome of `query`, from memory where there is one."""
        return engine.decide(query) if self._memory is None else self._memory.decide(query)

    def advance(self, pending: Pending, engine: Engine) -> Verdict | Pending:
        """The outcome of `pending`, asked by this thread or by one that was first."""
        key = pending.key
        with self._lock:
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
            lane = self._lanes.get(pending.server)
            if lane is None:
                size = self._lane_size if pending.server is not None else 1
                lane = self._lanes[pending.server] = threading.Semaphore(size)
        if first:
            try:
                with lane:
                    flight.outcome = engine.advance(pending, since=flight.since)
            finally:
                with self._lock:
                    del self._flights[key]
                flight.done.set()
        flight.done.wait()
        if flight.outcome is not None:
            return flight.outcome
        fault = "cannot ask another server: see the line before"
        return Verdict(Kind.UPSTREAM_FAULT, b"", Evidence(fault=fault), cacheable=False)


class SharingEngine:
    """An engine of one thread."""

    __slots__ = ("_engine", "_sharing")

    def __init__(self, engine: Engine, sharing: Sharing) -> None:
        self._engine = engine
        self._sharing = sharing

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """The verdict on `query`; with a `trace` everything is asked anew."""
        if trace is not None:
            return self._engine.verify(query, trace)
        outcome = self._sharing.decide(query, self._engine)
        while isinstance(outcome, Pending):
            outcome = self._sharing.advance(outcome, self._engine)
        return outcome

    def decide(self, query: Query) -> Verdict | Pending:
        """As the engine's."""
        return self._engine.decide(query)

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        """As the engine's, not shared."""
        return self._engine.advance(pending, trace, since=since)
