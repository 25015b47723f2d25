"""The admin listener as the core holds it: its sockets, its pages, its clock.

Of several core processes the first one serves it, for all; while that one is
being started again, clients wait in the sockets' queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from gateway.observability.admin.history import STEP
from gateway.observability.admin.server import AdminServer
from gateway.observability.admin.site import Site
from gateway.wiring.assembly import make_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.config import Settings
    from gateway.observability.metrics.recorder import Recorder
    from gateway.supervisor.channel import Restarts, Supervised
    from gateway.wiring.engines import Engines

NAME = "admin"

# Seconds for replies that are in progress when the process leaves.
LAST_REPLIES = 1.0


class Admin:
    """Serves the admin sockets that `parent` has."""

    def __init__(
        self, parent: Supervised, settings: Settings, recorder: Recorder, engines: Engines
    ) -> None:
        self._site = Site(
            settings,
            parent.metrics_slot.shared_metrics,
            recorder,
            make_engine=engines.engine,
            # Mailboxes that are looked up on other servers have no databases here.
            make_store=None if settings.general.store else lambda: make_store(settings),
        )
        self._server = AdminServer(
            [each.socket for each in parent.listeners[NAME]],
            self._site,
            hosts=settings.admin.hosts,
            allow_remote=settings.admin.allow_remote,
        )
        self._timer = gevent.get_hub().loop.timer(0, repeat=STEP)

    def start(self) -> None:
        """Begin to serve, and to remember the counts for rates."""
        self._timer.start(self._site.sample)
        self._server.start()

    def restarted(self, messages: Iterable[Restarts]) -> None:
        """Take in how often processes have been started again."""
        self._site.restarts.update({each.name: each.count for each in messages})

    def drain(self, *, replaced: bool) -> None:
        """Take no more clients; another process does where it is `replaced`, and else none."""
        self._site.stopping = not replaced
        self._server.stop_accepting()

    def close(self) -> None:
        """Let replies that are in progress go out, then end."""
        self._timer.stop()
        self._server.close(LAST_REPLIES)
