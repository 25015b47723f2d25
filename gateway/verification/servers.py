"""Other servers, each asked in its own protocol, all giving the same kind of answer.

`ask` blocks up to a deadline and raises UpstreamError where there is no
usable answer; what follows from that is decided by the caller (backends.py for
the backends of a Murder, remote.py for stores on other machines).
"""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.values import Value
from gateway.verification import upstreamanswers
from gateway.verification.kinds import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.upstream.lmtpclient import LmtpClient
    from gateway.upstream.socketmapclient import SocketmapClient


class Told(Value):
    """What a server told: the kind of verdict and its reason, and its own words for people."""

    __slots__ = ("kind", "reason", "words")
    kind: Kind
    reason: bytes
    words: bytes

    def __init__(self, kind: Kind, reason: bytes, words: bytes) -> None:
        self.kind = kind
        self.reason = reason
        self.words = words
        self._freeze()


class SocketmapServer:
    """A smmapd, the C program or ours."""

    __slots__ = ("_client", "deadline", "pool")

    def __init__(self, client: SocketmapClient) -> None:
        self._client = client
        self.pool = client.pool  # `pool.server` is its name
        self.deadline = client.deadline  # seconds that a question may take

    def ask(self, recipient: bytes, hop: int, until: float) -> Told:
        """What the server says of `recipient`, before `until`."""
        answer = self._client.ask(recipient, hop=hop, until=until)
        kind, reason = upstreamanswers.of_answer(answer)
        return Told(kind, reason, answer.status + b" " + answer.text)


class LmtpServer:
    """An LMTP server; how often the question was passed on cannot be told to it."""

    __slots__ = ("_client", "deadline", "pool")

    def __init__(self, client: LmtpClient) -> None:
        self._client = client
        self.pool = client.pool  # `pool.server` is its name
        self.deadline = client.deadline  # seconds that a question may take

    @property
    def creates(self) -> bool | None:
        """Whether it makes a mailbox for the recipient that it is asked about; None: not known."""
        return self._client.creates

    def greet(self, until: float) -> None:
        """Connect, without a question.  Raises UpstreamError."""
        self._client.greet(until)

    def ask(self, recipient: bytes, _hop: int, until: float) -> Told:
        """What the server says to RCPT TO `recipient`, before `until`."""
        try:
            reply = self._client.ask(recipient, until=until)
        except ProtocolError:
            return Told(Kind.BAD_ADDRESS, Kind.BAD_ADDRESS.text, b"")
        kind, reason = upstreamanswers.of_reply(reply)
        return Told(kind, reason, str(reply).encode())


Server = SocketmapServer | LmtpServer
