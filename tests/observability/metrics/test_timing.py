"""How long questions take, and what became of those to other servers."""

from __future__ import annotations

from gateway.counted import LOOKUP, REST, SUM, UPSTREAM, UPSTREAM_QUESTIONS
from gateway.observability.metrics.timing import (
    ANSWERED,
    BACKEND,
    FAILED,
    LOOKUP_BOUNDS,
    MUPDATE,
    ClockedEngine,
    Timings,
)
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Query, Verdict
from gateway.verification.steps import Step


class Engine:
    """Asks an SQL server, a backend, which is late, then mupdate, which answers."""

    store = None

    def __init__(self) -> None:
        self.asked = 0

    def answering(self, _answers: str) -> Engine:
        return self

    def verify(self, query: Query, _trace: list[Step] | None = None) -> Verdict:
        raise AssertionError("a timed engine decides and advances")

    def decide(self, query: Query) -> Verdict | Pending:
        return Pending(query, "mysql at db.example", Evidence())

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        assert trace is not None
        self.asked += 1
        if self.asked == 1:
            return Pending(pending.query, "backend.example", Evidence())
        trace.append(Step("backend", 2.0, server="backend.example", problem="late"))
        trace.append(Step("mupdate", 0.5, problem=None))
        return Verdict(Kind.DELIVERABLE, b"")


def test_other_servers_are_timed_one_by_one() -> None:
    """Each question with its outcome; the names stay out of the metrics."""
    timings = Timings()
    trace: list[Step] = []
    verdict = ClockedEngine(Engine(), timings).verify(Query(b"fred"), trace)
    assert verdict.kind is Kind.DELIVERABLE
    assert [step.name for step in trace] == ["backend", "mupdate"]
    found = timings.numbers()
    assert found[UPSTREAM_QUESTIONS.of(BACKEND, FAILED)] == 1
    assert found[UPSTREAM_QUESTIONS.of(BACKEND, ANSWERED)] == 0
    assert found[UPSTREAM_QUESTIONS.of(MUPDATE, ANSWERED)] == 1
    assert found[UPSTREAM.of(BACKEND, SUM)] == 2.0
    assert found[UPSTREAM.of(MUPDATE, SUM)] == 0.5
    assert found[UPSTREAM.of(MUPDATE, "0.5")] == 1
    lookups = sum(found[LOOKUP.of(str(bound))] for bound in (*LOOKUP_BOUNDS, REST))
    assert lookups == 2, "an SQL server's look-up is one, too"
    assert [(each.name, each.problem) for each in timings.last()] == [
        ("backend.example", "late"),
        ("", ""),
    ]
