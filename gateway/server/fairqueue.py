"""A round-robin queue for clients that send more than a batch: each round serves one of them.

A round of the event loop looks at all sockets and answers every client that has asked
a question.  Clients that send many at once would make each round as long as all
of their batches together; in a queue they make it one batch longer, however many
they are.  The servers of one process share one.

`loop.run_callback` is not such a queue: gevent runs what is added there on and on,
for five milliseconds before it looks at a socket again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

# libev calls what has a lower priority later; -2 is the lowest.
_LAST = -2


class FairQueue:
    """Calls what waits, one a round, in the order of coming."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        # Due at once, which is in the next round, and behind all sockets that it finds ready.
        self._timer = gevent.get_hub().loop.timer(0, priority=_LAST)

    def enqueue(self, callback: Callable[[], None]) -> None:
        """Call `callback` in a later round, in the order of coming."""
        self._waiting.append(callback)
        if not self._timer.active:
            self._timer.start(self._next)

    def _next(self) -> None:
        callback = self._waiting.popleft()
        self._timer.stop()
        if self._waiting:
            self._timer.start(self._next)
        callback()
