"""What happens in each tick of the event loop besides the clients' questions.

At the beginning of a tick the events of watched folders are read, and the
remembered verdicts are told that time has passed.  Where many questions could
not be answered from memory, the index of the mailbox list is made, a piece
now and then, so that no request waits for it (indexsharing.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from gateway.server.indexsharing import STRAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.server.indexsharing import IndexSharing
    from gateway.verification.decider import Memory

# libev calls what has a higher priority first; 2 is the highest.
_FIRST = 2

_READ = 1


class IndexTimer:
    """Does the steps of `sharing` on gevent's loop, when they are due."""

    def __init__(self, sharing: IndexSharing) -> None:
        self._sharing = sharing
        self._loop = gevent.get_hub().loop
        self._timer = self._loop.timer(0)
        self._due = False  # a step is; a timer that has run out is not active until it is heard

    def wake(self) -> None:
        """There may be something to do."""
        if not self._due:
            self._begin(0)

    def _begin(self, pause: float) -> None:
        self._due = True
        self._timer = self._loop.timer(pause)
        self._timer.start(self._step)

    def _step(self) -> None:
        self._due = False
        if pause := self._sharing.step():
            self._begin(pause)


class LoopHooks:
    """Drives remembered verdicts from gevent's loop, for as long as it is kept.

    `strained` hears that many questions could not be answered from memory.
    """

    def __init__(self, cache: Memory, strained: Callable[[], None]) -> None:
        self._cache = cache
        self._strained = strained
        self._due = STRAIN
        loop = gevent.get_hub().loop
        self._check = loop.check(ref=False, priority=_FIRST)
        self._check.start(self._tick)
        watch = cache.watch
        if watch is not None:
            # The first look takes longer than those that follow: folders begin to be watched.
            cache.files_changed()
        if watch is not None and watch.descriptor is not None:
            self._changes = loop.io(watch.descriptor, _READ, ref=False, priority=_FIRST)
            self._changes.start(cache.files_changed)

    def _tick(self) -> None:
        cache = self._cache
        cache.begin_tick()
        if cache.misses >= self._due:
            self._due = cache.misses + STRAIN
            self._strained()
