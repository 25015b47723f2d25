"""The core: one process that serves the socketmap and policy sockets on gevent's loop.

The supervisor starts it by exec with its sockets and the configuration that
was validated.  It says when it serves, keeps telling that it is not stuck,
and when it is told to stop finishes what is under way: it accepts no more,
parts from each client between two requests, and leaves when the last one is
gone or the graceful timeout is over.  Where others serve on, clients have a
second to go by themselves; at the end of all they have not.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import gevent

from gateway.daemon import descriptors, log
from gateway.daemon.admin.listener import Admin
from gateway.daemon.assembly import make_judge, make_renderer
from gateway.daemon.child import OUT_OF_MEMORY, supervised
from gateway.daemon.endpoints import InetEndpoint
from gateway.daemon.engines import Engines
from gateway.daemon.log import AddressWriter
from gateway.daemon.metrics import recorder
from gateway.daemon.metrics.recorder import Recorder
from gateway.daemon.settings import loads
from gateway.daemon.upstreams import server_context
from gateway.daemon.verdictlog import VerdictLog
from gateway.errors import ConfigurationError
from gateway.frontends.access import Allowed
from gateway.frontends.course import Course
from gateway.frontends.flights import Flights
from gateway.frontends.line import Line
from gateway.frontends.policy_actions import Actions
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.server import Server, end_without_memory, peer_name
from gateway.frontends.socketmap_session import Replies, Session
from gateway.frontends.tls import TlsSession
from gateway.frontends.turns import Turns
from gateway.verification.pool import VerifierPool

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from gateway.daemon.child import Supervised
    from gateway.daemon.listeners import Listener
    from gateway.daemon.settings import Settings
    from gateway.daemon.settings.policy import PolicySettings
    from gateway.daemon.settings.socketmap import SocketmapSettings
    from gateway.frontends.judge import Decision
    from gateway.frontends.session import Session as AnySession
    from gateway.protocols.policy import PolicyRequest

_log = logging.getLogger(__name__)

# The ChildSpec's name, and seconds between two words to the supervisor that
# the loop turns; it waits for several of them (see SILENCE_LIMIT).
NAME = "core"
ALIVE_INTERVAL = 5.0
SILENCE_LIMIT = 30.0

# Seconds that a client may be idle before the core parts from it in a drain.
# Postfix asks again on a new connection when its old one was closed while idle.
DRAIN_IDLE = 1.0
# Seconds before the supervisor's patience ends, to leave in good order.
DRAIN_MARGIN = 0.5


class Core:
    """The servers of one configuration, and the end of their process."""

    def __init__(self, parent: Supervised, settings: Settings) -> None:
        self._parent = parent
        self._settings = settings
        self._engines = engines = Engines(settings)
        self._cache = engines.memory()
        self._address = AddressWriter(settings.logging.addresses)
        self._recorder = Recorder(parent, settings, self._address)
        self._recorder.watch_memory(self._cache)
        pool = VerifierPool(lambda: self._recorder.timed(engines.engine()))
        self._flights = Flights(pool.advance, lane=engines.lane, defect=_defect)
        self._turns = Turns(self._cache)
        self._line = Line()
        self._done = gevent.event.Event()
        self._draining = False
        self._loop = gevent.get_hub().loop
        self._room = self._room_for_clients()
        fronts = {"socketmap": self._socketmap_servers(), "policy": self._policy_servers()}
        for name, servers in fronts.items():
            self._recorder.watch_servers(name, servers)
        self._admin = Admin(parent, settings, self._recorder, engines)
        self._servers = [server for servers in fronts.values() for server in servers]
        self._news = self._loop.io(parent.fileno(), 1)
        self._beat = self._loop.timer(ALIVE_INTERVAL, repeat=ALIVE_INTERVAL)
        self._publish = self._loop.timer(0, repeat=recorder.INTERVAL)
        deadline = max(0.0, settings.general.graceful_timeout - DRAIN_MARGIN)
        self._deadline = self._loop.timer(deadline)

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        gevent.signal_handler(signal.SIGTERM, self._drain)
        # Reloads and ctrl-C are the supervisor's: it tells its children what follows.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self._news.start(self._heard)
        self._beat.start(self._alive)
        self._publish.start(self._recorder.publish)
        for server in self._servers:
            server.start()
        self._admin.start()
        self._parent.ready()
        self._done.wait()
        for server in self._servers:
            server.close()
        self._admin.close()
        self._recorder.publish()
        return os.EX_OK

    def _room_for_clients(self) -> int:
        """How many clients each listening socket may have for want of descriptors."""
        settings = self._settings
        wanted = {
            "socketmap": settings.socketmap.max_connections,
            "policy": settings.policy.max_connections,
        }
        sockets = {name: len(self._parent.listeners.get(name, ())) for name in wanted}
        limit = descriptors.raise_limit()
        room = descriptors.for_clients(limit) // max(1, sum(sockets.values()))
        advice = "raise the hard limit of open files (LimitNOFILE= in the unit, ulimit -Hn)"
        for name, connections in wanted.items():
            if sockets[name] and connections > room:
                _log.warning(
                    f"max_connections of [{name}] is {connections}, and {limit} open files "
                    f"leave room for {room} clients on each socket; {advice}"
                )
        return room

    def _socketmap_servers(self) -> list[Server]:
        settings = self._settings.socketmap
        if "socketmap" not in self._parent.listeners:
            return []
        render = make_renderer(self._settings)
        tally = self._recorder.tally("socketmap")
        replies = Replies(self._cache, render, tally.ready_verdict)
        verdicts = VerdictLog("socketmap", settings.mode, self._address)
        written = verdicts.enabled

        def session(peer: socket.socket) -> Session:
            course = Course(self._cache) if written else None
            client = peer_name(peer).strip("[]") if written else ""
            return Session(
                self._cache,
                partial(verdicts.socketmap, client=client, course=course),
                render,
                replies,
                faults_only=not written,
                count=tally.verdict,
                course=course,
            )

        listeners = self._parent.listeners.get("socketmap", ())
        return [
            self._server(each, settings, self._secured(session) if _speaks_tls(each) else session)
            for each in listeners
        ]

    def _secured(
        self, session: Callable[[socket.socket], Session]
    ) -> Callable[[socket.socket], TlsSession]:
        """The same sessions, through TLS."""
        context = server_context(self._settings)

        def secured(peer: socket.socket) -> TlsSession:
            name = peer_name(peer)

            def complain(problem: str) -> None:
                _log.warning("socketmap client %s: %s; disconnected", name, problem)

            return TlsSession(context, session(peer), complain)

        return secured

    def _policy_servers(self) -> list[Server]:
        listeners = self._parent.listeners.get("policy", ())
        if not listeners:
            return []
        settings = self._settings.policy
        judge = make_judge(self._settings, settings.mode)
        verdicts = VerdictLog("policy", settings.mode, self._address)
        written = verdicts.enabled
        tally = self._recorder.tally("policy")
        actions = Actions(self._cache, judge, tally.ready_decision)

        def count(request: PolicyRequest, decision: Decision) -> None:
            tally.decision(decision, request.recipient, request.sender, request.client_address)

        def session(peer: socket.socket) -> PolicySession:
            def complain(problem: str) -> None:
                _log.warning("policy client %s: %s; disconnected", peer_name(peer), problem)

            course = Course(self._cache) if written else None
            return PolicySession(
                self._cache,
                judge,
                observe=partial(verdicts.policy, course=course),
                complain=complain,
                actions=actions,
                faults_only=not written,
                count=count,
                course=course,
            )

        return [self._server(each, settings, session) for each in listeners]

    def _server(
        self,
        listener: Listener,
        settings: SocketmapSettings | PolicySettings,
        session: Callable[[socket.socket], AnySession],
    ) -> Server:
        allowed = Allowed(settings.allow, _log.warning) if settings.allow else None
        return Server(
            listener.socket,
            session,
            self._flights,
            admit=allowed.admits if allowed is not None else None,
            on_change=self._changed,
            report=_log.error,
            defect=_client_defect,
            idle_timeout=settings.idle_timeout,
            request_timeout=settings.request_timeout,
            max_connections=min(settings.max_connections, self._room),
            line=self._line,
        )

    def _alive(self) -> None:
        self._parent.alive()
        self._engines.sweep()

    def _heard(self) -> None:
        """Word from the supervisor, or the news that it is gone."""
        news = self._parent.receive()
        if news is None:
            _log.error("the supervisor is gone; leaving")
            self._done.set()
            return
        self._admin.restarted(news)
        if self._parent.patience is not None:
            self._drain(DRAIN_IDLE if self._parent.patience else 0.0)

    def _drain(self, idle: float = DRAIN_IDLE) -> None:
        if self._draining:
            return
        self._draining = True
        self._deadline.start(self._done.set)
        self._admin.drain()
        for server in self._servers:
            if idle:
                server.drain(idle)
            else:
                server.retire(idle)
        self._changed()

    def _changed(self) -> None:
        if self._draining and not any(server.connections for server in self._servers):
            self._done.set()


def _speaks_tls(listener: Listener) -> bool:
    return isinstance(listener.endpoint, InetEndpoint) and listener.endpoint.tls


def _client_defect(error: Exception) -> None:
    _log.error("defect while answering a client, who is parted from: %r", error)


def _defect(error: BaseException) -> None:
    _log.error("defect while asking another server: %r", error)


def main() -> int:
    """Run as a child of the supervisor; the exit code."""
    parent = supervised(os.environ)
    if parent is None:
        print("gateway.daemon.core is started by `smmapd-gateway serve`", file=sys.stderr)
        return os.EX_USAGE
    end_without_memory()
    try:
        settings = loads(parent.configuration, "gateway.toml")
        log.configure(settings.logging)
        return Core(parent, settings).run()
    except ConfigurationError as error:
        parent.failed(str(error))
        return os.EX_CONFIG
    except MemoryError:
        parent.failed(OUT_OF_MEMORY)
        # At once: what the interpreter does at its end may want memory, too.
        os._exit(os.EX_OSERR)


if __name__ == "__main__":
    sys.exit(main())
