"""Serves one listening socket on gevent's event loop; socketmap and policy share it.

What a client says and is told is a `Session`'s matter; this moves the bytes.
One read callback a connection and no greenlet: a request costs one `recv`,
the engine, one `send`.  What it promises:

- a connection is accepted one a wake-up, so that several processes on one
  listening socket share the load;
- no client holds up another: a session answers a turn's worth of requests
  before the others have theirs, and questions for other servers wait on gevent's
  thread pool;
- memory is bounded: nothing is read from a client that has not taken its
  replies, and no more than one chunk is read ahead of the engine;
- a client that sends nothing for IDLE_TIMEOUT seconds is closed.

Limits: TLS and access lists belong to the listener that is handed in.
"""

from __future__ import annotations

import errno
import os
import socket as plain_socket
from typing import TYPE_CHECKING, Protocol

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.verification.model import Verdict
    from gateway.verification.verifier import Pending

# libev's event bits (gevent's loop.io takes them as numbers).
_READ = 1
_WRITE = 2

# Bytes taken from a client at once; a pipelining client fills it, and TURN
# requests fit into it many times.
CHUNK = 65_536

# Seconds without a byte from the client; imap/smmapd.c, prot_settimeout.
IDLE_TIMEOUT = 360

# While draining, a connection that has been idle for this many seconds is
# closed: longer than Postfix keeps one it does not use (10 s), so that
# nobody's request crosses our close.
DRAIN_IDLE = 15

# After the last word to a client that broke the protocol, what it still sends
# is thrown away, up to this many bytes and for this many seconds of silence:
# closing at once would reset the connection, and the client might never read
# why.
LINGER_BYTES = 1_048_576
LINGER_IDLE = 2

# Seconds between two looks at all connections for those that are idle.
SWEEP = 5

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
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Session(Protocol):
    """What the server needs of a conversation; see socketmap_session for the meanings."""

    @property
    def pending(self) -> Pending | None:
        """A question that `resolve` answers on a thread."""

    @property
    def finished(self) -> bool:
        """The last word has been said."""

    @property
    def busy(self) -> bool:
        """Requests wait for `replies`, or one for `resolved`."""

    @property
    def idle(self) -> bool:
        """Not busy, and no part of a request is held."""

    def quick(self, data: bytes) -> bytes | None:
        """All replies to `data` at once, or None: then `receive` takes it."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the client; empty bytes are their end."""

    def replies(self) -> bytes:
        """Answer a turn's worth of requests."""

    def resolved(self, verdict: Verdict) -> bytes:
        """Answer the pending request."""


class Server:
    """Serves one listening socket until it is told to stop.

    `session_for` makes the session of a new peer; `resolve` asks another
    server and may block (it runs on a thread); `admit` may refuse a new peer
    (False); `on_change` is called when a client has come or gone; `report`
    takes a line for the log.  A client may be silent for `idle_timeout`
    seconds between requests, and for `request_timeout` within one or while a
    reply waits for it.  Beyond `max_connections` new clients wait in the
    socket's queue.
    """

    def __init__(
        self,
        listener: plain_socket.socket,
        session_for: Callable[[plain_socket.socket], Session],
        resolve: Callable[[Pending], Verdict],
        *,
        admit: Callable[[plain_socket.socket], bool] | None = None,
        on_change: Callable[[], None] | None = None,
        report: Callable[[str], None] | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        request_timeout: float = IDLE_TIMEOUT,
        max_connections: int | None = None,
    ) -> None:
        self.listener = listener
        self.session_for = session_for
        self.resolve = resolve
        self.accepted = 0
        self.connections: set[Connection] = set()
        self.buffer = bytearray(CHUNK)
        self.view = memoryview(self.buffer)
        self.loop = gevent.get_hub().loop
        self._admit = admit
        self._on_change = on_change
        self._report = report
        self._idle_timeout = idle_timeout
        self._request_timeout = request_timeout
        self._max_connections = max_connections
        self._accepting = False
        self._exhausted = False
        listener.setblocking(False)
        self._accept_watcher = self.loop.io(listener.fileno(), _READ)
        self._pause = self.loop.timer(ACCEPT_PAUSE)
        self._sweep = self.loop.timer(SWEEP, repeat=SWEEP)

    @property
    def served(self) -> int:
        """How many clients have come and gone."""
        return self.accepted - len(self.connections)

    def start(self) -> None:
        """Begin to accept clients."""
        self._accepting = True
        self._accept_watcher.start(self._accept)
        self._sweep.start(self._close_idle)

    def stop_accepting(self) -> None:
        """Take no more clients; those who are here are served on."""
        self._accepting = False
        self._accept_watcher.stop()
        self._pause.stop()

    def drain(self, idle: float = DRAIN_IDLE) -> None:
        """Stop accepting, and part from each client once it has been idle for `idle` seconds."""
        self.stop_accepting()
        self._idle_timeout = min(self._idle_timeout, idle)
        self._sweep.stop()
        self._sweep = self.loop.timer(idle / 4, repeat=min(SWEEP, idle / 4))
        self._sweep.start(self._close_idle)

    def close(self) -> None:
        """End everything at once."""
        self.stop_accepting()
        self._sweep.stop()
        for connection in list(self.connections):
            connection.close()

    def _accept(self) -> None:
        try:
            peer, _ = self.listener.accept()
        except OSError as error:
            self._accept_failed(error)
            return
        self._exhausted = False
        if self._admit is not None and not self._admit(peer):
            peer.close()
            return
        self.accepted += 1
        peer.setblocking(False)
        self.connections.add(Connection(self, peer))
        if self._max_connections is not None and len(self.connections) >= self._max_connections:
            self._accept_watcher.stop()
        if self._on_change is not None:
            self._on_change()

    def _accept_failed(self, error: OSError) -> None:
        if error.errno in _PASSING:
            return
        if error.errno not in _EXHAUSTED:
            raise error
        if not self._exhausted and self._report is not None:
            self._exhausted = True
            self._report(
                f"cannot accept more clients: {error.strerror}; {len(self.connections)} are"
                " connected, raise the limit of open files (ulimit -n)"
            )
        self._accept_watcher.stop()
        self._pause.start(self._accept_again)

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
        now = self.loop.now()
        for connection in list(self.connections):
            if connection.lingering:
                limit: float = LINGER_IDLE
            elif connection.amid:
                limit = self._request_timeout
            else:
                limit = self._idle_timeout
            if connection.quiet and now - connection.last_heard > limit:
                connection.part()


class Connection:
    """One client: its socket, its session, and the replies it has not taken yet."""

    __slots__ = (
        "_discarded",
        "_ended",
        "_fd",
        "_out",
        "_read_watcher",
        "_server",
        "_session",
        "_socket",
        "_write_watcher",
        "last_heard",
        "lingering",
    )

    def __init__(self, server: Server, peer: plain_socket.socket) -> None:
        self._server = server
        self._socket = peer
        self._fd = peer.fileno()
        self._session = server.session_for(peer)
        self._out = b""
        self._ended = False  # the client has closed its side
        self._discarded = 0  # bytes thrown away while lingering
        self.lingering = False
        self._write_watcher = None
        self._read_watcher = server.loop.io(self._fd, _READ)
        self.last_heard = server.loop.now()
        self._read_watcher.start(self._readable)

    @property
    def amid(self) -> bool:
        """True within a request, or while replies wait to be taken."""
        return bool(self._out) or not self._session.idle

    @property
    def quiet(self) -> bool:
        """True where nothing of ours is under way for this client.

        A client that does not take its replies is quiet, too: it may be
        closed for that.
        """
        return not self._session.busy or bool(self._out)

    def close(self) -> None:
        """Let go of the client."""
        if self._fd < 0:
            return
        self._fd = -1
        self._read_watcher.stop()
        self._read_watcher.close()
        if self._write_watcher is not None:
            self._write_watcher.stop()
            self._write_watcher.close()
        self._socket.close()
        self._server.forget(self)

    def part(self) -> None:
        """Let go of a client that was silent, unless it has said something just now."""
        if not self.amid and not self.lingering and self._fd >= 0:
            try:
                if self._socket.recv(1, plain_socket.MSG_PEEK):
                    return
            except OSError:  # nothing to read, or gone: both are what was expected
                self.close()
                return
        self.close()

    def _readable(self) -> None:
        server = self._server
        try:
            size = self._socket.recv_into(server.view)
        except BlockingIOError:
            return
        except OSError:  # the client is gone: reset, timed out, unreachable
            self.close()
            return
        self.last_heard = server.loop.now()
        if self.lingering:
            self._discarded += size
            if not size or self._discarded > LINGER_BYTES:
                self.close()
            return
        data = bytes(server.view[:size])
        reply = self._session.quick(data)
        if reply is not None:
            self._send(reply)
            return
        if not size:
            self._ended = True
            self._read_watcher.stop()
        self._session.receive(data)
        self._advance()

    def _advance(self) -> None:
        """Answer a turn's worth of what waits; then take care of what is left."""
        session = self._session
        if self._fd < 0:
            return
        out = session.replies()
        if out:
            self._send(out)
        if session.pending is not None:
            self._ask_elsewhere()
        elif session.busy and not self._out:
            # More than a turn's worth: read nothing more before it is
            # answered, and let the others go first.
            self._read_watcher.stop()
            self._server.loop.run_callback(self._advance)
        elif not self._out:
            self._rest()

    def _rest(self) -> None:
        """Everything is answered and sent: wait for more, or part."""
        if self._fd < 0:
            return
        if self._ended:
            self.close()
            return
        if self._session.finished and not self.lingering:
            self.lingering = True
            self._socket.shutdown(plain_socket.SHUT_WR)
        if not self._read_watcher.active:
            self._read_watcher.start(self._readable)

    def _send(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._out = data[sent:]
            self._read_watcher.stop()
            watcher = self._write_watcher
            if watcher is None:
                watcher = self._write_watcher = self._server.loop.io(self._fd, _WRITE)
            watcher.start(self._writable)

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self.last_heard = self._server.loop.now()
        self._out = self._out[sent:]
        if not self._out and self._write_watcher is not None:
            self._write_watcher.stop()
            self._advance()

    def _ask_elsewhere(self) -> None:
        """Have a thread ask the other server; nothing is read from the client meanwhile."""
        self._read_watcher.stop()
        pending = self._session.pending
        assert pending is not None
        task = gevent.get_hub().threadpool.spawn(self._server.resolve, pending)
        task.rawlink(self._answered_elsewhere)

    def _answered_elsewhere(self, task: gevent.event.AsyncResult[Verdict]) -> None:
        if self._fd < 0:
            return
        self._send(self._session.resolved(task.get()))
        self._advance()


def peer_name(peer: plain_socket.socket) -> str:
    """Who is at the other end, for a log line: an address, or [local]."""
    if peer.family == plain_socket.AF_UNIX:
        return "[local]"
    try:
        name = peer.getpeername()
    except OSError as error:
        return f"[{os.strerror(error.errno or 0)}]"
    return f"[{name[0]}]"
