"""Postfix SMTP access policy delegation, server side: attributes in, requests out.

A request is lines of `name=value`, ended by an empty line; the reply is one
`action=...` line and an empty line (Postfix SMTPD_POLICY_README).  The parser
takes bytes in any pieces and hands out whole requests in order.  It promises
that

- every split of the same bytes gives the same requests and the same error;
- the cost is linear in the bytes, and what it holds of an unfinished request
  is bounded by the limits below;
- after an error nothing more is parsed.  The protocol has no reply that says
  "your fault": the server sends nothing, logs the error and disconnects.

Attributes come in any order, and unknown ones are ignored, because newer
versions of Postfix send more.  A known one that comes twice is an error: which
one counts would be a guess about which recipients may get mail.
"""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.values import Value

# Bytes of one line without its end.  Postfix cuts its values at 2048
# (line_length_limit); names and what other clients send fit besides.
MAX_LINE = 8192  # only a bound

# Attributes of one request.  Postfix 3.12 sends 33.
MAX_ATTRIBUTES = 256  # only a bound

# Bytes of one request, line ends included: twenty times what Postfix sends
# when every value that a client chooses is as long as it can be.
MAX_REQUEST = 65_536  # only a bound

# Digits of a number: Postfix prints an unsigned long.
MAX_DIGITS = 20  # only a bound

# The only kind of request there is, in the attribute `request`.
REQUEST = b"smtpd_access_policy"

# Values of protocol_state that the gateway acts on.
RCPT = b"RCPT"
VRFY = b"VRFY"
END_OF_MESSAGE = b"END-OF-MESSAGE"

# Attributes whose values are numbers.
NUMBERS = frozenset({b"recipient_count", b"size"})

_NAMES = frozenset(
    (
        b"client_address",
        b"client_name",
        b"instance",
        b"policy_context",
        b"protocol_state",
        b"queue_id",
        b"recipient",
        b"recipient_count",
        b"request",
        b"sasl_username",
        b"sender",
        b"size",
        b"stress",
    )
)

# Bytes of a wrong line that an error shows.
_SHOWN = 60  # only a bound


class PolicyRequest(Value):
    """One question of Postfix; every field as it came, empty where it did not come.

    `recipient` and `sender` are in Postfix' internal form: no brackets, no
    quotes.  `size` is in bytes: what MAIL FROM announced, at END-OF-MESSAGE
    what the message has; None where nothing was announced (Postfix sends 0).
    `recipient_count` is 0 before DATA.  `stress`: the MTA is
    overloaded.
    """

    __slots__ = (
        "client_address",
        "client_name",
        "instance",
        "policy_context",
        "protocol_state",
        "queue_id",
        "recipient",
        "recipient_count",
        "sasl_username",
        "sender",
        "size",
        "stress",
    )
    client_address: bytes
    client_name: bytes
    instance: bytes
    policy_context: bytes
    protocol_state: bytes
    queue_id: bytes
    recipient: bytes
    recipient_count: int
    sasl_username: bytes
    sender: bytes
    size: int | None
    stress: bool

    def __init__(
        self,
        *,
        protocol_state: bytes = RCPT,
        recipient: bytes = b"",
        sender: bytes = b"",
        client_address: bytes = b"",
        client_name: bytes = b"",
        sasl_username: bytes = b"",
        size: int | None = None,
        recipient_count: int = 0,
        queue_id: bytes = b"",
        instance: bytes = b"",
        policy_context: bytes = b"",
        stress: bool = False,
    ) -> None:
        self.client_address = client_address
        self.client_name = client_name
        self.instance = instance
        self.policy_context = policy_context
        self.protocol_state = protocol_state
        self.queue_id = queue_id
        self.recipient = recipient
        self.recipient_count = recipient_count
        self.sasl_username = sasl_username
        self.sender = sender
        self.size = size
        self.stress = stress
        self._freeze()


class PolicyParser:
    """Turns the bytes of one connection into requests.

    Call `feed` with whatever arrived and take the list it returns; look at
    `error` afterwards: where it is set, the peer broke the protocol behind
    those requests and the parser is finished.  Call `end` when the peer has
    closed its side.
    """

    __slots__ = ("_attributes", "_buffer", "_count", "_size", "error")

    def __init__(self) -> None:
        self._buffer = bytearray()  # the unfinished line
        self._attributes: dict[bytes, bytes] = {}  # known ones of the unfinished request
        self._count = 0  # its attributes so far
        self._size = 0  # its bytes so far, whole lines only
        self.error: ProtocolError | None = None

    @property
    def idle(self) -> bool:
        """True between requests: nothing of an unfinished one is held."""
        return not self._buffer and not self._size

    def feed(self, data: bytes) -> list[PolicyRequest]:
        """The requests that `data` completes."""
        requests: list[PolicyRequest] = []
        if self.error is not None:
            return requests
        end = data.rfind(b"\n")
        if end < 0:
            self._buffer += data
        else:
            # Only the new bytes are searched, and each line is cut out once.
            lines = bytes(self._buffer + data[:end]).split(b"\n")
            self._buffer = bytearray(data[end + 1 :])
            try:
                for line in lines:
                    if line:
                        self._attribute(line)
                    else:
                        requests.append(self._request())
            except ProtocolError as error:
                self._fail(error)
                return requests
        if len(self._buffer) > MAX_LINE:
            self._fail(_line_too_long())
        return requests

    def end(self) -> None:
        """The peer sends no more: an unfinished request is an error."""
        if self.error is None and not self.idle:
            self._fail(ProtocolError("the connection ended within a request"))

    def _attribute(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            raise _line_too_long()
        self._size += len(line) + 1
        if self._size > MAX_REQUEST:
            raise ProtocolError(f"request of more than {MAX_REQUEST} bytes")
        self._count += 1
        if self._count > MAX_ATTRIBUTES:
            raise ProtocolError(f"request of more than {MAX_ATTRIBUTES} attributes")
        if b"\0" in line:
            raise ProtocolError(f"NUL byte in the attribute line {line[:_SHOWN]!r}")
        # At the first one: addresses of SRS and VERP have more of them.
        name, equals, value = line.partition(b"=")
        if not equals:
            raise ProtocolError(f"attribute line without '=': {line[:_SHOWN]!r}")
        if name in _NAMES:
            if name in self._attributes:
                raise ProtocolError(f"attribute {name.decode('ascii')} given twice")
            self._attributes[name] = value

    def _request(self) -> PolicyRequest:
        attributes = self._attributes
        count = self._count
        self._attributes = {}
        self._count = 0
        self._size = 0
        if not count:
            raise ProtocolError("empty line where a request should begin")
        kind = attributes.get(b"request")
        if kind is None:
            raise ProtocolError("request without the attribute request")
        if kind != REQUEST:
            raise ProtocolError(f"request={kind[:_SHOWN]!r} is not {REQUEST.decode('ascii')}")
        return request_of(attributes)

    def _fail(self, error: ProtocolError) -> None:
        self._buffer = bytearray()
        self._attributes = {}
        self._size = 0
        self.error = error


def whole_request(data: bytes) -> dict[bytes, bytes] | None:
    """The attributes of `data` where it is exactly one request without any fault.

    None for everything else, half a request and two of them included; a
    PolicyParser then tells what it is.
    """
    if len(data) > MAX_LINE or data[-2:] != b"\n\n" or b"\0" in data:
        return None
    lines = data[:-2].split(b"\n")
    try:
        attributes = dict([line.split(b"=", 1) for line in lines])
    except ValueError:  # a line without an =, an empty one among them
        return None
    if len(attributes) != len(lines) or len(lines) > MAX_ATTRIBUTES:
        return None
    return attributes if attributes.get(b"request") == REQUEST else None


def request_of(attributes: dict[bytes, bytes]) -> PolicyRequest:
    """The request that has these attributes.

    Raises ProtocolError for a number that is none.
    """
    get = attributes.get
    return PolicyRequest(
        protocol_state=get(b"protocol_state", b""),
        recipient=get(b"recipient", b""),
        sender=get(b"sender", b""),
        client_address=get(b"client_address", b""),
        client_name=get(b"client_name", b""),
        sasl_username=get(b"sasl_username", b""),
        size=_number(attributes, b"size") or None,
        recipient_count=_number(attributes, b"recipient_count"),
        queue_id=get(b"queue_id", b""),
        instance=get(b"instance", b""),
        policy_context=get(b"policy_context", b""),
        stress=get(b"stress") == b"yes",
    )


def render(action: bytes) -> bytes:
    """The reply that carries `action`.

    Raises ValueError for an action that would not be one line: that is a
    fault of the caller's.
    """
    if not action or b"\n" in action or b"\0" in action:
        raise ValueError(f"not one line of an action: {action!r}")
    return b"action=" + action + b"\n\n"


def _number(attributes: dict[bytes, bytes], name: bytes) -> int:
    value = attributes.get(name, b"")
    if not value:
        return 0
    if not value.isdigit() or len(value) > MAX_DIGITS:  # bytes.isdigit knows ASCII only
        raise ProtocolError(f"{name.decode('ascii')}={value[:_SHOWN]!r} is not a number")
    return int(value)


def _line_too_long() -> ProtocolError:
    return ProtocolError(f"attribute line of more than {MAX_LINE} bytes")
