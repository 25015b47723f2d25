"""Asks another smmapd about recipients: the C program, or one of ours.

Nothing of a reply is believed before the whole netstring is there, is no
longer than MAX_REPLY, starts with one of the protocol's status words and, for
OK, repeats the recipient that was asked about; anything else is an
UpstreamError that names the server, and the connection is not used again.

A question tells how often it has been passed on, in the map name, which every
smmapd ignores: `cyrus;hop=1 fred`.  Ours looks at it (socketmap_session.py),
so that servers that take each other for the holder of a mailbox notice it.

A question that is too long for the C program is not asked, and one that the
server calls malformed is not a failure of the server: a client that sends such
recipients must not have everybody else's questions held back.
"""

from __future__ import annotations

import math
import time

from gateway.errors import UpstreamError
from gateway.protocols.socketmap import encode, with_hops
from gateway.upstream.connection import NotTaken
from gateway.upstream.pool import MAX_IDLE, Pool
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.upstream.connection import Dialer, UpstreamConnection

# The port that the C program asks at (imap/smmapd.c).
DEFAULT_PORT = 12345

# Seconds for the whole question, connecting included: well inside the 100 s
# that Postfix gives a socketmap, and short enough not to hold up a queue.
DEFAULT_DEADLINE = 5.0

# Bytes of a reply; the longest that a smmapd sends is a deny message of 4 KiB
# or an echoed key of 10 KiB.
MAX_REPLY = 16_384  # only a bound

# Bytes of something wrong that an error shows.
_SHOWN = 80  # only a bound

# Bytes of a question, map name and blank included.  The C program reads it into
# a buffer of that size whatever its length (imap/smmapd.c, MAXREQUEST), and
# dies of a longer one; no address that a mail server accepts is half as long.
MAX_REQUEST = 1024

STATUSES = (b"OK", b"NOTFOUND", b"TEMP", b"TIMEOUT", b"PERM")

# Those that refuse a recipient permanently.
_REFUSALS = (b"NOTFOUND", b"PERM")

# A complaint about our request is not an answer about the recipient.
_BAD_PROTOCOL = b"Bad protocol"

# What comes before the recipient, with the hops behind it.
MAP_NAME = b"cyrus"

# How often a question may be passed on: frontend, the backend that a mailbox
# has just left, the one that has it now, and one for a gateway in front.
MAX_HOPS = 4  # only a bound


class SocketmapAnswer(Value):
    """What the server said: one of STATUSES, and the text behind it."""

    __slots__ = ("status", "text")
    status: bytes
    text: bytes

    def __init__(self, status: bytes, text: bytes) -> None:
        self.status = status
        self.text = text
        self._freeze()


def parse_reply(server: str, reply: bytes) -> SocketmapAnswer | None:
    """The answer in `reply`, or None while it is a proper beginning of one.

    Raises UpstreamError for bytes that no reply begins with.
    """
    digits, colon, rest = reply.partition(b":")
    if not digits.isdigit() and (digits or colon):
        raise UpstreamError(server, f"the reply is not a netstring: {reply[:_SHOWN]!r}")
    if len(digits) > len(str(MAX_REPLY)) or (digits and int(digits) > MAX_REPLY):
        raise UpstreamError(server, f"the reply is longer than {MAX_REPLY} bytes")
    if not colon or len(rest) <= int(digits):
        return None
    length = int(digits)
    if len(rest) != length + 1 or rest[length:] != b",":
        raise UpstreamError(server, f"the reply does not end where it should: {reply[-_SHOWN:]!r}")
    status, _, text = rest[:length].partition(b" ")
    if status not in STATUSES:
        raise UpstreamError(server, f"unknown status {status[:_SHOWN]!r} in the reply")
    return SocketmapAnswer(status, text)


def receive_reply(link: UpstreamConnection, until: float) -> SocketmapAnswer:
    """The answer that comes over `link` before `until` (time.monotonic); raises UpstreamError."""
    reply = link.receive(until)
    answer = parse_reply(link.server, reply)
    while answer is None:
        reply += link.receive(until)
        answer = parse_reply(link.server, reply)
    return answer


class SocketmapClient:
    """Asks one server; threads may share it.  `deadline` is in seconds for a question."""

    __slots__ = ("deadline", "pool")

    def __init__(
        self, dialer: Dialer, *, deadline: float = DEFAULT_DEADLINE, max_idle: int = MAX_IDLE
    ) -> None:
        self.deadline = deadline
        self.pool = Pool(dialer.server, dialer.open, max_idle)

    def ask(self, recipient: bytes, *, hop: int = 1, until: float = math.inf) -> SocketmapAnswer:
        """What the server says of `recipient`, asked for the `hop`th time.

        Blocks up to the deadline, and never beyond `until`.  Raises
        UpstreamError.
        """
        server = self.pool.server
        last = min(until, time.monotonic() + self.deadline)
        question = with_hops(MAP_NAME, hop) + b" " + recipient
        if len(question) > MAX_REQUEST:
            raise NotTaken(server, f"not asked: more than {MAX_REQUEST} bytes may kill a smmapd")
        request = encode(question)

        def talk(link: UpstreamConnection) -> SocketmapAnswer:
            link.send(request, last)
            answer = receive_reply(link, last)
            _check(server, answer, recipient)
            return answer

        return self.pool.call(talk, last, _is_final)


def _is_final(answer: SocketmapAnswer) -> bool:
    return answer.status in _REFUSALS


def _check(server: str, answer: SocketmapAnswer, recipient: bytes) -> None:
    """Raise UpstreamError where `answer` is none to a question about `recipient`."""
    if answer.text.startswith(_BAD_PROTOCOL):
        raise NotTaken(server, f"it calls our request {answer.text[:_SHOWN]!r}")
    # The C program's keys end at a NUL.
    if answer.status == b"OK" and answer.text not in (recipient, recipient.partition(b"\0")[0]):
        raise UpstreamError(server, f"it answers another question: OK {answer.text[:_SHOWN]!r}")
