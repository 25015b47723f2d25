"""What a server does that has as many clients as it may, while others wait to be accepted.

It says so, once until there is room again, and parts from those that have been idle for
longest: an MTA keeps connections for later, and opens another one where it finds one closed.
A client with a request, a reply or a mail in progress stays.

Limits: where the MTA's sessions are SMTP sessions (`follows_smtp`), which cannot be begun again in
the middle, only those go that never said a word.  A look takes time for each client, so there is
one a second, and only while others wait.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection

    from gateway.server.connection import Connection

# Seconds between two looks at whether others wait.
LOOK = 1.0

# Seconds without a request after which a client may have to go: shorter than mail servers wait
# for an answer (docs/postfix.md has 10 s), longer than the pause between two recipients of a mail.
IDLE = 5.0

# At one look one of so many idle clients goes, and at least one: how many wait is not known.
SHARE = 8

# There is room again when so many of a hundred places are taken.
ROOM = 90


class CrowdedServer(Protocol):
    """What is needed of the server (gateway.server.server)."""

    listener: socket.socket
    loop: Any  # gevent's, which has no types

    @property
    def connections(self) -> Collection[Connection]:
        """The clients that are connected."""


class Crowding:
    """Looks after `server` once `most` clients are connected.

    `report` takes a line for the log, text and values, and `limited_by` is what it names as the
    reason for `most`.
    """

    def __init__(
        self,
        server: CrowdedServer,
        most: int,
        report: Callable[..., None],
        limited_by: str,
        *,
        follows_smtp: bool,
    ) -> None:
        self._server = server
        self._most = most
        self._report = report
        self._limited_by = limited_by
        self._follows_smtp = follows_smtp
        self._said = False
        self._timer = server.loop.timer(LOOK, repeat=LOOK)

    def begin(self) -> None:
        """As many are connected as may be; called again, it changes nothing."""
        if not self._timer.active:
            self._timer.start(self.look)

    def stop(self) -> None:
        """No client is accepted any more."""
        self._timer.stop()

    def look(self) -> None:
        """Make room where others wait; end where there is room."""
        taken = len(self._server.connections)
        if taken * 100 < self._most * ROOM:
            self._said = False
            self._timer.stop()
        elif taken >= self._most and self._others_wait():
            if not self._said:
                self._said = True
                self._report(
                    "%d clients are connected, all that %s allows; others wait, and %s are "
                    "disconnected for them",
                    taken,
                    self._limited_by,
                    "those that never said a word" if self._follows_smtp else "idle ones",
                )
            for connection in self._idle(time.monotonic()):
                connection.close_if_idle()

    def _others_wait(self) -> bool:
        waiting = select.poll()
        waiting.register(self._server.listener, select.POLLIN)
        return bool(waiting.poll(0))

    def _idle(self, now: float) -> list[Connection]:
        """Those that may go, the longest idle first."""
        idle: list[Connection] = []
        for each in self._server.connections:
            each.looked_at(now)
            in_use = each.in_request or each.engaged or each.lingering or not each.quiet
            held = self._follows_smtp and not each.never_spoke
            if not in_use and not held and now - each.last_heard >= IDLE:
                idle.append(each)
        idle.sort(key=lambda each: each.last_heard)
        return idle[: max(1, len(idle) // SHARE)]
