"""The milter's listening socket as libmilter sees it: shut while too many MTAs are connected.

libmilter takes clients until accept(2) finds no descriptor, and then tries
again without a pause: a processor is lost to that, and a database that must
be opened anew cannot be.  So some descriptors are held back; when all others
are taken they are given free for the databases, and libmilter waits on a
socket that nobody knows until there is room again.  Clients wait in the queue
of the true one meanwhile.

Limits: who calls `look` does so once a second; until then libmilter tries, and
a database that is opened in that second is a temporary failure.
"""

from __future__ import annotations

import os
import resource
import socket

# Descriptors held back for databases, the eighth of all where there are few.
HELD_BACK = 128
_SHARE = 8
# As many must be free before clients are let in again: a client that leaves makes room for
# one, and the door should not swing with each.
_ROOM = 16


class MilterDoor:
    """Shuts and opens `listener`, whose descriptor libmilter was given."""

    def __init__(self, listener: socket.socket) -> None:
        self._number = listener.fileno()
        self._true = os.dup(self._number)
        self._decoy = socket.socket(socket.AF_UNIX)
        self._decoy.setblocking(False)
        self._decoy.bind("")  # the kernel chooses an abstract name (unix(7))
        self._decoy.listen(1)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._reserve = min(HELD_BACK, soft // _SHARE)
        self._held: list[int] = []
        self.open = True
        self._take(self._reserve)

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
            self._open()
        else:
            self._give(0)
        return self.open != before

    def shut(self) -> None:
        """Let libmilter wait on a socket that nobody knows; others may serve the true one."""
        self._give(0)
        self._empty_decoy()
        os.dup2(self._decoy.fileno(), self._number, inheritable=False)
        self.open = False

    def close(self) -> None:
        """Give all descriptors back but the listener's."""
        self._give(0)
        self._decoy.close()
        os.close(self._true)

    def _open(self) -> None:
        os.dup2(self._true, self._number, inheritable=False)
        self.open = True
        # libmilter still waits for a client of the decoy's; this one wakes it.
        with socket.socket(socket.AF_UNIX) as nudge:
            nudge.setblocking(False)
            nudge.connect(self._decoy.getsockname())

    def _empty_decoy(self) -> None:
        while True:
            try:
                self._decoy.accept()[0].close()
            except OSError:  # nobody waits there, or there is no descriptor to see who does
                return

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
