"""One process for all connections, under Cyrus master.

Accepts on the socket that master listens on, serves every client on gevent's
loop, and leaves when it should: when `-U` connections have been served to
their end (as the C program, which serves one at a time, counts them), after `-T` seconds
without one, on SIGHUP or when its program file has changed (all of these
serve the clients that are there to their end first), and at once on SIGTERM,
SIGINT and SIGQUIT.  It promises that no request is lost in a drain: master is
told first, so that a successor accepts meanwhile.  Clients never take the
descriptors that the databases need: others wait, and idle ones are
disconnected for them (gateway/server/crowding.py).

Limits: a drain ends after DRAIN_LIMIT seconds, whatever is still connected.
"""

from __future__ import annotations

import os
import random
import signal
import socket

import gevent
from gevent.event import Event

from gateway.cyrus.store import sql_pool
from gateway.errors import ConfigurationError
from gateway.frontends.socketmap_cache import SocketmapReplyCache
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.server import nomemory
from gateway.server.dispatcher import Dispatcher
from gateway.server.garbage import GarbageCollection
from gateway.server.indexsharing import IndexSharing
from gateway.server.loophooks import IndexTimer, LoopHooks
from gateway.server.resolver import Names
from gateway.server.server import Server, peer_name
from gateway.verification.murder import MurderUpstreams
from gateway.verification.pool import VerifierPool, memory_on
from gateway.worker import descriptors
from smmapd import syslog
from smmapd.access import Access
from smmapd.master import LISTEN_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never

    from gateway.cyrus.db.sqlserver.connections import SqlPool
    from gateway.verification.verifier import Verifier
    from smmapd.options import Options
    from smmapd.waitingclients import Start

    MakeVerifier = Callable[[SqlPool | None], Verifier]

# Seconds that clients are given in a drain: Postfix keeps a connection for
# 100 s at most (socketmap_table(5)), so no client is cut off.
DRAIN_LIMIT = 110.0

# Clients that may wait to be accepted.  master's own 32 is meant for services
# that start a process a client; one process for hundreds of clients is asked
# by all of them at once after a restart.  The kernel caps it (somaxconn).
BACKLOG = 1024

# Seconds between two looks at the program file, besides the one whenever a
# client comes or goes.
PROGRAM_CHECK = 5.0


class MasterService:
    """The life of the process from its first connection to its last."""

    def __init__(
        self,
        options: Options,
        make_verifier: MakeVerifier,
        verdicts: syslog.SyslogVerdicts,
        start: Start,
    ) -> None:
        verifier = make_verifier(None)
        verifier.store.look()
        self._options = options
        self._status = start.status
        self._waiting = start.clients
        self._signals = start.signals
        self._listener = socket.socket(fileno=LISTEN_FD)
        self._listener.listen(BACKLOG)
        self._program = start.program
        self._log = syslog.ClientLog()
        self._verdicts = verdicts
        self._tcp = self._listener.family != socket.AF_UNIX
        self._access = Access(start.service, self._log.warning) if self._tcp else None
        self._hub = gevent.get_hub()
        self._done = Event()
        self._draining = False
        self._exit_code = os.EX_OK
        cache = memory_on(verifier)
        replies = SocketmapReplyCache(cache)
        names = Names()
        conf = verifier.store.conf
        self._murder = MurderUpstreams.for_conf(conf, names.look_up)
        self._sql = sql = sql_pool(conf, lookup=names.look_up)
        pool = VerifierPool(lambda: _sharing(make_verifier(sql), self._murder))
        self._sharing = IndexSharing([cache], report=syslog.debug)
        self._loop_hooks = LoopHooks(cache, IndexTimer(self._sharing).wake)
        self._server = Server(
            self._listener,
            lambda peer: SocketmapSession(
                cache,
                verdicts.observer(peer_name(peer)),
                replies=replies,
                faults_only=not verdicts.audit,
            ),
            Dispatcher(
                pool.advance,
                concurrency_of={sql.server.name(): sql.size} if sql is not None else None,
                defect=self._defect,
            ),
            admit=self._admit,
            on_change=self._changed,
            report=self._log.error,
            defect=self._client_defect,
            max_connections=descriptors.for_clients(descriptors.soft_limit()),
            limited_by="the limit of open files (maxfds= in cyrus.conf, ulimit -n of master)",
        )
        loop = self._hub.loop
        # Repeating: only such a timer can be started again from its full time (`again`).
        reuse = self._reuse_timeout() if options.timeout else 0.0
        self._idle_timer = loop.timer(reuse, repeat=reuse) if reuse else None
        self._drain_timer = loop.timer(DRAIN_LIMIT)
        self._garbage = GarbageCollection()
        self._program_timer = loop.timer(PROGRAM_CHECK, repeat=PROGRAM_CHECK)

    def run(self) -> int:
        """Serve until it is time to leave; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            gevent.signal_handler(number, self._leave, os.EX_TEMPFAIL)
        gevent.signal_handler(signal.SIGHUP, self._drain, "SIGHUP")
        gevent.signal_handler(signal.SIGUSR1, syslog.toggle_debug)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._program_timer.start(self._now_and_then)
        for client in self._waiting:
            self._server.adopt(
                socket.socket(fileno=client.descriptor), client.session, client.unsent
            )
        self._server.start()
        for _ in range(self._signals.toggles):
            syslog.toggle_debug()
        if self._signals.hangup:
            self._drain("SIGHUP")
        self._done.wait()
        self._server.close()
        self._sharing.close()
        self._log.close()
        self._verdicts.close()
        return self._exit_code

    def _reuse_timeout(self) -> float:
        # Between once and twice the option, so that the processes of a server
        # do not all end in the same second (master/service.c).
        timeout = self._options.timeout
        return timeout + random.randrange(timeout)  # noqa: S311  (no secret)

    def _admit(self, peer: socket.socket) -> bool:
        if self._access is not None:
            try:
                allowed = self._access.allows(peer)
            except ConfigurationError as error:  # rules came up that cannot be enforced
                self._log.error("%s; every client is refused", error)
                allowed = False
            if not allowed:
                return False
        if self._tcp:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._status.connection()
        return True

    def _client_defect(self, error: Exception) -> None:
        self._log.error("defect while answering a client, which is disconnected: %r", error)

    def _defect(self, error: BaseException) -> None:
        self._log.error("defect while asking another server: %r", error)

    def _changed(self) -> None:
        """A client has come or gone."""
        if self._done.is_set():  # those that are let go at the end
            return
        if self._idle_timer is not None:
            self._idle_timer.stop()
        self._check_program()
        if self._draining:
            if not self._server.connections:
                self._leave(os.EX_OK)
        elif self._options.uses <= self._server.served:
            self._drain(f"{self._server.served} connections were served")
        elif not self._server.connections and self._idle_timer is not None:
            self._idle_timer.again(self._drain, "no connection for a while")

    def _now_and_then(self) -> None:
        self._murder.backends.sweep()
        if self._sql is not None:
            self._sql.sweep()
        self._garbage.look()
        self._check_program()

    def _check_program(self) -> None:
        if self._program.changed():
            self._drain("the program file has changed")

    def _drain(self, reason: str) -> None:
        if self._draining:
            return
        self._draining = True
        syslog.debug(f"leaving: {reason}; {len(self._server.connections)} clients connected")
        self._server.drain()
        self._status.no_more()
        self._drain_timer.start(self._leave, os.EX_OK)
        if not self._server.connections:
            self._leave(os.EX_OK)

    def _leave(self, code: int) -> None:
        self._exit_code = code
        self._server.stop_accepting()
        self._done.set()


def _sharing(verifier: Verifier, murder: MurderUpstreams) -> Verifier:
    """`verifier`, which asks other servers over the connections that all threads have."""
    verifier.murder = murder
    return verifier


def run(
    options: Options,
    make_verifier: MakeVerifier,
    verdicts: syslog.SyslogVerdicts,
    start: Start,
) -> int:
    """Serve under master; the exit code.  `make_verifier` makes an engine for one thread.

    It is given the connections to an SQL server that all engines share.  Raises
    ConfigurationError where the access rules for TCP cannot be enforced.
    """
    nomemory.end_loop(_out_of_memory)
    nomemory.end_threads(_out_of_memory)
    try:
        return MasterService(options, make_verifier, verdicts, start).run()
    except MemoryError:
        _out_of_memory()
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve on master's descriptor {LISTEN_FD}: {error.strerror}"
        ) from error


def _out_of_memory() -> Never:
    """End this process, which has none left; syslog hears of it if that needs none."""
    try:
        syslog.error("out of memory; exiting, and master starts another process")
    finally:
        os._exit(os.EX_TEMPFAIL)
