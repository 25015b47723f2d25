"""A milter on an engine of the test's own, and libmilter's side of one connection to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.frontends.course import Course
from gateway.frontends.judge import Decision, Judge
from gateway.frontends.milter import CONTINUE, REJECT, TEMPFAIL, Milter, Rcpt, Sessions
from gateway.frontends.replies import ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeSettings
from gateway.verification.model import Kind, Query, Verdict
from gateway.verification.pool import VerifierPool

KINDS = {
    b"fred@example.org": Kind.DELIVERABLE,
    b"over@example.org": Kind.OVER_QUOTA,
    b"broken@example.org": Kind.STORE_FAULT,
    b"large@example.org": Kind.DELIVERABLE,
}
# Everything that libmilter of Debian 12 offers.
ALL_STEPS = 0x1FFFFF


class Engine:
    """Knows KINDS and nobody else; it breaks at the recipient `bug@example.org`."""

    def __init__(self) -> None:
        self.asked: list[Query] = []

    def verify(self, query: Query) -> Verdict:
        """Remember and answer."""
        self.asked.append(query)
        if query.recipient == b"bug@example.org":
            raise ZeroDivisionError("a defect")
        if query.recipient == b"large@example.org" and (query.size or 0) > 1000:
            return Verdict(Kind.SIZE_OVER_QUOTA, b"")
        return Verdict(KINDS.get(query.recipient, Kind.NONEXISTENT), b"")


@dataclass
class Context:
    """libmilter's context of one connection, as far as the callbacks use it."""

    macros: dict[str, str] = field(default_factory=dict)
    wanted: dict[int, str] = field(default_factory=dict)
    replies: list[tuple[str, str, str]] = field(default_factory=list)
    remembered: object = None

    def getsymval(self, name: str) -> str | None:
        """The value of a macro; libmilter decodes strictly."""
        value = self.macros.get(name)
        if value == "not UTF-8":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return value

    def setreply(self, code: str, enhanced: str, text: str) -> None:
        """Keep it."""
        self.replies.append((code, enhanced, text))

    def setsymlist(self, stage: int, macros: str) -> None:
        """Keep it."""
        self.wanted[stage] = macros

    def setpriv(self, value: object) -> None:
        """Keep it."""
        self.remembered = value

    def getpriv(self) -> object:
        """What was kept."""
        return self.remembered


class Talk:
    """A milter, one connection to it, and what others heard of it."""

    def __init__(
        self,
        *,
        rules: ScopeSettings | None = None,
        templates: dict[Kind, Template] | None = None,
        steps: int = ALL_STEPS,
        course: Course | None = None,
    ) -> None:
        self.engine = Engine()
        self.observed: list[tuple[Rcpt, Decision]] = []
        self.defects: list[BaseException] = []
        self.sessions = Sessions()
        scope = Scope(rules or ScopeSettings(domains=("example.org",)), sees_mailers=True)
        self.front = Milter(
            Judge(scope, ReplyTable(templates or {}), check_size=True),
            self.pool(),
            observe=lambda rcpt, decision: self.observed.append((rcpt, decision)),
            defect=self.defects.append,
            sessions=self.sessions,
            course=course,
        )
        self.ctx = Context()
        self.options = [0x1FF, steps, 0, 0]
        assert self.front.negotiate(self.ctx, self.options) == CONTINUE

    def pool(self) -> VerifierPool:
        """An engine for all."""
        make: Callable[[], object] = lambda: self.engine  # noqa: E731
        return VerifierPool(make)  # type: ignore[arg-type]

    def connect(self, address: object = ("192.0.2.1", 4711), family: int = 2) -> int:
        """A client."""
        return self.front.connect(self.ctx, "client.test", family, address)

    def mail(self, argument: bytes = b"<joe@sender.test>", *parameters: bytes) -> int:
        """MAIL FROM."""
        return self.front.envfrom(self.ctx, argument, *parameters)

    def rcpt(self, argument: bytes, *parameters: bytes) -> tuple[str, str, str] | None:
        """RCPT TO: the reply, or None where it goes on."""
        before = len(self.ctx.replies)
        result = self.front.envrcpt(self.ctx, argument, *parameters)
        if result == CONTINUE:
            assert len(self.ctx.replies) == before
            return None
        (reply,) = self.ctx.replies[before:]
        assert result == (TEMPFAIL if reply[0].startswith("4") else REJECT)
        return reply
