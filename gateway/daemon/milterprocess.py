"""The milter's process: libmilter's loop on the socket that the supervisor opened.

Started by exec, never by fork, and free of gevent: libmilter calls back on
native threads, and takes TERM, INT and HUP for itself.  The main thread runs
`smfi_main`; one more thread watches the supervisor's channel, says that the
process is not stuck, and ends it when it is told to stop, or when the
supervisor is gone.

libmilter leaves its loop only when it wakes up, every five seconds, and can
cut its sessions but not stop to take new ones.  So it is never asked to: its
door is shut (milterdoor.py), the sessions come to their end, and the process
ends.

Limits: sessions that are not over in time are cut, and the MTA applies its
default action to them.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from gateway.daemon import log
from gateway.daemon.assembly import make_judge
from gateway.daemon.child import OUT_OF_MEMORY, supervised
from gateway.daemon.engines import Engines
from gateway.daemon.log import AddressWriter
from gateway.daemon.metrics.recorder import INTERVAL, Recorder
from gateway.daemon.milterdoor import MilterDoor
from gateway.daemon.settings import loads
from gateway.daemon.verdictlog import VerdictLog
from gateway.errors import ConfigurationError
from gateway.frontends.course import ASKED, HIT, HeardEngine, ThreadCourse
from gateway.frontends.remembering import Remembering
from gateway.frontends.sharing import Sharing
from gateway.verification.cache import VerdictCache
from gateway.verification.pool import VerifierPool

if TYPE_CHECKING:
    from gateway.daemon.child import Supervised
    from gateway.daemon.metrics.snapshot import Snapshot
    from gateway.daemon.settings import Settings
    from gateway.frontends.judge import Decision
    from gateway.frontends.milter import Rcpt, Sessions
    from gateway.verification.decider import Engine

_log = logging.getLogger(__name__)

NAME = "milter"

# Turns of the watching thread between two words to the supervisor that Python runs here, one
# every five seconds; it waits for several of them, in seconds.
ALIVE_TURNS = 5
SILENCE_LIMIT = 30.0

# The name that Sendmail's X line would have; libmilter wants one.
MILTER_NAME = "smmapd-gateway"

# Seconds before the supervisor's patience ends, to leave in good order.
DRAIN_MARGIN = 0.5

# Seconds in which an MTA negotiates that was accepted just before we stopped to
# accept: only then does its session count.
SETTLE = 0.2

# What to say where MTAs have taken every descriptor.
FULL = (
    "milter: no open file is left for more MTAs; %d talk to it, others wait:"
    " raise the limit of open files (LimitNOFILE= in the unit, ulimit -n)"
)

# What to say where pymilter is not installed.
MISSING = (
    "the milter front end needs pymilter: install the Debian package python3-milter,"
    " or the extra with pip install 'smmapd[milter]', or remove [milter] from gateway.toml"
)


def main() -> int:
    """Run as a child of the supervisor; the exit code."""
    parent = supervised(os.environ)
    if parent is None:
        print("gateway.daemon.milterprocess is started by `smmapd-gateway serve`", file=sys.stderr)
        return os.EX_USAGE
    try:
        settings = loads(parent.configuration, "gateway.toml")
        log.configure(settings.logging)
        return _serve(parent, settings)
    except ConfigurationError as error:
        parent.failed(str(error))
        return os.EX_CONFIG


def _serve(parent: Supervised, settings: Settings) -> int:
    try:
        import milter  # noqa: PLC0415

        from gateway.frontends.milter import Milter, Sessions  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(f"{MISSING} ({error})") from error
    (listener,) = parent.listeners["milter"]
    engines = Engines(settings)  # what is wrong with the store's configuration shows now
    memory = engines.memory()
    address = AddressWriter(settings.logging.addresses)
    verdicts = VerdictLog("milter", settings.milter.mode, address)
    course = ThreadCourse(memory) if verdicts.enabled else None
    sharing = Sharing(
        engines.lane, Remembering(memory, course) if isinstance(memory, VerdictCache) else None
    )
    recorder = Recorder(parent, settings, address)
    recorder.watch_memory(memory)
    # Where verdicts are not remembered above, servers elsewhere are, and SQL servers are asked.
    at_once = HIT if settings.general.store else ASKED

    def engine() -> Engine:
        timed = recorder.timed(engines.engine())
        return sharing.engine(HeardEngine(timed, course, at_once) if course is not None else timed)

    pool = VerifierPool(engine)
    sessions = Sessions()
    tally = recorder.tally("milter")
    counting = threading.Lock()

    def observe(rcpt: Rcpt, decision: Decision) -> None:
        mail = rcpt.transaction
        with counting:
            tally.decision(decision, rcpt.recipient, mail.sender, mail.client)
        verdicts.milter(rcpt, decision, course=course)

    def connections(snapshot: Snapshot) -> None:
        snapshot.counts["connections_accepted/milter"] = sessions.accepted
        snapshot.gauges["connections/milter"] = sessions.count

    recorder.watch(connections)
    front = Milter(
        make_judge(settings, settings.milter.mode, sees_mailers=True),
        pool,
        observe=observe,
        defect=lambda error: _defect(parent, error),
        sessions=sessions,
        course=course,
    )
    front.register(MILTER_NAME)
    milter.setconn(f"fd:{listener.socket.fileno()}")
    milter.settimeout(settings.milter.timeout)
    threading.Thread(
        target=_watch,
        args=(parent, listener.socket, sessions, recorder),
        name="channel",
        daemon=True,
    ).start()
    recorder.publish()
    parent.ready()
    try:
        milter.main()
    except milter.error as error:
        parent.failed(f"libmilter gave up: {error}")
        return os.EX_OSERR
    # Sessions hang on native threads that the interpreter cannot join.
    recorder.publish()
    logging.shutdown()
    os._exit(os.EX_OK)


def _defect(parent: Supervised, error: BaseException) -> None:
    if isinstance(error, MemoryError):
        # It would go on to defer everybody; the next process begins anew.
        parent.failed(OUT_OF_MEMORY)
        os._exit(os.EX_OSERR)
    _log.error("defect while judging a recipient: %r", error)


def _watch(
    parent: Supervised, listener: socket.socket, sessions: Sessions, recorder: Recorder
) -> None:
    """Leave when told to, or when the supervisor is gone: nobody else would free the socket.

    Until then, say once in INTERVAL what has been counted, and now and then that all is well.
    """
    door = MilterDoor(listener)
    turn = 0
    while parent.receive() is not None and parent.patience is None:
        recorder.publish()
        if turn % ALIVE_TURNS == 0:
            parent.alive()
        turn += 1
        if door.look() and not door.open:
            _log.warning(FULL, sessions.count)
        select.select([parent.fileno()], [], [], INTERVAL)
    if parent.patience is None:
        _log.error("the supervisor is gone; leaving")
    else:
        door.shut()
        patience = max(0.0, parent.patience - DRAIN_MARGIN)
        # A native thread of its own, and nothing tells us that an MTA is about to negotiate.
        settle = min(SETTLE, patience)
        time.sleep(settle)
        if not sessions.wait_none(patience - settle):
            _log.info("leaving while MTAs are connected; they apply their default action")
    recorder.publish()
    logging.shutdown()
    os._exit(os.EX_OK)


if __name__ == "__main__":
    sys.exit(main())
