"""Servers that do what a test tells them, on threads of their own.

A `Fake` listens on loopback, or on a Unix socket, and hands each connection to
a function of the test, which talks as well or as badly as it likes.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from gateway.upstream.address import Address, InetAddress, UnixAddress

# Only a failure waits so long.
DEADLINE_S = 60.0

Talk = Callable[[socket.socket], None]


class Fake:
    """One server; `connections` counts those that have come, `questions` are what was read."""

    def __init__(
        self,
        talk: Talk,
        *,
        path: str | None = None,
        host: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.talk = talk
        self.connections = 0
        self._context = context
        self._peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        if path is not None:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.address: Address = UnixAddress(path)
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, 0))
            self.address = InetAddress(host, self.listener.getsockname()[1])
        self.listener.listen(64)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def stop(self) -> None:
        """Close everything: from now on connections are refused."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End the connections that there are."""
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self._peers.clear()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._peers.append(peer)
            self._start(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        # The client may go away at any moment; what it makes of that is the test's question.
        with suppress(OSError), peer:
            peer.settimeout(DEADLINE_S)
            if self._context is None:
                self.talk(peer)
                return
            with self._context.wrap_socket(peer, server_side=True) as secured:
                self.talk(secured)


def read_netstring(peer: socket.socket) -> bytes:
    """One question; empty at the end."""
    data = b""
    while True:
        piece = peer.recv(4096)
        if not piece:
            return b""
        data += piece
        digits, colon, rest = data.partition(b":")
        if colon and len(rest) > int(digits):
            return rest[: int(digits)]


def reply(text: bytes) -> bytes:
    """A netstring."""
    return b"%d:%b," % (len(text), text)


def smmapd(answers: Callable[[bytes], bytes], asked: list[bytes] | None = None) -> Talk:
    """A smmapd that answers as `answers` says of the key; `asked` gets map name and key."""

    def talk(peer: socket.socket) -> None:
        while question := read_netstring(peer):
            if asked is not None:
                asked.append(question)
            peer.sendall(reply(answers(question.partition(b" ")[2])))

    return talk


def echo(key: bytes) -> bytes:
    """Everybody is deliverable."""
    return b"OK " + key


def sends(data: bytes) -> Talk:
    """Reads a question and sends `data`, whatever that is, and closes."""

    def talk(peer: socket.socket) -> None:
        read_netstring(peer)
        peer.sendall(data)

    return talk


def hangs(peer: socket.socket) -> None:
    """Reads and says nothing until the client goes away."""
    while peer.recv(4096):
        pass


def nobody() -> InetAddress:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return InetAddress("127.0.0.1", probe.getsockname()[1])


def says_done(peer: socket.socket) -> None:
    """As mupdate: one word when the list is current."""
    peer.sendall(b"ok\r\n")
