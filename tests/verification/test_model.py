"""The engine's words."""

from __future__ import annotations

from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Evidence, Query, Verdict


def test_who_gets_the_mail() -> None:
    """Everybody that delivery reaches, wherever it puts the mail."""
    accepting = {kind for kind in KINDS if kind.accepts}
    assert accepting == {Kind.DELIVERABLE, Kind.CREATED, Kind.CATCH_ALL}


def test_what_goes_without_saying() -> None:
    """A question comes from no other server, and a verdict may be remembered."""
    query, verdict = Query(b"fred"), Verdict(Kind.DELIVERABLE, b"")
    assert (query.size, query.hops, verdict.cacheable) == (None, 0, True)


def test_evidence_is_what_it_was_made_of() -> None:
    """Each field stands under its own name."""
    evidence = Evidence(mailbox=b"m", userid=b"u", deny_pattern=b"p", server="s", fault="f")
    assert (evidence.mailbox, evidence.userid, evidence.deny_pattern) == (b"m", b"u", b"p")
    assert (evidence.server, evidence.fault, evidence.quota) == ("s", "f", None)
