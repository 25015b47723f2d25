"""The circuit breaker: when it opens, how it probes, how it closes."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.breaker import FIRST_PAUSE, LONGEST_PAUSE, THRESHOLD, Breaker

# A little less than a pause.
NEARLY = 0.99


def opened(at: float = 0.0) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker()
    for _ in range(THRESHOLD):
        assert breaker.allows(at)
        breaker.failed(at)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """Those that are not in a row are accidents."""
    breaker = Breaker()
    for _ in range(10):
        for _ in range(THRESHOLD - 1):
            breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.allows(0.0)
    for _ in range(THRESHOLD):
        assert breaker.allows(0.0)
        breaker.failed(0.0)
    assert not breaker.allows(0.0)
    assert not breaker.allows(FIRST_PAUSE * NEARLY)


def test_after_the_pause_one_question_is_a_probe() -> None:
    """The others are not let through while it is in progress."""
    breaker = opened()
    assert not breaker.allows(FIRST_PAUSE / 2)
    assert [breaker.allows(FIRST_PAUSE) for _ in range(5)] == [True, False, False, False, False]


def test_a_probe_that_succeeds_closes_it() -> None:
    """And the next pause is a short one again."""
    breaker = opened()
    assert breaker.allows(FIRST_PAUSE)
    breaker.succeeded()
    assert all(breaker.allows(FIRST_PAUSE) for _ in range(5))
    for _ in range(THRESHOLD):
        breaker.failed(10.0)
    assert not breaker.allows(10.0 + FIRST_PAUSE * NEARLY)
    assert breaker.allows(10.0 + FIRST_PAUSE)


def test_pauses_grow_to_the_longest() -> None:
    """Twice as long after each probe that fails."""
    breaker = opened()
    now = 0.0
    for attempt in range(8):
        pause = min(2**attempt * FIRST_PAUSE, LONGEST_PAUSE)
        assert not breaker.allows(now + pause * NEARLY)
        now += pause
        assert breaker.allows(now)
        breaker.failed(now)


def test_questions_of_before_the_pause_change_nothing() -> None:
    """Many may have been in progress when it opened; they all fail a little later."""
    breaker = opened()
    for _ in range(20):
        breaker.failed(FIRST_PAUSE / 2)
    assert not breaker.allows(FIRST_PAUSE * NEARLY)
    assert breaker.allows(FIRST_PAUSE)


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed"]), st.floats(0, 30))))
def test_it_never_locks_itself_out(steps: list[tuple[str, float]]) -> None:
    """Whatever happens, once the pause is over somebody may ask, if those who asked have told."""
    breaker = Breaker()
    now = 0.0
    asking = False
    for step, passed in steps:
        now += passed
        if step == "ask" and not asking:
            asking = breaker.allows(now)
        elif asking:
            breaker.failed(now) if step == "fail" else breaker.succeeded()
            asking = False
    if asking:
        breaker.failed(now)
    assert breaker.allows(now + LONGEST_PAUSE)


def test_threads_that_probe_at_once() -> None:
    """One of them is let through."""
    breaker = opened()
    gate = threading.Barrier(8)
    allowed: list[bool] = []

    def probe() -> None:
        gate.wait()
        allowed.append(breaker.allows(FIRST_PAUSE))

    threads = [threading.Thread(target=probe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allowed.count(True) == 1
