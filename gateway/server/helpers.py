"""Threads that ask others, and a clock, for a process in which a lock takes the event loop's part.

What is done under the lock is what a loop would do in its ticks: it is brief, and
never waits.  Questions that may take long are asked by threads that do not hold it;
what hears of their ends, and of time, holds it again.  `gateway.server.dispatcher` and
`gateway.server.tablelookups` are used so, as on gevent's loop (loopthreads.py).

Limits: `threads` at most, made when they are needed and kept; where none can be made,
those that there are do the work.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Finished = Callable[[Any], None]


class HelperThreads:
    """Threads for the process of `lock`.

    `spawn`, `later` and `soon` are called by the holder of the lock.  `defect` hears
    of an unexpected exception.
    """

    def __init__(self, lock: Any, threads: int, defect: Callable[[Exception], None]) -> None:
        self._defect = defect
        self._lock = lock
        self._most = threads
        self._count = self._idle = 0
        self._due: deque[tuple[Callable[[], object], Finished]] = deque()
        self._work_due = threading.Condition(lock)
        self._times: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._time_due = threading.Condition(lock)
        threading.Thread(target=self._clock, name="clock", daemon=True).start()

    def spawn(self, work: Callable[[], Any], finished: Finished) -> None:
        """Call `work` on a thread, and `finished` with what it gave or raised.

        `finished` is never called before this returns.
        """
        self._due.append((work, finished))
        if self._idle >= len(self._due):
            self._work_due.notify()
        elif self._count < self._most:
            try:
                threading.Thread(target=self._helper, name="helper", daemon=True).start()
            except RuntimeError as error:  # "can't start new thread"
                if not self._count:
                    self._due.pop()
                    self.soon(lambda error=error: finished(error))  # type: ignore[misc]
                return
            self._count += 1

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` in so many seconds."""
        heapq.heappush(self._times, (time.monotonic() + seconds, next(self._order), call))
        self._time_due.notify()

    def soon(self, call: Callable[[], None]) -> None:
        """Call `call`, but not before this returns."""
        self.later(0.0, call)

    def _helper(self) -> None:
        with self._lock:
            while True:
                while not self._due:
                    self._idle += 1
                    self._work_due.wait()
                    self._idle -= 1
                work, finished = self._due.popleft()
                self._lock.release()
                try:
                    outcome = work()
                except BaseException as error:  # noqa: BLE001  (it is told)
                    outcome = error
                finally:
                    self._lock.acquire()
                self._called(finished, outcome)
                del work, finished, outcome

    def _clock(self) -> None:
        with self._lock:
            while True:
                now = time.monotonic()
                while self._times and self._times[0][0] <= now:
                    self._called(heapq.heappop(self._times)[2])
                left = self._times[0][0] - time.monotonic() if self._times else None
                if left is None or left > 0:
                    self._time_due.wait(left)

    def _called(self, call: Callable[..., None], *arguments: object) -> None:
        """A defect in a callback must not keep the answer from others."""
        try:
            call(*arguments)
        except MemoryError:
            raise  # the process ends (nomemory.py)
        except Exception as error:  # noqa: BLE001  (whatever it is)
            self._defect(error)
