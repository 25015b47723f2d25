"""The milter on our own codec: one MTA's bytes for the conversation, and its decisions as bytes.

In trouble it says nothing and is `finished`: the MTA then applies its own
default action (Postfix milter_default_action, Sendmail's F= flags).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from gateway.frontends.frontend import FrontEndTable
from gateway.frontends.judging_session import JudgingSession
from gateway.frontends.milter_conversation import WANTED, Deferral, MilterConversation
from gateway.frontends.origin import AnswerOrigin
from gateway.frontends.replycache import DecisionCache
from gateway.protocols import milter
from gateway.protocols.milter import (
    ABORT,
    CONTINUE,
    DEFER,
    END_OF_MESSAGE,
    NEXT_CLIENT,
    QUIT,
    Client,
    Macros,
    Mail,
    MilterParser,
    MilterStep,
    Negotiation,
    Recipient,
)
from gateway.protocols.milter_macros import MacroTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.frontend import Serving, SessionFor, VerdictWriter
    from gateway.frontends.judge import Decision, Judge
    from gateway.frontends.milter_conversation import Key, Rcpt
    from gateway.mta.lookups import TableAnswers
    from gateway.protocols.milter import Event
    from gateway.verification.model import Verdict

_WANTED = tuple((stage, names.encode()) for stage, names in WANTED)


class MilterTable(FrontEndTable, Protocol):
    """What is read of [milter] here: a property a setting (gateway/config/tables/milter.py)."""


class MilterSession(JudgingSession):
    """The bytes between one MTA and its conversation."""

    __slots__ = ("_conversation", "_macros", "_value")

    def __init__(
        self,
        conversation: MilterConversation,
        *,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        """As a JudgingSession's."""
        super().__init__(conversation.judging, MilterParser(), complain=complain)
        self._conversation = conversation
        self._macros = MacroTable()
        self._value = self._macros.value

    @property
    def engaged(self) -> bool:
        """Between MAIL and the end of the mail: an MTA would defer what it was about to take."""
        return self._conversation.under_way

    def cached_reply(self, data: bytes) -> bytes | None:
        """Never at once: what a recipient is told rests on what came before it."""

    def _answer(self, event: Event) -> bytes:
        conversation = self._conversation
        match event:
            case Macros():
                self._macros.tell(event)
                return b""
            case Recipient():
                self._macros.step(b"R")
                return _packet(conversation.rcpt(event.argument, self._value))
            case Mail():
                self._macros.step(b"M")
                conversation.mail(event.argument, event.parameters, self._value)
                return self._unless(milter.NO_REPLY_MAIL)
            case Client():
                self._macros.step(b"C")
                conversation.connect(event.address, event.port, self._value)
                return self._unless(milter.NO_REPLY_CONNECT)
            case Negotiation():
                self._macros.clear()
                steps = conversation.negotiate(event.steps)
                return milter.negotiated(min(event.version, milter.VERSION), steps, _WANTED)
            case MilterStep():
                return self._step(event)

    def _resolve(self, told: Verdict | TableAnswers) -> bytes:
        return _packet(self._conversation.resolved(told))

    def _step(self, step: MilterStep) -> bytes:
        if step == QUIT:
            self.finished = True
            return b""
        if step in (ABORT, END_OF_MESSAGE):
            self._conversation.over()
        elif step == NEXT_CLIENT:
            self._conversation.next_client()
            self._macros.clear()
        else:
            self._macros.step(step.command)
        return b"" if step in (ABORT, NEXT_CLIENT) else CONTINUE

    def _unless(self, no_reply: int) -> bytes:
        return b"" if self._conversation.no_reply_steps & no_reply else CONTINUE


def _packet(outcome: Decision | Deferral | None) -> bytes:
    """The reply to a recipient; nothing where it is not decided yet."""
    if outcome is None:
        return b""
    if isinstance(outcome, Deferral):
        return DEFER
    reply = outcome.reply
    return CONTINUE if reply is None else milter.refusal(reply.line().encode())


def conversations(serving: Serving[Judge, MilterTable]) -> Callable[[], MilterConversation]:
    """What makes the conversation of one more MTA, whichever transport brings its steps."""
    memory, judge, counters = serving.memory, serving.judge, serving.counters
    reply_cache: DecisionCache[Key] = DecisionCache(memory, judge, counters.cached_decision)
    serving.caches.append(reply_cache)
    written = serving.log.enabled

    def count(rcpt: Rcpt, decision: Decision) -> None:
        mail = rcpt.transaction
        counters.decision(decision, rcpt.recipient, mail.sender, mail.client)

    def conversation() -> MilterConversation:
        origin = AnswerOrigin(memory) if written else None
        return MilterConversation(
            memory,
            judge,
            observe=partial(_write, serving.log, origin),
            reply_cache=reply_cache,
            faults_only=not written,
            count=count,
            origin=origin,
            defect=serving.defect,
        )

    return conversation


def sessions(serving: Serving[Judge, MilterTable]) -> SessionFor:
    """What makes the sessions of MTAs, on our own codec."""
    conversation = conversations(serving)

    def session(client: str) -> MilterSession:
        return MilterSession(conversation(), complain=partial(serving.complain, client))

    return session


def _write(log: VerdictWriter, origin: AnswerOrigin | None, rcpt: Rcpt, decision: Decision) -> None:
    """One RCPT that was judged or skipped."""
    if log.quiet(decision.verdict):
        return
    transaction = rcpt.transaction
    log.decision(
        decision,
        origin,
        {
            "queue_id": rcpt.queue_id,
            "client": transaction.client,
            "sender": log.sender(transaction.sender),
            "recipient": log.address(rcpt.recipient),
        },
        decision.reply.line().encode() if decision.reply is not None else b"continue",
    )
