"""A small socketmap client for tests: netstrings, one question at a time or many at once.

It is written apart from the project's own codec, so that a fault there does
not hide itself here.
"""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Iterable, Sequence
from typing import Self

TIMEOUT_S = 30.0
MAP_NAME = b"cyrus"
_MOST_DIGITS = 9


class SocketmapError(AssertionError):
    """The server sent something that is not a netstring, or closed before its reply was complete."""


def frame(payload: bytes) -> bytes:
    """The payload as a netstring."""
    return b"%d:%s," % (len(payload), payload)


def request(key: bytes, name: bytes = MAP_NAME) -> bytes:
    """One request: the map's name, a blank and the key."""
    return frame(name + b" " + key)


def _connect(address: str | tuple[str, int]) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=TIMEOUT_S)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(TIMEOUT_S)
    try:
        link.connect(address)
    except OSError:
        link.close()
        raise
    return link


class Connection:
    """One connection to a socketmap server, or to a program that speaks it on a socket pair."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._buffer = b""

    @classmethod
    def to(cls, address: str | tuple[str, int]) -> Self:
        """Connect to a Unix socket's path or to (host, port)."""
        return cls(_connect(address))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._link.sendall(data)

    def end(self) -> None:
        """Close our side only: nothing more is asked, and the replies still come."""
        self._link.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes:
        """The next reply's payload.  Raises `SocketmapError` if none comes."""
        while b":" not in self._buffer:
            if len(self._buffer) > _MOST_DIGITS:
                raise SocketmapError(f"no netstring: {self._buffer!r}")
            self._more()
        digits, _, rest = self._buffer.partition(b":")
        if not digits.isdigit():
            raise SocketmapError(f"no netstring: {self._buffer[:80]!r}")
        length = int(digits)
        while len(rest) <= length:
            self._more()
            rest = self._buffer.partition(b":")[2]
        if rest[length : length + 1] != b",":
            raise SocketmapError(f"no comma behind {rest[: length + 1]!r}")
        self._buffer = rest[length + 1 :]
        return rest[:length]

    def _more(self) -> None:
        data = self._link.recv(65536)
        if not data:
            raise SocketmapError(f"closed in the middle of a reply, after {self._buffer!r}")
        self._buffer += data

    def ask(self, key: bytes, name: bytes = MAP_NAME) -> bytes:
        """Ask one key and return the reply's payload."""
        self.send(request(key, name))
        return self.receive()

    def ask_pipelined(self, keys: Sequence[bytes], name: bytes = MAP_NAME) -> list[bytes]:
        """Send all questions at once, then read all replies (keep it below a socket's buffer)."""
        self.send(b"".join(request(key, name) for key in keys))
        return [self.receive() for _ in keys]

    def has_reply(self) -> bool:
        """Is there anything to read at this moment?"""
        return bool(self._buffer) or bool(select.select([self._link], [], [], 0)[0])

    def at_end(self) -> bool:
        """Has the server closed, with nothing left to read?  Waits for one or the other."""
        return not self._buffer and not self._link.recv(1, socket.MSG_PEEK)

    def fileno(self) -> int:
        """The socket's descriptor, for who waits for several clients at once."""
        return self._link.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class StdioServer(Connection):
    """A smmapd that serves standard input and output, one end of a socket pair.

    `errors` is the file that holds what it wrote to standard error.
    """

    def __init__(self, process: subprocess.Popen[bytes], link: socket.socket, errors: str) -> None:
        super().__init__(link)
        self._process = process
        self._errors = errors

    def abandon(self) -> None:
        """Close and end the program, whatever its state."""
        super().close()
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let the program see end of file and wait for its end.

        Raises `SocketmapError`, with what it wrote to standard error, if its
        exit code is not 0.
        """
        super().close()
        try:
            code = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise SocketmapError(f"{self._process.args!r} did not end at end of file") from None
        if code != 0:
            with open(self._errors, "rb") as file:
                said = file.read().decode(errors="replace").strip()
            raise SocketmapError(f"{self._process.args!r} ended with {code}: {said}")


def ask(address: str | tuple[str, int], *keys: bytes) -> list[bytes]:
    """Ask keys, one after the other, on one new connection."""
    with Connection.to(address) as connection:
        return [connection.ask(key) for key in keys]


def ask_all(connection: Connection, keys: Iterable[bytes]) -> list[bytes]:
    """Ask keys, one after the other, each after the reply of the one before.

    The C daemon takes a request that reaches it in two pieces for a protocol
    error, so that it cannot be asked faster than this.
    """
    return [connection.ask(key) for key in keys]
