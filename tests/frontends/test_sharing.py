"""Questions for other servers from many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gateway.frontends.sharing import Sharing
from gateway.verification.model import NO_EVIDENCE, Kind, Query, Step, Verdict
from gateway.verification.verifier import Pending
from tests.frontends.lines import DEADLINE_S


class Far:
    """An engine whose recipients are all elsewhere; answers come when the gate is open."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """Not shared."""
        assert trace is not None
        trace.append(Step("fault", problem="asked anew"))
        return Verdict(Kind.DELIVERABLE, query.recipient)

    def decide(self, query: Query) -> Verdict | Pending:
        """Two steps for `moved`."""
        server = None if query.recipient == b"moved" else "far"
        return Pending(query, server, NO_EVIDENCE)

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict | Pending:
        """Ask."""
        assert since is not None
        assert trace is None
        self.asked.append(pending.query.recipient)
        self.arrived.release()
        assert self.gate.wait(DEADLINE_S)
        if pending.query.recipient == b"defect":
            raise ZeroDivisionError
        if pending.server is None:
            return Pending(Query(b"fred"), "far", NO_EVIDENCE)
        return Verdict(Kind.DELIVERABLE, pending.query.recipient)


@pytest.fixture
def far() -> Far:
    """A far engine."""
    return Far()


def together(count: int, act: Callable[[], None]) -> list[threading.Thread]:
    """So many threads."""
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_threads_that_ask_the_same_share_one_question(far: Far) -> None:
    """All of them get the answer."""
    far.gate.clear()
    sharing = Sharing(8)
    verdicts: list[Verdict] = []
    threads = together(10, lambda: verdicts.append(sharing.engine(far).verify(Query(b"fred"))))
    assert far.arrived.acquire(timeout=DEADLINE_S)
    far.gate.set()
    for thread in threads:
        thread.join()
    assert verdicts == [Verdict(Kind.DELIVERABLE, b"fred")] * 10
    # A thread that came late may have asked anew.
    assert len(far.asked) < 10


def test_a_server_is_asked_by_a_few_at_once(far: Far) -> None:
    """The others wait for their turn."""
    far.gate.clear()
    sharing = Sharing(2)
    engine = sharing.engine(far)
    names = iter([b"a", b"b", b"c", b"d"])
    verdicts: list[Verdict] = []
    threads = together(4, lambda: verdicts.append(engine.verify(Query(next(names)))))
    for _ in range(2):
        assert far.arrived.acquire(timeout=DEADLINE_S)
    assert len(far.asked) == 2
    far.gate.set()
    for thread in threads:
        thread.join()
    assert sorted(verdict.reason for verdict in verdicts) == [b"a", b"b", b"c", b"d"]


def test_an_answer_may_be_another_question(far: Far) -> None:
    """It is asked, too."""
    engine = Sharing(2).engine(far)
    assert engine.verify(Query(b"moved")).reason == b"fred"
    assert far.asked == [b"moved", b"fred"]


def test_a_defect_comes_out_and_leaves_nothing_behind(far: Far) -> None:
    """Who asked hears of it; the next one asks again."""
    engine = Sharing(1).engine(far)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            engine.verify(Query(b"defect"))
    assert engine.verify(Query(b"fred")).kind is Kind.DELIVERABLE


def test_with_a_trace_nothing_is_shared(far: Far) -> None:
    """The steps are those of the one who asked."""
    trace: list[Step] = []
    assert Sharing(1).engine(far).verify(Query(b"x"), trace).reason == b"x"
    assert trace


def test_mails_of_different_size_are_different_questions(far: Far) -> None:
    """One may fit under the quota where the other does not."""
    far.gate.clear()
    sharing = Sharing(4)
    found: list[Verdict] = []
    threads = [
        threading.Thread(
            target=lambda size=size: found.append(sharing.engine(far).verify(Query(b"fred", size)))
        )
        for size in (10, 10**9)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert far.arrived.acquire(timeout=DEADLINE_S)
    far.gate.set()
    for thread in threads:
        thread.join()
    assert far.asked == [b"fred", b"fred"]
    assert len(found) == 2
