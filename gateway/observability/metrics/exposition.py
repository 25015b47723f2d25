"""The metrics as Prometheus reads them: every name, its labels and its meaning.

All names begin with `smmapd_`, units are seconds and bytes.  Labels come from
closed sets; no label ever holds an address, a mailbox or a host.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import gevent
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from gateway.counted import COUNTS, GAUGES, LOOKUP, PREFIX, REST, SUM, UPSTREAM
from gateway.observability import version
from gateway.observability.metrics.gathering import Gathered
from gateway.observability.metrics.timing import LOOKUP_BOUNDS, UPSTREAM_BOUNDS, UPSTREAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counted import Declared, MetricKey, Numbers
    from gateway.observability.metrics.databases import DatabaseState

RESTARTS = "process_restarts"


@dataclass(frozen=True, slots=True)
class View:
    """Everything that one scrape shows; `restarts` are by the processes' name."""

    gathered: Gathered
    databases: tuple[DatabaseState, ...]
    restarts: dict[str, int]


def render(view: View, accept: str) -> tuple[bytes, str]:
    """The page and its content type, in the format that the Accept header asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(families(view))))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Once:
    """What a registry asks for metrics."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def families(view: View) -> Iterator[Metric]:
    """Every metric with its values."""
    gathered = view.gathered
    for each in COUNTS:
        counter = CounterMetricFamily(PREFIX + each.name, each.help, labels=each.labels)
        _fill(counter, each, gathered.counts)
        yield counter
    for each in GAUGES:
        gauge = GaugeMetricFamily(PREFIX + each.name, each.help, labels=each.labels)
        _fill(gauge, each, gathered.gauges)
        yield gauge
    yield from _durations(gathered.counts)
    yield from _databases(view.databases)
    yield _failing(gathered)
    yield from _processes(view)
    yield from _gateway(gathered)


def names() -> list[str]:
    """The name of every metric, as its help line has it."""
    nothing = Gathered(0.0, (), (), {}, {})
    counts = {PREFIX + each.name for each in COUNTS} | {PREFIX + RESTARTS}
    return [
        f"{each.name}_total" if each.name in counts else each.name
        for each in families(View(nothing, (), {}))
    ]


def _fill(
    family: CounterMetricFamily | GaugeMetricFamily, declared: Declared, numbers: Numbers
) -> None:
    for key in sorted(numbers):
        if key.metric == declared.name and len(key.labels) == len(declared.labels):
            family.add_metric(key.labels, numbers[key])


def _durations(counts: Numbers) -> Iterator[Metric]:
    lookups = HistogramMetricFamily(
        PREFIX + LOOKUP.name,
        LOOKUP.help,
        labels=(),
    )
    _add_histogram(lookups, [], counts, LOOKUP.of, LOOKUP_BOUNDS)
    yield lookups
    upstreams = HistogramMetricFamily(PREFIX + UPSTREAM.name, UPSTREAM.help, labels=("upstream",))
    for kind in UPSTREAMS:
        _add_histogram(upstreams, [kind], counts, partial(UPSTREAM.of, kind), UPSTREAM_BOUNDS)
    yield upstreams


def _add_histogram(
    family: HistogramMetricFamily,
    labels: list[str],
    counts: Numbers,
    key: Callable[[str], MetricKey],
    bounds: tuple[float, ...],
) -> None:
    buckets, below = [], 0.0
    for bound in bounds:
        below += counts.get(key(str(bound)), 0)
        buckets.append((str(bound), below))
    buckets.append(("+Inf", below + counts.get(key(REST), 0)))
    family.add_metric(labels, buckets, counts.get(key(SUM), 0.0))


def _databases(databases: tuple[DatabaseState, ...]) -> Iterator[Metric]:
    label = ("database",)
    readable = GaugeMetricFamily(
        PREFIX + "database_readable", "1 while the database can be read, else 0.", labels=label
    )
    size = GaugeMetricFamily(PREFIX + "database_size_bytes", "Size of the file.", labels=label)
    generation = GaugeMetricFamily(
        PREFIX + "database_generation", "Grows with each repack of the file.", labels=label
    )
    records = GaugeMetricFamily(PREFIX + "database_records", "Records in the file.", labels=label)
    for state in databases:
        readable.add_metric([state.name], 0 if state.problem else 1)
        for family, value in (
            (size, state.size),
            (generation, state.generation),
            (records, state.records),
        ):
            if value is not None:
                family.add_metric([state.name], value)
    yield from (readable, size, generation, records)


def _failing(gathered: Gathered) -> Metric:
    failing = GaugeMetricFamily(
        PREFIX + "upstream_failing",
        "Other servers that gave no usable answer last time.",
        labels=("upstream",),
    )
    for kind in UPSTREAMS:
        servers = (each for each in gathered.upstreams if each.kind == kind)
        failing.add_metric([kind], sum(1 for each in servers if each.problem))
    return failing


def _processes(view: View) -> Iterator[Metric]:
    processes = view.gathered.processes
    restarts = CounterMetricFamily(
        PREFIX + RESTARTS,
        "Processes that ended unasked and were started again.",
        labels=["process"],
    )
    ready = GaugeMetricFamily(
        PREFIX + "processes_ready", "Processes that serve.", labels=["process"]
    )
    wanted = GaugeMetricFamily(
        PREFIX + "processes_wanted", "Processes that should serve.", labels=["process"]
    )
    for name in sorted({each.name for each in processes}):
        mine = [each.state for each in processes if each.name == name]
        restarts.add_metric([name], view.restarts.get(name, 0))
        ready.add_metric([name], mine.count("ready"))
        wanted.add_metric([name], len(mine) - mine.count("leaving"))
    yield from (restarts, ready, wanted)


def _gateway(gathered: Gathered) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        PREFIX + "start_time_seconds",
        "When the gateway started and began to count, in seconds since 1970.",
        value=gathered.started,
    )
    yield GaugeMetricFamily(
        PREFIX + "config_reload_successful",
        "1 while the last word about the configuration came into force, 0 while it was refused.",
        value=0 if gathered.reload.problem else 1,
    )
    yield GaugeMetricFamily(
        PREFIX + "config_last_reload_success_timestamp_seconds",
        "When a configuration came into force last, in seconds since 1970.",
        value=gathered.reload.success,
    )
    info = GaugeMetricFamily(
        PREFIX + "build_info",
        "1; what runs, in the labels.",
        labels=("version", "python", "gevent"),
    )
    info.add_metric([version(), platform.python_version(), gevent.__version__], 1)
    yield info
