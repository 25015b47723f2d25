"""Threads and timers beside gevent's loop: they do what may block, and the loop hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class LoopThreads:
    """At most `threads` of them, made when they are needed."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPool(threads, hub=gevent.get_hub())
        self._loop = gevent.get_hub().loop
        self._timers: set[object] = set()  # the only references

    def spawn(self, work: Callable[[], T], finished: Callable[[T | BaseException], None]) -> None:
        """Call `work` on a thread, and `finished` on the loop with what it gave or raised.

        `finished` is never called before this returns.
        """
        try:
            task = self._pool.spawn(work)
        except RuntimeError as error:  # "can't start new thread"
            task = AsyncResult()
            task.set_exception(error)

        def told(done: AsyncResult[T]) -> None:
            finished(done.value if done.exception is None else done.exception)

        task.rawlink(told)

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
