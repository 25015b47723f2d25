"""What becomes of a recipient whose mailbox lives on a backend of the Murder.

The mailbox list has already said that the mailbox exists, and where.  The
backend's answer is believed where it makes sense; where the backend cannot be
asked, or talks nonsense, the configured verdict is given: deliverable, as in
the C program (imap/smmapd.c), because the mailbox is known to exist and the
delivery will find out about its quota; or a temporary failure.
"""

from __future__ import annotations

import time

from gateway.errors import UpstreamError
from gateway.upstream import address as addresses
from gateway.upstream.connection import Dialer, plain_lookup
from gateway.upstream.pool import MAX_IDLE
from gateway.upstream.socketmapclient import (
    DEFAULT_DEADLINE,
    DEFAULT_PORT,
    MAX_HOPS,
    SocketmapClient,
)
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Verdict
from gateway.verification.servers import SocketmapServer
from gateway.verification.steps import Step
from gateway.verification.upstreamanswers import LOOP_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.upstream.connection import Lookup
    from gateway.verification.model import Query

# Backends of which connections are kept.  A mailbox list that names more is
# damaged, or of a site that should tell us.
MAX_BACKENDS = 4096  # only a bound


class Backends:
    """Asks backends by the names that the mailbox list has; threads may share one.

    `port` and `deadline` (seconds) are those of the question,
    `max_idle` the connections kept to each backend.  `unreachable_is_ok`
    chooses the verdict where no usable answer comes.
    """

    __slots__ = ("_lookup", "_max_idle", "_servers", "deadline", "port", "unreachable_is_ok")

    def __init__(
        self,
        *,
        port: int = DEFAULT_PORT,
        deadline: float = DEFAULT_DEADLINE,
        max_idle: int = MAX_IDLE,
        unreachable_is_ok: bool,
        lookup: Lookup = plain_lookup,
    ) -> None:
        self.port = port
        self.deadline = deadline
        self.unreachable_is_ok = unreachable_is_ok
        self._lookup = lookup
        self._max_idle = max_idle
        self._servers: dict[str, SocketmapServer] = {}

    @property
    def servers(self) -> tuple[SocketmapServer, ...]:
        """Those that have been asked, for the status page."""
        return tuple(self._servers.values())

    def sweep(self) -> None:
        """Close connections that are not needed; never waits."""
        now = time.monotonic()
        for server in self.servers:
            server.pool.sweep(now)

    def verdict(
        self,
        name: str,
        query: Query,
        evidence: Evidence,
        trace: list[Step] | None = None,
        *,
        since: float | None = None,
    ) -> Verdict:
        """The backend's verdict, at most `deadline` seconds after `since` (default: now)."""
        if query.hops >= MAX_HOPS:
            return self._loop(name, evidence, trace)
        asked = time.monotonic()
        until = (since if since is not None else asked) + self.deadline
        try:
            told = self._server(name).ask(query.recipient, query.hops + 1, until)
        except UpstreamError as fault:
            return self._unreachable(fault, evidence, trace, asked)
        if trace is not None:
            trace.append(Step("backend", time.monotonic() - asked, server=name, answer=told.words))
        return Verdict(told.kind, told.reason, evidence, cacheable=False)

    def _server(self, name: str) -> SocketmapServer:
        server = self._servers.get(name)
        if server is None:
            try:
                address = addresses.parse(name, self.port)
            except ValueError as error:
                raise UpstreamError(name, f"this is not a host name: {error}") from error
            dialer = Dialer(name, address, lookup=self._lookup)
            server = SocketmapServer(
                SocketmapClient(dialer, deadline=self.deadline, max_idle=self._max_idle)
            )
            if len(self._servers) >= MAX_BACKENDS:  # same with >: a bound of memory
                self._servers.clear()
            # Another thread may have been faster; then its connections are ours.
            server = self._servers.setdefault(name, server)
        return server

    def _unreachable(
        self, fault: UpstreamError, evidence: Evidence, trace: list[Step] | None, asked: float
    ) -> Verdict:
        if trace is not None:
            trace.append(
                Step(
                    "backend",
                    time.monotonic() - asked,
                    server=fault.server,
                    problem=fault.problem,
                )
            )
        evidence = _with_fault(evidence, fault.server, str(fault))
        kind = Kind.DELIVERABLE if self.unreachable_is_ok else Kind.UPSTREAM_FAULT
        reason = b"" if self.unreachable_is_ok else Kind.UPSTREAM_FAULT.text
        return Verdict(kind, reason, evidence, cacheable=False)

    def _loop(self, name: str, evidence: Evidence, trace: list[Step] | None) -> Verdict:
        """No server has the mailbox, so not even `unreachable_is_ok` makes it deliverable."""
        problem = (
            f"asked about a mailbox that is said to be on {name}, by a server that was asked"
            f" itself; {MAX_HOPS} servers point at each other, see their mailbox lists"
        )
        if trace is not None:
            trace.append(Step("backend", server=name, problem=problem))
        evidence = _with_fault(evidence, name, problem)
        return Verdict(Kind.UPSTREAM_FAULT, LOOP_TEXT, evidence, cacheable=False)


def _with_fault(evidence: Evidence, server: str, fault: str) -> Evidence:
    return Evidence(mailbox=evidence.mailbox, userid=evidence.userid, server=server, fault=fault)
