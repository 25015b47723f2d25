"""One table of cases through every door: what is true of a recipient decides each reply."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from gateway.verification.model import KINDS, Kind
from tests.doors.cases import CASES
from tests.doors.model import Case, Door
from tests.doors.players import House
from tests.doors.replies import TABLE, expected

PLAYS = [
    pytest.param(door, case, id=f"{door.value}: {case.name}")
    for door in Door
    for case in CASES
    if door in case.doors()
]


@pytest.mark.real
@pytest.mark.parametrize(("door", "case"), PLAYS)
def test_every_case_has_the_reply_that_follows_from_its_verdict(
    house: House, door: Door, case: Case
) -> None:
    """Each reply of the conversation is, byte for byte, what the door makes of the verdict."""
    assert house.play(door, case) == expected(door, case)


@pytest.mark.real
@pytest.mark.parametrize("door", Door, ids=lambda door: door.value)
def test_what_is_remembered_is_the_same(house: House, door: Door) -> None:
    """In any order and any number of times: no reply depends on who asked before."""
    cases = [case for case in CASES if door in case.doors()] * 2
    Random(door.value).shuffle(cases)
    replies = [(case.name, house.play(door, case)) for case in cases]
    assert replies == [(case.name, expected(door, case)) for case in cases]


def test_the_table_is_complete() -> None:
    """There are sixty cases and more, each with its own name, and every verdict is among them."""
    assert len(CASES) >= 60
    assert not [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
    shown = {rcpt.kind for case in CASES for rcpt in case.rcpts}
    shown |= {Kind.BAD_ADDRESS for case in CASES for rcpt in case.rcpts if rcpt.bad}
    # These need autocreate or a catch-all mailbox: tests/delivery has them.
    elsewhere = {Kind.CREATED, Kind.CATCH_ALL, Kind.NOT_CREATABLE}
    assert shown == set(KINDS) - elsewhere
    assert set(TABLE) == set(KINDS) - elsewhere


def test_every_door_has_enough_cases() -> None:
    """No door is left out of more than a few cases."""
    counts = Counter(door for case in CASES for door in case.doors())
    assert min(counts[door] for door in Door) >= 60
