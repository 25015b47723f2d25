"""The children of one configuration, and those that are leaving."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.config.endpoints import Endpoint
from gateway.config.sources import NO_PLACES, SourceLocation
from gateway.observability.metrics.registry import ProcessState
from gateway.observability.metrics.sharedmemory import MetricsSlot
from gateway.supervisor.channel import Beginning
from gateway.supervisor.children import Child, ChildSpec, Delay
from gateway.supervisor.listeners import Change, Listener

_log = logging.getLogger(__name__)


def _nothing() -> None:
    pass


def _no_change() -> tuple[str, object] | None:
    """No file has changed."""
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a configuration asks of the supervisor.

    `graceful_timeout` is in seconds.  `user` and `group` are looked at once,
    at start, and only by root; an empty user stays root.  `apply` is called
    when the plan comes into force, for what the supervisor's own process takes
    from the configuration, such as logging.  `file` is the configuration's and
    `places` say where its keys stand, for messages.  `change` names a file of
    another program's that the plan was made of, which has changed since and been
    left alone, with what tells the change from others.
    """

    children: tuple[ChildSpec, ...]
    listeners: Mapping[str, tuple[Endpoint, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    graceful_timeout: float = 10.0
    user: str = ""
    group: str = ""
    apply: Callable[[], None] = _nothing
    file: str | None = None
    places: Mapping[str, SourceLocation] = field(default_factory=lambda: NO_PLACES)
    change: Callable[[], tuple[str, object] | None] = _no_change

    @property
    def identity(self) -> tuple[str, str]:
        """User and group, to see whether they have changed."""
        return self.user, self.group


class Slot:
    """The place of one process: the running one, or the moment of the next start."""

    def __init__(self, spec: ChildSpec, index: int) -> None:
        self.spec = spec
        self.index = index
        self.child: Child | None = None
        self.due: float | None = None
        self.failures = 0  # starts in a row of which no process became ready
        self.starts = 0
        self._delay = Delay()

    def lost(self) -> float:
        """The process has gone: plan the next start; gives the delay in seconds."""
        now = time.monotonic()
        child = self.child
        lifetime = now - child.started if child is not None else 0.0
        self.failures = 0 if child is not None and child.ready else self.failures + 1
        delay = self._delay.after(lifetime, was_ready=child is not None and child.ready)
        self.child = None
        self.due = now + delay
        return delay


class Generation:
    """All slots of one plan.  `number` counts configurations from 1."""

    def __init__(self, number: int, plan: Plan, change: Change) -> None:
        self.number = number
        self.plan = plan
        self.change = change
        self.slots = [Slot(spec, index) for spec in plan.children for index in range(spec.count)]

    @property
    def listeners(self) -> Mapping[str, tuple[Listener, ...]]:
        """The sockets that the children get."""
        return self.change.groups

    @property
    def ready(self) -> bool:
        """Whether every process runs and has said that it is ready."""
        return all(slot.child is not None and slot.child.ready for slot in self.slots)

    def children(self) -> Iterator[Child]:
        """The running processes."""
        return (slot.child for slot in self.slots if slot.child is not None)

    def slot_of(self, child: Child) -> Slot | None:
        """The slot of that process, or None if it is of another generation."""
        return next((slot for slot in self.slots if slot.child is child), None)

    @property
    def waiting(self) -> str:
        """What its processes wait for before they are ready; empty for nothing."""
        said = (slot.child.waiting for slot in self.slots if slot.child and not slot.child.ready)
        return next(filter(None, said), "")

    def start(
        self,
        slot: Slot,
        metrics_slot: MetricsSlot,
        entries: Mapping[str, int],
        indexes: tuple[int, ...] = (),
        *,
        replaces: bool,
    ) -> Child:
        """Start the slot's process, which counts in `metrics_slot`; raises OSError.

        `entries` are those of files, by path, `indexes` descriptors of indexes of mailbox
        lists; `replaces`: another generation serves until it is ready.
        """
        slot.due = None
        beginning = Beginning(slot.starts > 0, replaces, entries, indexes)
        slot.child = Child(
            slot.spec, slot.index, self.number, self.listeners, metrics_slot, beginning=beginning
        )
        slot.starts += 1
        return slot.child

    def states(self) -> Iterator[ProcessState]:
        """Every process that there should be."""
        for slot in self.slots:
            name, child = slot.spec.name, slot.child
            if child is None:
                yield ProcessState(name, slot.index, self.number, 0, "waiting")
            else:
                state = "ready" if child.ready else "starting"
                yield ProcessState(name, slot.index, self.number, child.pid, state)

    def status(self) -> str:
        """One line for `systemctl status`."""
        waiting = sorted(
            {slot.spec.name for slot in self.slots if slot.child is None or not slot.child.ready}
        )
        if waiting:
            return "waiting for " + ", ".join(waiting)
        return "serving with " + ", ".join(child.label for child in self.children())


# Generations whose processes still have clients after a reload.  Each of them is a process more;
# an administrator that reloads every minute has ten minutes' worth of SMTP sessions.
MAX_RETIRING = 10


class Retiring:
    """Processes that have been told to stop, each with the moment at which it is killed."""

    def __init__(self) -> None:
        self._deadlines: dict[Child, float] = {}
        self._graceful: dict[Child, float] = {}  # seconds, for those that can be told to hurry

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._deadlines))

    def __bool__(self) -> bool:
        return bool(self._deadlines)

    def take(self, generation: Generation, *, replaced: bool) -> None:
        """Tell the generation's processes to stop and empty its slots.

        `replaced`: others serve on its sockets, so it may take its time.
        """
        graceful = generation.plan.graceful_timeout
        for slot in generation.slots:
            if slot.child is not None:
                seconds = max(graceful, slot.spec.session_timeout) if replaced else graceful
                self._deadlines[slot.child] = time.monotonic() + seconds
                if replaced:
                    self._graceful[slot.child] = graceful
                slot.child.stop(seconds if replaced else 0.0)
            slot.child, slot.due = None, None

    def bound(self) -> None:
        """Let the oldest generations hurry where more than MAX_RETIRING have time left."""
        patient = sorted({child.generation for child in self._graceful})
        for generation in patient[:-MAX_RETIRING]:
            _log.warning(
                "more than %d reloads, and clients of each are still connected; those of "
                "configuration %d have to go",
                MAX_RETIRING,
                generation,
            )
            self.hurry(generation)

    def hurry(self, generation: int | None = None) -> None:
        """Let those that have time for their clients end as at a stop; all, or a generation's."""
        for child, graceful in tuple(self._graceful.items()):
            if generation in (None, child.generation):
                del self._graceful[child]
                self._deadlines[child] = min(self._deadlines[child], time.monotonic() + graceful)
                child.stop(0.0)

    def discard(self, child: Child) -> bool:
        """The process has ended; tells whether it was one of these."""
        self._graceful.pop(child, None)
        if self._deadlines.pop(child, None) is None:
            return False
        if child.clients:
            _log.warning("%s: %d %s were cut off", child.name, child.clients, child.spec.clients)
        return True

    def states(self) -> Iterator[ProcessState]:
        """Every process that is leaving."""
        for child in self._deadlines:
            name = child.spec.name
            yield ProcessState(name, child.index, child.generation, child.pid, "leaving")

    def deadlines(self) -> Iterable[float]:
        """The moments at which something is due; infinite for those that are killed already."""
        return self._deadlines.values()

    def patience(self, now: float) -> float:
        """In how many seconds the last of them is killed at the latest."""
        return max(
            (each - now for each in self._deadlines.values() if each < math.inf), default=0.0
        )

    def kill_overdue(self, now: float) -> None:
        """SIGKILL for those whose time is over."""
        for child, deadline in self._deadlines.items():
            if now >= deadline:
                _log.warning("%s did not stop in time; killed", child.label)
                child.signal(signal.SIGKILL)
                self._deadlines[child] = math.inf

    def kill(self) -> None:
        """SIGKILL for all."""
        for child in self._deadlines:
            child.signal(signal.SIGKILL)


class ChangedFiles:
    """Changes of files that plans were made of; each is told once, as a reload may refuse it."""

    def __init__(self) -> None:
        self._told: tuple[str, object] | None = None

    def reload_due(self, generation: Generation | None) -> bool:
        """Whether a file of the generation's plan has changed, so that a reload is due."""
        found = generation.plan.change() if generation is not None else None
        if found is None or found == self._told:
            return False
        self._told = found
        _log.info("%s has changed: it is read again, as at a reload", found[0])
        return True
