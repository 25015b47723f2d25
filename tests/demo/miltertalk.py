"""The milter protocol from the MTA's side, as far as asking about recipients needs it.

Packets are a length of four bytes, a letter and data (libmilter/mfdef.h).
`Packets` takes bytes in any pieces and knows no socket; `Talk` asks.  Limits:
version 6, no headers and no body, an IPv4 client.
"""

from __future__ import annotations

import socket
import struct
from typing import Self

TIMEOUT_S = 30.0
VERSION = 6
# Everything that an MTA can offer: actions (SMFIF_*) and steps (SMFIP_*).
ACTIONS = 0x1FF
STEPS = 0x1FFFFF
# More than any reply of a milter has (libmilter's MILTER_MAX_DATA_SIZE).
MAX_PACKET = 65_536

# Letter of the command: the step that is not wanted, and the one without a reply.
_STEPS = {b"C": (0x01, 0x1000), b"M": (0x04, 0x4000), b"R": (0x08, 0x8000)}

CONTINUE = "250"
_REPLIES = {b"c": CONTINUE, b"a": CONTINUE, b"t": "451 4.7.1", b"r": "550 5.7.1"}


class MilterError(AssertionError):
    """The milter sent what its protocol does not know, or closed."""


def packet(letter: bytes, data: bytes = b"") -> bytes:
    """One packet."""
    return struct.pack(">I", 1 + len(data)) + letter + data


def words(*each: bytes) -> bytes:
    """Words as the protocol has them, each with a NUL behind it."""
    return b"".join(word + b"\0" for word in each)


class Packets:
    """Bytes in, packets (letter and data) out."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._held += data

    def next(self) -> tuple[bytes, bytes] | None:
        """The next whole packet, or None.  Raises `MilterError` for one that is none."""
        if len(self._held) < 4:
            return None
        (length,) = struct.unpack_from(">I", self._held)
        if not 1 <= length <= MAX_PACKET:
            raise MilterError(f"a packet of {length} bytes")
        if len(self._held) < 4 + length:
            return None
        body, self._held = self._held[4 : 4 + length], self._held[4 + length :]
        return body[:1], body[1:]


class Talk:
    """One connection to a milter, as of one SMTP client."""

    def __init__(self, path: str, client: str = "192.0.2.1") -> None:
        self._packets = Packets()
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(TIMEOUT_S)
        try:
            self._link.connect(path)
            self._steps = self._negotiate()
            self._say(b"C", b"client.example\x004" + struct.pack(">H", 25) + words(client.encode()))
        except BaseException:
            self._link.close()
            raise

    def ask(self, recipient: bytes, size: int | None = None) -> str:
        """What the SMTP client hears of RCPT TO:<recipient> in a mail of that size, in bytes."""
        parameters = [] if size is None else [b"SIZE=%d" % size]
        self._say(b"M", words(b"<sender@client.example>", *parameters))
        reply = self._say(b"R", words(b"<" + recipient + b">"))
        self._link.sendall(packet(b"A"))
        return reply

    def close(self) -> None:
        """Take leave."""
        try:
            self._link.sendall(packet(b"Q"))
        finally:
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _negotiate(self) -> int:
        self._link.sendall(packet(b"O", struct.pack(">III", VERSION, ACTIONS, STEPS)))
        letter, data = self._receive()
        if letter != b"O" or len(data) < 12:
            raise MilterError(f"{letter!r} instead of options")
        _version, _actions, steps = struct.unpack_from(">III", data)
        return int(steps)

    def _say(self, letter: bytes, data: bytes) -> str:
        unwanted, silent = _STEPS[letter]
        if self._steps & unwanted:
            return CONTINUE
        self._link.sendall(packet(letter, data))
        if self._steps & silent:
            return CONTINUE
        answer, text = self._receive()
        if answer == b"y":
            return text.rstrip(b"\0").decode(errors="replace")
        if answer not in _REPLIES:
            raise MilterError(f"reply {answer!r} to {letter!r}")
        return _REPLIES[answer]

    def _receive(self) -> tuple[bytes, bytes]:
        while True:
            found = self._packets.next()
            if found is not None:
                return found
            data = self._link.recv(65536)
            if not data:
                raise MilterError("the milter has closed the connection")
            self._packets.feed(data)
