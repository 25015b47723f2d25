"""Asks another smmapd about a recipient: one question, one validated reply.

A question is one connection: connect, ask, read one netstring, close, all
within one deadline.  The peer is the C `smmapd` or ours.  Nothing of the
reply is believed before the whole netstring is there, is no longer than
MAX_REPLY, and starts with one of the protocol's status words; anything else
is an UpstreamError that names the server.  Limits: no connection is kept.
"""

from __future__ import annotations

import time

from gateway.errors import UpstreamError
from gateway.protocols.socketmap import encode
from gateway.values import Value

# The port the C program asks at (imap/smmapd.c).
DEFAULT_PORT = 12345

# Seconds for the whole question, connect included: well inside the 100 s that
# Postfix gives a socketmap, and short enough not to hold up a queue.
DEFAULT_DEADLINE = 5.0

# Bytes of a reply; the longest that a smmapd sends is a deny message of 4 KiB
# or an echoed key of 10 KiB.
MAX_REPLY = 16_384

STATUSES = (b"OK", b"NOTFOUND", b"TEMP", b"TIMEOUT", b"PERM")


class Answer(Value):
    """What the backend said: one of STATUSES, and the text behind it."""

    __slots__ = ("status", "text")
    status: bytes
    text: bytes

    def __init__(self, status: bytes, text: bytes) -> None:
        self._freeze(status, text)


def parse_reply(server: str, reply: bytes) -> Answer | None:
    """The answer in `reply`, or None while it is a proper beginning of one.

    Raises UpstreamError for bytes that no reply begins with.
    """
    digits, colon, rest = reply.partition(b":")
    if not digits.isdigit() and (digits or colon):
        raise UpstreamError(server, f"the reply is no netstring: {reply[:40]!r}")
    if len(digits) > len(str(MAX_REPLY)) or (digits and int(digits) > MAX_REPLY):
        raise UpstreamError(server, f"the reply is longer than {MAX_REPLY} bytes")
    if not colon or len(rest) <= int(digits):
        return None
    length = int(digits)
    if len(rest) != length + 1 or rest[length:] != b",":
        raise UpstreamError(server, f"the reply does not end where it should: {reply[-40:]!r}")
    status, _, text = rest[:length].partition(b" ")
    if status not in STATUSES:
        raise UpstreamError(server, f"unknown status {status[:40]!r} in the reply")
    return Answer(status, text)


class SocketmapBackend:
    """Asks backends over TCP, IPv6 and IPv4, at one configured port.

    `deadline` is in seconds for one question; `map_name` is what stands
    before the key (every smmapd ignores it).
    """

    __slots__ = ("deadline", "map_name", "port")

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        deadline: float = DEFAULT_DEADLINE,
        map_name: bytes = b"cyrus",
    ) -> None:
        self.port = port
        self.deadline = deadline
        self.map_name = map_name

    def ask(self, server: str, recipient: bytes) -> Answer:
        """What `server` (a host name or address) says of `recipient`.

        Blocks up to the deadline.  Raises UpstreamError, which names the
        server and what went wrong.
        """
        # Not at the top: a start without remote mailboxes does not pay for it.
        import socket  # noqa: PLC0415

        until = time.monotonic() + self.deadline
        try:
            with socket.create_connection((server, self.port), timeout=self.deadline) as peer:
                peer.sendall(encode(b"%b %b" % (self.map_name, recipient)))
                reply = b""
                while True:
                    peer.settimeout(max(0.001, until - time.monotonic()))
                    piece = peer.recv(4096)
                    if not piece:
                        raise UpstreamError(server, "it closed the connection before a whole reply")
                    reply += piece
                    answer = parse_reply(server, reply)
                    if answer is not None:
                        return answer
        except UnicodeError as error:
            raise UpstreamError(server, "this is no host name") from error
        except TimeoutError as error:
            raise UpstreamError(server, f"no reply within {self.deadline:g} s") from error
        except OSError as error:
            problem = error.strerror or str(error)
            raise UpstreamError(server, f"cannot ask at port {self.port}: {problem}") from error
