"""What happens in each tick of the event loop besides the clients' questions.

At the beginning of a tick the events of watched folders are read, and the
remembered verdicts are told that time has passed.  Where many questions could
not be answered from memory, the index of the mailbox list is built, a piece
now and then, so that nobody waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

if TYPE_CHECKING:
    from gateway.verification.decider import Memory

# Questions that were not answered from memory before the mailbox list's index
# is worth its making, and again each time as many more have come.
STRAIN = 200

# libev calls what has a higher priority first; 2 is the highest.
_FIRST = 2

# Seconds between two pieces of the index, of about 2 ms each: a quarter of a core
# while it is built.
PAUSE = 0.006

_READ = 1


class LoopHooks:
    """Drives remembered verdicts from gevent's loop, for as long as it is kept."""

    def __init__(self, cache: Memory) -> None:
        self._cache = cache
        self._due = STRAIN
        loop = gevent.get_hub().loop
        self._timer = loop.timer(PAUSE, repeat=PAUSE)
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
            if not self._timer.active:
                self._timer.start(self._build_index_step)

    def _build_index_step(self) -> None:
        if not self._cache.build_index_step():
            self._timer.stop()
