"""What a front end is: the one interface by which the rest of the gateway knows it.

A front end is its codec (`protocols/`), a subclass of `FrontEnd` and its session (here,
NAME_*.py), its table of gateway.toml (`config/tables/`), and its row of the registry
(`config/frontends.py`).  Whatever needs all of them (the processes, the status page,
explain, check-config, print-config, ask) goes through the registry, so that no other place
lists them.  The subclass imports its session where it is used: the supervisor and the small
commands know every front end, and need none.

Limits: how a check finds one protocol's sockets in a mail server's configuration stays with
the check that reads that configuration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from gateway.frontends.counters import OutcomeCounters
    from gateway.frontends.inquiry import Answer, Heard, Inquiry
    from gateway.frontends.judge import Decision, JudgeEngine
    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.replies import ReplyTable
    from gateway.frontends.scope import Scope, ScopeRules
    from gateway.frontends.waiver import Mode, OnError, Waiver
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.mta.postfix import Postfix
    from gateway.upstream.connection import UpstreamConnection
    from gateway.verification.decider import Memory
    from gateway.verification.model import Pending, Verdict

    # Makes the session of one more client, whose name for the log it is given.
    SessionFor = Callable[[str], "Session"]
    # Named parts of a log line.
    Fields = Mapping[str, str | bytes]


class Session(Protocol):
    """What the server needs of a conversation; see gateway.frontends.session for the meanings."""

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question that others answer (dispatcher.py)."""

    @property
    def finished(self) -> bool:
        """The last word has been said."""

    @property
    def busy(self) -> bool:
        """Requests wait for `replies`, or one for `resolved`."""

    @property
    def idle(self) -> bool:
        """Not busy, and no part of a request is held."""

    @property
    def engaged(self) -> bool:
        """Several requests belong together, as those of a mail, and the last is still to come."""

    def cached_reply(self, data: bytes) -> bytes | None:
        """All replies to `data` at once, or None: then `receive` takes it."""

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Take bytes from the client; empty bytes are their end.

        `coalesced` says that other bytes came before these in the same piece of the wire.
        """

    def replies(self) -> bytes:
        """Answer as many requests as may be answered before others are served."""

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """Answer the pending request, or go on to what else it needs."""


class Process(Enum):
    """Which kind of process serves a front end (gateway.supervisor.processes)."""

    CORE = "core"
    MILTER = "milter"


class MakeScope(Protocol):
    """Makes a scope of rules, with the mail server and the trust in files that the caller has."""

    def __call__(self, rules: ScopeRules, *, sees_mailers: bool = False) -> Scope:
        """The scope; raises ConfigurationError."""


class FrontEndTable(Protocol):
    """What every front end reads of its own table of gateway.toml.

    A Protocol beside each session adds what that session reads; the values are those of
    gateway/config/tables, which this room does not know.
    """

    @property
    def mode(self) -> Mode:
        """What becomes of a refusal."""


TableT = TypeVar("TableT", bound=FrontEndTable)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeParts(Generic[TableT]):
    """What the settings say of a front end's judge.

    `table` is the front end's own.  `delivery`: the answers are those of delivery;
    `lmtp_store`: an LMTP server is (one of) the store; `check_size`: an announced size makes a
    difference.
    """

    make_scope: MakeScope
    rules: ScopeRules
    replies: ReplyTable
    table: TableT
    on_error: OnError
    postfix: Postfix | None
    check_size: bool
    delivery: bool
    lmtp_store: bool


class ScopedJudge(Protocol):
    """What every front end's judge has."""

    @property
    def scope(self) -> Scope | None:
        """What tells which recipients are ours; None where nothing does."""


JudgeT = TypeVar("JudgeT", bound=ScopedJudge)


class VerdictWriter(Protocol):
    """Where verdicts are written (gateway.observability.logging.verdicts)."""

    @property
    def enabled(self) -> bool:
        """Whether verdicts are written at all; faults are, whatever this says."""

    def quiet(self, verdict: Verdict | None) -> bool:
        """Whether nothing would be written, so that nothing need be put together."""

    def address(self, address: bytes) -> str:
        """`address` as private as the log wants it."""

    def sender(self, sender: bytes | None) -> str:
        """The same of a sender: `<>` for the null sender, empty where there is none."""

    def verdict(
        self,
        verdict: Verdict,
        origin: AnswerOrigin | None,
        who: Fields,
        reply: bytes,
        waiver: Waiver | None,
    ) -> None:
        """Write a verdict."""

    def decision(
        self, decision: Decision, origin: AnswerOrigin | None, who: Fields, reply: bytes
    ) -> None:
        """Write a decision, or why a recipient was not judged."""


class Shrinkable(Protocol):
    """A cache that can give back memory."""

    def shrink(self) -> bool:
        """Cache only a little from now on; to be called until all of the memory is given back.

        Each call lets go of a piece, and is False where nothing was left.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving(Generic[JudgeT, TableT]):
    """What the sessions of one front end in one process share.

    `table` is the front end's own table of gateway.toml.  `complain` hears of a client, by
    name, that is disconnected for what it said; `defect` of an unexpected exception.
    Caches that a process gives back when it is about to leave join `caches`.
    """

    memory: Memory
    judge: JudgeT
    table: TableT
    counters: OutcomeCounters
    log: VerdictWriter
    complain: Callable[[str, str], None]
    defect: Callable[[Exception], None]
    caches: list[Shrinkable] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServerSite:
    """What a piece of a mail server's configuration is written for.

    `socket` is the front end's, as that mail server names it, `domains` those of [scope], in
    its form of a list.  `defers`: mail waits while the gateway is away.  `chrooted`
    names a service of Postfix that cannot reach the socket; empty where none is known.
    """

    socket: str
    domains: str
    defers: bool
    chrooted: str = ""


if TYPE_CHECKING:
    # The lines of a piece of a mail server's configuration.
    Snippet = Callable[[MailServerSite], list[str]]


class FrontEnd(ABC, Generic[JudgeT, TableT]):
    """One front end; stateless, and the same in every process.

    `name` is that of its table in gateway.toml.
    """

    name: ClassVar[str]
    process: ClassVar[Process] = Process.CORE
    # It sees mail to other domains, too: [scope] must say which recipients are ours.
    needs_scope: ClassVar[bool] = True
    # It is told how large a mail is announced to be.
    told_sizes: ClassVar[bool] = True
    # The MTA tells which mailer or transport a recipient has ({rcpt_mailer}).
    sees_mailers: ClassVar[bool] = False
    # Its inet sockets may be `?tls=yes`.
    speaks_tls: ClassVar[bool] = False
    # A client's connection is as long as an SMTP session, and ends with it.
    follows_smtp: ClassVar[bool] = False
    # How many words of a reply are codes, which do not name the recipient: `550 5.1.1`.
    code_words: ClassVar[int] = 2
    # How Postfix' main.cf names {socket}.
    main_cf: ClassVar[str]
    # Postfix' proxymap can ask it, for services that are chrooted.
    by_proxymap: ClassVar[bool] = False
    # In observe mode Postfix takes every recipient for one that exists, and bounces later.
    accepts_when_observing: ClassVar[bool] = False

    @abstractmethod
    def judge(self, parts: JudgeParts[TableT]) -> JudgeT:
        """What decides about its recipients; raises ConfigurationError."""

    @abstractmethod
    def sessions(self, serving: Serving[JudgeT, TableT]) -> SessionFor:
        """What makes the sessions of its clients."""

    @abstractmethod
    def said(self, replies: ReplyTable, verdict: Verdict, recipient: bytes) -> bytes:
        """What it says to `recipient` where `verdict` is carried out."""

    @abstractmethod
    def explain(
        self, judge: JudgeT | None, inquiry: Inquiry, engine: JudgeEngine, replies: ReplyTable
    ) -> Answer:
        """What it says to an inquiry; without a judge, as if the recipient were ours."""

    @abstractmethod
    def snippets(self) -> Mapping[str, Snippet]:
        """What makes a mail server ask it, by the mail server's name in `print-config`."""

    @abstractmethod
    def ask(self, link: UpstreamConnection, inquiry: Inquiry, until: float) -> Heard:
        """Ask a running gateway over `link` as an MTA does; raises UpstreamError.

        `until` is the moment of time.monotonic() at which all must be over.
        """
