"""The milter protocol, the filter's side: packets of an MTA in, events out.

A packet is a length of four bytes, a command of one, and its data (Sendmail's
libmilter/mfdef.h; src/milter/milter8.c of Postfix).  The parser takes bytes in
any pieces and hands out events in order.  It promises that

- every split of the same bytes gives the same events and the same error;
- the cost is linear in the bytes, and what it holds of an unfinished packet
  is bounded by MAX_PACKET;
- after an error, and after the MTA's QUIT, nothing more is parsed.  The
  protocol has no reply that says "your fault": the server logs and disconnects.

Only what a filter of recipients needs is told apart: negotiation, client,
MAIL, RCPT and their macros, and the end of a mail.  Every other step is a
`MilterStep`, which the MTA sends only where it cannot be asked to leave it out, and
which is answered that the mail goes on.

Limits: versions before 2, which no MTA in use speaks, are refused.  What
libmilter silently ignores, a second negotiation and steps before the first
one, is an error here.
"""

from __future__ import annotations

import struct

from gateway.errors import ProtocolError
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# SMFI_PROT_VERSION and SMFI_PROT_VERSION_MIN.
VERSION = 6
OLDEST_VERSION = 2

# Bytes of a packet's command and data: MILTER_DATA_SIZE, and the command.  A body would come in
# pieces of as much; everything else is shorter.
MAX_PACKET = 65_536  # only a bound

# Bytes of the macros of one step; those behind are not read.  Postfix and Sendmail send some
# hundred at the steps that are looked at here.
MAX_MACROS = 4096  # only a bound

# Steps that a filter does not want (SMFIP_NO...); the MTA then does not send them.
NO_HELO = 0x2
NO_BODY = 0x10
NO_HEADERS = 0x20
NO_END_OF_HEADERS = 0x40
NO_UNKNOWN = 0x100
NO_DATA = 0x200
# Steps that get no reply (SMFIP_NR_...): the MTA need not wait for one.
NO_REPLY_CONNECT = 0x1000
NO_REPLY_MAIL = 0x4000

# Stages at which macros are sent (SMFIM_*).
AT_CONNECT = 0
AT_MAIL = 2
AT_RCPT = 3

_LENGTH = struct.Struct("!I")
_OPTIONS = struct.Struct("!III")
_PORT = struct.Struct("!H")
_PORT_END = 1 + _PORT.size  # behind the family
_HEAD = _LENGTH.size

# Bytes of something wrong that an error shows.
_SHOWN = 20  # only a bound


class Negotiation(Value):
    """The MTA's offer: its version, the changes and the steps that it knows."""

    __slots__ = ("actions", "steps", "version")
    actions: int
    steps: int
    version: int

    def __init__(self, version: int, actions: int, steps: int) -> None:
        self.actions = actions
        self.steps = steps
        self.version = version
        self._freeze()


class Macros(Value):
    """Macros for the step `command`, which are read when they are asked for."""

    __slots__ = ("command", "data")
    command: bytes
    data: bytes

    def __init__(self, command: bytes, data: bytes = b"") -> None:
        self.command = command
        self.data = data
        self._freeze()


class Client(Value):
    """A client has connected to the MTA.

    `address` is empty, and `port` None, where it has none (Unix, unknown).
    """

    __slots__ = ("address", "port")
    address: bytes
    port: int | None

    def __init__(self, address: bytes, port: int | None = None) -> None:
        self.address = address
        self.port = port
        self._freeze()


class Mail(Value):
    """MAIL FROM: its argument as it came, with brackets, and its parameters."""

    __slots__ = ("argument", "parameters")
    argument: bytes
    parameters: tuple[bytes, ...]

    def __init__(self, argument: bytes, parameters: tuple[bytes, ...] = ()) -> None:
        self.argument = argument
        self.parameters = parameters
        self._freeze()


class Recipient(Value):
    """RCPT TO: its argument as it came, with brackets."""

    __slots__ = ("argument",)
    argument: bytes

    def __init__(self, argument: bytes) -> None:
        self.argument = argument
        self._freeze()


class MilterStep(Value):
    """A step without anything that is needed; `command` is its letter."""

    __slots__ = ("command",)
    command: bytes

    def __init__(self, command: bytes) -> None:
        self.command = command
        self._freeze()


Event = Negotiation | Macros | Client | Mail | Recipient | MilterStep

# The mail ended early (RSET, a refusal, another MAIL); there is no reply.
ABORT = MilterStep(b"A")
# The mail is complete.
END_OF_MESSAGE = MilterStep(b"E")
# The client is gone, and another one follows on this connection; no reply.
NEXT_CLIENT = MilterStep(b"K")
# The MTA is going; no reply.
QUIT = MilterStep(b"Q")
# Steps that have no meaning here; the reply is that the mail goes on.
OTHERS = (
    MilterStep(b"H"),  # HELO
    MilterStep(b"T"),  # DATA
    MilterStep(b"L"),  # a header
    MilterStep(b"N"),  # the end of the headers
    MilterStep(b"B"),  # a piece of the body
    MilterStep(b"U"),  # a command that the MTA does not know
)


class MilterParser:
    """Turns the bytes of one connection into events.

    Call `feed` with whatever arrived and take the list it returns; look at
    `error` afterwards: where it is set, the peer broke the protocol behind
    those events and the parser is finished.  Call `end` when the peer has
    closed its side.
    """

    __slots__ = ("_buffer", "_decoders", "_need", "_over", "error")

    def __init__(self) -> None:
        self._buffer = bytearray()  # the unfinished packet
        # same with 1: nothing is left to be appended
        self._need = 0  # bytes that it must have before it is worth a look
        self._decoders = _OPENING
        self._over = False  # the MTA has taken its leave
        self.error: ProtocolError | None = None

    @property
    def idle(self) -> bool:
        """True between packets: nothing of an unfinished one is held."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        if self.error is not None or self._over:
            return events
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._need:
                return events
            data = bytes(self._buffer)
            self._buffer = bytearray()
        try:
            at = self._packets(data, events)
        except ProtocolError as error:
            self.error = error
            return events
        if at < len(data) and not self._over:  # same with or, <=: nothing is left to be appended
            self._buffer += data[at:]
        return events

    def end(self) -> None:
        """The peer sends no more: an unfinished packet is an error."""
        if self.error is None and not self.idle:
            self.error = ProtocolError("the connection ended within a packet")
            self._buffer = bytearray()

    def _packets(self, data: bytes, events: list[Event]) -> int:
        """Append the events of all whole packets of `data`; where the unfinished one begins."""
        at, end = 0, len(data)
        while end - at >= _HEAD:
            (length,) = _LENGTH.unpack_from(data, at)
            if not 0 < length <= MAX_PACKET:
                raise ProtocolError(
                    f"a packet of {length} bytes (its length is sent as"
                    f" {data[at : at + _HEAD]!r}); is that an MTA's milter client?"
                )
            begin = at + _HEAD
            stop = begin + length
            if stop > end:
                self._need = stop - at
                return at
            self._event(data[begin : begin + 1], data[begin + 1 : stop], events)
            at = stop
            if self._over:
                return end
        self._need = _HEAD
        return at

    def _event(self, command: bytes, data: bytes, events: list[Event]) -> None:
        decode = self._decoders.get(command)
        if decode is None:
            raise ProtocolError(self._misplaced(command))
        event = decode(data)
        if event is QUIT:
            self._over = True
        elif command == b"O":
            self._decoders = _NEGOTIATED
        events.append(event)

    def _misplaced(self, command: bytes) -> str:
        if command in _OPENING:
            return "a second negotiation"
        if command in _NEGOTIATED:
            return f"{command!r} before a negotiation"
        return f"the unknown command {command!r}"


def negotiated(version: int, steps: int, macros: Iterable[tuple[int, bytes]]) -> bytes:
    """The reply to an offer: no changes, these steps, and by stage the macros that are wanted.

    As libmilter does, the macros are said to every MTA; one that does not
    know of it reads no further than the steps.
    """
    wanted = b"".join(_LENGTH.pack(stage) + names + b"\0" for stage, names in macros)
    return packet(b"O", _OPTIONS.pack(version, 0, steps) + wanted)


def packet(command: bytes, data: bytes = b"") -> bytes:
    """One packet, as either side sends it."""
    return _LENGTH.pack(len(data) + 1) + command + data


# The reply that the mail goes on, and the one that defers in the MTA's own words.
CONTINUE = packet(b"c")
DEFER = packet(b"t")


def refusal(line: bytes) -> bytes:
    """The reply that refuses a step with this SMTP reply, one line without its end.

    The MTA takes two percent signs for one (libmilter/docs/smfi_setreply.html).
    """
    return packet(b"y", line.replace(b"%", b"%%") + b"\0")


def _negotiation(data: bytes) -> Negotiation:
    if len(data) < _OPTIONS.size:
        raise ProtocolError(f"a negotiation of {len(data)} bytes")
    version, actions, steps = _OPTIONS.unpack_from(data)
    if version < OLDEST_VERSION:
        raise ProtocolError(f"version {version} of the protocol; {OLDEST_VERSION} is the oldest")
    return Negotiation(version, actions, steps)


def _macros(data: bytes) -> Macros:
    if not data:
        raise ProtocolError("macros for no step")
    return Macros(data[:1], data[1 : 1 + MAX_MACROS])


def _client(data: bytes) -> Client:
    """Host name, NUL, family, and for all but `U` a port of two bytes and the address."""
    _, nul, rest = data.partition(b"\0")
    family, address = rest[:1], rest[3:].partition(b"\0")[0]
    if not nul or family not in _FAMILIES or (family != b"U" and len(rest) < _PORT_END):
        raise ProtocolError(f"a client of the unknown kind {rest[:1]!r}")
    if not _FAMILIES[family]:
        return Client(b"")
    (port,) = _PORT.unpack_from(rest, 1)
    return Client(plain_address(address), port)


def plain_address(text: bytes) -> bytes:
    """A client's address without what Sendmail writes before an IPv6 one."""
    return text[len(_IPV6) :] if text[: len(_IPV6)].lower() == _IPV6 else text


# Whether clients of a family have an address: IPv4, IPv6, Unix, unknown (SMFIA_*).
_FAMILIES = {b"4": True, b"6": True, b"L": False, b"U": False}
# RFC 5321, 4.1.3: the tag of an IPv6 literal.
_IPV6 = b"ipv6:"


def _words(data: bytes, step: str) -> list[bytes]:
    if data[-1:] != b"\0":
        raise ProtocolError(f"{step} without an end: {data[:_SHOWN]!r}")
    return data[:-1].split(b"\0")


def _mail(data: bytes) -> Mail:
    argument, *parameters = _words(data, "MAIL")
    return Mail(argument, tuple(parameters))


def _recipient(data: bytes) -> Recipient:
    return Recipient(_words(data, "RCPT")[0])


def _always(step: MilterStep) -> Callable[[bytes], MilterStep]:
    return lambda _data: step


# What may come first, and what may come later.
_OPENING: dict[bytes, Callable[[bytes], Event]] = {b"O": _negotiation, b"D": _macros}
_NEGOTIATED: dict[bytes, Callable[[bytes], Event]] = {
    b"D": _macros,
    b"C": _client,
    b"M": _mail,
    b"R": _recipient,
    **{step.command: _always(step) for step in (ABORT, END_OF_MESSAGE, NEXT_CLIENT, QUIT, *OTHERS)},
}
