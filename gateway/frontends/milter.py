"""The milter on libmilter, by way of pymilter's C module.

It answers at RCPT TO with the reply that the delivery would give.  It runs in
a process of its own, because libmilter calls back on native threads and owns
the signals.  What it promises:

- what is remembered of a connection lives in the connection's libmilter
  context and nowhere else: a connection hops across threads;
- every callback but connect, MAIL, RCPT, abort and close is negotiated off,
  and the macros that it reads are asked for;
- who hands in `Sessions` is told how many MTAs are connected;
- a defect of ours in a callback is logged and treated as a fault of the
  store: it defers, or accepts where `on_error` says so; it never refuses for
  good.

The C module is used directly; pymilter's Python layer decodes, logs and
catches in ways of its own.  Limits: libmilter hands host names over as strict
UTF-8; a client whose host name is none is not announced to us, and its
address is then taken from {client_addr}.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import milter

from gateway.frontends.judge import Decision, Question
from gateway.protocols.address import parse_path
from gateway.verification.model import Evidence, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.course import Course
    from gateway.frontends.judge import Judge
    from gateway.verification.pool import VerifierPool

    # Hears of each recipient that was judged or skipped.
    Observer = Callable[["Rcpt", Decision], None]

CONTINUE: int = milter.CONTINUE
NOREPLY: int = milter.NOREPLY
REJECT: int = milter.REJECT
TEMPFAIL: int = milter.TEMPFAIL
_NR_CONN: int = milter.P_NR_CONN
_NR_MAIL: int = milter.P_NR_MAIL

# What is not needed of the protocol (libmilter/mfdef.h, SMFIP_*): the MTA then
# does not send it at all.
_UNWANTED: int = (
    milter.P_NOHELO
    | milter.P_NOHDRS
    | milter.P_NOEOH
    | milter.P_NOBODY
    | milter.P_NODATA
    | milter.P_NOUNKNOWN
)
# Steps at which nothing is decided: the MTA need not wait for a word of ours.
_SILENT = _NR_CONN | _NR_MAIL

# The macros that are read, by stage (libmilter/mfapi.h, SMFIM_*).
_MACROS = (
    (milter.M_CONNECT, "j {client_addr}"),
    (milter.M_ENVFROM, "i {auth_authen} {client_addr}"),
    (milter.M_ENVRCPT, "i {rcpt_mailer} {rcpt_host} {rcpt_addr}"),
)

# MAIL FROM parameters, as they stand behind the address.
_SIZE = b"SIZE="
_SMTPUTF8 = b"SMTPUTF8"


class Context(Protocol):
    """libmilter's context of one connection (milter.milterContext)."""

    def getsymval(self, name: str) -> str | None:
        """The value of a macro."""

    def setreply(self, code: str, enhanced: str, text: str) -> None:
        """The reply that goes with REJECT or TEMPFAIL."""

    def setsymlist(self, stage: int, macros: str) -> None:
        """Ask the MTA for macros."""

    def setpriv(self, value: object) -> None:
        """Remember something for this connection."""

    def getpriv(self) -> object:
        """What was remembered, or None."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is known of the connection and its present mail.

    `client` is the client's address as text, `sender` None outside of a mail;
    `silent` tells which steps the MTA does not want a word at.
    """

    silent: int = 0
    client: bytes = b""
    sender: bytes | None = None
    authenticated: bytes = b""
    size: int | None = None
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One RCPT TO for the log: its address, or its argument where that is none, and its mail."""

    recipient: bytes
    queue_id: bytes
    transaction: Transaction


class Sessions:
    """How many MTAs are connected, and have been; asked and told on any thread."""

    def __init__(self) -> None:
        self.accepted = 0
        self.count = 0
        self._changed = threading.Condition()

    def opened(self) -> None:
        """One more."""
        with self._changed:
            self.accepted += 1
            self.count += 1

    def closed(self) -> None:
        """One less."""
        with self._changed:
            self.count -= 1
            self._changed.notify_all()

    def wait_none(self, seconds: float) -> bool:
        """Wait until there is none, for `seconds` at most; tell whether there is none."""
        with self._changed:
            return self._changed.wait_for(lambda: self.count <= 0, seconds)


class Milter:
    """The callbacks.  One object serves all connections, on any thread.

    `verifiers` lends an engine for each question, as one is used by one thread
    at a time.  `defect` hears of an exception that nobody expected.
    `sessions` counts the connections.  `course`, which is each thread's own, is
    marked for whoever observes.
    """

    def __init__(
        self,
        judge: Judge,
        verifiers: VerifierPool,
        *,
        observe: Observer | None = None,
        defect: Callable[[BaseException], None] | None = None,
        sessions: Sessions | None = None,
        course: Course | None = None,
    ) -> None:
        self._judge = judge
        self._course = course
        self._sessions = sessions if sessions is not None else Sessions()
        self._verifiers = verifiers
        self._observe = observe
        self._defect = defect

    def negotiate(self, ctx: Context, options: list[int]) -> int:
        """Take what is needed of the protocol; `options` is [actions, steps, 0, 0]."""
        offered = options[1]
        for stage, macros in _MACROS:
            ctx.setsymlist(stage, macros)
        steps = offered & (_UNWANTED | _SILENT)
        options[0] = 0
        options[1] = steps
        options[2] = options[3] = 0
        self._remember(ctx, Transaction(silent=steps & _SILENT))
        return CONTINUE

    def connect(self, ctx: Context, _host: str, _family: int, address: object) -> int:
        """A client has connected; `address` is a tuple, a path or None."""
        known = _transaction(ctx)
        first = address[0] if isinstance(address, tuple) and address else None
        client = first.encode() if isinstance(first, str) else _macro(ctx, "{client_addr}")
        self._remember(ctx, Transaction(silent=known.silent, client=client))
        return NOREPLY if known.silent & _NR_CONN else CONTINUE

    def envfrom(self, ctx: Context, argument: bytes, *parameters: bytes) -> int:
        """MAIL FROM: a new mail begins; remember what is said about it."""
        known = _transaction(ctx)
        sender = parse_path(argument)
        self._remember(
            ctx,
            Transaction(
                silent=known.silent,
                client=known.client or _macro(ctx, "{client_addr}"),
                sender=getattr(sender, "address", b"" if argument == b"<>" else argument),
                authenticated=_macro(ctx, "{auth_authen}"),
                size=_size(parameters),
                smtputf8=any(p.upper() == _SMTPUTF8 for p in parameters),
            ),
        )
        return NOREPLY if known.silent & _NR_MAIL else CONTINUE

    def envrcpt(self, ctx: Context, argument: bytes, *_parameters: bytes) -> int:
        """RCPT TO: judge the recipient, and refuse where the decision says so."""
        try:
            return self._envrcpt(ctx, argument)
        except Exception as error:  # noqa: BLE001
            # The boundary to libmilter: behind it an exception would be printed
            # and forgotten, and the recipient let in.
            self._report(error)
            return TEMPFAIL

    def _envrcpt(self, ctx: Context, argument: bytes) -> int:
        if self._course is not None:
            self._course.arrived()
        known = _transaction(ctx)
        question = Question(
            parse_path(argument),
            sender=known.sender,
            client=known.client,
            authenticated=known.authenticated,
            mailer=_macro(ctx, "{rcpt_mailer}"),
            size=known.size,
            smtputf8=known.smtputf8,
        )
        try:
            verifier = self._verifiers.borrow()
            decision = self._judge.judge(question, verifier)
            self._verifiers.give_back(verifier)  # not after an exception: it may be broken
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is our fault, and counts as one of the store.
            self._report(error)
            fault = Verdict(Kind.STORE_FAULT, b"", Evidence(fault=repr(error)), cacheable=False)
            decision = self._judge.end(question, fault)
        if self._observe is not None:
            # Without its brackets, as the other front ends see it: hashes of it are to agree.
            recipient = getattr(question.recipient, "address", argument)
            self._observe(Rcpt(recipient, _macro(ctx, "i"), known), decision)
        reply = decision.reply
        if reply is None:
            return CONTINUE
        ctx.setreply(str(reply.code), reply.enhanced, reply.milter_text)
        return TEMPFAIL if reply.temporary else REJECT

    def _report(self, error: Exception) -> None:
        if self._defect is not None:
            self._defect(error)

    def abort(self, ctx: Context) -> int:
        """RSET, or a mail that ended early: forget the mail, keep the client."""
        known = _transaction(ctx)
        self._remember(ctx, Transaction(silent=known.silent, client=known.client))
        return CONTINUE

    def eom(self, ctx: Context) -> int:
        """The mail is over: forget it, keep the client for the next one."""
        return self.abort(ctx)

    def close(self, ctx: Context) -> int:
        """The client is gone; on the same connection another one may follow (SMFIC_QUIT_NC)."""
        if ctx.getpriv() is not None:
            ctx.setpriv(None)
            self._sessions.closed()
        return CONTINUE

    def _remember(self, ctx: Context, transaction: Transaction) -> None:
        if ctx.getpriv() is None:
            self._sessions.opened()
        ctx.setpriv(transaction)

    def register(self, name: str) -> None:
        """Tell libmilter of these callbacks, under `name` (Sendmail's X line)."""
        # An exception that escapes is a connection of which nothing is known:
        # the mail goes on, and each RCPT is judged all the same.
        milter.set_exception_policy(CONTINUE)
        milter.set_flags(0)
        milter.set_connect_callback(self.connect)
        milter.set_envfrom_callback(self.envfrom)
        milter.set_envrcpt_callback(self.envrcpt)
        milter.set_eom_callback(self.eom)
        milter.set_abort_callback(self.abort)
        milter.set_close_callback(self.close)
        milter.register(name, negotiate=self.negotiate)


def _transaction(ctx: Context) -> Transaction:
    known = ctx.getpriv()
    return known if isinstance(known, Transaction) else Transaction()


def _macro(ctx: Context, name: str) -> bytes:
    """A macro's value; empty where the MTA does not send it, or not in UTF-8."""
    try:
        return (ctx.getsymval(name) or "").encode()
    except UnicodeDecodeError:
        return b""


def _size(parameters: tuple[bytes, ...]) -> int | None:
    """The SIZE that MAIL FROM announced (RFC 1870, 6.1), in bytes."""
    for parameter in parameters:
        if parameter[: len(_SIZE)].upper() == _SIZE:
            digits = parameter[len(_SIZE) :]
            return int(digits) if digits.isdigit() and len(digits) <= 20 else None
    return None
