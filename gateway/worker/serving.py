"""What the sessions of one front end share in this process, as the settings want it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from gateway.frontends.frontend import FrontEnd, JudgeT, Serving, TableT
from gateway.observability.logging.verdicts import VerdictLog
from gateway.wiring.judges import make_judge

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.mta.postfix import Postfix
    from gateway.observability.logging.setup import AddressWriter
    from gateway.observability.metrics.recorder import Recorder
    from gateway.verification.decider import Memory
    from gateway.worker.scopefiles import ScopeFiles

_log = logging.getLogger(__name__)


def make_serving(
    front_end: FrontEnd[JudgeT, TableT],
    settings: Settings,
    *,
    memory: Memory,
    recorder: Recorder,
    address: AddressWriter,
    postfix: Postfix | None,
    files: ScopeFiles,
) -> Serving[JudgeT, TableT]:
    """Raises ConfigurationError; what the scope reads joins `files`."""
    name = front_end.name
    own = settings.front_end(name)
    judge = make_judge(settings, front_end, postfix=postfix, trust=files.trust)
    files.add(judge.scope)

    def complain(client: str, problem: str) -> None:
        _log.warning("%s client %s: %s; disconnected", name, client, problem)

    return Serving(
        memory=memory,
        judge=judge,
        # The registry holds each front end to its table.
        table=cast("TableT", own),
        counters=recorder.counters(name),
        log=VerdictLog(name, own.mode, address),
        complain=complain,
        defect=defect,
    )


def defect(error: Exception) -> None:
    """Tell the log of an unexpected exception."""
    _log.error("defect while judging a recipient, which is deferred: %r", error)
