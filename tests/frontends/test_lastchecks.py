"""A refusal, and what the mail server has to say about the recipient."""

from __future__ import annotations

import pytest

from gateway.frontends.judge import Decision, Judge, Question
from gateway.frontends.replies import ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeRules, Skip
from gateway.frontends.waiver import Mode, OnError, Waiver, Waivers
from gateway.mta.lookups import Lookups, TableAnswers
from gateway.protocols.address import parse_bare
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from tests.support.postfix_worlds import Contents, answers, postfix

MAIN = {
    "virtual_alias_maps": "hash:/virtual",
    "alias_maps": "hash:/aliases",
    "virtual_mailbox_domains": "virt.example",
}
TABLES: Contents = {
    "hash:/virtual": {
        "toalice@virt.example": "alice@virt.example",
        "todead@virt.example": "dead@virt.example",
        "tofull@virt.example": "full@virt.example",
        "chain@virt.example": "todead@virt.example",
        "loop1@virt.example": "loop2@virt.example",
        "loop2@virt.example": "loop1@virt.example",
        "away@virt.example": "joe@gmail.example",
        "both@virt.example": "dead@virt.example, alice@virt.example",
        "alldead@virt.example": "dead@virt.example, gone@virt.example",
        "later@virt.example": "dead@virt.example, full@virt.example",
        "self@virt.example": "self@virt.example, dead@virt.example",
        "root@virt.example": "root",
        "odd@virt.example": "a b@virt.example",
    },
    "hash:/aliases": {"root": "alice@virt.example"},
}
KINDS = {b"alice": Kind.DELIVERABLE, b"full": Kind.OVER_QUOTA, b"broken": Kind.STORE_FAULT}


class Engine:
    """Knows KINDS; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def verify(self, query: Query) -> Verdict:
        """Remember and answer."""
        self.asked.append(query.recipient)
        return Verdict(KINDS.get(query.recipient.partition(b"@")[0], Kind.NONEXISTENT), b"")


class Site:
    """A judge with a mail server whose tables are dicts."""

    def __init__(
        self,
        tables: Contents = TABLES,
        replies: ReplyTable | None = None,
        waivers: Waivers | None = None,
        **settings: object,
    ) -> None:
        self.engine = Engine()
        self.rounds: list[Lookups] = []
        world = postfix(MAIN)
        known = self

        class Tables:
            """In the place of postmap."""

            memory = world.tables.memory

            def ask(self, lookups: Lookups) -> TableAnswers:
                """Remember and answer."""
                known.rounds.append(lookups)
                return answers(lookups, tables)

        world.tables = Tables()  # type: ignore[assignment]
        scope = Scope(ScopeRules(postfix="/etc/postfix", **settings), postfix=world)  # type: ignore[arg-type]
        self.judge = Judge(
            scope, replies or ReplyTable(), waivers=waivers or Waivers(), postfix=world
        )

    def decide(self, address: str, mailer: bytes = b"") -> Decision:
        """The decision on one recipient."""
        question = Question(parse_bare(address.encode()), sender=b"joe@x.test", mailer=mailer)
        return self.judge.judge(question, self.engine)


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("alice@virt.example", Kind.DELIVERABLE),
        ("nobody@virt.example", Kind.NONEXISTENT),
        ("full@virt.example", Kind.OVER_QUOTA),
        ("toalice@virt.example", Skip.REWRITTEN),
        ("todead@virt.example", Kind.NONEXISTENT),
        ("tofull@virt.example", Kind.OVER_QUOTA),
        ("chain@virt.example", Kind.NONEXISTENT),
        ("loop1@virt.example", Kind.NONEXISTENT),
        ("away@virt.example", Skip.REWRITTEN),
        ("both@virt.example", Skip.REWRITTEN),
        ("alldead@virt.example", Kind.NONEXISTENT),
        ("later@virt.example", Kind.OVER_QUOTA),
        ("self@virt.example", Kind.NONEXISTENT),
        ("root@virt.example", Skip.REWRITTEN),  # by way of aliases(5)
        ("odd@virt.example", Skip.REWRITTEN),
        ("joe@gmail.example", Skip.NOT_OUR_DOMAIN),
        ("SRS0=HHH=TT=x.test=joe@virt.example", Skip.SRS),
    ],
)
def test_only_what_postfix_makes_is_judged(address: str, outcome: Kind | Skip) -> None:
    """What Postfix does otherwise is left to it; what it makes of a recipient is judged."""
    decision = Site().decide(address)
    if isinstance(outcome, Skip):
        assert (decision.skip, decision.refuse) == (outcome, False)
    else:
        assert decision.verdict is not None
        assert decision.verdict.kind is outcome
        assert decision.refuse is (outcome is not Kind.DELIVERABLE)


def test_only_refusals_ask() -> None:
    """A good recipient costs no look-up, and neither does one that is surely not ours."""
    site = Site()
    assert site.decide("alice@virt.example").lasting
    world = Site()
    assert world.decide("joe@gmail.example").skip is Skip.NOT_OUR_DOMAIN
    assert site.rounds == []
    assert not site.decide("nobody@virt.example").lasting
    assert site.rounds


def test_all_rounds_have_one_deadline() -> None:
    """An alias of an alias takes no longer than the client waits."""
    site = Site()
    site.decide("chain@virt.example")
    deadlines = {lookups.until for lookups in site.rounds}
    assert len(site.rounds) > 3
    assert len(deadlines) == 1
    assert None not in deadlines


@pytest.mark.parametrize("table", ["hash:/virtual", "hash:/aliases"])
def test_a_table_that_cannot_be_asked(table: str) -> None:
    """No recipient that it could save is permanently refused, and the log is told its name."""
    site = Site({**TABLES, table: f"{table}: cannot be asked: broken"})
    for address in ("nobody@virt.example", "nobody@mx.test.example"):
        decision = site.decide(address)
        if table == "hash:/aliases" and "virt" in address:
            assert decision.verdict is not None
            assert decision.verdict.kind is Kind.NONEXISTENT
            continue
        assert decision.reply is not None
        assert decision.reply.temporary
        assert decision.verdict is not None
        assert decision.verdict.evidence.fault == f"Postfix' table {table}: cannot be asked: broken"
    assert site.decide("alice@virt.example").verdict == Verdict(Kind.DELIVERABLE, b"")
    full = site.decide("full@virt.example")
    assert full.verdict is not None
    assert full.verdict.kind is Kind.OVER_QUOTA


def test_a_fault_of_a_table_is_a_fault_of_ours() -> None:
    """on_error = "accept" lets the recipient in."""
    site = Site({"hash:/virtual": "broken"}, waivers=Waivers(on_error=OnError.ACCEPT))
    assert site.decide("nobody@virt.example").waiver is Waiver.ACCEPTED_ON_ERROR


def test_a_quota_that_refuses_for_ever_is_a_refusal_for_ever() -> None:
    """Whatever its kind is by default."""
    replies = ReplyTable({Kind.OVER_QUOTA: Template(552, "5.2.2", "full")})
    site = Site({"hash:/virtual": "broken"}, replies)
    decision = site.decide("full@virt.example")
    assert decision.reply is not None
    assert decision.reply.temporary


def test_a_fault_of_the_store_refuses_no_mail_that_is_not_ours() -> None:
    """A domain that only tables know is asked for, whatever the verdict was."""
    site = Site()
    assert site.decide("broken@virt.example").refuse
    assert site.decide("broken@gmail.example").skip is Skip.NOT_OUR_DOMAIN


def test_observe_asks_as_well() -> None:
    """Its lines tell what would be refused, and aliases would not."""
    site = Site(waivers=Waivers(Mode.OBSERVE))
    assert site.decide("toalice@virt.example").skip is Skip.REWRITTEN
    assert site.decide("nobody@virt.example").waiver is Waiver.OBSERVED


def test_what_is_no_address_may_be_in_another_domain() -> None:
    """Then it is not ours to refuse."""
    site = Site()
    assert site.decide("a\x01b@gmail.example").skip is Skip.NOT_OUR_DOMAIN
    assert site.decide("a\x01b@virt.example").refuse


@pytest.mark.parametrize(
    ("mailer", "skip"),
    [(b"smtp", Skip.NOT_OUR_MAILER), (b"virtual", Skip.NOT_OUR_MAILER), (b"lmtp", None)],
)
def test_the_milters_mailer_goes_first(mailer: bytes, skip: Skip | None) -> None:
    """What is bound for another place is not judged at all."""
    site = Site()
    assert site.decide("nobody@virt.example", mailer).skip is skip
    assert bool(site.engine.asked) is (skip is None)


def test_domains_of_scope_count_beside_those_of_postfix() -> None:
    """Whatever Postfix calls them."""
    site = Site(domains=("more.example",))
    assert site.decide("nobody@more.example").refuse
    assert site.decide("alice@more.example").verdict == Verdict(Kind.DELIVERABLE, b"")
