"""Waiting for a condition, with a deadline: the only place where a test sleeps.

A test never guesses how long something takes.  It names what must become true
and the longest time that a slow machine may need for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Long enough for a loaded machine with two cores; nothing ever waits it out when all is well.
DEADLINE_S = 60.0

# The first looks come quickly, later ones cost little.
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


class DeadlineError(AssertionError):
    """The condition did not come true in time; the message says which and how long it had."""


def wait_until(condition: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Ask `condition` until it returns something true, and return that.

    `what` completes the sentence "waited N s until ...".  Raises
    `DeadlineError` after `deadline_s` seconds; whatever `condition` raises
    goes through.
    """
    end = time.monotonic() + deadline_s
    pause = _FIRST_PAUSE_S
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise DeadlineError(f"waited {deadline_s:g} s until {what}")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
