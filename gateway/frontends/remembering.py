"""One memory of verdicts for all threads of a process.

A VerdictCache belongs to one thread.  Here a lock lends it to whichever
thread has a question, for as long as remembered verdicts take.  A look at the
files costs system calls, and at each of them Python lets another thread run;
so questions that wait for the lock share one look: it counts for all that had
arrived before it began.

Limits: a question that is not remembered is answered under the lock, too;
questions for other servers are not, they come back as `Pending`.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.frontends.course import Course
    from gateway.verification.cache import VerdictCache
    from gateway.verification.model import Query, Verdict
    from gateway.verification.verifier import Pending

# Questions that were not answered from memory before the mailbox list's index
# is worth its making, and again each time as many more have come (turns.py, too).
STRAIN = 200

# Such questions between two pieces of it (about 2 ms each).
PIECE = 4


class Remembering:
    """Decides from `cache`, for any number of threads; `course`, on the same cache, is marked."""

    def __init__(self, cache: VerdictCache, course: Course | None = None) -> None:
        self._cache = cache
        self._decide = cache.decide if course is None else course.decide
        self._lock = threading.Lock()
        self._moments = itertools.count(1)
        self._looked = 0  # the moment at which the last look began
        self._due = STRAIN

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict, as fresh as if it were made after this call."""
        arrived = next(self._moments)
        with self._lock:
            cache = self._cache
            if self._looked < arrived:
                self._looked = next(self._moments)
                cache.again()
            outcome = self._decide(query)
            if cache.misses >= self._due:
                self._due = cache.misses + (PIECE if cache.prepare() else STRAIN)
            return outcome
