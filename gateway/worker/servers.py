"""The front ends of one process: a server for each socket that the supervisor has handed over.

They share one memory of verdicts, one queue of clients, and the
questions that are in progress to other servers.  Which front ends there are is
a matter of the sockets: the core has those of socketmap and policy, the milter
its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.config.endpoints import InetEndpoint
from gateway.server.allowednetworks import Allowed
from gateway.server.fairqueue import FairQueue
from gateway.server.server import Server, peer_name
from gateway.server.tlssession import TlsSession
from gateway.wiring.upstreams import server_context
from gateway.worker import descriptors
from gateway.worker.scopefiles import ScopeFiles
from gateway.worker.serving import make_serving

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from gateway.config import Settings
    from gateway.config.choices import AuthorityName
    from gateway.config.frontends import Row
    from gateway.config.tables.connections import FrontEndSettings
    from gateway.frontends.frontend import Session as AnySession
    from gateway.frontends.frontend import Shrinkable
    from gateway.mta.postfix import Postfix
    from gateway.observability.logging.setup import AddressWriter
    from gateway.observability.metrics.recorder import Recorder
    from gateway.server.dispatcher import Dispatcher
    from gateway.supervisor.channel import Supervised
    from gateway.supervisor.listeners import Listener
    from gateway.verification.decider import Memory

    SessionFor = Callable[[socket.socket], AnySession]

_log = logging.getLogger(__name__)


class FrontEndServers:
    """The servers of all front ends; `on_change` is called when a client has come or gone.

    `files` are those of [scope], which have to settle before the servers start.
    """

    def __init__(
        self,
        parent: Supervised,
        settings: Settings,
        *,
        memories: Mapping[AuthorityName, Memory],
        recorder: Recorder,
        address: AddressWriter,
        dispatcher: Dispatcher,
        postfix: Postfix | None,
        on_change: Callable[[], None],
    ) -> None:
        self._parent = parent
        self._settings = settings
        self._memories = memories
        self._recorder = recorder
        self._address = address
        self._dispatcher = dispatcher
        self._postfix = postfix
        self._on_change = on_change
        self._fair_queue = FairQueue()
        self.contexts: list[ssl.SSLContext] = []  # of sockets that speak TLS
        self._caches: list[Shrinkable] = []
        self.files = ScopeFiles(parent, settings)
        rows = served(parent, settings)
        room = self._room_for_clients(rows)
        self._servers: dict[str, list[Server]] = {}
        self._following_smtp = {row.name for row in rows if row.front_end.follows_smtp}
        for row in rows:
            own = settings.front_end(row.name)
            session_for = self._sessions(row)
            self._servers[row.name] = [
                self._server(row, each, own, session_for, room)
                for each in parent.listeners[row.name]
            ]
            recorder.watch_servers(row.name, self._servers[row.name])

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return sum(len(server.connections) for server in self._all())

    def start(self) -> None:
        """Begin to accept clients."""
        for server in self._all():
            server.start()

    def drain(self, idle: float) -> None:
        """Accept no more, and part from clients that have been idle for `idle` seconds.

        An MTA's session with the milter is as long as the SMTP session, and
        idle between the client's words: where others serve, it ends by itself.
        With 0 none does: waiting clients are accepted, and disconnected where no mail
        is in progress.
        """
        for name, servers in self._servers.items():
            for server in servers:
                if not idle:
                    server.retire(idle)
                elif name in self._following_smtp:
                    server.stop_accepting()
                else:
                    server.drain(idle)

    def shrink(self) -> bool:
        """Give back some memory, as a process does that goes on for a few clients only.

        False where nothing was left.
        """
        return sum(each.shrink() for each in (*self._memories.values(), *self._caches)) > 0

    def hurry(self) -> None:
        """After `drain`: disconnect every client for which nothing is in progress, and no mail."""
        for server in self._all():
            server.drain(0.0)

    def close(self) -> None:
        """End everything at once."""
        for server in self._all():
            server.close()

    def _all(self) -> list[Server]:
        return [server for servers in self._servers.values() for server in servers]

    def _room_for_clients(self, rows: list[Row]) -> int:
        """How many clients each listening socket may have for want of descriptors."""
        sockets = {row.name: len(self._parent.listeners[row.name]) for row in rows}
        limit = descriptors.raise_limit()
        room = descriptors.for_clients(limit) // max(1, sum(sockets.values()))
        for name, count in sockets.items():
            wanted = self._settings.front_end(name).max_connections
            if count and wanted > room:
                _log.warning(
                    f"max_connections of [{name}] is {wanted}, and {limit} open "
                    f"files leave room for {room} clients on each socket; {descriptors.ADVICE}"
                )
        return room

    def _server(
        self,
        row: Row,
        listener: Listener,
        settings: FrontEndSettings,
        session_for: SessionFor,
        room: int,
    ) -> Server:
        name = row.name
        allowed = Allowed(settings.allow, _log.warning) if settings.allow else None
        if _speaks_tls(listener):
            session_for = self._secured(name, session_for)
        return Server(
            listener.socket,
            session_for,
            self._dispatcher,
            admit=allowed.admits if allowed is not None else None,
            on_change=self._on_change,
            report=_log.error,
            defect=_client_defect,
            idle_timeout=settings.idle_timeout,
            request_timeout=settings.request_timeout,
            max_connections=min(settings.max_connections, room),
            limited_by=(
                f"max_connections of [{name}]"
                if settings.max_connections <= room
                else f"the limit of open files ({descriptors.SETTING}) of [{name}]"
            ),
            follows_smtp=row.front_end.follows_smtp,
            fair_queue=self._fair_queue,
        )

    def _secured(self, name: str, session_for: SessionFor) -> SessionFor:
        """The same sessions, through TLS."""
        context = server_context(self._settings)
        self.contexts.append(context)
        names = frozenset(self._settings.tls.client_names)

        def secured(peer: socket.socket) -> TlsSession:
            complain = _complainer(name, peer)
            return TlsSession(context, session_for(peer), complain, names)

        return secured

    def _sessions(self, row: Row) -> SessionFor:
        serving = make_serving(
            row.front_end,
            self._settings,
            memory=self._memories[self._settings.front_end(row.name).answers],
            recorder=self._recorder,
            address=self._address,
            postfix=self._postfix,
            files=self.files,
        )
        session_of = row.front_end.sessions(serving)
        self._caches += serving.caches
        # Its name is asked for now: a client that was reset has none later.
        return lambda peer: session_of(peer_name(peer))


def served(parent: Supervised, settings: Settings) -> list[Row]:
    """The front ends that this process serves."""
    return [row for row in settings.serving if row.name in parent.listeners]


def _complainer(front: str, peer: socket.socket) -> Callable[[str], None]:
    """Tells the log of a client that is disconnected for what it said."""
    # Its name is asked for now: a client that was reset has none later.
    name = peer_name(peer)

    def complain(problem: str) -> None:
        _log.warning("%s client %s: %s; disconnected", front, name, problem)

    return complain


def _speaks_tls(listener: Listener) -> bool:
    return isinstance(listener.endpoint, InetEndpoint) and listener.endpoint.tls


def _client_defect(error: Exception) -> None:
    _log.error("defect while answering a client, which is disconnected: %r", error)
