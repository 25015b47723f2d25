"""Everything in the shared metrics, added up: what one scrape shows.

Counts are those of the living processes and of those that have ended; gauges
those of the living.  All of it is of one state of the shared metrics: where a process
ends or starts while it is read, the reading starts over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.observability.metrics.registry import WRITER, Page, Reload
from gateway.observability.metrics.sharedmemory import SUPERVISOR, SharedMetricsError
from gateway.observability.metrics.snapshot import ProcessCounts, added

if TYPE_CHECKING:
    from gateway.counted import Numbers
    from gateway.observability.metrics.registry import Lent, ProcessState
    from gateway.observability.metrics.sharedmemory import SharedMetrics
    from gateway.observability.metrics.snapshot import LastRefusal, Upstream

# Processes do not start and end so fast that more would be needed.
_ATTEMPTS = 10
# Refusals that are shown, the newest first.
MAX_REFUSALS = 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """The sum over all processes.

    `started` is when the supervisor started and counting began, in seconds
    since 1970.  `snapshots` are those of the living processes.  `reload` and
    `troubles` are as on the supervisor's page.
    """

    started: float
    processes: tuple[ProcessState, ...]
    snapshots: tuple[ProcessCounts, ...]
    counts: Numbers
    gauges: Numbers
    reload: Reload = field(default_factory=Reload)
    troubles: tuple[str, ...] = ()

    @property
    def refusals(self) -> list[LastRefusal]:
        """The newest refusals of all processes, the newest first."""
        every = [refusal for each in self.snapshots for refusal in each.refusals]
        return sorted(every, key=lambda each: -each.time)[:MAX_REFUSALS]

    @property
    def upstreams(self) -> list[Upstream]:
        """The newest answer of each other server, by kind and name."""
        newest: dict[tuple[str, str], Upstream] = {}
        every = [upstream for each in self.snapshots for upstream in each.upstreams]
        for upstream in sorted(every, key=lambda each: each.time):
            newest[upstream.kind, upstream.name] = upstream
        return [newest[key] for key in sorted(newest)]


def gather(shared_metrics: SharedMetrics) -> Gathered:
    """Read all of the shared metrics.

    Raises SharedMetricsError where the supervisor's page cannot be read.
    """
    for _ in range(_ATTEMPTS):
        before = shared_metrics.read(SUPERVISOR, WRITER)
        if before is None:
            continue
        page = Page.from_bytes(before)
        snapshots = [_snapshot(shared_metrics, each) for each in page.living]
        if shared_metrics.read(SUPERVISOR, WRITER) == before:
            known = tuple(each for each in snapshots if each is not None)
            return Gathered(
                page.started,
                page.processes,
                known,
                added([page.past, *(each.counts for each in known)]),
                added(each.gauges for each in known),
                page.reload,
                page.troubles,
            )
    raise SharedMetricsError("the shared metrics change while they are read, again and again")


def _snapshot(shared_metrics: SharedMetrics, lent: Lent) -> ProcessCounts | None:
    """What a process last said; None where it has said nothing yet, or nonsense."""
    message = shared_metrics.read(lent.slot, lent.writer)
    if message is None:
        return None
    try:
        return ProcessCounts.from_bytes(message)
    except SharedMetricsError:
        return None
