"""The MTA's side of one question at each front end: what an MTA would hear of a recipient.

There is a function for each front end; it is given an open connection, the
inquiry and the moment (of time.monotonic) at which all must be over, and
gives `Heard`: what the answer means for the recipient, and its words as they
came.  A peer that says something else than its protocol allows, or nothing, is
an UpstreamError that names it.

Limits: one question a connection, and no TLS of the SMTP client's, no SASL,
no HELO: what [scope] makes of those is asked of `explain`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gateway.errors import UpstreamError
from gateway.frontends.inquiry import Heard, Means
from gateway.protocols import milter as packets
from gateway.protocols.policy import RCPT, REQUEST
from gateway.protocols.socketmap import encode
from gateway.upstream.socketmapclient import receive_reply

if TYPE_CHECKING:
    from gateway.frontends.inquiry import Inquiry
    from gateway.upstream.connection import UpstreamConnection

# Bytes of an answer; each protocol's own are far shorter.
_LONGEST_ANSWER = 100_000
# The name of the map: any is answered (socketmap(5) of Sendmail, smmapd(8)).
_MAP_NAME = b"smmapd"
# What log lines of the gateway show of the client.
INSTANCE = b"smmapd-gateway-ask"


# --- socketmap ----------------------------------------------------------------------------

_STATUS = {
    b"OK": Means.ACCEPTED,
    b"NOTFOUND": Means.REFUSED,
    b"PERM": Means.REFUSED,
    b"TEMP": Means.DEFERRED,
    b"TIMEOUT": Means.DEFERRED,
}


def socketmap(link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
    """What the socketmap front end at the other end of `link` says; raises UpstreamError."""
    link.send(encode(_MAP_NAME + b" " + inquiry.recipient), until)
    answer = receive_reply(link, until)
    return Heard(_STATUS[answer.status], answer.status + b" " + answer.text)


# --- Postfix policy -----------------------------------------------------------------------

_ACTION = b"action="


def policy(link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
    """What the policy front end at the other end of `link` says; raises UpstreamError."""
    attributes = {
        b"request": REQUEST,
        b"protocol_state": RCPT,
        b"protocol_name": b"ESMTP",
        b"sender": inquiry.sender or b"",
        b"recipient": inquiry.recipient,
        b"client_address": inquiry.client,
        b"size": b"%d" % (inquiry.size or 0),
        b"instance": INSTANCE,
    }
    for name, value in attributes.items():
        if b"\n" in value:
            raise UpstreamError(link.server, f"not asked: a line end in {name.decode()}")
    link.send(b"".join(b"%b=%b\n" % pair for pair in attributes.items()) + b"\n", until)
    received = b""
    while not received.endswith(b"\n\n"):
        received += link.receive(until)
        if len(received) > _LONGEST_ANSWER:
            raise UpstreamError(link.server, f"an answer of more than {_LONGEST_ANSWER} bytes")
    if not received.startswith(_ACTION):
        raise UpstreamError(link.server, f"not a policy service: it says {received[:40]!r}")
    action = received.removeprefix(_ACTION).rstrip(b"\n")
    return Heard(_action(action.partition(b" ")[0].upper()), action)


def _action(word: bytes) -> Means:
    """What Postfix does with an action (access(5))."""
    if word[:1] == b"5" or word == b"REJECT":
        return Means.REFUSED
    if word[:1] == b"4" or word.startswith(b"DEFER"):
        return Means.DEFERRED
    return Means.ACCEPTED


# --- milter -------------------------------------------------------------------------------

# Sendmail's libmilter/mfdef.h: all steps that the protocol has, and of those the bits that say
# "not wanted" and "no reply comes".
_ALL_STEPS = 0x1FFFFF
_STEPS = {
    b"C": (0x1, packets.NO_REPLY_CONNECT),
    b"M": (0x4, packets.NO_REPLY_MAIL),
    b"R": (0x8, 0x8000),
}
_OFFER = struct.Struct("!III")
_LENGTH = struct.Struct("!I")
_MEANS = {
    b"c": Means.ACCEPTED,
    b"a": Means.ACCEPTED,
    b"r": Means.REFUSED,
    b"t": Means.DEFERRED,
    b"d": Means.REFUSED,
}
_WORDS = {b"c": b"continue", b"a": b"accept", b"r": b"reject", b"t": b"tempfail", b"d": b"discard"}
_PROGRESS, _REPLY, _NEGOTIATE = b"p", b"y", b"O"


class _Milter:
    """Packets over a connection, after the negotiation."""

    def __init__(self, link: UpstreamConnection, until: float) -> None:
        self._link = link
        self._until = until
        self._received = b""
        self._steps = 0
        self._send(_NEGOTIATE, _OFFER.pack(packets.VERSION, 0, _ALL_STEPS))
        command, data = self._packet()
        if command != _NEGOTIATE or len(data) < _OFFER.size:
            raise UpstreamError(link.server, f"not a milter: it says {command + data[:40]!r}")
        self._steps = _OFFER.unpack_from(data)[2]

    def step(self, command: bytes, data: bytes, macros: dict[bytes, bytes]) -> Heard | None:
        """What the milter says to one step; None where it does not look at it or says nothing."""
        unwanted, no_reply = _STEPS[command]
        if self._steps & unwanted:
            return None
        pairs = b"".join(name + b"\0" + value + b"\0" for name, value in macros.items() if value)
        self._send(b"D", command + pairs)
        self._send(command, data)
        if self._steps & no_reply:
            return None
        word, said = self._packet()
        while word == _PROGRESS:
            word, said = self._packet()
        if word == _REPLY:
            line = said.rstrip(b"\0")
            return Heard(Means.REFUSED if line[:1] == b"5" else Means.DEFERRED, line)
        if word not in _MEANS:
            raise UpstreamError(self._link.server, f"unknown answer {word + said[:40]!r}")
        return Heard(_MEANS[word], _WORDS[word])

    def leave(self) -> None:
        """Say goodbye; there is no answer."""
        self._send(b"Q")

    def _send(self, command: bytes, data: bytes = b"") -> None:
        self._link.send(packets.packet(command, data), self._until)

    def _packet(self) -> tuple[bytes, bytes]:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if not 0 < length <= _LONGEST_ANSWER:
            raise UpstreamError(self._link.server, f"not a milter: a packet of {length} bytes")
        packet = self._exactly(length)
        return packet[:1], packet[1:]

    def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._received += self._link.receive(self._until)
        taken, self._received = self._received[:count], self._received[count:]
        return taken


def milter(link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
    """What the milter front end at the other end of `link` says; raises UpstreamError."""
    peer = _Milter(link, until)
    steps: list[tuple[bytes, bytes, dict[bytes, bytes]]] = [
        (b"C", _client(inquiry.client), {b"j": INSTANCE, b"{daemon_name}": INSTANCE}),
        (b"M", _mail(inquiry), {b"i": INSTANCE}),
        (b"R", b"<%b>\0" % inquiry.recipient, {b"{rcpt_mailer}": inquiry.mailer}),
    ]
    heard = Heard(Means.ACCEPTED, _WORDS[b"c"])
    for command, data, macros in steps:
        said = peer.step(command, data, macros)
        if said is not None:
            heard = said
            if said.answer != _WORDS[b"c"]:
                break
    peer.leave()
    return heard


def _client(address: bytes) -> bytes:
    """SMFIC_CONNECT: a name, and the address with a port, or that it is unknown."""
    if not address:
        return INSTANCE + b"\0U"
    family, written = (b"6", b"IPv6:" + address) if b":" in address else (b"4", address)
    return INSTANCE + b"\0" + family + struct.pack("!H", 25) + written + b"\0"


def _mail(inquiry: Inquiry) -> bytes:
    words = [b"<%b>" % (inquiry.sender or b"")]
    if inquiry.size is not None:
        words.append(b"SIZE=%d" % inquiry.size)
    return b"".join(word + b"\0" for word in words)
