"""Decisions that policy and milter share."""

from __future__ import annotations

import pytest

from gateway.frontends.judge import Decision, Judge, Question
from gateway.frontends.replies import REFUSALS, ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeRules, Skip
from gateway.frontends.waiver import Mode, OnError, Waiver, Waivers
from gateway.protocols.address import parse_path
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict

SCOPE = Scope(ScopeRules(domains=("example.org",)))
REPLIES = ReplyTable()


class Engine:
    """An engine with one verdict for everybody; it remembers what it was asked."""

    def __init__(self, kind: Kind = Kind.DELIVERABLE, reason: bytes = b"") -> None:
        self.verdict = Verdict(kind, reason)
        self.asked: list[Query] = []

    def verify(self, query: Query) -> Verdict:
        """Remember and answer."""
        self.asked.append(query)
        return self.verdict


def question(
    recipient: str = "<fred@example.org>", sender: bytes | None = b"joe@example.com"
) -> Question:
    """A question about one recipient."""
    return Question(parse_path(recipient.encode()), sender=sender)


@pytest.mark.parametrize("kind", REFUSALS, ids=str)
def test_a_verdict_that_refuses_is_the_reply_of_the_table(kind: Kind) -> None:
    """A verdict that refuses is the table's reply, for a milter and for Postfix."""
    engine = Engine(kind, b"a reason")
    decision = Judge(SCOPE, REPLIES).judge(question(), engine)
    assert decision.refuse
    assert decision.verdict is engine.verdict
    assert decision.reply == REPLIES.smtp(engine.verdict, b"fred@example.org")
    assert decision.action == REPLIES.policy(engine.verdict, b"fred@example.org")


def test_a_good_recipient_is_not_refused() -> None:
    """A good recipient is asked with its bare address, and not refused."""
    engine = Engine()
    decision = Judge(SCOPE, REPLIES).judge(question('<"a b"@Example.org>'), engine)
    assert decision == Decision(verdict=engine.verdict)
    assert decision.action == b"DUNNO"
    assert not decision.refuse
    assert engine.asked == [Query(b"a b@Example.org")]


def test_not_ours_is_not_asked() -> None:
    """The engine never hears of a recipient that is not ours."""
    engine = Engine(Kind.NONEXISTENT)
    decision = Judge(SCOPE, REPLIES).judge(question("fred@example.com"), engine)
    assert decision == Decision(skip=Skip.NOT_OUR_DOMAIN)
    assert decision.action == b"DUNNO"
    assert engine.asked == []


def test_a_bad_address_is_refused_without_asking() -> None:
    """What is not an address is refused without asking, if it claims a domain of ours."""
    engine = Engine()
    judge = Judge(SCOPE, REPLIES)
    decision = judge.judge(question("<a b@example.org>"), engine)
    assert decision.action == b"553 5.1.3 Bad recipient address syntax"
    assert decision.verdict == Verdict(Kind.BAD_ADDRESS, b"a special character outside of quotes")
    assert judge.judge(question("<a b@example.com>"), engine).skip is Skip.NOT_OUR_DOMAIN
    assert engine.asked == []


@pytest.mark.parametrize(("check_size", "asked"), [(False, None), (True, 4711)])
def test_the_size_is_asked_if_checked(check_size: bool, asked: int | None) -> None:
    """The announced size reaches the engine only where it is to be checked."""
    engine = Engine()
    judge = Judge(SCOPE, REPLIES, check_size=check_size)
    judge.judge(Question(parse_path(b"fred@example.org"), size=4711), engine)
    assert engine.asked == [Query(b"fred@example.org", asked)]


@pytest.mark.parametrize("kind", REFUSALS, ids=str)
def test_nothing_is_refused_in_observe_mode(kind: Kind) -> None:
    """In observe mode everything is judged and nothing is refused."""
    engine = Engine(kind)
    decision = Judge(SCOPE, REPLIES, waivers=Waivers(Mode.OBSERVE)).judge(question(), engine)
    assert decision == Decision(verdict=engine.verdict, waiver=Waiver.OBSERVED)


PROBE = b"double-bounce@mx.example.com"
TIMED_PROBE = b"Double-Bounce1h4zk@mx.example.com"


@pytest.mark.parametrize(
    ("kind", "on_error", "sender", "waiver"),
    [
        (Kind.STORE_FAULT, OnError.TEMPFAIL, b"joe@example.com", None),
        (Kind.STORE_FAULT, OnError.ACCEPT, b"joe@example.com", Waiver.ACCEPTED_ON_ERROR),
        (Kind.UPSTREAM_FAULT, OnError.ACCEPT, b"joe@example.com", Waiver.ACCEPTED_ON_ERROR),
        (Kind.UPSTREAM_FAULT, OnError.ACCEPT, None, Waiver.ACCEPTED_ON_ERROR),
        (Kind.RESERVED, OnError.ACCEPT, b"joe@example.com", None),
        (Kind.OVER_QUOTA, OnError.ACCEPT, b"joe@example.com", None),
        (Kind.NONEXISTENT, OnError.ACCEPT, b"joe@example.com", None),
        (Kind.STORE_FAULT, OnError.TEMPFAIL, PROBE, Waiver.PROBE),
        (Kind.OVER_QUOTA, OnError.TEMPFAIL, PROBE, Waiver.PROBE),
        (Kind.RESERVED, OnError.TEMPFAIL, TIMED_PROBE, Waiver.PROBE),
        (Kind.SIZE_OVER_QUOTA, OnError.TEMPFAIL, b"double-bounce", Waiver.PROBE),
        (Kind.OVER_QUOTA_PERMANENT, OnError.TEMPFAIL, PROBE, None),
        (Kind.NONEXISTENT, OnError.TEMPFAIL, PROBE, None),
        (Kind.OVER_QUOTA, OnError.TEMPFAIL, b"double-bounces-fan.x@example.com", None),
        (Kind.STORE_FAULT, OnError.TEMPFAIL, b"", Waiver.NULL_SENDER),
        (Kind.UPSTREAM_FAULT, OnError.TEMPFAIL, b"", Waiver.NULL_SENDER),
        (Kind.OVER_QUOTA, OnError.TEMPFAIL, b"", None),
        (Kind.NONEXISTENT, OnError.TEMPFAIL, b"", None),
        (Kind.STORE_FAULT, OnError.TEMPFAIL, None, None),
    ],
)
def test_only_faults_and_probes_may_be_let_off(
    kind: Kind, on_error: OnError, sender: bytes | None, waiver: Waiver | None
) -> None:
    """Faults of ours may be accepted, and probes are never deferred; nothing else is let off."""
    judge = Judge(SCOPE, REPLIES, waivers=Waivers(on_error=on_error))
    decision = judge.judge(question(sender=sender), Engine(kind))
    assert decision.waiver is waiver
    assert decision.refuse is (waiver is None)


def test_temporary_is_what_the_table_says() -> None:
    """A kind that is configured to be refused for now is not refused to a probe."""
    replies = ReplyTable({Kind.DENIED: Template(451, "4.2.1", "Blocked")})
    decision = Judge(SCOPE, replies).judge(question(sender=PROBE), Engine(Kind.DENIED))
    assert decision.waiver is Waiver.PROBE


def test_smtputf8_decides_which_text_a_client_gets() -> None:
    """A client that asked for SMTPUTF8 gets the UTF-8 text, Postfix' policy the ASCII one."""
    replies = ReplyTable({Kind.NONEXISTENT: Template(550, "5.1.1", "no", "n\u00f6")})
    asked = Question(parse_path(b"fred@example.org"), smtputf8=True)
    decision = Judge(SCOPE, replies).judge(asked, Engine(Kind.NONEXISTENT))
    assert decision.reply is not None
    assert decision.reply.line() == "550 5.1.1 n\u00f6"
    assert decision.action == b"550 5.1.1 no"


def test_in_two_halves() -> None:
    """An event loop asks the engine in its own way, and gets the same decision."""
    judge = Judge(SCOPE, REPLIES)
    query = judge.prepare(question())
    assert query == Query(b"fred@example.org")
    verdict = Verdict(Kind.NONEXISTENT, b"Mailbox does not exist")
    assert judge.conclude(question(), verdict) == judge.judge(question(), Engine(*_parts(verdict)))


def _parts(verdict: Verdict) -> tuple[Kind, bytes]:
    return verdict.kind, verdict.reason
