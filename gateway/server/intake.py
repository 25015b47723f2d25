"""A listening socket whose clients can be kept waiting, though libmilter's loop accepts them.

libmilter is given a descriptor and accepts on it until the process ends.  While
it is to take no more clients, that descriptor is another socket, of which
no client knows; clients wait in the queue of the true one, or are taken by other
processes that have it, too.

libmilter takes clients until there is no descriptor left, and then tries again
without a pause: a processor is lost to that, and no database can be opened any
more.  So some descriptors are held back; when all others are taken (`look`) those
are given free for the databases, and clients wait until there is room again.

Limits: `look` is called now and then; until it does, libmilter tries.
"""

from __future__ import annotations

import os
import socket

# Descriptors held back, the eighth of all where there are few.
HELD_BACK = 128
_SHARE = 8
# As many must be free before clients are let in again: one that leaves makes room for one,
# and it should not swing with each.
_ROOM = 16


class Intake:
    """Shuts and opens `listener`, on which libmilter accepts; `limit` is of open files."""

    def __init__(self, listener: socket.socket, limit: int) -> None:
        self._number = listener.fileno()
        self._true = os.dup(self._number)
        self._decoy = socket.socket(socket.AF_UNIX)
        self._decoy.setblocking(False)
        self._decoy.bind("")  # the kernel chooses an abstract name (unix(7))
        self._decoy.listen(1)
        self._reserve = min(HELD_BACK, limit // _SHARE)
        self._held: list[int] = []
        self._take(self._reserve)
        self.open = True

    def look(self) -> bool:
        """Shut it where no descriptor is left, open it where there is room; whether it moved."""
        before = self.open
        if self.open:
            if self._take(1):
                self._give(self._reserve)
            else:
                self.shut()
        elif self._take(self._reserve + _ROOM):
            self._give(self._reserve)
            self.reopen()
        else:
            self._give(0)
        return self.open != before

    def shut(self) -> None:
        """The accepting thread waits on a socket that no client knows."""
        self._give(0)
        os.dup2(self._decoy.fileno(), self._number, inheritable=False)
        self.open = False

    def close(self) -> None:
        """As `shut`, for good: where no other process has the true one, clients are refused."""
        if self._true < 0:
            return
        self.shut()
        os.close(self._true)
        self._true = -1
        self._decoy.close()  # the accepting thread has another descriptor of it

    def reopen(self) -> None:
        """Clients are accepted again."""
        os.dup2(self._true, self._number, inheritable=False)
        self.open = True
        # The accepting thread still waits for a client of the decoy's; this one wakes it.
        with socket.socket(socket.AF_UNIX) as nudge:
            nudge.setblocking(False)
            nudge.connect(self._decoy.getsockname())

    def _take(self, count: int) -> bool:
        """Hold `count` descriptors more than before; whether there were as many."""
        for _ in range(count):
            try:
                self._held.append(os.dup(self._true))
            except OSError:
                return False
        return True

    def _give(self, keep: int) -> None:
        """Hold at most `keep`."""
        while len(self._held) > keep:
            os.close(self._held.pop())
