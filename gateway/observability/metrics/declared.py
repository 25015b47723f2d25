"""Every metric that processes count: its name, labels and meaning, and the keys of its values.

A process counts under a `MetricKey`, which only a declared metric gives (`Declared.of`), so
that what is counted is on the page and has the labels that the page says.  All names
begin with exposition.PREFIX there, and a counter's end with `_total`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class MetricKey(NamedTuple):
    """One value: the metric's name, and the values of its labels."""

    metric: str
    labels: tuple[str, ...] = ()


Numbers: TypeAlias = dict[MetricKey, float]


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: its name without prefix and ending, labels, meaning."""

    name: str
    labels: tuple[str, ...]
    help: str

    def of(self, *labels: str) -> MetricKey:
        """The key of the value with these labels, one for each of `labels`."""
        assert len(labels) == len(self.labels), f"{self.name} has the labels {self.labels}"
        return MetricKey(self.name, labels)


REQUESTS = Declared(
    "requests", ("frontend", "verdict"), "Recipients judged, by front end and verdict."
)
SKIPPED = Declared(
    "skipped",
    ("frontend", "reason"),
    "Recipients that were not judged, by front end and reason.",
)
NOT_ENFORCED = Declared(
    "not_enforced",
    ("frontend", "reason"),
    "Refusals that were not carried out, by front end and reason.",
)
CACHE_HITS = Declared(
    "cache_hits", (), "Questions answered from memory; they are not in smmapd_lookup_seconds."
)
CACHE_MISSES = Declared("cache_misses", (), "Questions that were not remembered.")
CACHE_INVALIDATIONS = Declared(
    "cache_invalidations", (), "Verdicts forgotten because what they rested on has changed."
)
CONNECTIONS_ACCEPTED = Declared(
    "connections_accepted", ("frontend",), "Clients that have connected."
)
DATABASE_RETRIES = Declared(
    "database_retries", ("database",), "Reads that started over because Cyrus wrote meanwhile."
)
DATABASE_FAULTS = Declared(
    "database_faults",
    ("database",),
    "Reads that failed: damaged, unreadable or lost files.",
)
UPSTREAM_QUESTIONS = Declared(
    "upstream_questions",
    ("upstream", "outcome"),
    "Questions to other servers, by their kind and by what became of them.",
)
CPU_SECONDS = Declared("process_cpu_seconds", ("process",), "Processor time used.")
COUNTS = (
    REQUESTS,
    SKIPPED,
    NOT_ENFORCED,
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_INVALIDATIONS,
    CONNECTIONS_ACCEPTED,
    DATABASE_RETRIES,
    DATABASE_FAULTS,
    UPSTREAM_QUESTIONS,
    CPU_SECONDS,
)

CACHE_ENTRIES = Declared("cache_entries", (), "Verdicts remembered.")
CONNECTIONS = Declared("connections", ("frontend",), "Clients that are connected.")
RESIDENT_BYTES = Declared(
    "process_resident_memory_bytes",
    ("process",),
    "Memory of the processes of a kind, shared pages counted in each.",
)
GAUGES = (CACHE_ENTRIES, CONNECTIONS, RESIDENT_BYTES)

# Histograms: a value for each bound, for what is above all of them, and the sum.
REST = "inf"
SUM = "sum"
LOOKUP = Declared(
    "lookup_seconds",
    ("bound",),
    "Time to judge a recipient that is not remembered, from the databases.",
)
UPSTREAM = Declared(
    "upstream_seconds", ("upstream", "bound"), "Time that other servers took to answer."
)
