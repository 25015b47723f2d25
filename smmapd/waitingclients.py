"""Answers clients that are waiting already, before the event loop is loaded.

master starts a process because a client has connected; loading gevent takes
several times as long as the answer.  So the clients that wait at the start
are accepted here, are told what they asked if their question has arrived, and
are then handed to the loop with whatever they have said.

Only for Unix sockets: TCP clients may have to be refused, and that takes
more.  Limits: FIRST clients; nothing is waited for.
"""

from __future__ import annotations

import _socket
import os
import sys

from gateway.frontends.socketmap_session import SocketmapSession
from smmapd.master import LISTEN_FD, StartupSignals, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.frontends.socketmap_replies import Observer
    from gateway.verification.verifier import Verifier

# Clients that are served before the loop: one start is caused by one client,
# and those that come in the same moment need not wait either.
FIRST = 8

# Bytes read at once, as by the loop.
_CHUNK = 16_384


class WaitingClient:
    """A client that was accepted: its descriptor, its session, and what it must still be sent."""

    __slots__ = ("descriptor", "session", "unsent")

    def __init__(self, descriptor: int, session: SocketmapSession, unsent: bytes) -> None:
        self.descriptor = descriptor
        self.session = session
        self.unsent = unsent


class Program:
    """The file that this process was started from, as it was when this was made: early.

    A service of Cyrus exits when its program was replaced (master/service.c), so that an
    upgrade needs no restart.

    Limits: the launcher's file only; that modules were replaced shows when
    the launcher is, as every installation writes both.
    """

    __slots__ = ("_path", "_state")

    def __init__(self) -> None:
        self._path = os.path.abspath(sys.argv[0])
        self._state = self._look()

    def changed(self) -> bool:
        """True once the path holds another file than at the start, or none."""
        return self._look() != self._state

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


class Start:
    """What the process has before the event loop: name, program, master, signals and clients."""

    __slots__ = ("clients", "program", "service", "signals", "status")

    def __init__(self, service: str) -> None:
        self.service = service
        self.signals = StartupSignals()
        self.program = Program()
        self.status = Status()
        self.clients: list[WaitingClient] = []

    def serve(self, verifier: Verifier, observe: Observer) -> None:
        """Accept and answer the clients that are there."""
        self.clients = _accept_waiting(self.status, verifier, observe)


def _accept_waiting(status: Status, verifier: Verifier, observe: Observer) -> list[WaitingClient]:
    listener = _socket.socket(fileno=LISTEN_FD)
    try:
        if listener.family != _socket.AF_UNIX:
            return []
        listener.setblocking(False)
        clients = []
        for _ in range(FIRST):
            try:
                descriptor, _address = listener._accept()  # type: ignore[attr-defined]
            except OSError:  # none is there, or the loop will say what is wrong
                break
            status.connection()
            clients.append(_serve(descriptor, SocketmapSession(verifier, observe)))
        return clients
    finally:
        listener.detach()


def _serve(descriptor: int, session: SocketmapSession) -> WaitingClient:
    peer = _socket.socket(fileno=descriptor)
    unsent = b""
    try:
        peer.setblocking(False)
        data = peer.recv(_CHUNK)
        if data:  # an end is for the loop to see
            session.receive(data)
            unsent = session.replies()
            unsent = unsent[peer.send(unsent) :]
        return WaitingClient(descriptor, session, unsent)
    except OSError:
        # Nothing said yet, a full socket, or a client that is gone: the loop
        # meets the same, and knows what to do.
        return WaitingClient(descriptor, session, unsent)
    finally:
        peer.detach()
