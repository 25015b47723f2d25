"""The engine of a host without a Cyrus of its own: other servers know the mailboxes.

It gives the same verdicts as a Verifier, from what another smmapd or LMTP server
says.  Several servers are tried one after the other, each with its
share of the time that is left: either always in the given order, or begun at
one that the recipient decides, which spreads the load and lets each server's
own memory be used best.  A temporary failure that one server tells of itself
is a reason to ask the next one, too.

Answers are remembered for a short time (expiringcache.py).  Where no server gives a
usable answer the verdict is a temporary failure, or an old answer where that
is wanted.

Threads may share one; there is nothing in it that waits for another thread.
"""

from __future__ import annotations

import time
import zlib

from gateway.errors import UpstreamError
from gateway.upstream.socketmapclient import MAX_HOPS
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Evidence, Pending, Query, Verdict
from gateway.verification.steps import Step
from gateway.verification.uncached import UncachedMemory
from gateway.verification.upstreamanswers import LOOP_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gateway.verification.entry import Entry
    from gateway.verification.expiringcache import ExpiringCache
    from gateway.verification.servers import Server, Told


class RemoteVerifier(UncachedMemory):
    """Verifies recipients by asking `servers`; `deadline` is in seconds for a question.

    With `spread`, the recipient decides which server is asked first.
    `clock` is time.monotonic, or what a test puts in its place.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        memory: ExpiringCache,
        *,
        deadline: float,
        spread: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.servers = tuple(servers)
        self.name = ", ".join(server.pool.server for server in self.servers)
        self.memory = memory
        self.deadline = deadline
        self._spread = spread
        self._clock = clock

    # --- as a Verifier ----------------------------------------------------------------------

    def verify(self, query: Query, trace: list[Step] | None = None) -> Verdict:
        """The verdict on `query`; blocks up to the deadline.

        With `trace` the servers are asked whatever is remembered, and the
        steps are appended to it.
        """
        outcome = self.decide(query, trace)
        return self.resolve(outcome, trace) if isinstance(outcome, Pending) else outcome

    def answering(self, _answers: str) -> RemoteVerifier:
        """The same: the servers have an authority of their own."""
        return self

    def decide(self, query: Query, trace: list[Step] | None = None) -> Verdict | Pending:
        """The verdict as far as it is remembered, or that the servers must be asked."""
        if query.hops >= MAX_HOPS:
            return self._loop(trace)
        if trace is None:
            verdict = self.memory.fresh(query.recipient, self._clock())
            if verdict is not None:
                self.hits += 1
                return verdict
        self.misses += 1
        if query.size is not None:
            # Servers are not told of sizes; questions that differ in nothing else are one.
            query = Query(query.recipient, hops=query.hops)
        return Pending(query, self.name, NO_EVIDENCE)

    def advance(
        self, pending: Pending, trace: list[Step] | None = None, *, since: float | None = None
    ) -> Verdict:
        """Ask the servers; at most `deadline` seconds from `since` (default: now)."""
        query = pending.query
        now = self._clock()
        until = (since if since is not None else now) + self.deadline
        servers = self._in_order(query.recipient)
        problems: list[str] = []
        told: Told | None = None
        for position, server in enumerate(servers):
            now = self._clock()
            share = now + (until - now) / (len(servers) - position)
            try:
                told = server.ask(query.recipient, query.hops + 1, share)
            except UpstreamError as fault:
                problems.append(str(fault))
                if trace is not None:
                    seconds = self._clock() - now
                    trace.append(
                        Step("backend", seconds, server=fault.server, problem=fault.problem)
                    )
                continue
            name = server.pool.server
            if trace is not None:
                trace.append(Step("backend", self._clock() - now, server=name, answer=told.words))
            if not told.kind.try_next_server:
                verdict = Verdict(told.kind, told.reason, Evidence(server=name), cacheable=False)
                self.memory.keep(query.recipient, verdict, self._clock())
                return verdict
            problems.append(f"{name}: it answers {told.words.decode('utf-8', 'backslashreplace')}")
        problem = "; ".join(problems)
        stale = self._stale(query.recipient, problem, trace)
        if stale is not None:
            return stale
        kind, reason = Kind.UPSTREAM_FAULT, Kind.UPSTREAM_FAULT.text
        if told is not None:
            kind, reason = told.kind, told.reason
        return Verdict(kind, reason, Evidence(server=self.name, fault=problem), cacheable=False)

    def resolve(self, pending: Pending, trace: list[Step] | None = None) -> Verdict:
        """As `advance`, which leaves nothing to be asked."""
        return self.advance(pending, trace)

    # --- as a VerdictCache ------------------------------------------------------------------

    @property
    def entries(self) -> Collection[bytes]:
        """The recipients with a remembered answer, whether it is still valid or not."""
        return self.memory.entries

    def entry(self, recipient: bytes) -> Entry | None:
        """What is remembered of `recipient`, whether it still holds or not."""
        return self.memory.entry(recipient)

    def is_valid(self, entry: Entry) -> bool:
        """Whether `entry` may still be given as the answer."""
        held = self.memory.entry(entry.recipient)
        return held is entry and self._clock() < held.until

    def sweep(self) -> None:
        """Close connections that are not needed; never waits."""
        now = self._clock()
        for server in self.servers:
            server.pool.sweep(now)

    # ----------------------------------------------------------------------------------------

    def _in_order(self, recipient: bytes) -> Sequence[Server]:
        """The servers in the order in which they are asked."""
        servers = self.servers
        # same with >=: of one server the order is always the same
        if self._spread and len(servers) > 1:
            # The same server for the same recipient, in whatever case it is written.
            first = zlib.crc32(recipient.lower()) % len(servers)
            servers = servers[first:] + servers[:first]
        return servers

    def _stale(self, recipient: bytes, problem: str, trace: list[Step] | None) -> Verdict | None:
        verdict = self.memory.stale(recipient, self._clock())
        if verdict is None:
            return None
        if trace is not None:
            trace.append(Step("stale", kind=verdict.kind.name, reason=verdict.reason))
        evidence = Evidence(server=verdict.evidence.server, fault=problem)
        return Verdict(verdict.kind, verdict.reason, evidence, cacheable=False)

    def _loop(self, trace: list[Step] | None) -> Verdict:
        problem = (
            f"asked by a server that was asked itself, {MAX_HOPS} times in a row: gateways point at"
            " each other, see the setting store of each"
        )
        if trace is not None:
            trace.append(Step("backend", server=self.name, problem=problem))
        evidence = Evidence(server=self.name, fault=problem)
        return Verdict(Kind.UPSTREAM_FAULT, LOOP_TEXT, evidence, cacheable=False)
