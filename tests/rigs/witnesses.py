"""Clients of all three interfaces of a whole gateway, for those who mean well and those who do not.

`Witness` is who came before and must be answered; `link` is a bare connection
for everybody else, to a Unix socket or a TCP port.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType

from tests.rigs.clients import ClosedError, Interface, PolicyInterface, SocketmapInterface
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import ALL_ACTIONS, ALL_STEPS, NR_MAIL, VERSION

FRED, NOBODY = b"fred@example.org", b"nobody@example.org"

# The process that serves each interface.
PROCESS = MappingProxyType({"socketmap": "core", "policy": "core", "milter": "milter"})

# A Unix socket's path, or (host, port).
Address = str | tuple[str, int]

_LENGTH = struct.Struct("!I")


def packet(command: bytes, data: bytes = b"") -> bytes:
    """One packet of the milter protocol."""
    return _LENGTH.pack(len(data) + 1) + command + data


NEGOTIATION = packet(b"O", struct.pack("!III", VERSION, ALL_ACTIONS, ALL_STEPS))
MAIL = packet(b"M", b"<joe@sender.test>\0")


class MilterInterface(Interface):
    """A client as an MTA in the middle of a mail, that asks about one recipient after the other."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            self.send(NEGOTIATION)
            steps = struct.unpack_from("!III", self.receive(), 1)[2]
            assert steps & NR_MAIL, "MAIL would be answered, too"
            self.send(MAIL)
        except BaseException:
            self.close()
            raise

    def question(self, recipient: bytes) -> bytes:
        """RCPT TO."""
        return packet(b"R", b"<%b>\0" % recipient)

    def payload(self, received: bytes) -> bytes | None:
        """The answer's command and data."""
        if len(received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(received)
        rest = received[_LENGTH.size :]
        assert len(rest) <= length, received
        return rest if len(rest) == length else None


INTERFACES: Mapping[str, type[Interface]] = MappingProxyType(
    {"socketmap": SocketmapInterface, "policy": PolicyInterface, "milter": MilterInterface}
)

# What a client of each interface says before its first question.
GREETINGS: Mapping[str, bytes] = MappingProxyType(
    {"socketmap": b"", "policy": b"", "milter": NEGOTIATION + MAIL}
)


def link(
    address: Address, *, receive_buffer: int = 0, timeout: float | None = 60.0
) -> socket.socket:
    """A connection; `receive_buffer` bytes of what the server sends are kept by the kernel."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    made = socket.socket(family)
    made.settimeout(timeout)
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        made.connect(address)
    except OSError:
        made.close()
        raise
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Witness:
    """A client of one interface that means well; it comes again when the server has closed, as MTAs do."""

    def __init__(self, managed: ManagedGateway, interface: str) -> None:
        self._kind, self._path = INTERFACES[interface], managed.path(interface)
        self._interface = self._open()

    def _open(self) -> Interface:
        return self._kind(self._path)

    def ask(self, recipient: bytes) -> bytes:
        """The answer."""
        try:
            return self._interface.ask(recipient)
        except (ClosedError, BrokenPipeError, ConnectionResetError):
            self._interface.close()
            self._interface = self._open()
            return self._interface.ask(recipient)

    def answers(self) -> tuple[bytes, bytes]:
        """What is said of a good recipient and of one that is not there."""
        return self.ask(FRED), self.ask(NOBODY)

    def close(self) -> None:
        """Hang up."""
        self._interface.close()
