"""The process registry: which process has which slot of the shared metrics, and past counts.

A process' counts must not vanish with it: a sum that shrinks looks like a
restart of everything to Prometheus.  So when a process has ended, the
supervisor adds its last counts to `past`.  That the process is gone and that
its counts are in `past` is said in one message, so a reader sees the one with
the other or neither.

Limits: a process that is killed loses what it counted since its last message,
a second at most.  Where the shared metrics fail (no memory), metrics are not updated and
mail goes on; a log line says so once.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.observability.metrics.sharedmemory import (
    SUPERVISOR,
    MetricsSlot,
    SharedMetrics,
    SharedMetricsError,
)
from gateway.observability.metrics.snapshot import (
    ProcessCounts,
    add,
    items,
    joined,
    number,
    numbers,
    parse,
    rows,
    table,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.counted import MetricKey, Numbers

_log = logging.getLogger(__name__)

# The supervisor's own number as a writer; children have higher ones.
WRITER = 1


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process as the supervisor sees it.

    `state` is starting, ready, waiting (for its next start) or leaving;
    `pid` is 0 where there is none.
    """

    name: str
    index: int
    generation: int
    pid: int
    state: str


@dataclass(frozen=True, slots=True)
class Reload:
    """What became of the last word about the configuration.

    `problem` is empty where it came into force, and else says why it did not.
    `success` is when one came into force last, in seconds since 1970; 0: never.
    """

    problem: str = ""
    success: float = 0.0


@dataclass(frozen=True, slots=True)
class Lent:
    """A slot of the shared metrics, and the number of the process that it is lent to."""

    slot: int
    writer: int


@dataclass(frozen=True, slots=True)
class Page:
    """What the supervisor has written: its message in the shared metrics.

    `started` is when it started, in seconds since 1970; `living` are the
    slots of the processes that count; `past` what those counted that have ended.
    `reload` is how the last reload went, `troubles` are sockets that no client
    can reach, a sentence each.
    """

    started: float
    living: tuple[Lent, ...]
    processes: tuple[ProcessState, ...]
    past: Numbers
    reload: Reload = field(default_factory=Reload)
    troubles: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """As a message for the shared metrics."""
        told = asdict(replace(self, past={})) | {"past": joined(self.past)}
        return json.dumps(told).encode()

    @classmethod
    def from_bytes(cls, message: bytes) -> Page:
        """The message as a value; raises SharedMetricsError for what `to_bytes` does not write."""
        told = parse(message)
        try:
            return cls(
                number(told["started"]),
                tuple(
                    Lent(whole(each["slot"]), whole(each["writer"]))
                    for each in rows(told["living"])
                ),
                tuple(
                    ProcessState(
                        str(each["name"]),
                        whole(each["index"]),
                        whole(each["generation"]),
                        whole(each["pid"]),
                        str(each["state"]),
                    )
                    for each in rows(told["processes"])
                ),
                numbers(told["past"]),
                Reload(
                    str(table(told["reload"])["problem"]),
                    number(table(told["reload"])["success"]),
                ),
                tuple(str(each) for each in items(told["troubles"])),
            )
        except KeyError as error:
            raise SharedMetricsError(f"{error} is missing") from error


class ProcessRegistry:
    """Lends slots to children and keeps what they counted."""

    def __init__(self) -> None:
        self._shared_metrics = SharedMetrics.create()
        self._own = MetricsSlot(self._shared_metrics, SUPERVISOR, WRITER)
        self._started = time.time()
        self._last = WRITER
        self._living: dict[int, int] = {}
        self._past: Numbers = {}
        self._processes: tuple[ProcessState, ...] = ()
        self._reload = Reload()
        self._troubles: tuple[str, ...] = ()
        self._failed = False
        self._publish()

    def lend(self) -> MetricsSlot:
        """A slot for a new process."""
        slot = next(n for n in range(1, len(self._living) + 2) if n not in self._living)
        self._last += 1
        self._living[slot] = self._last
        self._publish()
        return MetricsSlot(self._shared_metrics, slot, self._last)

    def take_back(self, slot: MetricsSlot) -> None:
        """The process has ended: keep what it counted."""
        if self._living.get(slot.index) != slot.writer:
            return
        del self._living[slot.index]
        message = self._shared_metrics.read(slot.index, slot.writer)
        if message is not None:
            try:
                add(self._past, ProcessCounts.from_bytes(message).counts)
            except SharedMetricsError as error:
                _log.warning("the counts of a process that has ended are lost: %s", error)
        self._publish()

    def count(self, key: MetricKey) -> None:
        """Count an event of the supervisor's own."""
        add(self._past, {key: 1})
        self._publish()

    def show(
        self,
        processes: Iterable[ProcessState],
        reload: Reload = Reload(),
        troubles: tuple[str, ...] = (),
    ) -> None:
        """Tell the others of all this, if it has changed."""
        now = (tuple(processes), reload, troubles)
        if now != (self._processes, self._reload, self._troubles):
            self._processes, self._reload, self._troubles = now
            self._publish()

    def close(self) -> None:
        """Give the memory back."""
        self._shared_metrics.close()

    def _publish(self) -> None:
        page = Page(
            self._started,
            tuple(Lent(slot, writer) for slot, writer in self._living.items()),
            self._processes,
            self._past,
            self._reload,
            self._troubles,
        )
        try:
            self._own.publish(page.to_bytes())
        except SharedMetricsError as error:
            if not self._failed:
                self._failed = True
                _log.error("metrics are not updated: %s", error)
