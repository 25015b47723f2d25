"""What the status page shows, as one JSON document: /status.json.

Numbers are as Prometheus gets them; rates are of the last seconds, durations
of the last minutes.  What is not known yet is null.  Addresses are as private
as in the log.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

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
    LOOKUP,
    NOT_ENFORCED,
    REQUESTS,
    RESIDENT_BYTES,
    REST,
    SKIPPED,
    UPSTREAM,
)
from gateway.observability import version
from gateway.observability.admin.history import STEP
from gateway.observability.metrics.timing import LOOKUP_BOUNDS, UPSTREAM_BOUNDS, UPSTREAMS
from gateway.verification.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.config import Settings
    from gateway.counted import Declared, MetricKey, Numbers
    from gateway.observability.admin.history import CountHistory
    from gateway.observability.metrics.exposition import View

QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The counts now and at an earlier moment, and the seconds in between; None: no such moment."""

    now: Numbers
    before: Numbers
    seconds: float | None

    def row(self, name: str, key: MetricKey) -> dict[str, object]:
        """One count: its name, total, and how often it comes a second."""
        total = self.now.get(key, 0)
        return {"name": name, "total": total, "per_second": self.per_second(key)}

    def per_second(self, *keys: MetricKey) -> float | None:
        """So many a second of all these together."""
        if not self.seconds:
            return None
        more = sum(self.now.get(key, 0) - self.before.get(key, 0) for key in keys)
        return max(0.0, more) / self.seconds


def document(
    view: View, history: CountHistory, settings: Settings, reasons: list[str], notes: list[str]
) -> dict[str, object]:
    """The whole document; `reasons` say why it is not ready, `notes` what else is amiss."""
    gathered = view.gathered
    moment = time.monotonic()
    recent, oldest = history.recent(moment), history.oldest
    numbers = _Numbers(
        gathered.counts,
        recent.counts if recent is not None else {},
        moment - recent.moment if recent is not None else None,
    )
    served = [row.name for row in settings.serving]
    asked = [REQUESTS.of(name, kind.name) for name in served for kind in KINDS]
    refused = [
        REQUESTS.of(name, kind.name) for name in served for kind in KINDS if not kind.accepts
    ]
    return {
        "host": os.uname().nodename,
        "version": version(),
        "now": time.time(),
        "started": gathered.started,
        "ready": not reasons,
        "reasons": reasons,
        "notes": notes,
        "reload": asdict(gathered.reload),
        "addresses": settings.logging.addresses.value,
        "totals": {
            "asked_per_second": numbers.per_second(*asked),
            "undeliverable_per_second": numbers.per_second(*refused),
            "asked": sum(gathered.counts.get(key, 0) for key in asked),
            "undeliverable": sum(gathered.counts.get(key, 0) for key in refused),
        },
        "history": {
            "step": STEP,
            "asked": history.series(lambda key: key.metric == REQUESTS.name),
            "undeliverable": history.series(frozenset(refused).__contains__),
        },
        "front_ends": [_front_end(name, view, numbers, settings) for name in served],
        "memory": _memory(gathered.counts, gathered.gauges, numbers),
        "latency": _latency(gathered.counts, oldest.counts if oldest is not None else {}),
        "databases": _databases(view),
        "upstreams": [asdict(each) for each in gathered.upstreams],
        "refusals": [asdict(each) for each in gathered.refusals],
        "processes": _processes(view),
    }


def _front_end(name: str, view: View, numbers: _Numbers, settings: Settings) -> dict[str, object]:
    gathered = view.gathered
    own = settings.front_end(name)
    verdicts = [
        numbers.row(kind.name, REQUESTS.of(name, kind.name))
        for kind in KINDS
        if gathered.counts.get(REQUESTS.of(name, kind.name))
    ]
    return {
        "name": name,
        "listen": [str(each) for each in own.listen],
        "mode": own.mode.value,
        "connections": gathered.gauges.get(CONNECTIONS.of(name), 0),
        "accepted": gathered.counts.get(CONNECTIONS_ACCEPTED.of(name), 0),
        "asked": sum(
            count
            for key, count in gathered.counts.items()
            if key.metric == REQUESTS.name and key.labels[0] == name
        ),
        "verdicts": verdicts,
        "skipped": _rows(SKIPPED, name, numbers),
        "not_enforced": _rows(NOT_ENFORCED, name, numbers),
    }


def _rows(metric: Declared, frontend: str, numbers: _Numbers) -> list[dict[str, object]]:
    return [
        numbers.row(key.labels[1], key)
        for key in sorted(numbers.now)
        if key.metric == metric.name and key.labels[0] == frontend
    ]


def _memory(counts: Numbers, gauges: Numbers, numbers: _Numbers) -> dict[str, object]:
    hits, misses = counts.get(CACHE_HITS.of(), 0), counts.get(CACHE_MISSES.of(), 0)
    lately = (
        numbers.per_second(CACHE_HITS.of()),
        numbers.per_second(CACHE_HITS.of(), CACHE_MISSES.of()),
    )
    return {
        "entries": gauges.get(CACHE_ENTRIES.of(), 0),
        "hits": hits,
        "misses": misses,
        "invalidations": counts.get(CACHE_INVALIDATIONS.of(), 0),
        "share": lately[0] / lately[1] if lately[0] is not None and lately[1] else None,
    }


def _latency(now: Numbers, before: Numbers) -> dict[str, object]:
    upstreams = {
        kind: _quantiles(partial(UPSTREAM.of, kind), UPSTREAM_BOUNDS, now, before)
        for kind in UPSTREAMS
    }
    return {"lookup": _quantiles(LOOKUP.of, LOOKUP_BOUNDS, now, before), **upstreams}


def _databases(view: View) -> list[dict[str, object]]:
    counts = view.gathered.counts
    return [
        {
            **asdict(each),
            "retries": counts.get(DATABASE_RETRIES.of(each.name), 0),
            "faults": counts.get(DATABASE_FAULTS.of(each.name), 0),
        }
        for each in view.databases
    ]


def _quantiles(
    key: Callable[[str], MetricKey], bounds: tuple[float, ...], now: Numbers, before: Numbers
) -> Mapping[str, float | None]:
    return {name: quantile(share, key, bounds, now, before) for name, share in QUANTILES}


def _processes(view: View) -> list[dict[str, object]]:
    """One row a process; what it says of itself, where it has said something."""
    said = {each.pid: each for each in view.gathered.snapshots}
    rows: list[dict[str, object]] = []
    for state in view.gathered.processes:
        snapshot = said.get(state.pid)
        rows.append(
            {
                **asdict(state),
                "started": snapshot.started if snapshot is not None else None,
                "resident_bytes": snapshot.gauges.get(RESIDENT_BYTES.of(state.name))
                if snapshot is not None
                else None,
                "cpu_seconds": snapshot.counts.get(CPU_SECONDS.of(state.name))
                if snapshot is not None
                else None,
                "restarts": view.restarts.get(state.name, 0),
            }
        )
    return rows


def quantile(
    share: float,
    key: Callable[[str], MetricKey],
    bounds: tuple[float, ...],
    now: Numbers,
    before: Numbers,
) -> float | None:
    """Seconds under which `share` of the durations fell between two states of the counts.

    Within a bucket they are taken to be spread evenly; in the last one, which
    has no end, its beginning is given.  None where there were none.
    """
    names = [*map(str, bounds), REST]
    counts = [now.get(key(each), 0) - before.get(key(each), 0) for each in names]
    wanted = share * sum(counts)
    if wanted <= 0:
        return None
    below, lower = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = bound
    return lower
