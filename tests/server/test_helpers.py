"""Threads that ask for a process with a lock: shared, bounded for each server, none lost, none without end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from gateway.mta.lookups import TableAnswers
from gateway.server.dispatcher import Dispatcher
from gateway.server.helpers import HelperThreads
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict

TIMEOUT_S = 30.0


class Servers:
    """Other servers, each of whose answers waits until `gate` is open, and who ask them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.asked: list[bytes] = []
        self.there = self.most = 0
        self.defects: list[BaseException] = []
        self._counting = threading.Lock()

    def dispatcher(self, *, max_concurrency: int = 8, threads: int = 16) -> Dispatcher:
        """What asks them."""
        helpers = HelperThreads(self.lock, threads, self.defects.append)
        return Dispatcher(
            self._advance,
            max_concurrency=max_concurrency,
            threads=threads,
            defect=self.defects.append,
            pool=helpers,
        )

    def _advance(self, pending: Pending, _since: float) -> Verdict | Pending:
        with self._counting:
            self.asked.append(pending.query.recipient)
            self.there += 1
            self.most = max(self.most, self.there)
        assert self.gate.wait(TIMEOUT_S)
        with self._counting:
            self.there -= 1
        recipient = pending.query.recipient
        if recipient.startswith(b"moved"):
            return Pending(Query(b"fred"), "other", NO_EVIDENCE)
        if recipient == b"defect":
            raise ZeroDivisionError
        return Verdict(Kind.DELIVERABLE, recipient)

    def ask(self, dispatcher: Dispatcher, *recipients: bytes) -> Callable[[], list[Verdict]]:
        """Ask about each at once; gives what waits for the answers."""
        answers: dict[int, Verdict] = {}
        done = threading.Event()

        def told(number: int, verdict: Verdict | TableAnswers) -> None:
            assert isinstance(verdict, Verdict)
            assert self.lock.locked()
            answers[number] = verdict
            if len(answers) == len(recipients):
                done.set()

        with self.lock:
            for number, recipient in enumerate(recipients):
                pending = Pending(Query(recipient), "far", NO_EVIDENCE)
                dispatcher.ask(pending, partial(told, number))
            assert not answers, "never before `ask` has returned"

        def wait() -> list[Verdict]:
            assert done.wait(TIMEOUT_S)
            return [answers[number] for number in range(len(recipients))]

        return wait


@pytest.fixture
def servers() -> Servers:
    """Other servers."""
    return Servers()


@pytest.mark.parametrize(("max_concurrency", "threads"), [(1, 16), (3, 16), (8, 2), (8, 16)])
def test_each_has_its_answer(servers: Servers, max_concurrency: int, threads: int) -> None:
    """No more than max_concurrency are asked of a server at once, and no more than there are threads."""
    names = [b"user%d" % number for number in range(20)]
    dispatcher = servers.dispatcher(max_concurrency=max_concurrency, threads=threads)
    wait = servers.ask(dispatcher, *names)
    servers.gate.set()
    assert [verdict.reason for verdict in wait()] == names
    assert servers.most <= min(max_concurrency, threads)
    assert (dispatcher.asked, len(dispatcher)) == (20, 0)


def test_who_asks_the_same_shares_a_question(servers: Servers) -> None:
    """However many they are."""
    dispatcher = servers.dispatcher()
    wait = servers.ask(dispatcher, *[b"fred"] * 20)
    servers.gate.set()
    assert {verdict.reason for verdict in wait()} == {b"fred"}
    assert (servers.asked, dispatcher.shared) == ([b"fred"], 19)


def test_a_question_that_leads_to_another_one(servers: Servers) -> None:
    """It is asked where it leads."""
    servers.gate.set()
    (verdict,) = servers.ask(servers.dispatcher(), b"moved")()
    assert verdict.reason == b"fred"
    assert servers.asked == [b"moved", b"fred"]


def test_a_defect_is_a_fault_and_holds_up_nobody(servers: Servers) -> None:
    """Whichever thread it struck."""
    servers.gate.set()
    dispatcher = servers.dispatcher(max_concurrency=1)
    for _ in range(2):
        kinds = [verdict.kind for verdict in servers.ask(dispatcher, b"defect", b"fred")()]
        assert kinds == [Kind.UPSTREAM_FAULT, Kind.DELIVERABLE]
    assert [type(each) for each in servers.defects] == [ZeroDivisionError] * 2


def test_where_no_thread_can_be_made_it_is_a_fault(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until there is one, which does the work of all."""
    dispatcher = servers.dispatcher()
    servers.gate.set()

    def none(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        (verdict,) = servers.ask(dispatcher, b"fred")()
        assert verdict.kind is Kind.UPSTREAM_FAULT
    (verdict,) = servers.ask(dispatcher, b"fred")()
    assert verdict.kind is Kind.DELIVERABLE
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        verdicts = servers.ask(dispatcher, b"fred", b"anna")()
    assert [verdict.reason for verdict in verdicts] == [b"fred", b"anna"]


def test_the_clock_calls_in_order(servers: Servers) -> None:
    """With the lock, and whatever one of them does."""
    helpers = HelperThreads(servers.lock, 1, servers.defects.append)
    heard: list[str] = []
    done = threading.Event()

    def defect() -> None:
        raise ZeroDivisionError

    with servers.lock:
        helpers.later(0.02, done.set)
        helpers.later(0.01, lambda: heard.append("second"))
        helpers.soon(defect)
        helpers.soon(lambda: heard.append("first"))
        assert not heard
    assert done.wait(TIMEOUT_S)
    assert heard == ["first", "second"]
    assert len(servers.defects) == 1
