"""Counts of a front end's answers, and its last refusals."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest

from gateway.frontends.counters import Tally
from gateway.frontends.judge import Decision
from gateway.frontends.replies import Reply
from gateway.frontends.scope import Skip
from gateway.frontends.socketmap_session import Replies, Session
from gateway.frontends.waiver import Waiver
from gateway.protocols.socketmap import encode
from gateway.verification.cache import VerdictCache
from gateway.verification.cell import Cell
from gateway.verification.model import Kind, Verdict
from tests.observability.admin.stores import verifier

if TYPE_CHECKING:
    from gateway.verification.cell import Refused

DELIVERABLE = Verdict(Kind.DELIVERABLE, b"")
DENIED = Verdict(Kind.DENIED, b"closed")
REPLY = Reply(550, "5.2.1", "closed")


@pytest.mark.parametrize(
    ("decision", "outcome", "kept"),
    [
        (Decision(DELIVERABLE), ("deliverable", "", ""), False),
        (Decision(DENIED, reply=REPLY), ("denied", "", ""), True),
        (Decision(DENIED, waiver=Waiver.OBSERVED), ("denied", "", "observed"), True),
        (Decision(skip=Skip.ALIAS), ("", "alias", ""), False),
    ],
)
def test_decisions(decision: Decision, outcome: tuple[str, str, str], kept: bool) -> None:
    """Each by what became of it; what refuses, or would have, is kept."""
    refusals: deque[Refused] = deque(maxlen=2)
    tally = Tally(refusals)
    for _ in range(3):
        tally.decision(decision, b"to", b"from", b"192.0.2.1")
    assert tally.outcomes() == [(outcome, 3)]
    assert [each[1:] for each in refusals] == (
        [(outcome, b"to", b"from", b"192.0.2.1", b"closed")] * 2 if kept else []
    )


def test_a_socketmaps_refusals_may_be_withheld() -> None:
    """The tally is told why."""
    tally = Tally(deque())
    tally.verdict(b"a", DENIED, Waiver.OBSERVED)
    tally.verdict(b"b", DELIVERABLE, None)
    assert tally.outcomes() == [(("denied", "", "observed"), 1), (("deliverable", "", ""), 1)]


def test_ready_answers_are_counted_apart() -> None:
    """They tell how many questions never reached the engine; the sum is of both."""
    tally = Tally(deque())
    cell = tally.ready_verdict(DENIED, None)
    assert tally.ready_verdict(Verdict(Kind.DENIED, b"another text"), None) is cell
    cell.count += 2
    tally.verdict(b"a", DENIED, None)
    assert tally.answers_ready == 2
    assert sum(count for _, count in tally.outcomes()) == 3
    skipped = tally.ready_decision(Decision(skip=Skip.ALIAS))
    skipped.count += 1
    assert tally.answers_ready == 2


def test_a_cell_that_keeps_nothing() -> None:
    """Whoever is not refused is not remembered."""
    cell = Cell()
    cell.refused(b"fred", b"")
    assert cell.refusals is None


def test_every_reply_is_counted_once(tmp_path: object) -> None:
    """Whichever way it was given: one by one, ready, several at once."""
    refusals: deque[Refused] = deque(maxlen=99)
    tally = Tally(refusals)
    cache = VerdictCache(verifier(str(tmp_path)))
    replies = Replies(cache, cell_of=tally.ready_verdict)
    session = Session(cache, replies=replies, count=tally.verdict)
    requests = [encode(b"m fred@example.org"), encode(b"m olga@example.org"), encode(b"m no")]
    asked = 0
    for batch in (1, 1, 2, 1):
        for request in requests:
            data = request * batch
            asked += batch
            if session.quick(data) is None:
                session.receive(data)
                session.replies()
    assert sum(count for _, count in tally.outcomes()) == asked
    assert len(refusals) == asked * 2 // 3
