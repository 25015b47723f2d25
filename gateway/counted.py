"""What is counted: every metric's name, labels and meaning, the keys of its values, and `Counts`.

To add a counter: declare it here, in `COUNTS`, and count it where the event is, in the `counted`
of the object at hand: a front end's counters, a server, a process' recorder
(`counted.add(THE_METRIC.of("label"))`), or by the supervisor's registry (`count`).  It is on the
page then, added up over all processes.

Only a declared metric gives keys (`Declared.of`), so that what is counted is on the page
and has the labels that the page says.  All names begin with PREFIX there, and a counter's
end with `_total`.  Labels are of closed sets: never an address, a mailbox or a host.

Limits: the modules that `smmapd -X` loads cannot use this, which is too much for its start;
what happens with every request is counted in plain numbers that the recorder collects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class MetricKey(NamedTuple):
    """One value: the metric's name, and the values of its labels."""

    metric: str
    labels: tuple[str, ...] = ()


Numbers: TypeAlias = dict[MetricKey, float]

PREFIX = "smmapd_"


class Counts:
    """What one object has counted.

    Limits: one thread at a time, as whatever it belongs to.
    """

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers: Numbers = {}

    def add(self, key: MetricKey, more: float = 1) -> None:
        """Count; with 0 the value is shown before there is anything to count."""
        self.numbers[key] = self.numbers.get(key, 0) + more


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
