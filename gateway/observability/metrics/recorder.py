"""What one process counts and shows: its counters, timings, cache, connections and memory.

Front ends, cache and readers count for themselves, in plain numbers; once a
second the recorder collects these and puts them into the shared metrics.  What is
collected costs nothing on the way of a request.

Limits: what others see of this process is up to INTERVAL seconds old.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from gateway.config.frontends import front_end
from gateway.counted import (
    CACHE_ENTRIES,
    CACHE_HITS,
    CACHE_INVALIDATIONS,
    CACHE_MISSES,
    CONNECTIONS,
    CONNECTIONS_ACCEPTED,
    CPU_SECONDS,
    DATABASE_FAULTS,
    DATABASE_RETRIES,
    NOT_ENFORCED,
    REQUESTS,
    RESIDENT_BYTES,
    SKIPPED,
    Counts,
    Numbers,
)
from gateway.cyrus.db.file import ReadCounts
from gateway.frontends.counters import OutcomeCounters
from gateway.observability.metrics.databases import DATABASES
from gateway.observability.metrics.sharedmemory import MetricsSlot, SharedMetricsError
from gateway.observability.metrics.snapshot import LastRefusal, ProcessCounts, add
from gateway.observability.metrics.timing import ClockedEngine, Timings
from gateway.printable import printable
from gateway.verification.kinds import KINDS
from gateway.verification.model import Verdict
from gateway.wiring.judges import make_replies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.config import Settings
    from gateway.cyrus.store import CyrusStore
    from gateway.frontends.outcome import Refused
    from gateway.observability.logging.setup import AddressWriter
    from gateway.server.server import Server
    from gateway.verification.decider import Engine, Memory

    # Adds its counts and gauges to a snapshot.
    Source = Callable[[ProcessCounts], None]

_log = logging.getLogger(__name__)

# Seconds between two messages in the shared metrics.
INTERVAL = 1.0

# Refusals kept by each front end of a process, and characters of their fields:
# all of them fit into a slot of the shared metrics.
REFUSALS = 20
FIELD_LIMIT = 160

_KINDS = {kind.name: kind for kind in KINDS}

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Bytes that hold all of statm: seven numbers.
_STATM = 256


class ServingProcess(Protocol):
    """Which of the processes this one is (gateway.supervisor.channel has the whole)."""

    name: str
    index: int
    generation: int
    metrics_slot: MetricsSlot


class Recorder:
    """The counts of this process; `counted` is for parts that have no counts of their own."""

    def __init__(self, process: ServingProcess, settings: Settings, address: AddressWriter) -> None:
        self._process = process
        self._settings = settings
        self._address = address
        self._replies = make_replies(settings)
        self._started = time.time()
        self._timings = Timings()
        self._reads = tuple(ReadCounts() for _ in DATABASES)
        self._counters: dict[str, OutcomeCounters] = {}
        self.counted = Counts()
        self._counted = [self.counted]
        self._sources: list[Source] = []
        self._failed = False
        # Kept open: clients may have every descriptor by the time of a snapshot.
        self._memory = os.open("/proc/self/statm", os.O_RDONLY)
        self._resident = 0

    def timed(self, engine: Engine) -> Engine:
        """`engine` for a thread, with what it reads and asks counted."""
        self._count_reads(engine.store)
        return ClockedEngine(engine, self._timings)

    def watch_memories(self, memories: Sequence[Memory]) -> None:
        """Count what `memories` remember, and how long it takes where they do not."""
        for memory in memories:
            self._count_reads(memory.store)
            memory.timing = self._timings.lookup

        def source(snapshot: ProcessCounts) -> None:
            # What was ready to be sent did not ask the memory, but rests on it.
            ready = sum(counters.answers_from_cache for counters in self._counters.values())
            snapshot.counts[CACHE_HITS.of()] = sum(each.hits for each in memories) + ready
            snapshot.counts[CACHE_MISSES.of()] = sum(each.misses for each in memories)
            snapshot.counts[CACHE_INVALIDATIONS.of()] = sum(each.invalidations for each in memories)
            snapshot.gauges[CACHE_ENTRIES.of()] = sum(len(each.entries) for each in memories)

        self.watch(source)

    def watch_servers(self, frontend: str, servers: Sequence[Server]) -> None:
        """Count the clients of a front end's sockets."""

        def source(snapshot: ProcessCounts) -> None:
            accepted = sum(server.accepted for server in servers)
            connected = sum(len(server.connections) for server in servers)
            snapshot.counts[CONNECTIONS_ACCEPTED.of(frontend)] = accepted
            snapshot.gauges[CONNECTIONS.of(frontend)] = connected

        if servers:
            self.watch(source)
        self._counted += [server.counted for server in servers]

    def counters(self, frontend: str) -> OutcomeCounters:
        """The counts of a front end, made at the first call."""
        if frontend not in self._counters:
            refusals: deque[Refused] = deque(maxlen=REFUSALS)
            self._counters[frontend] = counters = OutcomeCounters(refusals)
            self._counted.append(counters.counted)
        return self._counters[frontend]

    def watch(self, source: Source) -> None:
        """Ask `source` for more at each snapshot."""
        self._sources.append(source)

    def snapshot(self) -> ProcessCounts:
        """Everything as it is now."""
        process = self._process
        snapshot = ProcessCounts(
            process.name, process.index, process.generation, os.getpid(), self._started
        )
        snapshot.counts |= self._timings.numbers()
        snapshot.upstreams += self._timings.last()
        for name, reads in zip(DATABASES, self._reads, strict=True):
            snapshot.counts[DATABASE_RETRIES.of(name)] = reads.retries
            snapshot.counts[DATABASE_FAULTS.of(name)] = reads.faults
        for frontend, counters in self._counters.items():
            snapshot.counts |= _outcomes(frontend, counters)
            snapshot.refusals += [
                self._refusal(frontend, each) for each in tuple(counters.refusals)
            ]
        snapshot.counts[CPU_SECONDS.of(process.name)] = time.process_time()
        snapshot.gauges[RESIDENT_BYTES.of(process.name)] = self._resident_bytes()
        for counted in self._counted:
            add(snapshot.counts, counted.numbers)
        for source in self._sources:
            source(snapshot)
        return snapshot

    def publish(self) -> None:
        """Put a snapshot into the shared metrics; where that fails, a log line says so once."""
        try:
            self._process.metrics_slot.publish(self.snapshot().to_bytes())
        except SharedMetricsError as error:
            if not self._failed:
                self._failed = True
                _log.error("the metrics of this process are not updated: %s", error)

    def _resident_bytes(self) -> int:
        """The memory of this process (proc(5), statm), the last known if there is none left.

        A process that is short of memory must not end for a number of the metrics.
        """
        try:
            self._resident = int(os.pread(self._memory, _STATM, 0).split()[1]) * _PAGE
        except OSError as error:
            _log.debug("how much memory this process has cannot be read: %s", error)
        return self._resident

    def _count_reads(self, store: CyrusStore | None) -> None:
        if store is not None:
            for database, counts in zip(store.databases, self._reads, strict=True):
                database.counts = counts

    def _refusal(self, frontend: str, refused: Refused) -> LastRefusal:
        moment, (verdict, _, waiver), recipient, sender, client, reason = refused
        shown = "" if sender is None else self._address(sender) if sender else "<>"
        return LastRefusal(
            moment,
            frontend,
            verdict,
            printable(reason, FIELD_LIMIT),
            printable(self._address(recipient), FIELD_LIMIT),
            printable(shown, FIELD_LIMIT),
            printable(client, FIELD_LIMIT),
            waiver,
            printable(
                self._address.reply(frontend, self._reply(frontend, verdict, recipient, reason)),
                FIELD_LIMIT,
            ),
        )

    def _reply(self, frontend: str, verdict: str, recipient: bytes, reason: bytes) -> bytes:
        """What `frontend` says to a recipient with that verdict where it is carried out."""
        refused = Verdict(_KINDS[verdict], reason)
        return front_end(frontend).said(self._replies, refused, recipient)


def _outcomes(frontend: str, counters: OutcomeCounters) -> Numbers:
    """The counts of one front end; those that are still 0 are shown, too."""
    found: Numbers = {REQUESTS.of(frontend, kind.name): 0 for kind in KINDS}
    for (kind, skip, waiver), count in counters.outcomes():
        for metric, word in ((REQUESTS, kind), (SKIPPED, skip), (NOT_ENFORCED, waiver)):
            if word:
                add(found, {metric.of(frontend, word): count})
    return found
