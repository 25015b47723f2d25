"""Threads and timers beside gevent's loop: they do what may block, and the loop hears of it.

A thread takes work from a queue, and one watcher wakes the loop for whatever has been done
meanwhile.  gevent's own pool has a watcher and several locks for each piece of work, which cost
about as much as a question to another server.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")
    # What may block, and who hears of it; None ends the thread.
    Task = tuple[Callable[[], Any], Callable[[Any], None]]
    Tasks = SimpleQueue[Task | None]


class LoopThreads:
    """At most `threads` of them, made when needed; where none can be, others do the work."""

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._loop = gevent.get_hub().loop
        self._timers: set[object] = set()  # the only references
        self._tasks: Tasks = SimpleQueue()
        self._running = 0  # threads
        self._open = 0  # what was spawned and is not finished
        self._done: deque[Callable[[], None]] = deque()
        self._wake = self._loop.async_()

    def spawn(self, work: Callable[[], T], finished: Callable[[T | BaseException], None]) -> None:
        """Call `work` on a thread, and `finished` on the loop with what it gave or raised.

        `finished` is never called before this returns.
        """
        if not self._open:
            # While something is open the loop has a reason to go on.
            self._wake.start(self._collect)
        self._open += 1
        if self._open > self._running and self._running < self._most:
            try:
                _start(self._tasks, self._done, self._wake.send)
                self._running += 1
            except RuntimeError as error:  # "can't start new thread"
                if not self._running:
                    self._done.append(partial(finished, error))
                    self._wake.send()
                    return
        self._tasks.put((work, finished))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` on the loop in so many seconds."""
        timer = self._loop.timer(seconds)
        self._timers.add(timer)

        def over() -> None:
            self._timers.discard(timer)
            call()

        timer.start(over)

    def soon(self, call: Callable[[], None]) -> None:
        """Call `call` on the loop, but not before this returns."""
        self._loop.run_callback(call)

    def _collect(self) -> None:
        """What threads have done since the last time."""
        while self._done:
            self._open -= 1
            # Each by itself: a defect of one of them strikes no other.
            self._loop.run_callback(self._done.popleft())
        if not self._open:
            self._wake.stop()

    def __del__(self) -> None:
        """Its threads end with what they are doing."""
        for _ in range(self._running):
            self._tasks.put(None)


def _start(tasks: Tasks, done: deque[Callable[[], None]], wake: Callable[[], None]) -> None:
    """Start a thread, which keeps nothing of the pool but these.  Raises RuntimeError."""
    threading.Thread(target=_serve, args=(tasks, done, wake), daemon=True).start()


def _serve(tasks: Tasks, done: deque[Callable[[], None]], wake: Callable[[], None]) -> None:
    while (task := tasks.get()) is not None:
        work, finished = task
        outcome: object
        try:
            outcome = work()
        except BaseException as error:  # noqa: BLE001  (the loop's, to raise or to tell)
            outcome = error
        done.append(partial(finished, outcome))
        # A thread that waits keeps nothing of what it has done.
        del task, work, finished, outcome
        wake()
