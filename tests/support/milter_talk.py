"""A milter's session on an engine of the test's own, and the MTA's side of it."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from gateway.frontends.judge import Decision, Judge
from gateway.frontends.milter_conversation import MilterConversation, Rcpt
from gateway.frontends.milter_session import MilterSession
from gateway.frontends.origin import AnswerOrigin
from gateway.frontends.replies import ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeRules
from gateway.protocols.milter import packet
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict
from tests.rigs.milter import ALL_ACTIONS, ALL_STEPS, VERSION

KINDS = {
    b"fred@example.org": Kind.DELIVERABLE,
    b"over@example.org": Kind.OVER_QUOTA,
    b"broken@example.org": Kind.STORE_FAULT,
    b"large@example.org": Kind.DELIVERABLE,
}
SERVER = "backend.example.org"
CLIENT = b"192.0.2.1"

UNKNOWN = b"550 5.1.1 User unknown"
FAULT = b"451 4.3.0 System I/O error"

Macros = Mapping[bytes, bytes]


class Engine:
    """Knows KINDS and nobody else; recipients that begin with `away` live on another server."""

    def __init__(self) -> None:
        self.asked: list[Query] = []

    def decide(self, query: Query) -> Verdict | Pending:
        """Remember and answer."""
        self.asked.append(query)
        if query.recipient.startswith(b"away"):
            return Pending(query, SERVER, NO_EVIDENCE)
        if query.recipient == b"large@example.org" and (query.size or 0) > 1000:
            return Verdict(Kind.SIZE_OVER_QUOTA, b"")
        return Verdict(KINDS.get(query.recipient, Kind.NONEXISTENT), b"")

    def expire_tick(self) -> None:
        """Nothing is remembered here."""


class Talk:
    """One MTA's connection, and what others heard of it; macros are told before each step."""

    def __init__(
        self,
        *,
        rules: ScopeRules | None = None,
        templates: dict[Kind, Template] | None = None,
        steps: int = ALL_STEPS,
        version: int = VERSION,
        origin: AnswerOrigin | None = None,
    ) -> None:
        self.engine = Engine()
        self.observed: list[tuple[Rcpt, Decision]] = []
        self.complaints: list[str] = []
        self.defects: list[Exception] = []
        scope = Scope(rules or ScopeRules(domains=("example.org",)), sees_mailers=True)
        self.conversation = MilterConversation(
            self.engine,
            Judge(scope, ReplyTable(templates or {}), check_size=True),
            observe=lambda rcpt, decision: self.observed.append((rcpt, decision)),
            origin=origin,
            defect=self.defects.append,
        )
        self.session = MilterSession(self.conversation, complain=self.complaints.append)
        offer = struct.pack("!III", version, ALL_ACTIONS, steps)
        reply = self.say(packet(b"O", offer))
        self.version, self.actions, self.steps = struct.unpack_from("!III", reply, 5)
        self.wanted = reply[17:]

    def say(self, data: bytes) -> bytes:
        """Bytes from the MTA, and everything that is answered to them."""
        self.session.receive(data)
        out = b""
        while self.session.busy and self.session.pending is None:
            out += self.session.replies()
        return out + self.session.replies()

    def step(self, command: bytes, data: bytes, macros: Macros | None = None) -> bytes:
        """One step, with its macros before it; the reply packet, or nothing."""
        told = b""
        if macros:
            pairs = b"".join(b"%b\0%b\0" % pair for pair in macros.items())
            told = packet(b"D", command + pairs)
        return self.say(told + packet(command, data))

    def connect(
        self,
        address: bytes | None = CLIENT,
        family: bytes = b"4",
        macros: Macros | None = None,
        port: int = 4711,
    ) -> bytes:
        """A client."""
        where = b"" if address is None else struct.pack("!H", port) + address + b"\0"
        return self.step(b"C", b"client.test\0" + family + where, macros)

    def mail(
        self,
        argument: bytes = b"<joe@sender.test>",
        *parameters: bytes,
        macros: Macros | None = None,
    ) -> bytes:
        """MAIL FROM."""
        return self.step(b"M", b"".join(b"%b\0" % word for word in (argument, *parameters)), macros)

    def rcpt(self, argument: bytes, macros: Macros | None = None) -> bytes | None:
        """RCPT TO: the SMTP reply that refuses it, or None where it goes on."""
        return line(self.step(b"R", argument + b"\0", macros))

    @property
    def heard(self) -> Rcpt:
        """The last recipient that the log heard of."""
        return self.observed[-1][0]


def line(reply: bytes) -> bytes | None:
    """The SMTP reply in one reply packet; None where the mail goes on."""
    if reply == packet(b"c"):
        return None
    (length,) = struct.unpack_from("!I", reply)
    assert length + 4 == len(reply)
    assert reply[4:5] == b"y"
    assert reply[-1:] == b"\0"
    return reply[5:-1]
