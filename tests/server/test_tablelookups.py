"""Questions for Postfix' tables on an event loop: shared, bounded, and never waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from gateway.errors import MailServerError
from gateway.mta.lookups import DEADLINE, Lookup, Lookups, TableAnswers
from gateway.mta.postmap import Asker
from gateway.mta.tables import Run, Table, runs
from gateway.server import tablelookups
from gateway.server.tablelookups import BURST, TableQuestions
from tests.support.lines import run_loop_until
from tests.support.postfix_worlds import postfix

ONE = runs("postmap", [Table("ldap", "/one")])[0]
OTHER = runs("postmap", [Table("ldap", "/other")])[0]


class Programs(Asker):
    """Stands for postmap: `calls` are what it was asked; `hold` keeps its answers back."""

    def __init__(self) -> None:
        super().__init__("")
        self.calls: list[tuple[Run, list[bytes]]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.pace = 0.0
        self.fault: Exception | None = None

    def seconds_a_key(self, run: Run) -> float:
        return self.pace

    def ask(self, run: Run, keys: Sequence[bytes], until: float) -> dict[bytes, bytes | None]:
        self.calls.append((run, list(keys)))
        assert self.hold.wait(30)
        if self.fault is not None:
            raise self.fault
        return {key: b"v" if key.startswith(b"yes") else None for key in keys}


class Desk:
    """The questions, what answers them, and what came of them."""

    def __init__(self) -> None:
        world = postfix({})
        self.programs = Programs()
        world.tables.asker = self.programs
        self.defects: list[BaseException] = []
        self.questions = TableQuestions(world, defect=self.defects.append)

    def ask(self, *wanted: Lookup) -> list[TableAnswers]:
        """Ask; the answers will be in the list."""
        told: list[TableAnswers] = []
        self.questions.ask(Lookups(wanted), told.append)
        assert told == []
        return told


@pytest.fixture
def desk() -> Desk:
    """One with Programs."""
    return Desk()


def wait(condition: Callable[[], object]) -> None:
    """Let the loop turn until `condition` is true."""
    run_loop_until(condition, "the answers have come")


def test_what_comes_together_is_asked_together(desk: Desk) -> None:
    """One call for each run of tables, and one answer for each who asked."""
    told = [
        desk.ask(Lookup(ONE, b"yes1"), Lookup(OTHER, b"no")),
        desk.ask(Lookup(ONE, b"no"), Lookup(ONE, b"yes1")),
    ]
    wait(lambda: all(told))
    assert sorted(desk.programs.calls, key=lambda each: each[0].name) == [
        (ONE, [b"yes1", b"no"]),
        (OTHER, [b"no"]),
    ]
    assert told[0][0].values == {Lookup(ONE, b"yes1"): b"v", Lookup(OTHER, b"no"): None}
    assert told[1][0].values == {Lookup(ONE, b"yes1"): b"v", Lookup(ONE, b"no"): None}
    assert desk.questions.shared == 1


def test_what_is_remembered_is_not_asked_again(desk: Desk) -> None:
    """Yes and no; the caller hears of it later all the same."""
    first = desk.ask(Lookup(ONE, b"yes"), Lookup(ONE, b"no"))
    wait(lambda: first)
    told = desk.ask(Lookup(ONE, b"yes"), Lookup(ONE, b"no"))
    wait(lambda: told)
    assert told[0].values == {Lookup(ONE, b"yes"): b"v", Lookup(ONE, b"no"): None}
    assert len(desk.programs.calls) == 1


@pytest.mark.parametrize(
    ("fault", "defects"), [(MailServerError("ldap:/one", "gone"), 0), (ValueError("odd"), 1)]
)
def test_faults_are_told_and_not_remembered(desk: Desk, fault: Exception, defects: int) -> None:
    """Callers are told of them, and they are not remembered; callers are told of a defect, too."""
    desk.programs.fault = fault
    told = desk.ask(Lookup(ONE, b"a"))
    wait(lambda: told)
    assert told[0].fault(Lookup(ONE, b"a")) == str(fault)
    assert len(desk.defects) == defects
    desk.programs.fault = None
    again = desk.ask(Lookup(ONE, b"a"))
    wait(lambda: again)
    assert again[0].fault(Lookup(ONE, b"a")) is None


def test_a_run_that_hangs_holds_up_nobody_else(desk: Desk) -> None:
    """Each has its own calls in progress."""
    desk.programs.hold.clear()
    slow = [desk.ask(Lookup(ONE, b"k%d" % number)) for number in range(3)]
    wait(lambda: len(desk.programs.calls) == 1)
    desk.programs.hold.set()
    told = desk.ask(Lookup(OTHER, b"a"))
    wait(lambda: told and all(slow))


def test_calls_are_bounded_under_attack(desk: Desk) -> None:
    """However many keys come, few programs are started, and every key is answered."""
    began = time.monotonic()
    told: list[list[TableAnswers]] = []
    for number in range(600):
        told.append(desk.ask(Lookup(ONE, b"no%d" % number)))
        if number % 20 == 19:
            wait(lambda: True)
    wait(lambda: all(told))
    seconds = time.monotonic() - began
    assert desk.questions.calls <= BURST + tablelookups.CALLS * seconds + 1
    assert all(each[0].values for each in told)


def test_more_than_can_be_answered_in_time_has_a_fault(desk: Desk) -> None:
    """At once, not when the deadline is over; it is counted."""
    desk.programs.pace = 0.2
    desk.programs.hold.clear()
    told = [desk.ask(Lookup(ONE, b"no%d" % number)) for number in range(500)]
    wait(lambda: sum(map(bool, told)) > 300)
    refused = [each[0] for each in told if each]
    assert all("more unknown recipients" in each.faults[ONE] for each in refused)
    assert desk.questions.busy == len(refused)
    desk.programs.hold.set()


def test_who_has_waited_too_long_has_a_fault(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is not asked when its deadline is over already."""
    monkeypatch.setattr(tablelookups, "DEADLINE", 0.05)
    monkeypatch.setattr(tablelookups, "MAX_CALLS", 1)
    desk.programs.hold.clear()
    first = desk.ask(Lookup(ONE, b"a"))
    wait(lambda: desk.programs.calls)
    second = desk.ask(Lookup(ONE, b"b"))
    late = time.monotonic() + 0.1
    wait(lambda: time.monotonic() > late)
    desk.programs.hold.set()
    wait(lambda: first and second)
    assert second[0].faults[ONE].startswith("ldap:/one: has not answered within")
    assert DEADLINE > 1
    assert len(desk.programs.calls) == 1


def test_a_question_whose_time_is_over(desk: Desk) -> None:
    """Has a fault without being asked."""
    told: list[TableAnswers] = []
    desk.questions.ask(Lookups((Lookup(ONE, b"a"),), time.monotonic() - 1), told.append)
    wait(lambda: told)
    assert "has not answered within" in told[0].faults[ONE]
    assert desk.programs.calls == []


def test_a_defect_in_who_hears_keeps_it_from_nobody_else(desk: Desk) -> None:
    """The others are told, and the defect as well."""

    def broken(_answers: TableAnswers) -> None:
        raise ValueError("odd")

    desk.questions.ask(Lookups((Lookup(ONE, b"a"),)), broken)
    told = desk.ask(Lookup(ONE, b"a"))
    wait(lambda: told)
    assert [str(each) for each in desk.defects] == ["odd"]
