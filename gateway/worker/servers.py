"""The front ends of one process: a server for each socket that the supervisor has handed over.

They share one memory of verdicts, one line in which clients wait, and the
questions that are under way to other servers.  Which front ends there are is
a matter of the sockets: the core has those of socketmap and policy, the milter
its own.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from gateway.config.choices import AuthorityName
from gateway.config.endpoints import InetEndpoint
from gateway.frontends.milter_session import MilterSession
from gateway.frontends.origin import AnswerOrigin
from gateway.frontends.policy_actions import Actions
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.socketmap_session import Replies, SocketmapSession
from gateway.observability.logging.verdicts import VerdictLog
from gateway.server.allowednetworks import Allowed
from gateway.server.fairqueue import FairQueue
from gateway.server.server import Server, peer_name
from gateway.server.tls import TlsSession
from gateway.wiring.assembly import make_judge, make_socketmap_judge
from gateway.wiring.upstreams import server_context
from gateway.worker import descriptors
from gateway.worker.milter import conversations
from gateway.worker.scopefiles import ScopeFiles

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from gateway.config import Settings
    from gateway.config.tables.milter import MilterSettings
    from gateway.config.tables.policy import PolicySettings
    from gateway.config.tables.socketmap import SocketmapSettings
    from gateway.frontends.judge import Decision
    from gateway.frontends.milter_conversation import Key
    from gateway.frontends.replycache import ReplyCache
    from gateway.frontends.session import Session as AnySession
    from gateway.mta.postfix import Postfix
    from gateway.observability.logging.setup import AddressWriter
    from gateway.observability.metrics.recorder import Recorder
    from gateway.protocols.policy import PolicyRequest
    from gateway.server.dispatcher import Dispatcher
    from gateway.supervisor.channel import Supervised
    from gateway.supervisor.listeners import Listener
    from gateway.verification.decider import Memory

    FrontSettings = SocketmapSettings | PolicySettings | MilterSettings
    SessionFor = Callable[[socket.socket], AnySession]

_log = logging.getLogger(__name__)


FRONT_ENDS = ("socketmap", "policy", "milter")


class Fronts:
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
        self._line = FairQueue()
        self.contexts: list[ssl.SSLContext] = []  # of sockets that speak TLS
        self._ready: list[ReplyCache[Key]] = []
        self.files = ScopeFiles(parent, settings)
        fronts: dict[str, tuple[FrontSettings, Callable[[], SessionFor]]] = {
            "socketmap": (settings.socketmap, self._socketmap),
            "policy": (settings.policy, self._policy),
            "milter": (settings.milter, self._milter),
        }
        fronts = {name: front for name, front in fronts.items() if name in parent.listeners}
        room = self._room_for_clients({name: front[0] for name, front in fronts.items()})
        self._servers: dict[str, list[Server]] = {}
        for name, (front_settings, sessions) in fronts.items():
            session_for = sessions()
            self._servers[name] = [
                self._server(each, front_settings, session_for, room)
                for each in parent.listeners[name]
            ]
            recorder.watch_servers(name, self._servers[name])

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
        With 0 nobody does: who waits is taken in, and parted from where no mail
        is under way.
        """
        for name, servers in self._servers.items():
            for server in servers:
                if not idle:
                    server.retire(idle)
                elif name == "milter":
                    server.stop_accepting()
                else:
                    server.drain(idle)

    def shrink(self) -> None:
        """Give back memory, as a process does that goes on for a few clients only."""
        for memory in self._memories.values():
            memory.shrink()
        for ready in self._ready:
            ready.shrink()

    def hurry(self) -> None:
        """After `drain`: part from every client with whom nothing is under way, and no mail."""
        for server in self._all():
            server.drain(0.0)

    def close(self) -> None:
        """End everything at once."""
        for server in self._all():
            server.close()

    def _all(self) -> list[Server]:
        return [server for servers in self._servers.values() for server in servers]

    def _room_for_clients(self, fronts: dict[str, FrontSettings]) -> int:
        """How many clients each listening socket may have for want of descriptors."""
        sockets = {name: len(self._parent.listeners[name]) for name in fronts}
        limit = descriptors.raise_limit()
        room = descriptors.for_clients(limit) // max(1, sum(sockets.values()))
        for name, settings in fronts.items():
            if sockets[name] and settings.max_connections > room:
                _log.warning(
                    f"max_connections of [{name}] is {settings.max_connections}, and {limit} open "
                    f"files leave room for {room} clients on each socket; {descriptors.ADVICE}"
                )
        return room

    def _server(
        self, listener: Listener, settings: FrontSettings, session_for: SessionFor, room: int
    ) -> Server:
        allowed = Allowed(settings.allow, _log.warning) if settings.allow else None
        if _speaks_tls(listener):
            session_for = self._secured(session_for)
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
            line=self._line,
        )

    def _secured(self, session_for: SessionFor) -> SessionFor:
        """The same sessions, through TLS."""
        context = server_context(self._settings)
        self.contexts.append(context)
        names = frozenset(self._settings.tls.client_names)

        def secured(peer: socket.socket) -> TlsSession:
            complain = _complainer("socketmap", peer)
            return TlsSession(context, session_for(peer), complain, names)

        return secured

    def _socketmap(self) -> SessionFor:
        memory = self._memories[self._settings.socketmap.answers]
        counters = self._recorder.counters("socketmap")
        judge = make_socketmap_judge(self._settings, self._postfix, self.files.trust)
        self.files.add(judge.scope)
        replies = Replies(memory, judge, counters.ready_verdict)
        verdicts = VerdictLog("socketmap", self._settings.socketmap.mode, self._address)
        written = verdicts.enabled

        def session(peer: socket.socket) -> SocketmapSession:
            origin = AnswerOrigin(memory) if written else None
            client = peer_name(peer).strip("[]") if written else ""
            return SocketmapSession(
                memory,
                partial(verdicts.socketmap, client=client, origin=origin),
                judge,
                replies,
                faults_only=not written,
                count=counters.verdict,
                origin=origin,
                folds=self._settings.socketmap.answers is AuthorityName.DELIVERY,
            )

        return session

    def _policy(self) -> SessionFor:
        memory = self._memories[self._settings.policy.answers]
        mode = self._settings.policy.mode
        answers = self._settings.policy.answers
        judge = make_judge(
            self._settings, mode, answers, postfix=self._postfix, trust=self.files.trust
        )
        self.files.add(judge.scope)
        verdicts = VerdictLog("policy", mode, self._address)
        written = verdicts.enabled
        counters = self._recorder.counters("policy")
        actions = Actions(memory, judge, counters.ready_decision)

        def count(request: PolicyRequest, decision: Decision) -> None:
            counters.decision(decision, request.recipient, request.sender, request.client_address)

        def session(peer: socket.socket) -> PolicySession:
            origin = AnswerOrigin(memory) if written else None
            return PolicySession(
                memory,
                judge,
                observe=partial(verdicts.policy, origin=origin),
                complain=_complainer("policy", peer),
                actions=actions,
                faults_only=not written,
                count=count,
                origin=origin,
            )

        return session

    def _milter(self) -> SessionFor:
        conversation = conversations(
            self._settings,
            memory=self._memories[self._settings.milter.answers],
            recorder=self._recorder,
            address=self._address,
            every_ready=self._ready,
            postfix=self._postfix,
            files=self.files,
        )

        def session(peer: socket.socket) -> MilterSession:
            return MilterSession(conversation(), complain=_complainer("milter", peer))

        return session


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
    _log.error("defect while answering a client, who is parted from: %r", error)
