"""Clients of the two interfaces that speak a question and an answer, written apart from our codecs."""

from __future__ import annotations

import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from tests.rigs.socketmap import TIMEOUT_S, request

DOMAIN = "example.org"
_CHUNK = 4096
# Seconds and microseconds, as SO_SNDTIMEO wants them.
_PATIENCE = struct.pack("ll", 60, 0)


class ClosedError(ConnectionError):
    """The server closed without a byte of an answer: Postfix would ask again on a new connection."""


class Interface(ABC):
    """One connection; `ask` sends one question and reads its answer to the end."""

    def __init__(self, path: str) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        # While the listener's queue is full, a socket with a timeout of Python's is refused at
        # once (EAGAIN), and one without waits as an MTA does; this is the longest that it may.
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        try:
            self._link.connect(path)
            self._link.settimeout(TIMEOUT_S)
        except OSError:
            self._link.close()
            raise

    @abstractmethod
    def question(self, recipient: bytes) -> bytes:
        """The question about `recipient` in this interface's protocol."""

    @abstractmethod
    def payload(self, received: bytes) -> bytes | None:
        """The answer in `received`, or None while it is not complete."""

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._link.sendall(data)

    def receive(self) -> bytes:
        """The answer.  Raises ClosedError, or ConnectionError for an answer that breaks off."""
        received = b""
        while True:
            data = self._link.recv(_CHUNK)
            if not data:
                if received:
                    raise ConnectionError(f"the answer broke off after {received!r}")
                raise ClosedError
            received += data
            answer = self.payload(received)
            if answer is not None:
                return answer

    def ask(self, recipient: bytes) -> bytes:
        """The answer about `recipient`."""
        self.send(self.question(recipient))
        return self.receive()

    def wait_closed(self) -> None:
        """Wait until the server closes; it has nothing more to say."""
        assert self._link.recv(_CHUNK) == b""

    def close(self) -> None:
        """Hang up."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class SocketmapInterface(Interface):
    """A client as Postfix' socketmap table."""

    def question(self, recipient: bytes) -> bytes:
        """A netstring."""
        return request(recipient)

    def payload(self, received: bytes) -> bytes | None:
        """The payload of one netstring."""
        digits, colon, rest = received.partition(b":")
        if not colon or len(rest) <= int(digits):
            return None
        assert len(rest) == int(digits) + 1, received
        assert rest.endswith(b","), received
        return rest[:-1]


class PolicyInterface(Interface):
    """A client as Postfix' smtpd."""

    def question(self, recipient: bytes) -> bytes:
        """The attributes at RCPT TO."""
        return (
            b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
            b"client_address=192.0.2.1\nsender=joe@sender.test\nrecipient=%b\n\n" % recipient
        )

    def payload(self, received: bytes) -> bytes | None:
        """The action."""
        if not received.endswith(b"\n\n"):
            return None
        assert received.startswith(b"action="), received
        assert received.count(b"\n\n") == 1, received
        return received[len(b"action=") : -2]


INTERFACES: Mapping[str, type[Interface]] = MappingProxyType(
    {"socketmap": SocketmapInterface, "policy": PolicyInterface}
)
