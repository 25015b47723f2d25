"""The delay before a restart."""

from __future__ import annotations

from gateway.supervisor.children import (
    FIRST_DELAY,
    HEALTHY_SECONDS,
    LONGEST_DELAY,
    LONGEST_DELAY_AFTER_READY,
    Delay,
)


def test_the_delay_grows_while_a_process_does_not_become_ready() -> None:
    """Up to half a minute: no processor is burnt and no log filled."""
    delay = Delay()
    waits = [delay.after(0.1, was_ready=False) for _ in range(12)]
    assert waits[:4] == [FIRST_DELAY, FIRST_DELAY * 2, FIRST_DELAY * 4, FIRST_DELAY * 8]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_DELAY


def test_a_process_that_was_ready_is_soon_back() -> None:
    """However often it is killed."""
    delay = Delay()
    waits = [delay.after(0.1, was_ready=True) for _ in range(12)]
    assert waits[0] == FIRST_DELAY
    assert waits[-1] == LONGEST_DELAY_AFTER_READY


def test_a_healthy_life_makes_the_next_restart_a_first_one() -> None:
    """A process that waited long to become ready does not count as healthy."""
    delay = Delay()
    for _ in range(5):
        delay.after(0.1, was_ready=False)
    assert delay.after(HEALTHY_SECONDS, was_ready=False) > FIRST_DELAY
    assert delay.after(HEALTHY_SECONDS, was_ready=True) == FIRST_DELAY
