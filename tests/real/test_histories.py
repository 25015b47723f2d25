"""The checker of answers: what it takes for right, stale, wrong and taken back."""

from __future__ import annotations

import pytest

from tests.real.histories import History
from tests.real.readers import MilterLanguage, SocketmapLanguage

KEY = b"fred"
OLD, NEW, NEWER = b"NOTFOUND", b"OK fred", b"TEMP"


def test_before_an_operation_only_the_old_reply_is_right() -> None:
    """What is yet to come is wrong."""
    history = History(KEY, OLD)
    assert history.check(history.ask(), OLD) is None
    assert str(history.check(history.ask(), NEW)).startswith("wrong")


def test_during_an_operation_both_replies_are_right_and_nobody_goes_back() -> None:
    """Once somebody has been told the new one, a later question must not get the old one."""
    history = History(KEY, OLD)
    asked = history.ask()
    history.begin(NEW)
    assert history.check(asked, OLD) is None
    assert history.check(asked, NEW) is None
    assert history.check(asked, OLD) is None
    assert str(history.check(history.ask(), OLD)).startswith("stale")


def test_after_an_operation_the_old_reply_is_stale_unless_the_question_was_older() -> None:
    """It counts when the question was asked."""
    history = History(KEY, OLD)
    asked = history.ask()
    history.begin(NEW)
    history.end()
    assert history.check(asked, OLD) is None
    assert str(history.check(history.ask(), OLD)).startswith("stale")
    assert history.check(history.ask(), NEW) is None


@pytest.mark.parametrize("outcome", [OLD, NEW, NEWER])
def test_a_killed_operation_may_have_come_to_any_of_its_replies(outcome: bytes) -> None:
    """And from then on that one is the only right one."""
    history = History(KEY, OLD)
    history.begin(NEW, NEWER)
    assert history.check(history.ask(), OLD) is None
    assert history.settle(outcome) is None
    assert history.check(history.ask(), outcome) is None
    for reply in {OLD, NEW, NEWER} - {outcome}:
        assert history.check(history.ask(), reply) is not None


def test_what_somebody_was_told_of_a_killed_operation_must_not_be_taken_back() -> None:
    """The answer rested on what was never committed."""
    history = History(KEY, OLD)
    history.begin(NEW)
    assert history.check(history.ask(), NEW) is None
    assert str(history.settle(OLD)).startswith("taken back")


def test_a_killed_operation_makes_nothing_that_it_was_not_about() -> None:
    """A third reply is a defect of the program that gives it."""
    history = History(KEY, OLD)
    history.begin(NEW)
    assert history.settle(NEWER) is not None


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"c", b"OK fred"),
        (b"y550 5.1.1 User unknown\0", b"NOTFOUND Mailbox does not exist"),
        (b"y550 5.2.1 Gone fishing\0", b"NOTFOUND Gone fishing"),
        (b"y550 5.7.1 Permission denied\0", b"PERM Permission denied"),
        (b"y451 4.2.1 Mailbox is currently reserved\0", b"TEMP Mailbox is currently reserved"),
        (b"y452 4.2.2 Over quota\0", b"TEMP Over quota"),
        (b"y550 5.1.1 Who?\0", b"550 5.1.1 Who?"),
        (b"t", b"t"),
    ],
)
def test_a_milter_says_it_in_the_words_of_a_socketmap(packet: bytes, reply: bytes) -> None:
    """A packet is understood once it is complete; what is in no table stays as it is."""
    history = History(KEY, OLD)
    language = MilterLanguage([b"Gone fishing"])
    data = b"?" + len(packet).to_bytes(4, "big") + packet
    assert language.answer(data + b"more", 1, history) == (reply, len(data))
    assert language.answer(data[:-1], 1, history) is None
    assert language.answer(data[:3], 1, history) is None


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"8:NOTFOUND,", (b"NOTFOUND", 11)),
        (b"7:OK fred,4:TEMP,", (b"OK fred", 10)),
        (b"7:OK fre", None),
        (b"7", None),
        (b"", None),
    ],
)
def test_a_socketmap_says_it_in_netstrings(data: bytes, answer: tuple[bytes, int] | None) -> None:
    """The expected reply and any other one."""
    assert SocketmapLanguage().answer(data, 0, History(KEY, OLD)) == answer
