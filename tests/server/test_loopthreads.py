"""Work on threads, of which gevent's loop hears."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

import gevent
import pytest
from gevent.event import AsyncResult, Event

from gateway.server import loopthreads
from gateway.server.loopthreads import LoopThreads
from tests.rigs.waiting import wait_until

# Seconds, for what takes microseconds.
PATIENCE = 30


class Heard:
    """What `finished` was told, and where."""

    def __init__(self, number: int) -> None:
        self.outcomes: list[object] = []
        self.threads: set[int] = set()
        self._number = number
        self._all = Event()

    def tell(self, outcome: object) -> None:
        """For `spawn`."""
        self.outcomes.append(outcome)
        self.threads.add(threading.get_ident())
        if len(self.outcomes) == self._number:
            self._all.set()

    def wait(self) -> list[object]:
        """All of it, in the order in which it came."""
        assert self._all.wait(PATIENCE)
        return self.outcomes


def test_the_loop_hears_what_a_thread_has_done() -> None:
    """Not before `spawn` returns, and on the loop's own thread."""
    pool, heard = LoopThreads(2), Heard(1)
    pool.spawn(threading.get_ident, heard.tell)
    assert heard.outcomes == []
    (worker,) = heard.wait()
    assert worker != threading.get_ident()
    assert heard.threads == {threading.get_ident()}


@pytest.mark.parametrize("error", [KeyError("no"), MemoryError(), SystemExit(3)], ids=repr)
def test_what_was_raised_is_told(error: BaseException) -> None:
    """Whatever it is; the thread goes on to the next piece of work."""
    pool, heard = LoopThreads(1), Heard(2)

    def fail() -> None:
        raise error

    pool.spawn(fail, heard.tell)
    pool.spawn(lambda: 7, heard.tell)
    assert heard.wait() == [error, 7]


def test_there_are_no_more_threads_than_are_allowed() -> None:
    """What comes when all are busy waits, and loses nothing."""
    pool, heard, gate = LoopThreads(3), Heard(20), threading.Event()
    busy: set[int] = set()

    def work() -> None:
        busy.add(threading.get_ident())
        gate.wait(PATIENCE)

    for _ in range(20):
        pool.spawn(work, heard.tell)
    wait_until(lambda: len(busy) == 3, "three threads are busy")
    assert heard.outcomes == []
    gate.set()
    assert heard.wait() == [None] * 20
    assert len(busy) == 3


def test_one_after_the_other_needs_one_thread() -> None:
    """More are made only while all are busy; between two pieces the loop has nothing to wait for."""
    pool, heard = LoopThreads(8), Heard(30)
    seen = set()
    for _ in range(30):
        result: AsyncResult[object] = AsyncResult()

        def told(outcome: object, result: AsyncResult[object] = result) -> None:
            heard.tell(outcome)
            result.set(outcome)

        pool.spawn(threading.get_ident, told)
        seen.add(result.get(timeout=PATIENCE))
    assert len(seen) == 1


def test_a_defect_of_one_caller_strikes_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the loop's to report, as that of any callback."""
    pool, heard = LoopThreads(1), Heard(2)

    def defect(_outcome: object) -> None:
        raise KeyError("a defect of this test")

    tell: list[Callable[[object], None]] = [heard.tell, defect, heard.tell]
    for each in tell:
        pool.spawn(lambda: True, each)
    assert heard.wait() == [True, True]
    assert "a defect of this test" in capsys.readouterr().err


def test_without_threads_the_caller_hears_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the next piece of work it is tried again."""

    def no_thread(*_words: object) -> None:
        raise RuntimeError("can't start new thread")

    pool, heard = LoopThreads(2), Heard(2)
    with monkeypatch.context() as context:
        context.setattr(loopthreads, "_start", no_thread)
        pool.spawn(lambda: 1, heard.tell)
        assert heard.outcomes == []
        gevent.sleep(0)
    pool.spawn(lambda: 2, heard.tell)
    first, second = heard.wait()
    assert isinstance(first, RuntimeError)
    assert second == 2


def test_work_waits_for_a_thread_where_no_other_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Too few threads make answers late, and not faults of them."""

    def no_thread(*_words: object) -> None:
        raise RuntimeError("can't start new thread")

    pool, heard, may_end = LoopThreads(2), Heard(3), threading.Event()
    pool.spawn(may_end.wait, heard.tell)
    monkeypatch.setattr(loopthreads, "_start", no_thread)
    pool.spawn(lambda: 2, heard.tell)
    pool.spawn(lambda: 3, heard.tell)
    may_end.set()
    assert heard.wait() == [True, 2, 3]


def test_threads_end_with_their_pool() -> None:
    """And nobody keeps what they have worked on."""

    class Work:
        def __call__(self) -> threading.Thread:
            return threading.current_thread()

    pool, heard, work = LoopThreads(2), Heard(1), Work()
    gone = weakref.ref(work)
    pool.spawn(work, heard.tell)
    (thread,) = heard.wait()
    assert isinstance(thread, threading.Thread)
    del work
    wait_until(lambda: gone() is None, "the work is let go")
    del pool
    thread.join(PATIENCE)
    assert not thread.is_alive()
