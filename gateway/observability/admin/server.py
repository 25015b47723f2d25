"""Serves a WSGI application on the admin sockets: gevent's server behind a strict gate.

gevent.pywsgi sees a request only when its head is complete and has passed the
gate (`request.check`): so nonsense, bodies, endless heads and foreign hosts
never reach it.  One request a connection.  Limits: CONNECTIONS at once, more
wait in the socket's queue; HEAD_SECONDS for the head, REPLY_SECONDS for the
client to take the reply.
"""

from __future__ import annotations

import logging
import socket
import time
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING

from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from gateway.frontends.scope import client_address
from gateway.observability.admin.request import END, MAX_HEAD, BadRequest, check

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    Headers = list[tuple[str, str]]
    StartResponse = Callable[[str, Headers], object]
    Application = Callable[[dict[str, str], StartResponse], Iterable[bytes]]

_log = logging.getLogger(__name__)

CONNECTIONS = 64
HEAD_SECONDS = 5.0
REPLY_SECONDS = 10.0
# What a refused client still sends is thrown away for this long, so that it
# can read why; a reset would take the reply with it.
LINGER_SECONDS = 1.0
LINGER_BYTES = 1 << 18

# For every reply: nothing may be kept, framed, guessed or sent on.
SAFETY: tuple[tuple[str, str], ...] = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Connection", "close"),
)
NOTHING_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"


class AdminServer:
    """The servers of all admin sockets.

    `hosts` are names under which browsers may come; `allow_remote` whether
    other machines may.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        application: Application,
        *,
        hosts: Collection[str] = (),
        allow_remote: bool = False,
    ) -> None:
        self._pool = Pool(CONNECTIONS)

        class Handler(_Handler):
            """The gate with these settings; pywsgi makes one for each client."""

            gate = _Gate(frozenset(hosts), allow_remote=allow_remote)

        self._servers = [
            WSGIServer(
                each,
                application,
                spawn=self._pool,
                log=None,
                error_log=None,
                handler_class=Handler,
                # Said here, or pywsgi would ask the resolver for it.
                environ={"SERVER_NAME": "", "SERVER_PORT": ""},
            )
            for each in sockets
        ]

    def start(self) -> None:
        """Begin to serve."""
        for server in self._servers:
            server.start()

    def stop_accepting(self) -> None:
        """Take no more clients and close the sockets; clients that are here are answered."""
        for server in self._servers:
            server.close()

    def close(self, patience: float = 0.0) -> None:
        """End; replies that are in progress have `patience` seconds."""
        self.stop_accepting()
        self._pool.join(timeout=patience)
        self._pool.kill()


class _Gate:
    """Which requests come through."""

    def __init__(self, hosts: frozenset[str], *, allow_remote: bool) -> None:
        self._hosts = hosts
        self._allow_remote = allow_remote

    def admit(self, head: bytes | BadRequest, address: object) -> bytes | BadRequest:
        """`head`, or why not."""
        if not self._allow_remote and not _is_local(address):
            return BadRequest(
                403, "Forbidden", "set allow_remote in [admin] to let other machines in"
            )
        return head if isinstance(head, BadRequest) else check(head, self._hosts) or head


class _Handler(WSGIHandler):  # type: ignore[misc]
    """One client: its request is read whole and checked, then pywsgi answers it."""

    gate: _Gate

    def handle(self) -> None:
        """Read, check, answer."""
        try:
            head: bytes | BadRequest | None = self.gate.admit(
                _read_head(self.socket), self.client_address
            )
            if isinstance(head, BadRequest):
                _refuse(self.socket, head)
        except OSError:  # gone, or silent for too long
            head = None
        if not isinstance(head, bytes):
            self.socket.close()
            return
        self.socket.settimeout(REPLY_SECONDS)
        self.rfile = BytesIO(head)
        super().handle()

    def handle_error(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType
    ) -> None:
        """What the application raised: a log line, and 500 if nothing has been sent."""
        if isinstance(error, OSError):
            # The client does not take the reply.
            self.close_connection = True
            return
        path = getattr(self, "path", "")
        _log.error("defect while answering %s: %r", path, error, exc_info=(kind, error, trace))
        self.close_connection = True
        if not self.headers_sent:
            self._send_error_response_if_possible(500)


def _read_head(client: socket.socket) -> bytes | BadRequest:
    """All bytes up to the empty line; raises OSError where they do not come in time."""
    until = time.monotonic() + HEAD_SECONDS
    data = b""
    while END not in data and len(data) <= MAX_HEAD:
        client.settimeout(max(0.001, until - time.monotonic()))
        piece = client.recv(MAX_HEAD)
        if not piece:
            raise ConnectionError("the client left before its request was complete")
        data += piece
    head, end, _ = data.partition(END)
    if not end or len(head + end) > MAX_HEAD:
        return BadRequest(431, "Request Header Fields Too Large", f"more than {MAX_HEAD} bytes")
    return head + end


def _refuse(client: socket.socket, refusal: BadRequest) -> None:
    """Say why, and wait for the client to hang up."""
    body = f"{refusal.code} {refusal.phrase}: {refusal.reason}\n".encode()
    allow = [("Allow", "GET, HEAD")] if refusal.code == 405 else []
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Content-Security-Policy", NOTHING_POLICY),
        *allow,
        *SAFETY,
    ]
    lines = [f"HTTP/1.1 {refusal.code} {refusal.phrase}", *(f"{a}: {b}" for a, b in headers)]
    client.settimeout(LINGER_SECONDS)
    client.sendall("\r\n".join(lines).encode() + END + body)
    client.shutdown(socket.SHUT_WR)
    until = time.monotonic() + LINGER_SECONDS
    thrown = 0
    while thrown < LINGER_BYTES and time.monotonic() < until:
        piece = client.recv(MAX_HEAD)
        if not piece:
            return
        thrown += len(piece)


def _is_local(address: object) -> bool:
    """Whether the peer is on this machine: a Unix socket, or the loopback network."""
    if not isinstance(address, tuple):
        return True
    peer = client_address(str(address[0]).encode())
    return peer is not None and peer.is_loopback
