"""Counts of a front end's answers, and its last refusals."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest

from gateway.frontends.counters import OutcomeCounters
from gateway.frontends.judge import Decision
from gateway.frontends.outcome import OutcomeCounter
from gateway.frontends.replies import SmtpReply
from gateway.frontends.scope import Skip
from gateway.frontends.socketmap_cache import SocketmapReplyCache
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.frontends.waiver import Waiver
from gateway.protocols.socketmap import encode
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Verdict
from tests.support.admin_stores import verifier

if TYPE_CHECKING:
    from gateway.frontends.outcome import Refused

DELIVERABLE = Verdict(Kind.DELIVERABLE, b"")
DENIED = Verdict(Kind.DENIED, b"closed")
REPLY = SmtpReply(550, "5.2.1", "closed")


@pytest.mark.parametrize(
    ("decision", "outcome", "kept"),
    [
        (Decision(DELIVERABLE), ("deliverable", "", ""), False),
        (Decision(DENIED, reply=REPLY), ("denied", "", ""), True),
        (Decision(DENIED, waiver=Waiver.OBSERVED), ("denied", "", "observed"), True),
        (Decision(skip=Skip.ALIAS), ("", "alias", ""), False),
    ],
)
def test_decisions_are_counted_by_what_became_of_them(
    decision: Decision, outcome: tuple[str, str, str], kept: bool
) -> None:
    """Each by what became of it; what refuses, or would have, is kept."""
    refusals: deque[Refused] = deque(maxlen=2)
    counters = OutcomeCounters(refusals)
    for _ in range(3):
        counters.decision(decision, b"to", b"from", b"192.0.2.1")
    assert counters.outcomes() == [(outcome, 3)]
    assert [each[1:] for each in refusals] == (
        [(outcome, b"to", b"from", b"192.0.2.1", b"closed")] * 2 if kept else []
    )


def test_a_socketmaps_refusals_may_be_withheld() -> None:
    """The tally is told why."""
    counters = OutcomeCounters(deque())
    counters.verdict(b"a", DENIED, Waiver.OBSERVED)
    counters.verdict(b"b", DELIVERABLE, None)
    assert counters.outcomes() == [(("denied", "", "observed"), 1), (("deliverable", "", ""), 1)]


def test_ready_answers_are_counted_apart() -> None:
    """They tell how many questions never reached the engine; the sum is of both."""
    counters = OutcomeCounters(deque())
    counter = counters.cached_verdict(DENIED, None)
    assert counters.cached_verdict(Verdict(Kind.DENIED, b"another text"), None) is counter
    counter.count += 2
    counters.verdict(b"a", DENIED, None)
    assert counters.answers_from_cache == 2
    assert sum(count for _, count in counters.outcomes()) == 3
    skipped = counters.cached_decision(Decision(skip=Skip.ALIAS))
    skipped.count += 1
    assert counters.answers_from_cache == 2


def test_a_cell_that_keeps_nothing() -> None:
    """A recipient that is not refused is not remembered."""
    counter = OutcomeCounter()
    counter.refused(b"fred", b"")
    assert counter.refusals is None


def test_every_reply_is_counted_once(tmp_path: object) -> None:
    """Whichever way it was given: one by one, ready, several at once."""
    refusals: deque[Refused] = deque(maxlen=99)
    counters = OutcomeCounters(refusals)
    cache = VerdictCache(verifier(str(tmp_path)))
    replies = SocketmapReplyCache(cache, counter_of=counters.cached_verdict)
    session = SocketmapSession(cache, replies=replies, count=counters.verdict)
    requests = [encode(b"m fred@example.org"), encode(b"m olga@example.org"), encode(b"m no")]
    asked = 0
    for batch in (1, 1, 2, 1):
        for request in requests:
            data = request * batch
            asked += batch
            if session.cached_reply(data) is None:
                session.receive(data)
                session.replies()
    assert sum(count for _, count in counters.outcomes()) == asked
    assert len(refusals) == asked * 2 // 3
