"""What one process has counted, as it is in the shared metrics; and such counts added up.

Counts and gauges go by their keys (gateway/counted.py); in a message these are joined by
slashes: `requests/policy/over-quota`.  Counts only grow, and those
of processes that have ended are kept; gauges are of the moment and end with
their process.  Both add up over processes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields

from gateway.counted import MetricKey, Numbers
from gateway.observability.metrics.sharedmemory import SharedMetricsError

# Longer than the longest name with its labels; anything else is a defect.
_MAX_NAME = 120
# Between a metric and its labels in a message; none of them has it.
_JOINT = "/"


@dataclass(frozen=True, slots=True)
class LastRefusal:
    """One recipient that was refused, or would have been; addresses as the log would show them.

    `time` is in seconds since 1970; `waiver` says why it was not carried out
    after all; `reply` is what the front end says for it, carried out.
    """

    time: float
    frontend: str
    verdict: str
    reason: str
    recipient: str
    sender: str
    client: str
    waiver: str
    reply: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """The last answer of another server; `problem` is empty where it was one."""

    time: float
    kind: str
    name: str
    problem: str


@dataclass(slots=True)
class ProcessCounts:
    """What one process says of itself.  `started` is in seconds since 1970."""

    name: str
    index: int = 0
    generation: int = 0
    pid: int = 0
    started: float = 0.0
    counts: Numbers = field(default_factory=dict)
    gauges: Numbers = field(default_factory=dict)
    refusals: list[LastRefusal] = field(default_factory=list)
    upstreams: list[Upstream] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """As a message for the shared metrics."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        told |= {"counts": joined(self.counts), "gauges": joined(self.gauges)}
        told |= {name: [asdict(each) for each in told[name]] for name in ("refusals", "upstreams")}
        return json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace")

    @classmethod
    def from_bytes(cls, message: bytes) -> ProcessCounts:
        """The message as a value; raises SharedMetricsError for what `to_bytes` does not write."""
        told = parse(message)
        try:
            return cls(
                name=str(told["name"]),
                index=whole(told["index"]),
                generation=whole(told["generation"]),
                pid=whole(told["pid"]),
                started=number(told["started"]),
                counts=numbers(told["counts"]),
                gauges=numbers(told["gauges"]),
                refusals=[
                    LastRefusal(
                        number(each["time"]),
                        str(each["frontend"]),
                        str(each["verdict"]),
                        str(each["reason"]),
                        str(each["recipient"]),
                        str(each["sender"]),
                        str(each["client"]),
                        str(each["waiver"]),
                        str(each["reply"]),
                    )
                    for each in rows(told["refusals"])
                ],
                upstreams=[
                    Upstream(
                        number(each["time"]),
                        str(each["kind"]),
                        str(each["name"]),
                        str(each["problem"]),
                    )
                    for each in rows(told["upstreams"])
                ],
            )
        except KeyError as error:
            raise SharedMetricsError(f"{error} is missing") from error


def parse(message: bytes) -> Mapping[str, object]:
    """A message of the shared metrics, an object; raises SharedMetricsError."""
    try:
        told: object = json.loads(message)
    except ValueError as error:
        raise SharedMetricsError(f"no JSON: {error}") from error
    return table(told)


def whole(told: object) -> int:
    """A whole number; raises SharedMetricsError for anything else."""
    return int(number(told))


def number(told: object) -> float:
    """A finite number; raises SharedMetricsError for anything else."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not math.isfinite(told):
        raise SharedMetricsError(f"{told!r:.80} is not a number")
    return told


def numbers(told: object) -> Numbers:
    """Numbers by key; raises SharedMetricsError for anything else."""
    found: Numbers = {}
    for name, value in table(told).items():
        if len(name) > _MAX_NAME or not name.isprintable():
            raise SharedMetricsError(f"{name!r:.80} is not a name")
        metric, *labels = name.split(_JOINT)
        found[MetricKey(metric, tuple(labels))] = number(value)
    return found


def table(told: object) -> Mapping[str, object]:
    """An object; raises SharedMetricsError for anything else."""
    if not isinstance(told, dict):
        raise SharedMetricsError(f"{told!r:.80} is not an object")
    return told


def items(told: object) -> list[object]:
    """A list; raises SharedMetricsError for anything else."""
    if not isinstance(told, list):
        raise SharedMetricsError(f"{told!r:.80} is not a list")
    return told


def rows(told: object) -> list[Mapping[str, object]]:
    """A list of objects; raises SharedMetricsError for anything else."""
    return [table(each) for each in items(told)]


def joined(told: Numbers) -> dict[str, float]:
    """Numbers for a message; `numbers` takes them apart again."""
    return {_JOINT.join((key.metric, *key.labels)): value for key, value in told.items()}


def add(total: Numbers, more: Numbers) -> None:
    """Add `more` to `total`, key by key."""
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def added(all_of: Iterable[Numbers]) -> Numbers:
    """The sum of all, key by key."""
    total: Numbers = {}
    for each in all_of:
        add(total, each)
    return total
