"""Delivery on a Murder frontend: for which recipients mupdate is kicked before an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.verifier import DELIVERY
from tests.verification.test_delivery import CATCHES, MADE, MAKES, NONE, OK, verifier


def test_mupdate_is_kicked_for_a_mailbox_that_is_missing(tmp_path: Path) -> None:
    """Before it would be made, or caught; afterwards the same authority goes on."""
    engine = verifier(tmp_path, {**MAKES, **CATCHES})
    engine.kicks_mupdate = True
    outcome = engine.decide(Query(b"newbie"))
    assert isinstance(outcome, Pending)
    assert (outcome.server, outcome.answers) == (None, DELIVERY)
    known = engine.decide(Query(b"fred"))
    assert isinstance(known, Verdict)
    assert known.kind is OK
    again = engine.decide(Query(b"newbie"), kicked=True)
    assert isinstance(again, Verdict)
    assert again.kind is MADE


@pytest.mark.parametrize(
    ("recipient", "waits"),
    [(b"new", True), (b"gone", True), (b"between", True), (b"going", False), (b"agenda", False)],
)
def test_mupdate_is_kicked_for_a_mailbox_that_is_being_made(
    tmp_path: Path, recipient: bytes, *, waits: bool
) -> None:
    """Or that is none any more; whatever else a record says, another look would find it again."""
    engine = verifier(tmp_path, NONE)
    known = engine.verify(Query(recipient))
    engine.kicks_mupdate = True
    outcome = engine.decide(Query(recipient))
    if waits:
        assert isinstance(outcome, Pending)
    else:
        assert outcome == known
