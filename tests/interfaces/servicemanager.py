"""A service manager for a gateway that is killed: a process that ends is started again, at once.

    with ServiceManager(gateway) as manager:
        manager.kill("supervisor")
        gateway.wait_log("ready")

It is harsher than systemd, which ends what is left of a service before it
starts it again, and waits RestartSec: here the new supervisor meets children
of the old one that are about to leave.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.rigs.gateway import Gateway
from tests.rigs.processes import Daemon
from tests.rigs.waiting import wait_until

SUPERVISOR = "supervisor"
VICTIMS = (SUPERVISOR, "core", "milter")
# Far more than a process needs that has heard that its supervisor is gone.
DEADLINE_S = 60.0


class ServiceManager:
    """Watches a gateway that runs; a `with` ends the watch, and the gateway runs on.

    `ends` counts how supervisors ended, `killed` who was killed.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.ends: Counter[int] = Counter()
        self.killed: Counter[str] = Counter()
        self._gateway = gateway
        self._gone: list[Daemon] = []
        self._doomed: list[int] = []
        self._enough = os.eventfd(0)
        self._thread = threading.Thread(target=self._keep, name="manager")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.eventfd_write(self._enough, 1)
        self._thread.join()
        os.close(self._enough)
        if error is None:
            self.wait_gone()
            wait_until(self._nobody_left, "no child outlives its supervisor", DEADLINE_S)

    def kill(self, victim: str) -> bool:
        """SIGKILL for the supervisor, or for the core or milter; False if there was none."""
        daemon = self._gateway.daemon
        if not daemon.running():
            return False
        pids = [daemon.pid] if victim == SUPERVISOR else self._gateway.pids(victim)
        # Without their supervisor the others end by themselves.
        found = self._watch(daemon.members() if victim == SUPERVISOR else pids)
        for pid in pids:
            if pid in found:
                signal.pidfd_send_signal(found[pid], signal.SIGKILL)
                self.killed[victim] += 1
        return bool(found)

    def wait_gone(self) -> None:
        """Wait until all have ended who should after the kills so far."""
        while self._doomed:
            descriptor = self._doomed.pop()
            gone, _, _ = select.select([descriptor], [], [], DEADLINE_S)
            os.close(descriptor)
            assert gone, "a process that was killed, or whose supervisor was, still lives"

    def _watch(self, pids: Sequence[int]) -> dict[int, int]:
        """A pidfd for each of them that lives."""
        found: dict[int, int] = {}
        for pid in pids:
            with suppress(ProcessLookupError):
                found[pid] = os.pidfd_open(pid)
        self._doomed += found.values()
        return found

    def _keep(self) -> None:
        while True:
            daemon = self._gateway.daemon
            gone = os.pidfd_open(daemon.pid)
            try:
                ready, _, _ = select.select([gone, self._enough], [], [])
            finally:
                os.close(gone)
            if self._enough in ready:
                return
            wait_until(lambda daemon=daemon: not daemon.running(), "it is a corpse")  # type: ignore[misc]
            self.ends[daemon.exit_code()] += 1
            self._gone.append(daemon)
            self._gateway.start(wait=False)

    def _nobody_left(self) -> bool:
        return not any(daemon.members() for daemon in self._gone)
