"""One table of cases through every interface: what is true of a recipient decides each reply."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.interfaces.askcases import MailSite
from tests.interfaces.cases import CASES
from tests.interfaces.model import Case, Interface
from tests.interfaces.replies import expected

PLAYS = [
    pytest.param(interface, case, id=f"{interface.value}: {case.name}")
    for interface in Interface
    for case in CASES
    if interface in case.interfaces()
]


@pytest.mark.real
@pytest.mark.parametrize(("interface", "case"), PLAYS)
def test_every_case_has_the_reply_that_follows_from_its_verdict(
    site: MailSite, interface: Interface, case: Case
) -> None:
    """Each reply of the conversation is, byte for byte, what the interface makes of the verdict."""
    assert site.play(interface, case) == expected(interface, case)


@pytest.mark.real
@pytest.mark.parametrize("interface", Interface, ids=lambda interface: interface.value)
def test_what_is_remembered_is_the_same(site: MailSite, interface: Interface) -> None:
    """In any order and any number of times: no reply depends on who asked before."""
    cases = [case for case in CASES if interface in case.interfaces()] * 2
    Random(interface.value).shuffle(cases)
    replies = [(case.name, site.play(interface, case)) for case in cases]
    assert replies == [(case.name, expected(interface, case)) for case in cases]


def test_each_case_has_a_name_of_its_own() -> None:
    """There are sixty and more; tests/exercises holds them against the verdicts."""
    assert len(CASES) >= 60
    assert not [name for name, count in Counter(case.name for case in CASES).items() if count > 1]


def test_every_interface_has_enough_cases() -> None:
    """No interface is left out of more than a few cases."""
    counts = Counter(interface for case in CASES for interface in case.interfaces())
    assert min(counts[interface] for interface in Interface) >= 60
