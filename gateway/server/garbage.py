"""Python's search for garbage that hangs together in circles, kept out of the clients' way.

Nearly everything is let go by counting references.  For the rest CPython searches all
long-lived objects each time their number has grown by a quarter, and no client is answered
meanwhile: with 200 000 verdicts remembered that takes 100 ms.  What is done for a
question or a client leaves no circles that live long (tests/server/test_garbage.py), so that search
is put off until the process has nothing to do; the two short ones, of objects that are
young, stay as they are.

Limits: a question that comes just when the search has begun waits for it, once in
PAUSE seconds at most; a process that never rests searches each LONGEST seconds, for what
libraries might leave.
"""

from __future__ import annotations

import gc
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds between two searches in a process that rests, and in one that never does.
PAUSE = 60.0
LONGEST = 300.0

# A process rests that has used no more than this part of the time since the last look.
RESTING = 0.02

# Since Python 3.14 the oldest are searched in small pieces, and there is nothing to put off.
INCREMENTAL = sys.version_info >= (3, 14)

# More searches of the middle-aged than a process makes.
_NEVER = 2**31 - 1


class GarbageCollection:
    """Takes over from CPython when to search the oldest objects; one in a process.

    `now` and `cpu` are clocks, in seconds.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._now = now
        self._cpu = cpu
        self._looked = self._searched = now()
        self._used = cpu()
        if INCREMENTAL:
            return
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _NEVER)
        # What a start has made stays, and need not be looked through again.
        gc.collect()
        gc.freeze()

    def look(self) -> bool:
        """Search if there is time for it, or it has been put off for long; called now and then."""
        if INCREMENTAL:
            return False
        now, used = self._now(), self._cpu()
        rests = used - self._used <= (now - self._looked) * RESTING
        self._looked, self._used = now, used
        waited = now - self._searched
        if waited < (PAUSE if rests else LONGEST) or not gc.get_count()[2]:
            return False
        self._searched = now
        gc.collect()
        self._used = self._cpu()
        return True
