"""Indexes of mailbox lists that children have made, for the others and for those that come later.

The supervisor looks into none of them: it keeps the newest by the path of its file, gives it to
every child, and says which child has one made, so that not all of them do.  A
child proves by itself what it is given (gateway/cyrus/db/twoskip/shared.py).

Limits: MOST files, of which a gateway has one; what is kept is in memory, 8 bytes a mailbox,
until another one takes its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from gateway.supervisor.children import Child

# Files of which indexes are kept.
MOST = 2

# Seconds after which a child that was to have an index made is not waited for any more; another
# one that wants it waits for no longer than that (gateway.server.indexsharing).
MAKING = 60.0


class SharedIndexes:
    """What has been made, and who makes what."""

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}
        self._makers: dict[str, tuple[Child, float]] = {}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Of all that are kept, for a child at its start."""
        return tuple(self._kept.values())

    def heard(self, child: Child, others: Iterable[Child]) -> None:
        """Take what `child` has made, or answer what it wants.

        `others` are those that serve, or are about to: they are given what is new, and who is not
        among them makes nothing any more.
        """
        others = list(others)
        for path, descriptor in child.indexes:
            self._makers.pop(path, None)
            self._keep(path, descriptor)
            for other in others:
                if other is not child:
                    other.give_index(path, descriptor)
        child.indexes = []
        path, child.wanted_index = child.wanted_index, ""
        if path and not self._is_made(path, child, others):
            self._makers[path] = child, time.monotonic()
            child.make_index()

    def gone(self, child: Child) -> None:
        """It makes nothing any more."""
        self._makers = {path: each for path, each in self._makers.items() if each[0] is not child}

    def close(self) -> None:
        """Give everything back."""
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._kept = {}

    def _is_made(self, path: str, child: Child, others: list[Child]) -> bool:
        """Whether another one makes it."""
        maker, since = self._makers.get(path, (child, 0.0))
        return maker is not child and maker in others and time.monotonic() - since < MAKING

    def _keep(self, path: str, descriptor: int) -> None:
        old = self._kept.pop(path, None)
        if old is None and len(self._kept) >= MOST:
            old = self._kept.pop(next(iter(self._kept)))
        if old is not None:
            os.close(old)
        self._kept[path] = descriptor
