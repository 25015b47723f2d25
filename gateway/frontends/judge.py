"""From a recipient to a decision: what policy and milter do alike.

    Question -> Scope (is it ours?) -> engine (Query, Verdict) -> Decision

The front ends bring a `Question` and translate the `Decision`; everything in
between is here, so that both doors decide alike.  There are three ways
through: `judge` asks the engine itself; an event loop, which must not wait for
another server, calls `begin`, asks the engine in its own way, and then `end`.

A verdict that would refuse is not carried out where
- the mode is observe: everything is judged, nothing is refused;
- it is a fault of ours and `on_error` is accept;
- it is temporary and the sender is an MTA's address probe: a deferred probe
  would be taken for a deferred recipient by the MTA that asks itself;
- it is a fault of ours and the sender is null: such a mail is a bounce or a
  probe, and deferring it helps nobody (Postfix ADDRESS_VERIFICATION_README,
  `address_verify_sender`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gateway.frontends.replies import Reply, ReplyTable
from gateway.frontends.scope import Scope, Skip
from gateway.protocols.address import Address, BadAddress
from gateway.verification.model import Kind, Query, Verdict

# Faults of ours; a mailbox that is just being created is none.
OWN_FAULTS = (Kind.STORE_FAULT, Kind.UPSTREAM_FAULT)

# The local part of Postfix' probes: double_bounce_sender, and behind it the
# time in base 31 where address_verify_sender_ttl is set (verify_sender_addr.c).
PROBE_PREFIX = b"double-bounce"
_PROBE = re.compile(PROBE_PREFIX + rb"[0-9a-z]*(@.*)?", re.IGNORECASE | re.DOTALL)


class Verifier(Protocol):
    """The engine, as far as a front end needs it."""

    def verify(self, query: Query) -> Verdict:
        """The verdict on `query`; may wait for another server."""


class Mode(Enum):
    """What becomes of a refusal."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class OnError(Enum):
    """What becomes of a recipient while a fault of ours keeps it from being judged."""

    TEMPFAIL = "tempfail"
    ACCEPT = "accept"


class Leniency(Enum):
    """Why a verdict that refuses is not carried out; the set is closed."""

    OBSERVED = "observed"
    ACCEPTED_ON_ERROR = "accepted-on-error"
    PROBE = "probe"
    NULL_SENDER = "null-sender"


@dataclass(frozen=True, slots=True)
class Question:
    """What a front end knows when it is asked about one recipient.

    `sender` is the bare address of MAIL FROM, empty for the null sender and
    None where there was no MAIL (VRFY).  `client` is the client's address as
    the MTA writes it, `authenticated` its login name, `mailer` the value of
    {rcpt_mailer}; each is empty where it is not known.  `size` is in bytes.
    `smtputf8` tells that the client asked for SMTPUTF8.
    """

    recipient: Address | BadAddress
    sender: bytes | None = None
    client: bytes = b""
    authenticated: bytes = b""
    mailer: bytes = b""
    size: int | None = None
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a recipient.

    Either `skip` says why it was not judged, or there is a `verdict`.
    `leniency` says why a verdict that refuses is not carried out.  `reply`
    and `action` say the refusal to an SMTP client and to Postfix; None and
    `DUNNO` where nothing is refused.
    """

    verdict: Verdict | None = None
    skip: Skip | None = None
    leniency: Leniency | None = None
    reply: Reply | None = None
    action: bytes = b"DUNNO"

    @property
    def refuse(self) -> bool:
        """True where the recipient is refused, for now or for ever."""
        return self.reply is not None


class Judge:
    """Decides about recipients for one front end.

    `check_size` hands the announced size to the engine, which compares it
    with the free quota.
    """

    __slots__ = ("_check_size", "_mode", "_on_error", "_replies", "_scope")

    def __init__(
        self,
        scope: Scope,
        replies: ReplyTable,
        *,
        mode: Mode = Mode.ENFORCE,
        on_error: OnError = OnError.TEMPFAIL,
        check_size: bool = False,
    ) -> None:
        self._scope = scope
        self._replies = replies
        self._mode = mode
        self._on_error = on_error
        self._check_size = check_size

    @property
    def scope(self) -> Scope:
        """Whose recipients are judged."""
        return self._scope

    @property
    def checks_size(self) -> bool:
        """Whether the announced size makes a difference."""
        return self._check_size

    def judge(self, question: Question, verifier: Verifier) -> Decision:
        """The decision on `question`; waits where the engine does."""
        begun = self.begin(question)
        return begun if isinstance(begun, Decision) else self.end(question, verifier.verify(begun))

    def begin(self, question: Question) -> Query | Decision:
        """What the engine is to be asked, or the decision where it need not be."""
        recipient = question.recipient
        skip = self._scope.skip(
            recipient,
            client=question.client,
            authenticated=question.authenticated,
            mailer=question.mailer,
        )
        if skip is not None:
            return Decision(skip=skip)
        if isinstance(recipient, BadAddress):
            return self.end(question, Verdict(Kind.BAD_ADDRESS, recipient.problem.encode()))
        return Query(recipient.address, question.size if self._check_size else None)

    def end(self, question: Question, verdict: Verdict) -> Decision:
        """The decision on `question`, now that its verdict is known."""
        recipient = question.recipient
        shown = recipient.address if isinstance(recipient, Address) else b""
        reply = self._replies.smtp(verdict, shown, smtputf8=question.smtputf8)
        if reply is None:
            return Decision(verdict)
        leniency = self._leniency(question, verdict.kind, temporary=reply.temporary)
        if leniency is not None:
            return Decision(verdict, leniency=leniency)
        return Decision(verdict, reply=reply, action=self._replies.policy(verdict, shown))

    def _leniency(self, question: Question, kind: Kind, *, temporary: bool) -> Leniency | None:
        if self._mode is Mode.OBSERVE:
            return Leniency.OBSERVED
        if kind in OWN_FAULTS and self._on_error is OnError.ACCEPT:
            return Leniency.ACCEPTED_ON_ERROR
        sender = question.sender
        if temporary and sender is not None:
            if _PROBE.fullmatch(sender):
                return Leniency.PROBE
            if not sender and kind in OWN_FAULTS:
                return Leniency.NULL_SENDER
        return None
