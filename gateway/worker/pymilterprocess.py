"""A milter's process on pymilter: libmilter's loop on one socket that the supervisor opened.

Started by exec, never by fork, and free of gevent: libmilter calls back on
native threads, and takes TERM, INT and HUP for itself.  It serves one socket a
process (smfi_main), so there are as many of these processes as sockets.  The
main thread runs libmilter; one more thread watches the supervisor's channel,
says that the process is not stuck, and ends it when it is told to stop, or when
the supervisor is gone.

libmilter leaves its loop only when it wakes up, every five seconds, and cuts
its sessions then.  So it is never asked to: it is kept from taking new ones
(intake.py), the sessions come to their end, and the process ends.

Limits: sessions that are not over in time are cut, and the MTA applies its
default action to them.  SIGTERM to this process alone is libmilter's and cuts
them at once; the supervisor starts another.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from gateway.counted import CONNECTIONS, CONNECTIONS_ACCEPTED
from gateway.frontends.milter_frontend import FRONT_END
from gateway.frontends.milter_session import conversations
from gateway.observability.logging.setup import AddressWriter
from gateway.observability.metrics.databases import problems
from gateway.observability.metrics.recorder import INTERVAL, Recorder
from gateway.server import pymilter
from gateway.server.affinity import Affinity
from gateway.server.dispatcher import THREADS, Dispatcher
from gateway.server.garbage import GarbageCollection
from gateway.server.helpers import HelperThreads
from gateway.server.indexsharing import PAUSE, STRAIN, IndexSharing
from gateway.server.intake import Intake
from gateway.server.libmilter import Callbacks, new_lock
from gateway.server.tablelookups import TableQuestions
from gateway.supervisor.channel import Index, Leave, MakeIndex
from gateway.supervisor.processes import ALIVE_INTERVAL, CORE, PYMILTER
from gateway.verification.pool import VerifierPool
from gateway.wiring.assembly import make_store
from gateway.wiring.engines import make_engines
from gateway.wiring.mailserver import announce, make_postfix
from gateway.worker import childmain, descriptors
from gateway.worker.scopefiles import SETTLING_INTERVAL, ScopeFiles
from gateway.worker.serving import defect, make_serving

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.frontends.frontend import Shrinkable
    from gateway.observability.metrics.snapshot import ProcessCounts
    from gateway.supervisor.channel import Message, Supervised
    from gateway.supervisor.listeners import Listener

_log = logging.getLogger(__name__)

# The name that libmilter's own lines in syslog begin with.
NAME = "smmapd-gateway"

# Clients that may wait to be accepted; the kernel takes no more than net.core.somaxconn.
BACKLOG = 4096

# Seconds before the supervisor's patience ends, to leave in good order.
DRAIN_MARGIN = 0.5

# Seconds between two looks at what is still in progress, and in which an MTA that was accepted
# just before we stopped to accept tells of itself, or libmilter sends a last reply.
SETTLE = 0.1

# Seconds after which a thread that wants to run makes another one stop (sys.setswitchinterval).
# A callback takes some microseconds, and holds the lock: where a hundred connections are busy,
# many wait for longer than the usual 5 ms, and each of them would stop one that holds the lock,
# for which all others then wait.  What takes longer in one piece (a large alias file that is read
# again) keeps the callbacks waiting for no more than this.
SWITCH_INTERVAL = 0.25

FULL = (
    "milter: no more files can be opened for MTAs; %d are connected, others wait: raise the limit "
    "of"
    " open files (LimitNOFILE= in the unit, ulimit -Hn)"
)


class PymilterProcess:
    """The callbacks of one configuration, and the end of their process."""

    def __init__(self, parent: Supervised, settings: Settings, module: Any) -> None:
        self._parent = parent
        self._module = module
        self._listener = _mine(parent)
        self._engines = engines = make_engines(settings)
        own = settings.front_end(FRONT_END.name)
        self._memory = engines.memory(own.answers)
        self._sharing = IndexSharing([self._memory], parent, report=_log.debug)
        self._due = STRAIN
        address = AddressWriter(settings.logging.addresses)
        self._recorder = recorder = Recorder(parent, settings, address)
        recorder.watch_memories([self._memory])
        self._lock = lock = new_lock()
        self._affinity = Affinity()
        self._garbage = GarbageCollection()
        self._files = ScopeFiles(parent, settings)
        self._databases = None
        if not settings.general.store and not settings.listeners.keys() & set(CORE.listeners):
            self._databases = make_store(settings)  # the only look at them
        self._trouble = ""
        postfix = make_postfix(settings)
        announce(postfix, settings)
        helpers = HelperThreads(lock, THREADS, self._defect)
        serving = make_serving(
            FRONT_END,
            settings,
            memory=self._memory,
            recorder=recorder,
            address=address,
            postfix=postfix,
            files=self._files,
        )
        self._caches: list[Shrinkable] = serving.caches
        self._callbacks = Callbacks(
            module,
            conversations(serving),
            self._memory,
            lock,
            self._defect,
            batch_ended=self._affinity.batch_ended,
        )
        pool = VerifierPool(lambda: recorder.timed(engines.engine()))
        tables = (
            TableQuestions(postfix, defect=childmain.asking_failed, helpers=helpers)
            if postfix is not None
            else None
        )
        dispatcher = Dispatcher(
            pool.advance,
            max_concurrency=engines.max_concurrency,
            defect=childmain.asking_failed,
            tables=tables.ask if tables is not None else None,
            pool=helpers,
        )
        recorder.watch(self._connections)
        self._intake = Intake(self._listener.socket, descriptors.raise_limit())
        # Of time.monotonic: the end of what patience there is, and the moments of what was said.
        self._deadline: float | None = None
        self._patient = True  # others serve on
        self._settled = 0.0
        self._said = 0.0
        self._said_left = -1
        self._graceful_timeout = settings.general.graceful_timeout
        self._callbacks.register(NAME, dispatcher)
        module.setconn(f"fd:{self._listener.socket.fileno()}")
        module.setbacklog(BACKLOG)
        module.settimeout(round(own.idle_timeout))

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        sys.excepthook = _client_without_a_name
        descriptors.require_enough(descriptors.raise_limit())
        sys.setswitchinterval(SWITCH_INTERVAL)
        if not self._files_settled():
            return os.EX_OK
        threading.Thread(target=self._watch, name="channel", daemon=True).start()
        try:
            self._module.main()
        except self._module.error as error:
            self._parent.failed(f"libmilter gave up: {error}")
            return os.EX_OSERR
        self._leave()
        return os.EX_OK

    def _files_settled(self) -> bool:
        """Wait until the files of [scope] may be believed; False where it is told to leave.

        Raises ConfigurationError where one cannot be used.
        """
        parent = self._parent
        while waits_for := self._files.waits_for():
            parent.waiting(waits_for)
            select.select([parent.fileno()], [], [], SETTLING_INTERVAL)
            messages = parent.receive()
            if messages is None or any(isinstance(each, Leave) for each in messages):
                return False
            self._heard(messages)
        self._sharing.settle(parent.beginning.indexes)
        return True

    def _heard(self, messages: list[Message]) -> float:
        """Take the supervisor's word; seconds until there is something to do for it, 0: never."""
        pause = 0.0
        for each in messages:
            match each:
                case Leave():
                    self._stop(each.patience)
                    continue
                case MakeIndex():
                    self._sharing.chosen()
                case Index():
                    with self._lock:
                        self._sharing.offered(each.descriptor)
            pause = PAUSE
        return pause

    def _watch(self) -> None:
        """Be the supervisor's child; an exception here must not leave a process without it."""
        try:
            self._attend()
        except MemoryError:
            self._parent.out_of_memory()
        except Exception as error:  # noqa: BLE001  (whatever it is)
            self._parent.failed(f"defect: {error!r}")
            os._exit(os.EX_SOFTWARE)
        self._leave()

    def _attend(self) -> None:
        """Be there until the supervisor is gone, or wants this process to leave and it can."""
        parent = self._parent
        self._files.tell()
        self._look_at_databases()
        with self._lock:
            self._memory.files_changed()  # the first look takes longer than those that follow
        parent.ready()
        published = 0.0
        step_in = 0.0  # seconds until the next step of the index is due; 0: none is
        while not self._time_to_leave():
            pause = step_in or (INTERVAL if self._deadline is None else SETTLE)
            select.select([parent.fileno()], [], [], pause)
            messages = parent.receive()
            if messages is None:
                _log.error("the supervisor is gone; shutting down")
                return
            step_in = self._heard(messages) or step_in
            with self._lock:
                step_in = self._prepare(step_in > 0)
                if time.monotonic() - published >= INTERVAL:
                    published = time.monotonic()
                    self._recorder.publish()
                    self._look_at_room()
                    self._affinity.tick()
            self._say_alive()

    def _say_alive(self) -> None:
        """Say now and then that the lock is not held for ever, and which clients are left."""
        now = time.monotonic()
        left = len(self._callbacks.connected)
        if self._deadline is not None and left != self._said_left:
            self._said_left = left
            self._parent.clients(left)
        if now - self._said >= ALIVE_INTERVAL:
            self._said = now
            self._parent.alive()
            self._engines.sweep()
            with self._lock:
                self._garbage.look()
            self._files.tell()
            self._look_at_databases()

    def _stop(self, patience: float) -> None:
        """Leave within `patience` seconds; 0: no other child serves: the graceful timeout.

        The first word counts, and a later one that says that no other child serves.
        """
        if self._deadline is not None and patience:
            return
        self._patient = patience > 0
        seconds = max(0.0, (patience or self._graceful_timeout) - DRAIN_MARGIN)
        self._deadline = time.monotonic() + seconds
        # An MTA that was accepted just now has not told of itself, and a reply is on its way.
        self._settled = time.monotonic() + SETTLE
        with self._lock:
            self._sharing.close()
        if not self._patient:
            self._intake.close()
            return
        self._intake.shut()

    def _time_to_leave(self) -> bool:
        """Whether the last session, or at the end of all the last mail, is over, or its time."""
        now = time.monotonic()
        if self._deadline is None or (now < self._settled and now < self._deadline):
            return False
        with self._lock:
            every = self._callbacks.connected
            left = every if self._patient else [each for each in every if each.under_way]
            return not left or now >= self._deadline

    def _look_at_databases(self) -> None:
        """Tell what cannot be read, where no core does."""
        if self._databases is not None:
            trouble = problems(self._databases)
            if trouble != self._trouble:
                self._trouble = trouble
                self._parent.trouble(trouble)

    def _prepare(self, under_way: bool) -> float:
        """Do a step of what makes answers cheap; in how many seconds the next is due, 0: none.

        A process that leaves to another one gives back a piece of its memory instead.
        """
        if self._deadline is not None and self._patient:
            left = sum(each.shrink() for each in (self._memory, *self._caches))
            return PAUSE if left else 0.0
        misses = self._memory.misses
        if not under_way and misses < self._due:
            return 0.0
        self._due = misses + STRAIN
        return self._sharing.step()

    def _look_at_room(self) -> None:
        """Let clients wait while there is no descriptor for more."""
        if self._deadline is None and self._intake.look() and not self._intake.open:
            _log.warning(FULL, len(self._callbacks.connected))

    def _connections(self, snapshot: ProcessCounts) -> None:
        snapshot.counts[CONNECTIONS_ACCEPTED.of(FRONT_END.name)] = self._callbacks.accepted
        snapshot.gauges[CONNECTIONS.of(FRONT_END.name)] = len(self._callbacks.connected)

    def _defect(self, error: Exception) -> None:
        if isinstance(error, MemoryError):
            # It would go on to defer everybody; the next process begins again.
            self._parent.out_of_memory()
        defect(error)

    def _leave(self) -> None:
        """End at once: sessions hang on native threads that the interpreter cannot join."""
        with self._lock:
            self._recorder.publish()
        logging.shutdown()
        os._exit(os.EX_OK)


def _mine(parent: Supervised) -> Listener:
    """This process' socket; those of the others are closed here."""
    every = parent.listeners[FRONT_END.name]
    for index, each in enumerate(every):
        if index != parent.index:
            each.socket.close()
    return every[parent.index]


def _client_without_a_name(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """Called for what pymilter meets between libmilter and us: host names that are not UTF-8."""
    if not issubclass(kind, UnicodeDecodeError):
        _log.error("defect in a callback of pymilter: %r", error)


def main() -> int:
    """Run as a child of the supervisor; the exit code."""
    return childmain.run(
        PYMILTER.module,
        lambda parent, settings: PymilterProcess(parent, settings, pymilter.load()).run(),
    )


if __name__ == "__main__":
    sys.exit(main())
