"""Sockets that no process serves: clients are disconnected, and do not wait for an answer.

The supervisor's sockets take connections whether a process serves them or not.
While one starts again, new clients wait, which is a moment as a rule.  Where
it does not start (no memory, a file that is gone), whatever waits would do so
until its own patience ends, some of them in the middle of a mail.  So, once a start has
failed and no child has served a socket for PATIENCE seconds, the supervisor itself
takes each client and closes the connection: to an MTA that is a failure for
now.  It ends as soon as a process is ready.
"""

from __future__ import annotations

import logging
import math
import selectors
import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from gateway.supervisor.generation import Generation
    from gateway.supervisor.listeners import Listener

# Seconds, in which the next start may succeed; shorter than what any client that asks
# about a recipient waits for.
PATIENCE = 5.0

# Clients that are taken at once, so that the supervisor goes on with its work.
AT_ONCE = 64

# Seconds until the next attempt where none can be taken (no open files left).  Clients that wait
# keep the socket readable, and the supervisor would do nothing else.
PAUSE = 0.5

_log = logging.getLogger(__name__)


class Unserved:
    """Watches the serving generation; `readers` are called by `selector`'s events."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        readers: MutableMapping[int, Callable[[], None]],
    ) -> None:
        self.due = math.inf  # when there is something to be done next (time.monotonic)
        self._selector = selector
        self._readers = readers
        self._since: dict[str, float] = {}  # since when no child has served a group
        self._taken: dict[int, Listener] = {}
        self._paused: dict[int, float] = {}  # those of them that are left alone until then

    def look(self, generation: Generation, now: float) -> None:
        """Begin to turn clients away where that is due, and end it where a process serves."""
        self.due = math.inf
        wanted: dict[int, Listener] = {}
        for group, listeners in generation.listeners.items():
            if not _is_abandoned(generation, group):
                self._since.pop(group, None)
                continue
            since = self._since.setdefault(group, now)
            if now - since < PATIENCE:
                self.due = min(self.due, since + PATIENCE)
                continue
            wanted.update({each.socket.fileno(): each for each in listeners})
        for descriptor in [each for each in self._taken if each not in wanted]:
            self._let_go(descriptor)
        for descriptor, listener in wanted.items():
            if descriptor not in self._taken:
                self._take(descriptor, listener)
        for descriptor, until in [*self._paused.items()]:
            if now < until:
                self.due = min(self.due, until)
            else:
                del self._paused[descriptor]
                self._selector.register(descriptor, selectors.EVENT_READ)

    def release(self) -> None:
        """Leave all sockets alone: they are about to be closed, or others serve."""
        for descriptor in list(self._taken):
            self._let_go(descriptor)
        self._since.clear()
        self.due = math.inf

    def _take(self, descriptor: int, listener: Listener) -> None:
        _log.error(
            "no process serves %s: its clients are disconnected until one does; the lines above "
            "say "
            "why none starts",
            listener.endpoint,
        )
        listener.socket.setblocking(False)
        self._taken[descriptor] = listener
        self._readers[descriptor] = partial(self._refuse, listener)
        self._selector.register(descriptor, selectors.EVENT_READ)

    def _let_go(self, descriptor: int) -> None:
        del self._taken[descriptor], self._readers[descriptor]
        if self._paused.pop(descriptor, None) is None:
            self._selector.unregister(descriptor)

    def _refuse(self, listener: Listener) -> None:
        for _ in range(AT_ONCE):
            try:
                client, _address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                _log.warning("%s: no client can be accepted: %s", listener.endpoint, error)
                descriptor = listener.socket.fileno()
                self._selector.unregister(descriptor)
                self._paused[descriptor] = time.monotonic() + PAUSE
                return
            client.close()


def _is_abandoned(generation: Generation, group: str) -> bool:
    """Whether no process has the sockets of `group` and is ready, and starts have failed."""
    return all(
        slot.failures and not (slot.child is not None and slot.child.ready)
        for slot in generation.slots
        if group in slot.spec.listeners
    )
