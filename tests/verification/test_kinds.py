"""A kind says what follows from it, and what it says agrees."""

from __future__ import annotations

import re

import pytest

from gateway.frontends import replies
from gateway.frontends.replies import Template
from gateway.verification.expiringcache import Lifetimes
from gateway.verification.kinds import KINDS, NOT_CAUGHT, REMEMBERED, Kind
from tests.interfaces.kinds import CATCH_ALL, READING, expected
from tests.sources import ROOT

EVERY = pytest.mark.parametrize("kind", KINDS, ids=str)


def test_every_kind_is_in_the_closed_set() -> None:
    """One that is declared and never made, or made under two names, is a mistake."""
    declared = {name for name in Kind.__annotations__ if name.isupper()}
    assert declared == {name for name, each in vars(Kind).items() if isinstance(each, Kind)}
    assert len({kind.name for kind in KINDS}) == len(KINDS) == len(declared)


@EVERY
def test_what_a_kind_says_agrees(kind: Kind) -> None:
    """A recipient that is accepted is not refused; a fault of ours loses no mail and is not remembered."""
    if kind.accepts:
        assert not (kind.temporary or kind.our_fault or kind.permanent_reply_allowed)
    if kind.our_fault:
        assert kind.temporary
        assert not kind.permanent_reply_allowed
        assert kind.remembered_as is None
    assert kind.try_next_server == kind.our_fault
    final = not kind.accepts and not kind.temporary
    if final:
        assert kind.permanent_reply_allowed, "a refusal for good is answered with 5xx"
    assert final or not (kind.missing or kind.other_readings)
    assert not (kind.catch_all and (kind.accepts or kind.our_fault))
    if kind.missing:
        assert kind.other_readings
        assert kind.catch_all
    if kind.passes:
        assert kind.temporary
        assert kind.remembered_as is None
        assert not (kind.our_fault or kind.permanent_reply_allowed)
    if kind.for_now is not None:
        assert final
        assert kind.for_now.temporary
        assert kind.for_now.text == kind.text


@EVERY
def test_the_word_and_text_of_a_kind_are_those_of_smmapd(kind: Kind) -> None:
    """As the tests know them from the C program (TABLE in tests/interfaces/kinds.py)."""
    row = expected(kind)
    assert kind.status == row.status
    assert kind.audit_event == row.event, f"Kind.audit_event of {kind.name}"
    others = (READING in row.others, CATCH_ALL in row.others)
    assert (kind.other_readings, kind.catch_all) == others, f"`others` of {kind.name} in TABLE"
    if row.map_text is not None:
        assert kind.text == row.map_text


def test_no_two_kinds_are_said_alike() -> None:
    """Another server's word would be taken for the wrong one (upstreamanswers.py)."""
    said = [(kind.status, kind.text) for kind in KINDS if kind.text]
    assert len(set(said)) == len(said)


@EVERY
def test_a_remote_answer_counts_as_long_as_its_kind_says(kind: Kind) -> None:
    """Each of the settings `remember_*` is meant by its own kinds."""
    lifetimes = Lifetimes(yes=1.0, no=2.0, over_quota=3.0)
    by_name = dict(zip(REMEMBERED, (1.0, 2.0, 3.0), strict=True))
    expected = by_name[kind.remembered_as] if kind.remembered_as else 0.0
    assert lifetimes.of(kind) == expected


@EVERY
def test_a_permanent_reply_is_configurable_where_the_kind_allows_it(kind: Kind) -> None:
    """`replies.problems` asks the kind, and no list of its own."""
    found = replies.problems(kind, Template(550, "5.0.0", "x"))
    assert (found == []) == kind.permanent_reply_allowed


PLACES = {
    "docs/verdicts.md": r"\n### catch-all\n(.*?)\n### ",
    "man/smmapd.8": r"\n(what is [^\n]*lmtp_catchall_mailbox.*?)\n\.TP",
    "man/gateway.toml.5": r"\n(what is [^\n]*lmtp_catchall_mailbox.*?)\n\.TP",
}


def test_the_kinds_that_do_not_go_to_the_catch_all_mailbox() -> None:
    """They are the refusals that TABLE does not give to it."""
    refusals = [kind for kind in KINDS if not (kind.accepts or kind.our_fault)]
    assert tuple(k for k in refusals if CATCH_ALL not in expected(k).others) == NOT_CAUGHT


@pytest.mark.parametrize("place", PLACES)
def test_documents_name_what_does_not_go_to_the_catch_all_mailbox(place: str) -> None:
    """In their last "what is ...", each of those kinds and no other (check-config: test_authority.py)."""
    found = re.search(PLACES[place], (ROOT / place).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    listed = found[1].lower().rpartition("what is ")[2].partition(".")[0]
    words = re.findall(r"[a-z-]+", listed)
    assert [kind for kind in KINDS if kind.name in words] == list(NOT_CAUGHT)
