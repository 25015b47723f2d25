"""A process that serves the sockets it was handed on gevent's loop: a core, or the milter.

The core serves the socketmap and policy sockets; the milter's are served by a
process of its own, so that SMTP sessions and table look-ups do not wait for
each other, and either is there while the other starts again.

The supervisor starts it by exec with its sockets and the configuration that
was validated.  It says when it serves, keeps telling that it is not stuck,
and when it is told to stop finishes what is in progress: it accepts no more,
parts from each client between two requests, and leaves when the last one is
gone or its time is over.  Where others serve on, clients of socketmap and
policy have a second to go by themselves, and SMTP sessions until they end; at
the end of all, a mail that is in progress is waited for, within the graceful
timeout.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from gateway.errors import ConfigurationError
from gateway.observability.logging.setup import AddressWriter
from gateway.observability.metrics import recorder
from gateway.observability.metrics.recorder import Recorder
from gateway.server import nomemory
from gateway.server.dispatcher import Dispatcher
from gateway.server.garbage import GarbageCollection
from gateway.server.indexsharing import PAUSE, IndexSharing
from gateway.server.loophooks import IndexTimer, LoopHooks
from gateway.server.tablelookups import TableQuestions
from gateway.supervisor.channel import Index, Leave, MakeIndex, Restarts
from gateway.supervisor.processes import ALIVE_INTERVAL, CORE
from gateway.verification.pool import VerifierPool
from gateway.wiring.assembly import make_store
from gateway.wiring.engines import make_engines
from gateway.wiring.mailserver import announce, make_postfix
from gateway.worker import childmain, descriptors
from gateway.worker.databasewatch import DatabaseWatch
from gateway.worker.revocations import Revocations
from gateway.worker.scopefiles import SETTLING_INTERVAL
from gateway.worker.servers import FrontEndServers, served

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.supervisor.channel import Supervised
    from gateway.wiring.engines import Engines
    from gateway.worker.adminlistener import Admin

_log = logging.getLogger(__name__)

# libev's event bit for reading (gevent's loop.io takes it as a number).
_READ = 1

# Seconds that a client may be idle before the core parts from it in a drain.
# Postfix asks again on a new connection when its old one was closed while idle.
DRAIN_IDLE = 1.0
# Seconds before the supervisor's patience ends, to leave in good order.
DRAIN_MARGIN = 0.5


class Core:
    """The servers of one configuration, and the end of their process."""

    def __init__(self, parent: Supervised, settings: Settings) -> None:
        self._parent = parent
        self._engines = engines = make_engines(settings)
        asked = {settings.front_end(row.name).answers for row in served(parent, settings)}
        memories = {answers: engines.memory(answers) for answers in asked}
        address = AddressWriter(settings.logging.addresses)
        self._recorder = Recorder(parent, settings, address)
        distinct = list(dict.fromkeys(memories.values()))
        self._recorder.watch_memories(distinct)
        pool = VerifierPool(lambda: self._recorder.timed(engines.engine()))
        postfix = make_postfix(settings)
        announce(postfix, settings)
        tables = (
            TableQuestions(postfix, defect=childmain.asking_failed) if postfix is not None else None
        )
        self._dispatcher = Dispatcher(
            pool.advance,
            max_concurrency=engines.max_concurrency,
            concurrency_of=engines.concurrency_of,
            defect=childmain.asking_failed,
            tables=tables.ask if tables is not None else None,
        )
        self._sharing = IndexSharing(distinct, parent, report=_log.debug)
        self._index_timer = IndexTimer(self._sharing)
        self._loop_hooks = [LoopHooks(memory, self._index_timer.wake) for memory in distinct]
        self._done = Event()
        self._draining = False
        self._loop = gevent.get_hub().loop
        self._front_ends = FrontEndServers(
            parent,
            settings,
            memories=memories,
            recorder=self._recorder,
            address=address,
            dispatcher=self._dispatcher,
            postfix=postfix,
            on_change=self._changed,
        )
        self._admin = _admin(parent, settings, self._recorder, engines)
        self._databases = None
        if not settings.general.store and _leads(parent, settings):
            self._databases = DatabaseWatch(make_store(settings, engines.sql), parent.trouble)
        contexts = [*engines.contexts, *self._front_ends.contexts]
        crl = settings.tls.crl
        self._revocations = Revocations(crl, contexts) if crl and contexts else None
        self._messages = self._loop.io(parent.fileno(), _READ)
        self._exit_code = os.EX_OK
        self._settling = self._loop.timer(0, repeat=SETTLING_INTERVAL)
        self._beat = self._loop.timer(ALIVE_INTERVAL, repeat=ALIVE_INTERVAL)
        self._publish = self._loop.timer(0, repeat=recorder.INTERVAL)
        self._garbage = GarbageCollection()
        self._graceful = settings.general.graceful_timeout
        self._deadline = self._loop.timer(self._graceful)
        self._shrinking = self._loop.timer(0, repeat=PAUSE)

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        nomemory.end_loop(self._parent.out_of_memory)
        gevent.signal_handler(signal.SIGTERM, self._stop, self._graceful)
        # Reloads and ctrl-C are the supervisor's: it tells its children what follows.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self._messages.start(self._heard)
        self._beat.start(self._alive)
        self._publish.start(self._recorder.publish)
        self._settling.start(self._begin)
        self._done.wait()
        self._front_ends.close()
        if self._admin is not None:
            self._admin.close()
        self._recorder.publish()
        return self._exit_code

    def _begin(self) -> None:
        """Serve, unless a file has to settle first."""
        try:
            descriptors.require_enough(descriptors.raise_limit())
            waits_for = self._front_ends.files.waits_for()
        except ConfigurationError as error:
            self._parent.failed(str(error))
            self._exit_code = os.EX_CONFIG
            self._done.set()
            return
        if waits_for:
            self._parent.waiting(waits_for)
            return
        self._settling.stop()
        self._sharing.settle(self._parent.beginning.indexes)
        self._front_ends.files.tell()
        self._front_ends.start()
        if self._admin is not None:
            self._admin.start()
        if self._databases is not None:
            self._databases.begin()
        self._parent.ready()

    def _alive(self) -> None:
        self._parent.alive()
        self._front_ends.files.tell()
        if self._databases is not None:
            self._databases.look()
        if self._draining:
            self._parent.clients(self._front_ends.clients)
        self._engines.sweep()
        self._garbage.look()
        if self._revocations is not None:
            self._revocations.look()

    def _heard(self) -> None:
        """A message from the supervisor, or the end of its channel: it is gone."""
        messages = self._parent.receive()
        if messages is None:
            _log.error("the supervisor is gone; shutting down")
            self._done.set()
            return
        for each in messages:
            match each:
                case Restarts():
                    if self._admin is not None:
                        self._admin.restarted([each])
                case Leave():
                    self._stop(each.patience)
                case MakeIndex():
                    self._sharing.chosen()
                    self._index_timer.wake()
                case Index():
                    self._sharing.offered(each.descriptor)
                    self._index_timer.wake()

    def _stop(self, patience: float) -> None:
        """Leave within `patience` seconds; 0: no other child serves: the graceful timeout.

        The first word counts, and a later one that says that no other child serves.
        """
        if self._draining and patience:
            return
        self._deadline.stop()
        self._deadline = self._loop.timer(max(0.0, (patience or self._graceful) - DRAIN_MARGIN))
        self._deadline.start(self._done.set)
        if self._draining:
            self._front_ends.hurry()
            return
        self._draining = True
        self._sharing.close()
        self._engines.retire()
        self._settling.stop()
        if self._admin is not None:
            self._admin.drain(replaced=bool(patience))
        if patience:
            self._shrinking.start(self._shrink)
            self._front_ends.drain(DRAIN_IDLE)
        else:
            self._front_ends.drain(0.0)
        self._changed()

    def _shrink(self) -> None:
        """Give back a piece of the memory, of which few clients need little."""
        if not self._front_ends.shrink():
            self._shrinking.stop()

    def _changed(self) -> None:
        # A client that is cut off at the end has not gone by itself.
        if self._draining and not self._done.is_set():
            left = self._front_ends.clients
            self._parent.clients(left)
            if not left:
                self._done.set()


def _leads(parent: Supervised, settings: Settings) -> bool:
    """Whether this process is the one that looks at what all of them need."""
    without_core = not settings.listeners.keys() & set(CORE.listeners)
    return parent.index == 0 and (parent.name == CORE.name or without_core)


def _admin(
    parent: Supervised, settings: Settings, recorder: Recorder, engines: Engines
) -> Admin | None:
    """The admin listener, if this is the process to serve it."""
    if parent.index != 0 or "admin" not in parent.listeners:
        return None
    # What it is made of takes half of a process' start, and most processes do without.
    from gateway.worker.adminlistener import Admin  # noqa: PLC0415

    return Admin(parent, settings, recorder, engines)


def main(module: str = CORE.module) -> int:
    """Run `module` as a child of the supervisor; the exit code."""
    return childmain.run(module, lambda parent, settings: Core(parent, settings).run())


if __name__ == "__main__":
    sys.exit(main())
