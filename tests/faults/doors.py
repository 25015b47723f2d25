"""Clients of all three doors of a whole gateway, for those who mean well and those who do not.

`Witness` is who came before and must be answered; `link` is a bare connection
for everybody else, to a Unix socket or a TCP port.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType

from tests.life.doors import ClosedError, Door, PolicyDoor, SocketmapDoor
from tests.life.running import Life
from tests.rigs.milter import ALL_ACTIONS, ALL_STEPS, NR_MAIL, VERSION

FRED, NOBODY = b"fred@example.org", b"nobody@example.org"

# The process that serves each door.
PROCESS = MappingProxyType({"socketmap": "core", "policy": "core", "milter": "milter"})

# A Unix socket's path, or (host, port).
Address = str | tuple[str, int]

_LENGTH = struct.Struct("!I")


def packet(command: bytes, data: bytes = b"") -> bytes:
    """One packet of the milter protocol."""
    return _LENGTH.pack(len(data) + 1) + command + data


NEGOTIATION = packet(b"O", struct.pack("!III", VERSION, ALL_ACTIONS, ALL_STEPS))
MAIL = packet(b"M", b"<joe@sender.test>\0")


class MilterDoor(Door):
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


DOORS: Mapping[str, type[Door]] = MappingProxyType(
    {"socketmap": SocketmapDoor, "policy": PolicyDoor, "milter": MilterDoor}
)

# What a client of each door says before its first question.
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
    """A client of one door that means well; it comes again when the server has closed, as MTAs do."""

    def __init__(self, life: Life, door: str) -> None:
        self._kind, self._path = DOORS[door], life.path(door)
        self._door = self._open()

    def _open(self) -> Door:
        return self._kind(self._path)

    def ask(self, recipient: bytes) -> bytes:
        """The answer."""
        try:
            return self._door.ask(recipient)
        except (ClosedError, BrokenPipeError, ConnectionResetError):
            self._door.close()
            self._door = self._open()
            return self._door.ask(recipient)

    def answers(self) -> tuple[bytes, bytes]:
        """What is said of a good recipient and of one that is not there."""
        return self.ask(FRED), self.ask(NOBODY)

    def close(self) -> None:
        """Hang up."""
        self._door.close()
