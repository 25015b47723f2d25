"""What the limit on log lines lets through, and what it says of the rest."""

from __future__ import annotations

import pytest

from gateway.loglimiter import HeldLines, LogLimiter

KIND = ("gateway", 30, "client sent %s")
OTHER = ("gateway", 30, "disk full")


def limiter(lines: int = 1, kinds: int = 9) -> LogLimiter:
    """One with half a minute."""
    return LogLimiter(lines, seconds=30.0, kinds=kinds)


def texts(held: list[HeldLines]) -> list[str]:
    """The lines to write."""
    return [each.summary for each in held]


@pytest.mark.parametrize("lines", [1, 2, 10])
def test_as_many_lines_of_a_kind_pass_as_are_allowed(lines: int) -> None:
    """Kinds do not count for one another."""
    limit = limiter(lines)
    passed = [limit.admit(KIND, f"client sent {number}", 0.0) for number in range(15)]
    assert passed == [True] * lines + [False] * (15 - lines)
    assert limit.admit(OTHER, "disk full", 0.0)


@pytest.mark.parametrize(
    ("sent", "summary"),
    [
        (["a", "a", "a"], "a (2 more times in 30 s)"),
        (["a", "b", "c"], "c (the last of 2 more such lines in 30 s)"),
        (["a", "b", "a"], "a (the last of 2 more such lines in 30 s)"),
        (["a"], None),
    ],
)
def test_the_rest_is_a_line_once_the_time_is_over(sent: list[str], summary: str | None) -> None:
    """Equal lines are so many more times, others are shown by the last of them."""
    limit = limiter()
    for line in sent:
        limit.admit(KIND, line, 0.0)
    assert limit.take_summaries(29.9) == []
    assert texts(limit.take_summaries(30.0)) == ([] if summary is None else [summary])
    assert limit.take_summaries(30.0) == []


def test_after_the_time_a_line_passes_again() -> None:
    """And the count is of the time before."""
    limit = limiter()
    assert [limit.admit(KIND, "a", moment) for moment in (0.0, 10.0, 29.0)] == [True, False, False]
    assert limit.knows(KIND, 29.9)
    assert not limit.knows(KIND, 30.0)
    assert limit.admit(KIND, "a", 30.0)
    assert texts(limit.take_summaries(30.0)) == ["a (2 more times in 30 s)"]


def test_of_many_kinds_the_oldest_is_forgotten_and_its_count_told() -> None:
    """Ever new kinds take a bounded place."""
    limit = limiter(kinds=2)
    for line in ("first", "first", "second", "third"):
        limit.admit(("", 3, line), line, 5.0)
    assert texts(limit.take_summaries(5.0)) == ["first (1 more times in 0 s)"]
    assert not limit.knows(("", 3, "first"), 5.0)
    assert limit.knows(("", 3, "second"), 5.0)


def test_the_end_of_the_process_loses_no_count() -> None:
    """Nor tells one twice; the level comes along."""
    limit = limiter()
    for line in ("a", "a"):
        limit.admit(KIND, line, 0.0)
    limit.admit(OTHER, "disk full", 0.0)
    rest = limit.take_rest(7.0)
    assert [(each.kind, each.summary) for each in rest] == [(KIND, "a (1 more times in 7 s)")]
    assert limit.take_rest(7.0) == []
