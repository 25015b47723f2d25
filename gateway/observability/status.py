"""How the gateway stands: one account for `systemctl status`, the log, /readyz and /metrics.

The supervisor tells what happens (a reload was taken or refused, a process
cannot read its databases, a socket's file has gone); every client is told the
same.  A trouble has one log line when it begins and one when it is over.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from gateway.observability.logging import setup
from gateway.observability.metrics.registry import ProcessRegistry, Reload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.observability.metrics.registry import ProcessState

REFUSED = "new configuration refused, the old one stays in force"

# Seconds after which a reload says that it waits for a file: more than a file takes that is
# saved in one go.
WAITING_TOLD = 5.0

_log = logging.getLogger(__name__)


class ServiceManager(Protocol):
    """The service manager, which is told how it is (gateway.supervisor.notify)."""

    def ready(self, status: str) -> bool:
        """A start or a reload is over; whether that was heard."""

    def status(self, text: str) -> bool:
        """One line for people; whether it was heard."""


class GatewayStatus:
    """Tells `notifier` and `registry`; `serving` says what serves, for `systemctl status`."""

    def __init__(self, notifier: ServiceManager, registry: ProcessRegistry) -> None:
        self.reload = Reload()
        self._notifier = notifier
        self._registry = registry
        self._serving = ""
        self._told = ""
        self._waiting = ""
        self._unreadable: tuple[str, ...] = ()
        self._unreachable: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """One line: what serves, and whatever is not as it should be."""
        refused = f"{REFUSED}: {self.reload.problem}" if self.reload.problem else ""
        return "; ".join(
            part for part in (self._serving, *self._unreadable, *self._unreachable, refused) if part
        )

    def serves(self, serving: str) -> None:
        """What serves now, or is waited for."""
        self._serving = serving
        self.refresh()

    def ready(self, serving: str) -> None:
        """The same, and what was begun, a start or a reload, is over."""
        self._serving = serving
        self._told = self.status
        self._notifier.ready(self._told)

    def taken(self, serving: str, *, at_start: bool) -> None:
        """The configuration is in force."""
        self.reload = Reload(success=time.time())
        self._waiting = ""
        words = "ready" if at_start else "new configuration in force"
        setup.answer(_log, logging.INFO, f"{words}: {serving}")
        self.ready(serving)

    def refused(self, reason: str, *, told_begun: bool) -> None:
        """It is not, for `reason`; `told_begun`: the service manager waits for the end of it."""
        self.reload = Reload(reason, self.reload.success)
        self._waiting = ""
        setup.answer(_log, logging.ERROR, f"{REFUSED}: {reason}")
        if told_begun:
            self.ready(self._serving)

    def waits(self, waiting: str, seconds: float) -> None:
        """The new configuration waits for something, if anything, since it was begun to start."""
        if seconds < WAITING_TOLD or waiting in ("", self._waiting):
            return
        self._waiting = waiting
        words = f"the new configuration waits for {waiting}; the old one stays in force"
        setup.answer(_log, logging.WARNING, words)
        self._notifier.status(words)

    def unreadable(self, troubles: Iterable[str]) -> None:
        """What databases cannot be read, a sentence each; all that there are."""
        self._unreadable = self._changed(self._unreadable, troubles, logging.ERROR)

    def unreachable(self, troubles: Iterable[str]) -> None:
        """Which sockets no client can reach."""
        self._unreachable = self._changed(self._unreachable, troubles, logging.WARNING)

    def refresh(self) -> None:
        """Tell the service manager, if anything has changed."""
        status = self.status
        if status != self._told:
            self._told = status
            self._notifier.status(status)

    def show(self, processes: Iterable[ProcessState]) -> None:
        """Put it into the shared metrics, with the processes' states."""
        self._registry.show(processes, self.reload, self._unreachable)

    def _changed(
        self, before: tuple[str, ...], troubles: Iterable[str], level: int
    ) -> tuple[str, ...]:
        now = tuple(dict.fromkeys(troubles))
        for trouble in now:
            if trouble not in before:
                _log.log(level, "%s", trouble)
        for trouble in before:
            if trouble not in now:
                _log.info("no longer: %s", trouble)
        return now
