"""The supervisor: opens the sockets, leaves root, and keeps the children alive.

What it promises:

- Sockets belong to it.  A child that dies is started again on the same ones, later each time
  (gateway.supervisor.children); clients of sockets that none serves are disconnected (unserved).
- SIGHUP reloads: the new configuration is validated, its sockets are opened and
  its children started and ready before the old ones are told to stop.  If any
  of that fails, whatever the reason, a log line says why and the old ones go on undisturbed.
- A child that leaves after a reload has time for its clients, SMTP sessions `session_timeout`; the
  number of generations that leave at once is bounded, and the log says what was cut off.
- SIGTERM and SIGINT stop: every child is told to, of older generations too; those that are
  still there after the graceful timeout, or at a second signal, get SIGKILL.
- READY=1 is sent when every child is ready; one that exits with 64, 77 or 78 (sysexits.h)
  before that ends the start with its code.

It runs in the main thread, without gevent.  A new `user` or `group` takes a restart, and so
does a socket that only root can open.  It knows no front end: the caller's `Plan` says what runs.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import signal
import time
from collections import Counter
from collections.abc import Callable, MutableMapping

from gateway.errors import ConfigurationError
from gateway.observability.logging import setup
from gateway.observability.metrics.registry import ProcessRegistry, ProcessState
from gateway.observability.status import GatewayStatus
from gateway.supervisor.children import Child, ChildSpec
from gateway.supervisor.generation import ChangedFiles, Generation, Plan, Retiring, Slot
from gateway.supervisor.indexes import SharedIndexes
from gateway.supervisor.listeners import Change, Listeners
from gateway.supervisor.notify import Notifier
from gateway.supervisor.startup import complain, open_and_drop, warn
from gateway.supervisor.unserved import Unserved
from gateway.supervisor.wakeup import Wakeup

__all__ = ["ChildSpec", "Plan", "Supervisor"]

_log = logging.getLogger(__name__)

# Exit codes of a child that no restart will fix: wrong usage, no permission, configuration.
FATAL_AT_START = frozenset({os.EX_USAGE, os.EX_NOPERM, os.EX_CONFIG})
_LAST_READS = 4
# Seconds that the supervisor may be late on a busy machine; more, and it did not run.  Children
# say more seldom than that that they are alive, so less makes none of them look stuck.
LATE = 3.0
# Seconds between two looks at whether the sockets' files are still there.
SOCKETS_INTERVAL = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """`load` gives the plan of the current configuration or raises ConfigurationError.

    It is called at start and at every reload.  `environ` is usually os.environ;
    what systemd put there for the supervisor alone is taken out.  `entries` is
    kept up to date with how many entries files have, by path, as those that serve say.
    """

    def __init__(
        self,
        load: Callable[[], Plan],
        environ: MutableMapping[str, str],
        entries: MutableMapping[str, int] | None = None,
    ) -> None:
        self._load = load
        self._entries = entries if entries is not None else {}
        self._environ = environ
        self._notifier = Notifier(environ)
        self._selector = selectors.DefaultSelector()
        self._readers: dict[int, Callable[[], None]] = {}
        self._indexes = SharedIndexes()
        self._unserved = Unserved(self._selector, self._readers)
        self._listeners = Listeners({})
        self._registry = ProcessRegistry()
        self._gateway_status = GatewayStatus(self._notifier, self._registry)
        self._serving: Generation | None = None
        self._incoming: Generation | None = None
        self._retiring = Retiring()
        self._generations = 0
        self._restarts: Counter[str] = Counter()
        self._was_ready = False
        self._reload_wanted = False
        self._changed_files = ChangedFiles()
        self._stopping = False
        self._exit_code = os.EX_OK
        self._ping_at = 0.0
        self._sockets_at = math.inf  # when the sockets' files are looked at next

    def run(self) -> int:
        """Serve until told to stop; gives the exit code (sysexits.h)."""
        with Wakeup(_SIGNALS) as wakeup:
            self._readers[wakeup.fileno()] = lambda: self._signalled(wakeup.taken())
            self._selector.register(wakeup, selectors.EVENT_READ)
            try:
                self._start(self._load())
                self._ping_at = time.monotonic()
                while not (self._stopping and not self._retiring):
                    due = self._due()
                    wait = None if math.isinf(due) else max(0.0, due - time.monotonic())
                    ready = self._selector.select(wait)
                    woken = time.monotonic()
                    for key, _ in ready:
                        # What was handled before it in this round may have ended its child.
                        if (reader := self._readers.get(key.fd)) is not None:
                            reader()
                    now = time.monotonic()
                    # Stood still in the wait, or behind what was heard at the end of it.
                    if (late := max(woken - due, now - woken)) > LATE:
                        self._excuse(late)
                    self._tick(now)
                    self._gateway_status.show(self._states())
            except ConfigurationError as error:
                complain(error)
                self._exit_code = os.EX_CONFIG
            finally:
                self._listeners.close()
                self._selector.close()
                self._indexes.close()
                self._registry.close()
        return self._exit_code

    # Starting

    def _start(self, plan: Plan) -> None:
        """Open, drop, start; raises ConfigurationError."""
        self._listeners, change = open_and_drop(plan, self._environ)
        plan.apply()
        warn(self._listeners)
        self._serving = self._generation(plan, change)
        for slot in self._serving.slots:
            self._begin(self._serving, slot)

    def _generation(self, plan: Plan, change: Change) -> Generation:
        self._generations += 1
        return Generation(self._generations, plan, change)

    def _begin(self, generation: Generation, slot: Slot) -> bool:
        """Start the process of a slot; a program that cannot be run counts as one that ended."""
        metrics_slot = self._registry.lend()
        try:
            replaces = generation is self._incoming and self._was_ready
            indexes = self._indexes.descriptors
            child = generation.start(slot, metrics_slot, self._entries, indexes, replaces=replaces)
        except OSError as error:
            self._registry.take_back(metrics_slot)
            what = f"{error.filename or slot.spec.argv[0]}: {os.strerror(error.errno or 0)}"
            _log.error("%s cannot be started: %s", slot.spec.name, what)
            self._lost(generation, slot, os.EX_OSERR)
            return False
        self._readers[child.channel.fileno()] = lambda: self._heard(child)
        self._selector.register(child.channel, selectors.EVENT_READ)
        _log.debug("%s started (pid %d)", child.label, child.pid)
        return True

    def _heard(self, child: Child) -> None:
        was_ready, had = child.ready, child.clients
        if not child.listen():
            self._deafen(child)
        if had is None and child.clients:
            _log.info(
                "%s takes no new %s; %d are left", child.name, child.spec.clients, child.clients
            )
        self._indexes.heard(child, self._children())
        self._look_at_troubles()
        if self._serving is not None and self._serving.slot_of(child) is not None:
            self._entries.update(child.entries)
        if self._incoming is not None and self._incoming.slot_of(child) is not None:
            self._gateway_status.waits(self._incoming.waiting, time.monotonic() - child.started)
        if child.ready and not was_ready:
            for name, count in self._restarts.items():
                child.tell_restarts(name, count)
            self._became_ready()

    def _deafen(self, child: Child) -> None:
        if self._readers.pop(child.channel.fileno(), None) is not None:
            self._selector.unregister(child.channel.fileno())

    def _became_ready(self) -> None:
        if self._stopping:
            return
        if self._incoming is not None and self._incoming.ready:
            self._take_over(self._incoming)
        elif self._serving is not None and self._incoming is None:
            if self._serving.ready and not self._was_ready:
                self._now_ready(self._serving, at_start=True)
            else:
                self._gateway_status.serves(self._serving.status())

    # Ends of children

    def _reap(self) -> None:
        """SIGCHLD: see which of our children have ended."""
        for child in [*self._children(), *self._retiring]:
            code = child.exit_code()
            if code is not None:
                self._heard_last(child)
                self._ended(child, code)

    def _heard_last(self, child: Child) -> None:
        """Take what it said just before it ended, and close its channel."""
        # The last words are short; a grandchild may hold the channel open for ever.
        for _ in range(_LAST_READS):
            if not child.listen():
                break
        self._deafen(child)
        self._indexes.gone(child)
        child.close()
        self._registry.take_back(child.metrics_slot)

    def _ended(self, child: Child, code: int) -> None:
        if self._retiring.discard(child):
            _log.debug("%s", child.ended(code))
            return
        for generation in self._present:
            if (slot := generation.slot_of(child)) is not None:
                _log.error("%s", child.ended(code))
                self._lost(generation, slot, code)

    def _lost(self, generation: Generation, slot: Slot, code: int) -> None:
        """What follows when a process is gone that should be there."""
        delay = slot.lost()
        if generation is self._incoming:
            self._refuse(f"{slot.spec.name} does not start with it")
        elif not self._was_ready and code in FATAL_AT_START:
            _log.error("%s cannot start; giving up", slot.spec.name)
            self._stop(code)
        elif not self._stopping:
            self._restarts[slot.spec.name] += 1
            for child in self._children():
                if child.ready:
                    child.tell_restarts(slot.spec.name, self._restarts[slot.spec.name])
            _log.info("%s starts again in %.1f seconds", slot.spec.name, delay)
            self._gateway_status.serves(generation.status())

    # Reloading

    @property
    def _may_reload(self) -> bool:
        """One reload at a time; one that waits for a file gives way to the next."""
        return self._reload_wanted and (self._incoming is None or self._incoming.waiting != "")

    def _reload(self) -> None:
        """Begin to replace the serving generation, or refuse to with a log line."""
        self._reload_wanted = False
        if self._incoming is not None:
            self._refuse("it still waits, and another reload is wanted")
        if self._was_ready:
            self._notifier.reloading()
        try:
            plan = self._load()
            change = self._listeners.change(plan.listeners, plan.file, plan.places)
        except ConfigurationError as error:
            complain(error)
            self._refuse(str(error).splitlines()[0])
            return
        # A defect of ours in the new configuration must not end those that serve with the old one.
        except Exception as error:  # noqa: BLE001
            setup.answer(_log, logging.ERROR, f"defect while loading the configuration: {error!r}")
            self._refuse(f"it cannot be loaded: {error!r}")
            return
        if self._serving is not None and plan.identity != self._serving.plan.identity:
            _log.warning("a new user or group needs a restart, not a reload")
        self._incoming = incoming = self._generation(plan, change)
        for slot in incoming.slots:
            if not self._begin(incoming, slot):
                return

    def _refuse(self, reason: str) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            self._retiring.take(incoming, replaced=False)
            self._listeners.cancel(incoming.change)
        self._gateway_status.refused(reason, told_begun=self._was_ready)

    def _take_over(self, incoming: Generation) -> None:
        old, self._serving, self._incoming = self._serving, incoming, None
        if old is not None:
            self._retiring.take(old, replaced=True)
            self._retiring.bound()
        self._unserved.release()
        self._listeners.commit(incoming.change)
        incoming.plan.apply()
        # What is watched no more is forgotten.
        self._entries.clear()
        for child in incoming.children():
            self._entries.update(child.entries)
        self._now_ready(incoming, at_start=False)

    def _now_ready(self, generation: Generation, *, at_start: bool) -> None:
        self._was_ready = True
        self._look_at_troubles()
        self._gateway_status.unreachable(self._listeners.unreachable())
        self._sockets_at = time.monotonic() + SOCKETS_INTERVAL
        self._gateway_status.taken(generation.status(), at_start=at_start)

    def _look_at_troubles(self) -> None:
        """What those that serve say keeps them from judging mail."""
        if self._serving is not None:
            said = [child.trouble for child in self._serving.children() if child.trouble]
            self._gateway_status.unreadable(said)

    # Stopping

    def _stop(self, exit_code: int = os.EX_OK) -> None:
        """Begin to stop; the second time, kill."""
        if self._stopping:
            self._retiring.kill()
            return
        self._stopping = True
        self._sockets_at = math.inf
        self._exit_code = exit_code
        self._retiring.hurry()
        for generation in self._present:
            self._retiring.take(generation, replaced=False)
        self._notifier.stopping(within=self._retiring.patience(time.monotonic()))
        if self._incoming is not None:
            self._listeners.cancel(self._incoming.change)
            self._incoming = None
        self._unserved.release()
        # The children close theirs, too: new clients are refused, and not left waiting.
        self._listeners.close()

    def _signalled(self, numbers: frozenset[int]) -> None:
        if signal.SIGCHLD in numbers:
            self._reap()
        if signal.SIGHUP in numbers:
            self._reload_wanted = True
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()

    @property
    def _present(self) -> list[Generation]:
        return [each for each in (self._incoming, self._serving) if each is not None]

    def _children(self) -> list[Child]:
        return [child for generation in self._present for child in generation.children()]

    def _states(self) -> list[ProcessState]:
        """Every process, for the metrics."""
        return [*self._retiring.states(), *(each for one in self._present for each in one.states())]

    def _excuse(self, late: float) -> None:
        """Where all processes were stopped (a frozen container, a paused machine), none is stuck.

        No child could say meanwhile that it is alive.
        """
        _log.warning("woke up %.0f seconds late; no process is considered stuck for it", late)
        for child in (*self._children(), *self._retiring):
            child.excuse(time.monotonic())

    def _due(self) -> float:
        """The moment at which something is due, of time.monotonic; infinite for never."""
        every = (*self._children(), *self._retiring)
        moments = [self._sockets_at, self._unserved.due, *self._retiring.deadlines()]
        moments += [moment for child in every if (moment := child.overdue()) is not None]
        if self._serving is not None:
            moments += [slot.due for slot in self._serving.slots if slot.due is not None]
        if self._notifier.watchdog_interval is not None:
            moments.append(self._ping_at)
        if self._may_reload:
            return time.monotonic()
        return min(moments, default=math.inf)

    def _tick(self, now: float) -> None:
        """Do whatever is due."""
        interval = self._notifier.watchdog_interval
        if interval is not None and now >= self._ping_at:
            self._notifier.watchdog()
            self._ping_at = now + interval / 2
        if now >= self._sockets_at:
            self._sockets_at = now + SOCKETS_INTERVAL
            self._gateway_status.unreachable(self._listeners.unreachable())
            self._reload_wanted |= self._changed_files.reload_due(self._serving)
        self._gateway_status.refresh()
        self._retiring.kill_overdue(now)
        for child in (*self._children(), *self._retiring):
            moment = child.overdue()
            if moment is not None and now >= moment:
                what = "is silent" if child.ready else "does not become ready"
                _log.error("%s (pid %d) %s; killed", child.label, child.pid, what)
                child.given_up = True
                child.signal(signal.SIGKILL)
        if self._stopping or self._serving is None:
            return
        for slot in self._serving.slots:
            if slot.due is not None and now >= slot.due:
                self._begin(self._serving, slot)
        self._unserved.look(self._serving, now)
        if self._may_reload:
            self._reload()
