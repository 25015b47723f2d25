"""Serves one listening socket on gevent's event loop; socketmap and policy share it.

What a client says and is told is a `Session`'s matter; this and `connection`
move the bytes.  One read callback a connection and no greenlet: a request
costs one `recv`, the engine, one `send`.  What it promises:

- a connection is accepted one a wake-up, so that several processes on one
  listening socket share the load;
- no client holds up another: one that sends much at once waits in a queue of which each round
  answers one batch (fairqueue.py), and questions for other
  servers wait on threads (dispatcher.py);
- memory is bounded: nothing is read from a client that has not taken its
  replies, and no more than one chunk is read ahead of the engine;
- a client that sends nothing for IDLE_TIMEOUT seconds is closed.

Limits: TLS and access lists belong to the listener that is handed in.
"""

from __future__ import annotations

import errno
import os
import socket as plain_socket
import time
from typing import TYPE_CHECKING

import gevent

from gateway.counted import Counts
from gateway.server.connection import LINGER_IDLE, Connection
from gateway.server.crowding import Crowding
from gateway.server.fairqueue import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.frontend import Session
    from gateway.server.dispatcher import Dispatcher

# libev's event bit for reading (gevent's loop.io takes it as a number).
_READ = 1

# Seconds without a byte from the client; imap/smmapd.c, prot_settimeout.
IDLE_TIMEOUT = 360

# While draining, a connection that has been idle for this many seconds is
# closed: longer than Postfix keeps one it does not use (10 s), so that
# no request crosses our close.
DRAIN_IDLE = 15

# Clients that `retire` takes from the queue at most: what it can hold (net.core.somaxconn).
QUEUE = 4096

# Seconds between two looks at all connections for those that are idle; while
# draining without patience, the second.
SWEEP = 5
DRAIN_SWEEP = 0.01

# Seconds that a new client has for its first bytes, even while draining.
FIRST_WORD = 1.0

# Seconds to wait when the process has no descriptor left for a new client.
ACCEPT_PAUSE = 0.1

# accept(2): the client is gone already, or the network had a hiccup.
_PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EINTR,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.EPERM,  # a firewall's word
    }
)
_MORE_MEMORY = ", the machine has too little memory left"
# What to do where accept(2) fails until there is more of something.
_REMEDIES = {
    errno.EMFILE: ", raise the limit of open files (ulimit -n)",
    errno.ENFILE: ", raise the system's limit of open files (sysctl fs.file-max)",
    errno.ENOBUFS: _MORE_MEMORY,
    errno.ENOMEM: _MORE_MEMORY,
}


class Server:
    """Serves one listening socket until it is told to stop.

    `session_for` makes the session of a new peer; `dispatcher` asks other
    servers; `admit` may refuse a new peer
    (False); `on_change` is called when a client has come or gone; `report`
    takes a line for the log as logging does, text and values; `defect` an
    unexpected exception, after which the client is disconnected
    without an answer.  A client may be silent for `idle_timeout` seconds
    between requests; it must complete a request, and take a reply, within `request_timeout` of the
    first look that meets it, however often a byte comes.  Beyond `max_connections` new clients
    wait in the socket's queue until others leave or, being idle, have to (crowding.py);
    `limited_by` names in the log what that number comes from, and `follows_smtp` says that
    clients stay for an SMTP session.  Servers of one process share `fair_queue`.  `counted` is
    what else happens here.
    """

    def __init__(
        self,
        listener: plain_socket.socket,
        session_for: Callable[[plain_socket.socket], Session],
        dispatcher: Dispatcher,
        *,
        admit: Callable[[plain_socket.socket], bool] | None = None,
        on_change: Callable[[], None] | None = None,
        report: Callable[..., None] | None = None,
        defect: Callable[[Exception], None] | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        request_timeout: float = IDLE_TIMEOUT,
        max_connections: int | None = None,
        limited_by: str = "max_connections",
        follows_smtp: bool = False,
        fair_queue: FairQueue | None = None,
    ) -> None:
        self.listener = listener
        self.session_for = session_for
        self.dispatcher = dispatcher
        self.defect = defect if defect is not None else _nobody_hears
        self.fair_queue = fair_queue if fair_queue is not None else FairQueue()
        self.accepted = 0
        self.counted = Counts()
        self.connections: set[Connection] = set()
        self.loop = gevent.get_hub().loop
        self._admit = admit
        self._on_change = on_change
        self._report = report
        self._idle_timeout = self._drain_idle = idle_timeout
        self._request_timeout = request_timeout
        self._max_connections = max_connections
        self._accepting = False
        self._exhausted = False
        listener.setblocking(False)
        self._accept_watcher = self.loop.io(listener.fileno(), _READ)
        # Repeating: one that has fired and does not repeat has no time left when started again.
        self._pause = self.loop.timer(ACCEPT_PAUSE, repeat=ACCEPT_PAUSE)
        self._sweep = self.loop.timer(SWEEP, repeat=SWEEP)
        self._crowding = (
            Crowding(
                self,
                max_connections,
                report if report is not None else _nobody_reads,
                limited_by,
                follows_smtp=follows_smtp,
            )
            if max_connections is not None
            else None
        )

    @property
    def served(self) -> int:
        """How many clients have come and gone."""
        return self.accepted - len(self.connections)

    def start(self) -> None:
        """Begin to accept clients."""
        self._accepting = True
        self._accept_watcher.start(self._accept)
        self._sweep.start(self._close_idle)

    def adopt(self, peer: plain_socket.socket, session: Session, unsent: bytes) -> None:
        """Serve a client that another part accepted, goes on with `session`, and has `unsent` due.

        A session that is between two requests gives way to one of ours.
        """
        self.accepted += 1
        peer.setblocking(False)
        going_on = None if session.idle and not session.finished and not unsent else session
        connection = Connection(self, peer, going_on)
        self.connections.add(connection)
        if going_on is not None:
            connection.resume(unsent)

    def stop_accepting(self) -> None:
        """Take no more clients; those that are here are served on."""
        self._accepting = False
        self._accept_watcher.stop()
        self._pause.stop()
        if self._crowding is not None:
            self._crowding.stop()

    def retire(self, idle: float = DRAIN_IDLE) -> None:
        """As `drain`, but take the clients that wait in the socket's queue, and close the socket.

        Where others have it open too, they go on serving it; where none
        has, clients that come later are refused at once.
        """
        for _ in range(QUEUE):
            if self._full or not self._accept_one():
                break
        self.drain(idle)
        self.listener.close()

    def drain(self, idle: float = DRAIN_IDLE) -> None:
        """Stop accepting, and disconnect each client once it has been idle for `idle` seconds.

        One whose mail is in progress is left until that is over.
        """
        self.stop_accepting()
        self._drain_idle = min(self._drain_idle, idle)
        self._sweep.stop()
        pause = max(DRAIN_SWEEP, min(SWEEP, idle / 4))
        self._sweep = self.loop.timer(pause, repeat=pause)
        self._sweep.start(self._close_idle)

    def close(self) -> None:
        """End everything at once."""
        self.stop_accepting()
        self._sweep.stop()
        for connection in list(self.connections):
            connection.close()

    @property
    def _full(self) -> bool:
        return self._max_connections is not None and len(self.connections) >= self._max_connections

    def _accept(self) -> None:
        try:
            self._accept_one()
        except Exception:
            # The loop stops what has failed, and no client would be accepted any more.
            self._accept_watcher.stop()
            self._pause.again(self._pause_over)
            raise

    def _accept_one(self) -> bool:
        """Take the next client of the queue; False if there is none that can be had."""
        try:
            peer, _ = self.listener.accept()
        except OSError as error:
            self._accept_failed(error)
            return False
        self._exhausted = False
        if not self._welcomed(peer):
            peer.close()
            return True
        self.accepted += 1
        if self._full:
            self._accept_watcher.stop()
            if self._crowding is not None and self._accepting:
                self._crowding.begin()
        if self._on_change is not None:
            self._on_change()
        return True

    def _welcomed(self, peer: plain_socket.socket) -> bool:
        """Whether the client may stay; then it has its connection."""
        try:
            if self._admit is not None and not self._admit(peer):
                return False
            peer.setblocking(False)
            self.connections.add(Connection(self, peer))
        # gevent stops a watcher whose callback raises: one client would end all accepting.
        except MemoryError:
            peer.close()
            raise
        except Exception as error:  # noqa: BLE001
            if self._report is not None:
                self._report("a client could not be accepted: %r", error)
            return False
        return True

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in _PASSING:
            return
        if not self._exhausted and self._report is not None:
            self._exhausted = True
            self._report(
                "cannot accept more clients: %s; %d are connected%s",
                error.strerror,
                len(self.connections),
                _REMEDIES.get(error.errno or 0, ""),
            )
        self._accept_watcher.stop()
        self._pause.again(self._pause_over)

    def _pause_over(self) -> None:
        self._pause.stop()
        self._accept_again()

    def _accept_again(self) -> None:
        if self._accepting and not self._accept_watcher.active and not self._pause.active:
            self._accept_watcher.start(self._accept)

    def forget(self, connection: Connection) -> None:
        """Called by a connection that has ended."""
        self.connections.discard(connection)
        self._accept_again()
        if self._on_change is not None:
            self._on_change()

    def _close_idle(self) -> None:
        # gevent stops the watcher of a callback that raises, and where memory is short what the
        # callback does about that may fail as well.
        if not self._full:
            self._accept_again()
        now = time.monotonic()
        for connection in list(self.connections):
            connection.looked_at(now)
            if connection.quiet and self._is_overdue(connection, now):
                connection.close_if_idle()

    def _is_overdue(self, connection: Connection, now: float) -> bool:
        """Whether the client has been silent, or busy with one request, for too long."""
        since = connection.request_since
        if since is not None and now - since >= self._request_timeout:
            return True
        if connection.lingering:
            limit: float = LINGER_IDLE
        elif since is not None:
            return False
        elif connection.engaged:
            limit = self._idle_timeout
        elif connection.never_spoke:
            limit = max(FIRST_WORD, self._drain_idle)
        else:
            limit = self._drain_idle
        return now - connection.last_heard >= limit


def _nobody_hears(_error: Exception) -> None:
    """Of a defect; the client is disconnected all the same."""


def _nobody_reads(_text: str, *_values: object) -> None:
    """A line, where there is no log."""


def peer_name(peer: plain_socket.socket) -> str:
    """The other end, for a log line: an address, or [local]."""
    if peer.family == plain_socket.AF_UNIX:
        return "[local]"
    try:
        name = peer.getpeername()
    except OSError as error:
        return f"[{os.strerror(error.errno or 0)}]"
    return f"[{name[0]}]"
