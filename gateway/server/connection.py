"""One client of a Server: its socket, its session, and the replies it has not taken yet.

Nothing is read from a client that has replies to take or a question in
progress, so what is held for one is bounded: the session's part of a request, and
a batch of replies.

The way of a request whose reply is ready is the hot path of the whole
program: one `recv`, the session's `cached_reply`, one `send`, and no look at a clock.
"""

from __future__ import annotations

import socket as plain_socket
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.frontend import Session
    from gateway.mta.lookups import TableAnswers
    from gateway.server.dispatcher import Dispatcher
    from gateway.server.fairqueue import FairQueue
    from gateway.verification.model import Verdict

# libev's event bits (gevent's loop.io takes them as numbers).
_READ = 1
_WRITE = 2

# Bytes taken from a client at once: about a hundred pipelined requests, or thirty of Postfix'
# policy requests.  What they take to answer is what others may have to wait.
CHUNK = 4096

# A client that sends more than this at once waits in the fair queue (fairqueue.py): it is more
# than any client sends that waits for the answer, but for recipients of absurd length.
LARGE = 2048

# After the last word to a client that broke the protocol, what it still sends
# is thrown away, up to this many bytes and for this many seconds of silence:
# closing at once would reset the connection, and the client might never read
# why.
LINGER_BYTES = 1_048_576
LINGER_IDLE = 2


class ConnectionHost(Protocol):
    """What a connection needs of the server that it belongs to (gateway.server.server)."""

    loop: Any  # gevent's, which has no types
    fair_queue: FairQueue
    dispatcher: Dispatcher
    defect: Callable[[Exception], None]
    session_for: Callable[[plain_socket.socket], Session]

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""


class Connection:
    """One client: its socket, its session, and the replies it has not taken yet."""

    __slots__ = (
        "_awaiting_answer",
        "_cached_reply",
        "_discarded",
        "_ended",
        "_fd",
        "_out",
        "_queued",
        "_read_watcher",
        "_recv",
        "_send_now",
        "_server",
        "_session",
        "_socket",
        "_write_watcher",
        "heard",
        "last_heard",
        "lingering",
        "never_spoke",
        "progressed",
        "request_since",
    )

    def __init__(
        self, server: ConnectionHost, peer: plain_socket.socket, session: Session | None = None
    ) -> None:
        """`session` is one that has begun already; default: a new one."""
        self._server = server
        self._socket = peer
        self._fd = peer.fileno()
        self._session = session if session is not None else server.session_for(peer)
        self._cached_reply = self._session.cached_reply
        self._recv = peer.recv
        self._send_now = peer.send
        self._out = b""
        self._queued = b""  # what has been read, and waits in the fair queue
        self._awaiting_answer = False  # another server is being asked
        self._ended = False  # the client has closed its side
        self._discarded = 0  # bytes thrown away while lingering
        self.lingering = False
        self.heard = False  # since the server's last look at its clients
        self.never_spoke = True  # it has not sent anything yet
        # The first look at which the request in progress was there, and whether one ended since.
        self.request_since: float | None = None
        self.progressed = False
        self._write_watcher = None
        self._read_watcher = server.loop.io(self._fd, _READ)
        self.last_heard = time.monotonic()  # never loop.now(), which is the time of day
        self._read_watcher.start(self._readable)

    @property
    def in_request(self) -> bool:
        """True within a request, or while replies wait to be taken."""
        return bool(self._out) or not self._session.idle

    @property
    def engaged(self) -> bool:
        """True while a mail is in progress, of which this client asks more than once."""
        return self._session.engaged

    @property
    def quiet(self) -> bool:
        """True where nothing of ours is in progress, or the client does not take its replies."""
        return not (self._session.busy or self._queued) or bool(self._out)

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

    def close_if_idle(self) -> None:
        """Close the connection of an idle client, unless it has sent something just now."""
        if not self.in_request and not self.lingering and self._fd >= 0:
            try:
                if self._socket.recv(1, plain_socket.MSG_PEEK):
                    return
            except OSError:  # nothing to read, or gone: both are what was expected
                self.close()
                return
        self.close()

    def resume(self, unsent: bytes) -> None:
        """Go on with a session that has begun: send what is due, answer what waits."""
        if unsent:
            self._send(unsent)
        self._advance()

    def looked_at(self, now: float) -> None:
        """The server's look at its clients, at `now`: note whether this one was heard since.

        Also since when it has been busy with one and the same request, or reply: a byte now and
        then does not count.  `now` is of time.monotonic.
        """
        if not self.in_request and not self.lingering:
            self.request_since = None
        elif self.request_since is None or self.progressed:
            self.request_since = now
        self.progressed = False
        if self.heard:
            self.heard = False
            self.never_spoke = False
            self.last_heard = now

    def _readable(self) -> None:
        try:
            data = self._recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:  # the client is gone: reset, timed out, unreachable
            self.close()
            return
        self.heard = True
        try:
            if data and not self.lingering:
                large = len(data) > LARGE
                reply = None if large else self._cached_reply(data)
                if reply is not None:
                    self._send(reply)
                    return
                if large or not self._session.idle:
                    # Much at once, or a request in pieces: clients that ask one question go first.
                    self._read_watcher.stop()
                    self._queued = data
                    self._server.fair_queue.enqueue(self._take_queued)
                    return
            self._read(data)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is this client's alone)
            self._fail(error)

    def _take_queued(self) -> None:
        """Take what has waited in the fair queue."""
        data, self._queued = self._queued, b""
        if self._fd < 0:
            return
        try:
            reply = self._cached_reply(data)
            if reply is None:
                self._read(data)
            else:
                self.progressed = True
                self._send(reply)
                self._advance()
        except Exception as error:  # noqa: BLE001  (as above)
            self._fail(error)

    def _read(self, data: bytes) -> None:
        """Take what is not answered at once; empty bytes are the client's end."""
        if self.lingering:
            self._discarded += len(data)
            if not data or self._discarded > LINGER_BYTES:
                self.close()
            return
        if not data:
            self._ended = True
            self._read_watcher.stop()
        self._session.receive(data)
        if self._session.idle:
            self.progressed = True
        self._advance()

    def _fail(self, error: Exception) -> None:
        """A defect of ours: no answer is the only one that is surely not wrong.

        Raises the error again where it is a lack of memory (nomemory.py).
        """
        self.close()
        if isinstance(error, MemoryError):
            raise error
        self._server.defect(error)

    def _go_on(self) -> None:
        """Called by the loop, by which nothing may be raised."""
        try:
            self._advance()
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def _advance(self) -> None:
        """Answer a batch of what waits; then take care of what is left."""
        session = self._session
        if self._fd < 0 or self._out or self._awaiting_answer:
            # What waits for the client, or for another server, calls again.
            return
        out = session.replies()
        if out:
            self.progressed = True
            self._send(out)
        if session.pending is not None:
            self._ask_dispatcher()
        elif session.busy and not self._out:
            # Read nothing more before this is answered, and let the others go first.
            self._read_watcher.stop()
            self._server.fair_queue.enqueue(self._go_on)
        elif not self._out:
            self._rest()

    def _rest(self) -> None:
        """Everything is answered and sent: wait for more, or close."""
        if self._fd < 0:
            return
        if self._ended:
            self.close()
            return
        if self._session.finished and not self.lingering:
            self.lingering = True
            try:
                self._socket.shutdown(plain_socket.SHUT_WR)
            except OSError:  # reset meanwhile: there is no client to linger for
                self.close()
                return
        if not self._read_watcher.active:
            self._read_watcher.start(self._readable)

    def _send(self, data: bytes) -> None:
        if self._out:
            self._out += data
            return
        try:
            sent = self._send_now(data)
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
        self.heard = True
        self._out = self._out[sent:]
        if not self._out and self._write_watcher is not None:
            self.progressed = True
            self._write_watcher.stop()
            self._go_on()

    def _ask_dispatcher(self) -> None:
        """Have the other server asked; nothing is read from the client meanwhile."""
        if self._fd < 0:
            return
        self._read_watcher.stop()
        pending = self._session.pending
        assert pending is not None
        self._awaiting_answer = True
        self._server.dispatcher.ask(pending, self._on_answer)

    def _on_answer(self, told: Verdict | TableAnswers) -> None:
        self._awaiting_answer = False
        self.progressed = True
        if self._fd < 0:
            return
        try:
            self._send(self._session.resolved(told))
            self._advance()
        except Exception as error:  # noqa: BLE001
            self._fail(error)
