"""The MTA's side of the milter protocol, version 6, written apart from libmilter.

    with MilterClient(path) as mta:
        mta.connect(b"client.test", b"192.0.2.1")
        mta.mail(b"<joe@example.com>", b"SIZE=1000", macros={b"i": b"queue-id"})
        assert mta.rcpt(b"<fred@example.org>") == CONTINUE

It keeps what was negotiated: a step that the milter does not want is not
sent, and one to which it gives no reply is not waited for (Sendmail's
libmilter/mfdef.h, and milter8.c of Postfix).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Self

TIMEOUT_S = 30.0
VERSION = 6
ALL_ACTIONS = 0x1FF
# Every step that a client of version 6 knows to leave out or to do without a reply.
ALL_STEPS = 0x1FFFFF

# SMFIP_*: the milter does not want the step / gives no reply to it.
NO_CONNECT, NO_HELO, NO_MAIL, NO_RCPT = 0x1, 0x2, 0x4, 0x8
NR_CONNECT, NR_HELO, NR_MAIL, NR_RCPT = 0x1000, 0x2000, 0x4000, 0x8000

CONTINUE = b"continue"
_WORDS = {b"c": CONTINUE, b"a": b"accept", b"r": b"reject", b"t": b"tempfail", b"d": b"discard"}
_REPLY = b"y"
_PROGRESS = b"p"
_LONGEST_PACKET = 1_000_000


class MilterError(AssertionError):
    """The milter closed the connection, or said something that this client does not know."""


class MilterClient:
    """One MTA's connection to a milter, already negotiated.

    `steps` is what the milter asked for, `wanted` the macros it asked for, by
    stage (0 connect, 1 HELO, 2 MAIL, 3 RCPT).
    """

    def __init__(self, path: str, *, steps: int = ALL_STEPS) -> None:
        """Connect to the Unix socket at `path` and negotiate, offering `steps`."""
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(TIMEOUT_S)
        self._buffer = b""
        self.wanted: dict[int, bytes] = {}
        try:
            self._link.connect(path)
            self.send(b"O", struct.pack("!III", VERSION, ALL_ACTIONS, steps))
            command, data = self.receive()
            if command != b"O":
                raise MilterError(f"no negotiation but {command!r} {data!r}")
        except (OSError, MilterError):
            self._link.close()
            raise
        self.version, self.actions, self.steps = struct.unpack_from("!III", data)
        rest = data[12:]
        while rest:
            (stage,) = struct.unpack_from("!I", rest)
            macros, _, rest = rest[4:].partition(b"\0")
            self.wanted[stage] = macros

    # --- steps ----------------------------------------------------------------------------

    def connect(
        self,
        host: bytes = b"client.test",
        address: bytes | None = b"192.0.2.1",
        *,
        family: bytes = b"4",
        port: int = 4711,
        macros: Mapping[bytes, bytes] | None = None,
    ) -> bytes:
        """A client: `family` is `4`, `6`, `L` (Unix, `address` is a path) or `U` (unknown)."""
        data = host + b"\0" + family
        if address is not None:
            data += struct.pack("!H", port) + address + b"\0"
        return self._step(b"C", data, NO_CONNECT, NR_CONNECT, macros)

    def helo(self, name: bytes = b"client.test") -> bytes:
        """HELO or EHLO."""
        return self._step(b"H", name + b"\0", NO_HELO, NR_HELO, None)

    def mail(
        self,
        argument: bytes = b"<joe@sender.test>",
        *parameters: bytes,
        macros: Mapping[bytes, bytes] | None = None,
    ) -> bytes:
        """MAIL FROM with its parameters, such as b"SIZE=1000"."""
        return self._step(b"M", _strings(argument, *parameters), NO_MAIL, NR_MAIL, macros)

    def rcpt(
        self,
        argument: bytes,
        *parameters: bytes,
        macros: Mapping[bytes, bytes] | None = None,
    ) -> bytes:
        """RCPT TO; the answer is `CONTINUE`, another word, or the SMTP reply's line."""
        return self._step(b"R", _strings(argument, *parameters), NO_RCPT, NR_RCPT, macros)

    def message(self) -> bytes:
        """An empty message and its end."""
        self.send(b"E", b"")
        return self._answer()

    def abort(self) -> None:
        """RSET, or a mail that ended early; there is no answer."""
        self.send(b"A", b"")

    def next_client(self) -> None:
        """The client has gone, another one follows on this connection (SMFIC_QUIT_NC)."""
        self.send(b"K", b"")

    def _step(
        self,
        command: bytes,
        data: bytes,
        unwanted: int,
        silent: int,
        macros: Mapping[bytes, bytes] | None,
    ) -> bytes:
        if self.steps & unwanted:
            return CONTINUE
        pairs = [word for pair in (macros or {}).items() for word in pair]
        self.send(b"D", command + (_strings(*pairs) if pairs else b""))
        self.send(command, data)
        return CONTINUE if self.steps & silent else self._answer()

    def _answer(self) -> bytes:
        command, data = self.receive()
        while command == _PROGRESS:
            command, data = self.receive()
        if command == _REPLY:
            return data.removesuffix(b"\0")
        if command not in _WORDS:
            raise MilterError(f"unknown answer {command!r} {data!r}")
        return _WORDS[command]

    # --- packets --------------------------------------------------------------------------

    def send(self, command: bytes, data: bytes) -> None:
        """Send one packet."""
        self.send_raw(struct.pack("!I", len(data) + 1) + command + data)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._link.sendall(data)

    def receive(self) -> tuple[bytes, bytes]:
        """The next packet: command and data.  Raises `MilterError` at the end."""
        (length,) = struct.unpack("!I", self._exactly(4))
        if not 0 < length < _LONGEST_PACKET:
            raise MilterError(f"a packet of {length} bytes")
        packet = self._exactly(length)
        return packet[:1], packet[1:]

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self._link.recv(65536)
            if not data:
                raise MilterError(f"the milter has closed the connection after {self._buffer!r}")
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def fileno(self) -> int:
        """The socket's descriptor, for who waits for several clients at once."""
        return self._link.fileno()

    def close(self) -> None:
        """Close without a word."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.send(b"Q", b"")
        except OSError:
            # A milter that has gone needs no farewell.
            pass
        finally:
            self.close()


def _strings(*words: bytes) -> bytes:
    return b"".join(word + b"\0" for word in words)
