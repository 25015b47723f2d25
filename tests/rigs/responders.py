"""What answers: each is asked about many recipients at once, and what was said in one set of words.

A connection that was closed, because its process was killed or replaced, is made
again and the question asked once more, as mail servers do.
"""

from __future__ import annotations

import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from tests.rigs.milter import MilterClient, MilterError
from tests.rigs.socketmap import TIMEOUT_S, Connection, SocketmapError
from tests.rigs.waiting import wait_until

DOMAIN = b"example.org"
SMMAPD, DELIVERY = "smmapd", "delivery"

YES, UNKNOWN, DENIED, NOT_POSTABLE, FULL, LATER = (
    "yes",
    "unknown",
    "denied",
    "not postable",
    "full",
    "later",
)
REASON = b"closed for today"

# What is said behind the codes, by all front ends.
_TEXTS = {
    b"Mailbox does not exist": UNKNOWN,
    b"User unknown": UNKNOWN,
    REASON: DENIED,
    b"Permission denied": NOT_POSTABLE,
    b"Over quota": FULL,
}
_GONE = (ConnectionError, SocketmapError, MilterError, socket.timeout, FileNotFoundError)


def meaning(reply: bytes) -> str:
    """What a refusal means; anything temporary that is not about quota is `LATER`."""
    for text, word in _TEXTS.items():
        if reply.endswith(text):
            return word
    return LATER if reply[:1] in b"4TD" else f"not understood: {reply!r}"


def of_map(reply: bytes) -> str:
    """What the reply of a socketmap means."""
    return YES if reply.startswith(b"OK ") else meaning(reply)


class Front(ABC):
    """One way to be asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        # The authority whose answers it gives ([policy] answers and so on).
        self.answers = SMMAPD

    def ask(self, names: Sequence[bytes]) -> list[str]:
        """What is said about each of `names`, local parts."""

        def answered() -> list[str] | None:
            try:
                return self._ask(names)
            except _GONE:
                self.close()
                return None

        return wait_until(answered, f"{self.name} answers")

    @abstractmethod
    def _ask(self, names: Sequence[bytes]) -> list[str]:
        """The same, on the connection that there is."""

    @abstractmethod
    def close(self) -> None:
        """Hang up; the next question makes another connection."""


class Socketmap(Front):
    """Postfix' table, or smmapd on standard input; `connect` makes a connection."""

    def __init__(self, name: str, connect: Callable[[], Connection]) -> None:
        super().__init__(name)
        self._connect = connect
        self._connection: Connection | None = None

    def _ask(self, names: Sequence[bytes]) -> list[str]:
        if self._connection is None:
            self._connection = self._connect()
        keys = [b"%b@%b" % (name, DOMAIN) for name in names]
        return [of_map(reply) for reply in self._connection.ask_pipelined(keys)]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_REQUEST = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
    b"client_address=192.0.2.1\nsender=joe@sender.test\nrecipient=%b@%b\n\n"
)


class Policy(Front):
    """Postfix' policy service."""

    def __init__(self, path: str) -> None:
        super().__init__("policy")
        self._path = path
        self._link: socket.socket | None = None

    def _ask(self, names: Sequence[bytes]) -> list[str]:
        link = self._link
        if link is None:
            link = self._link = socket.socket(socket.AF_UNIX)
            link.settimeout(TIMEOUT_S)
            link.connect(self._path)
        link.sendall(b"".join([_REQUEST % (name, DOMAIN) for name in names]))
        received = b""
        while received.count(b"\n\n") < len(names):
            data = link.recv(65_536)
            if not data:
                raise ConnectionError("the policy service has closed the connection")
            received += data
        actions = [answer.removeprefix(b"action=") for answer in received.split(b"\n\n")[:-1]]
        return [YES if action == b"DUNNO" else meaning(action) for action in actions]

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


class Milter(Front):
    """A milter, which hears one mail with many recipients."""

    def __init__(self, path: str) -> None:
        super().__init__("milter")
        self._path = path
        self._client: MilterClient | None = None

    def _ask(self, names: Sequence[bytes]) -> list[str]:
        client = self._client
        if client is None:
            client = self._client = MilterClient(self._path)
            client.connect()
        client.mail()
        for name in names:
            argument = b"R<%b@%b>\0" % (name, DOMAIN)
            client.send_raw(b"\0\0\0\2DR" + struct.pack("!I", len(argument)) + argument)
        found = []
        for _ in names:
            command, data = client.receive()
            found.append(YES if command == b"c" else meaning(data.removesuffix(b"\0")))
        client.abort()
        return found

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
