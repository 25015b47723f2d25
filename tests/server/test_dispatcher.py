"""Questions on their way to other servers: shared, bounded for each server, none lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import gevent
import pytest

from gateway.mta.lookups import TableAnswers
from gateway.server.dispatcher import Dispatcher
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict
from tests.support.lines import DEADLINE_S, run_loop_until

YES = Verdict(Kind.DELIVERABLE, b"")


class Servers:
    """Other servers: each answers when its gate is open; `most` is how many threads were there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, bytes]] = []
        self.since: list[float] = []  # from when on the deadline of each runs
        self.gates: dict[str | None, threading.Event] = {}
        self.most: dict[str | None, int] = {}
        self._there: dict[str | None, int] = {}
        self._lock = threading.Lock()

    def shut(self, server: str | None) -> threading.Event:
        """Let nobody's answer out before the gate is set."""
        return self.gates.setdefault(server, threading.Event())

    def advance(self, pending: Pending, since: float) -> Verdict | Pending:
        """Ask."""
        server = pending.server
        with self._lock:
            self.since.append(since)
            self.asked.append((server, pending.query.recipient))
            self._there[server] = self._there.get(server, 0) + 1
            self.most[server] = max(self.most.get(server, 0), self._there[server])
        gate = self.gates.get(server)
        if gate is not None:
            assert gate.wait(DEADLINE_S)
        with self._lock:
            self._there[server] -= 1
        if pending.query.recipient.startswith(b"moved"):
            return Pending(Query(b"fred"), "other", NO_EVIDENCE)
        if pending.query.recipient == b"defect":
            raise ZeroDivisionError("defect")
        return Verdict(Kind.DELIVERABLE, pending.query.recipient)


def question(
    server: str | None, recipient: bytes, hops: int = 0, size: int | None = None
) -> Pending:
    """For `server`."""
    return Pending(Query(recipient, size, hops), server, NO_EVIDENCE)


@pytest.fixture
def servers() -> Servers:
    """Other servers."""
    return Servers()


def collect(dispatcher: Dispatcher, *questions: Pending) -> list[Verdict]:
    """The answers, in the order in which they come."""
    found: list[Verdict] = []

    def answered(told: Verdict | TableAnswers) -> None:
        assert isinstance(told, Verdict)
        found.append(told)

    for each in questions:
        dispatcher.ask(each, answered)
    return found


def wait(condition: Callable[[], object]) -> None:
    """Let the loop turn until `condition` is true."""
    run_loop_until(condition, "the answers have come")


def test_a_hundred_who_ask_the_same_are_one_question(servers: Servers) -> None:
    """All of them get the answer."""
    gate = servers.shut("far")
    dispatcher = Dispatcher(servers.advance)
    found = collect(dispatcher, *[question("far", b"fred")] * 100, question("far", b"anna"))
    assert len(dispatcher) == 2
    gate.set()
    wait(lambda: len(found) == 101)
    assert sorted(servers.asked) == [("far", b"anna"), ("far", b"fred")]
    assert (dispatcher.asked, dispatcher.shared, len(dispatcher)) == (2, 99, 0)
    more = collect(dispatcher, question("far", b"fred"))
    assert more == []  # never before the caller goes on
    wait(lambda: more)
    assert dispatcher.asked == 3


def test_a_question_that_has_come_further_is_another_one(servers: Servers) -> None:
    """Its answer may be that it goes in circles."""
    dispatcher = Dispatcher(servers.advance)
    found = collect(dispatcher, question("far", b"fred"), question("far", b"fred", 3))
    wait(lambda: len(found) == 2)
    assert dispatcher.asked == 2


def test_a_server_that_hangs_holds_up_its_own_questions_only(servers: Servers) -> None:
    """It is asked max_concurrency questions at once and no more."""
    gate = servers.shut("hung")
    dispatcher = Dispatcher(servers.advance, max_concurrency=4, threads=6)
    hung = collect(dispatcher, *[question("hung", b"%d" % number) for number in range(50)])
    wait(lambda: len(servers.asked) == 4)
    good = collect(dispatcher, *[question("good", b"%d" % number) for number in range(50)])
    wait(lambda: len(good) == 50)
    assert hung == []
    gate.set()
    wait(lambda: len(hung) == 50)
    assert {verdict.reason for verdict in hung} == {b"%d" % number for number in range(50)}
    assert servers.most["hung"] == 4


def test_threads_are_bounded_and_nobody_is_forgotten(servers: Servers) -> None:
    """More servers hang than there are threads for."""
    names = [f"s{number}" for number in range(10)]
    gates = [servers.shut(name) for name in names]
    dispatcher = Dispatcher(servers.advance, max_concurrency=4, threads=5)
    found = collect(dispatcher, *[question(name, b"%d" % n) for name in names for n in range(6)])
    wait(lambda: len(servers.asked) == 5)
    for gate in gates:
        gate.set()
    wait(lambda: len(found) == 60)
    assert max(servers.most.values()) <= 4


def test_mupdate_is_kicked_by_one_at_a_time(servers: Servers) -> None:
    """All that wait, wait for that kick."""
    dispatcher = Dispatcher(servers.advance, max_concurrency=8)
    found = collect(dispatcher, *[question(None, b"%d" % number) for number in range(20)])
    wait(lambda: len(found) == 20)
    assert servers.most[None] == 1


def test_an_answer_may_be_another_question(servers: Servers) -> None:
    """After the kick a backend may have to be asked; those who waited share that one, too."""
    dispatcher = Dispatcher(servers.advance)
    found = collect(dispatcher, *[question(None, b"moved%d" % number) for number in range(10)])
    wait(lambda: len(found) == 10)
    assert {verdict.reason for verdict in found} == {b"fred"}
    assert 1 <= servers.asked.count(("other", b"fred")) <= 10


def test_a_question_that_leads_to_another_has_one_deadline(servers: Servers) -> None:
    """The second server is told when the first was asked."""
    told: list[Verdict | TableAnswers] = []
    Dispatcher(servers.advance).ask(question("one", b"moved"), told.append)
    wait(lambda: bool(told))
    assert [server for server, _ in servers.asked] == ["one", "other"]
    assert servers.since[0] == servers.since[1]


def test_a_server_may_have_a_lane_of_its_own(servers: Servers) -> None:
    """As wide as the connections that there are to it."""
    told: list[Verdict | TableAnswers] = []
    dispatcher = Dispatcher(servers.advance, max_concurrency=8, concurrency_of={"sql": 2})
    gate = servers.shut("sql")
    for number in range(6):
        dispatcher.ask(question("sql", b"%d" % number), told.append)
    wait(lambda: len(servers.asked) == 2)
    gate.set()
    wait(lambda: len(told) == 6)
    assert servers.most["sql"] == 2


def test_a_defect_is_a_fault_and_not_silence(servers: Servers) -> None:
    """Waiting callers get a temporary failure."""
    defects: list[BaseException] = []
    dispatcher = Dispatcher(servers.advance, defect=defects.append)
    found = collect(dispatcher, question("far", b"defect"), question("far", b"defect"))
    wait(lambda: len(found) == 2)
    assert [verdict.kind for verdict in found] == [Kind.UPSTREAM_FAULT] * 2
    assert [type(defect) for defect in defects] == [ZeroDivisionError]


def test_the_loop_goes_on_while_servers_think(servers: Servers) -> None:
    """It is a thread that waits."""
    gate = servers.shut("far")
    dispatcher = Dispatcher(servers.advance)
    found = collect(dispatcher, question("far", b"fred"))
    for _ in range(100):
        gevent.sleep(0)
    assert found == []
    gate.set()
    wait(lambda: found)


def test_mails_of_different_size_are_different_questions(servers: Servers) -> None:
    """One may fit under the quota where the other does not."""
    dispatcher = Dispatcher(servers.advance)
    found = collect(
        dispatcher, *[question("far", b"fred", size=size) for size in (None, 10, 10**9)]
    )
    wait(lambda: len(found) == 3)
    assert (dispatcher.asked, dispatcher.shared) == (3, 0)


def test_a_question_without_a_thread_is_a_fault_once(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as there are threads again, it is asked."""
    dispatcher = Dispatcher(servers.advance)

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        found = collect(dispatcher, question("far", b"fred"))
        assert found == [], "never before `ask` has returned"
        wait(lambda: len(found) == 1)
    assert found[0].kind is Kind.UPSTREAM_FAULT
    again = collect(dispatcher, question("far", b"fred"))
    wait(lambda: len(again) == 1)
    assert again[0].kind is Kind.DELIVERABLE
    assert len(dispatcher) == 0
