"""A small protocol for tests of the server, and clients on the same event loop.

A request is a line, and so is its reply.  `far NAME` is answered by another
server, `big` with far more than a socket holds, `bad` with a last word.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import gevent.socket

from gateway.mta.lookups import TableAnswers
from gateway.server.dispatcher import Dispatcher
from gateway.server.server import Server
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Query, Verdict

# Only a failure waits so long.
DEADLINE_S = 60.0

BIG = b"x" * 3_000_000

# Requests that a session answers in one turn.
BATCH = 4
# libev's event bit for reading.
READ = 1


class Lines:
    """The server's side of one conversation; `answered` is shared by all that a test has."""

    def __init__(self, name: str, answered: list[str]) -> None:
        self.name = name
        self.answered = answered
        self.received = 0
        self.ended = False
        self.finished = False
        self.engaged = False  # a mail is in progress
        self.pending: Pending | None = None
        self._part = b""
        self._queue: list[bytes] = []

    @property
    def busy(self) -> bool:
        """Something waits."""
        return bool(self._queue) or self.pending is not None

    @property
    def idle(self) -> bool:
        """Nothing waits, not even a part of a line."""
        return not self.busy and not self._part

    def cached_reply(self, data: bytes) -> bytes | None:
        """`known` is answered at once."""
        return b"at once\n" if data == b"known\n" and self.idle else None

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Take bytes, or the end."""
        assert not self.finished
        self.received += len(data)
        self.ended = self.ended or not data
        *lines, self._part = (self._part + data).split(b"\n")
        self._queue += lines

    def replies(self) -> bytes:
        """A turn's worth."""
        out = b""
        for _ in range(BATCH):
            if not self._queue or self.pending is not None or self.finished:
                break
            line = self._queue.pop(0)
            if line.startswith(b"far "):
                self.pending = Pending(Query(line), "far", Evidence())
                break
            self.answered.append(f"{self.name} {line.decode()}")
            if line == b"bad":
                self.finished = True
                self._queue.clear()
                out += b"never again\n"
            else:
                out += (BIG if line == b"big" else line) + b"\n"
        return out

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """The reply of the other server."""
        assert isinstance(told, Verdict)
        assert self.pending is not None
        line, self.pending = self.pending.query.recipient, None
        self.answered.append(f"{self.name} {line.decode()}")
        return line + b" " + told.reason + b"\n"


class Site:
    """A running Server of Lines on a Unix socket."""

    def __init__(
        self, path: str, resolve: Callable[[Pending], Verdict] | None = None, **options: object
    ) -> None:
        self.path = path
        self.sessions: list[Lines] = []
        self.answered: list[str] = []
        self.reported: list[str] = []
        self.defects: list[Exception] = []
        self.changes = 0
        self._clients: list[Client] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(128)
        self.server = Server(
            self.listener,
            self._session,
            dispatcher(resolve or far),
            on_change=self._changed,
            report=self._report,
            defect=self.defects.append,
            **options,  # type: ignore[arg-type]
        )
        self.server.start()

    def _session(self, _peer: socket.socket) -> Lines:
        session = Lines("abcdefgh"[len(self.sessions) % 8], self.answered)
        self.sessions.append(session)
        return session

    def _report(self, text: str, *values: object) -> None:
        self.reported.append(text % values)

    def _changed(self) -> None:
        self.changes += 1

    def connect(self) -> Client:
        """One more client."""
        client = Client(self.path)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """End the server and its clients."""
        self.server.close()
        for client in self._clients:
            client.close()
        self.listener.close()


def far(_pending: Pending) -> Verdict:
    """What the other server says."""
    return Verdict(Kind.DELIVERABLE, b"from far")


def dispatcher(resolve: Callable[[Pending], Verdict] = far) -> Dispatcher:
    """The way to the other server."""
    return Dispatcher(lambda pending, _since: resolve(pending))


class Client:
    """A client whose waiting lets the server work."""

    def __init__(self, path: str) -> None:
        self.link = gevent.socket.socket(socket.AF_UNIX)
        self.link.settimeout(DEADLINE_S)
        try:
            self.link.connect(path)
        except OSError:
            self.link.close()
            raise
        self._file = self.link.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.link.sendall(data)

    def line(self) -> bytes:
        """The next reply without its end; empty at the end of the conversation."""
        line: bytes = self._file.readline()
        return line.removesuffix(b"\n")

    def ask(self, line: bytes) -> bytes:
        """One request, one reply."""
        self.send(line + b"\n")
        return self.line()

    def end(self) -> None:
        """Send nothing more."""
        self.link.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Go away."""
        self._file.close()
        self.link.close()


def run_loop_until(condition: Callable[[], object], what: str) -> None:
    """Let the loop turn until something is the case."""
    with gevent.Timeout(DEADLINE_S, AssertionError(f"not within {DEADLINE_S:g} s: {what}")):
        while not condition():
            gevent.sleep(0.001)


@contextmanager
def site(path: str, **options: object) -> Iterator[Site]:
    """A Site for the length of a `with`."""
    made = Site(path, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()
