"""Says that databases cannot be read, before the first client has to hear it.

A start finds every file that it needs, and says so of each that it does not;
later a fault would be noticed only when a client asks.  So a process looks at the
start and then every few seconds, on a thread, with readers of its own.

Limits: a store on an SQL server is not waited for at the start, but looked at
a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gevent.threadpool import ThreadPool

from gateway.observability.metrics.databases import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.store import CyrusStore


class DatabaseWatch:
    """`tell` hears of what cannot be read, empty for nothing, whenever that has changed."""

    def __init__(self, store: CyrusStore, tell: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell
        self._told = ""
        self._looker = ThreadPool(1)
        self._looking = False

    def begin(self) -> None:
        """The first look; tells before it returns, where that needs no other server."""
        if self._store.server is None:
            self._found(problems(self._store))
        else:
            self.look()

    def look(self) -> None:
        """Look again, without waiting for it."""
        if self._looking:
            return
        self._looking = True
        self._looker.apply_async(problems, (self._store,), callback=self._found)

    def _found(self, text: str) -> None:
        self._looking = False
        if text != self._told:
            self._told = text
            self._tell(text)
