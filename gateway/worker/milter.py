"""The milter's conversations as the settings want them, for whichever transport serves them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from gateway.frontends.milter_conversation import MilterConversation
from gateway.frontends.origin import AnswerOrigin
from gateway.frontends.replycache import ReplyCache
from gateway.observability.logging.verdicts import VerdictLog
from gateway.wiring.assembly import make_judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import Settings
    from gateway.frontends.judge import Decision
    from gateway.frontends.milter_conversation import Key, Rcpt
    from gateway.mta.postfix import Postfix
    from gateway.observability.logging.setup import AddressWriter
    from gateway.observability.metrics.recorder import Recorder
    from gateway.verification.decider import Memory
    from gateway.worker.scopefiles import ScopeFiles

_log = logging.getLogger(__name__)


def conversations(
    settings: Settings,
    *,
    memory: Memory,
    recorder: Recorder,
    address: AddressWriter,
    every_ready: list[ReplyCache[Key]],
    postfix: Postfix | None,
    files: ScopeFiles,
) -> Callable[[], MilterConversation]:
    """What makes the conversation of one more MTA; raises ConfigurationError.

    Their ready replies join `every_ready`, and what their scope reads `files`.
    """
    mode = settings.milter.mode
    answers = settings.milter.answers
    judge = make_judge(
        settings, mode, answers, sees_mailers=True, postfix=postfix, trust=files.trust
    )
    files.add(judge.scope)
    verdicts = VerdictLog("milter", mode, address)
    written = verdicts.enabled
    counters = recorder.counters("milter")
    ready: ReplyCache[Key] = ReplyCache(memory, judge, counters.ready_decision)
    every_ready.append(ready)

    def count(rcpt: Rcpt, decision: Decision) -> None:
        mail = rcpt.transaction
        counters.decision(decision, rcpt.recipient, mail.sender, mail.client)

    def conversation() -> MilterConversation:
        origin = AnswerOrigin(memory) if written else None
        return MilterConversation(
            memory,
            judge,
            observe=partial(verdicts.milter, origin=origin),
            ready=ready,
            faults_only=not written,
            count=count,
            origin=origin,
            defect=defect,
        )

    return conversation


def defect(error: Exception) -> None:
    """Tell the log of an exception that nobody expected."""
    _log.error("defect while judging a recipient, who is deferred: %r", error)
