"""How old an answer can be: Postfix' times, and what is said of them."""

from __future__ import annotations

import pytest

from tests.bench.rcpt.age import (
    CREATED,
    DELETED,
    FILLED,
    WIDENED,
    Age,
    Verify,
    in_words,
    longest,
    seconds,
    verify_defaults,
)
from tests.rigs.require import require

TIMES = Verify(7, 31, 3, 9, 1, "3")


@pytest.mark.parametrize(
    ("text", "value"), [("3s", 3), ("5m", 300), ("3h", 10_800), ("31d", 2_678_400), ("0s", 0)]
)
def test_times_as_postfix_writes_them(text: str, value: int) -> None:
    """A number and a unit."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "3", "h", "${stress?{1}:{3}}"])
def test_what_is_no_time(text: str) -> None:
    """Is not guessed at."""
    with pytest.raises(ValueError, match=r"."):
        seconds(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "100 us"),
        (0.617, "617 ms"),
        (1.84, "1.84 s"),
        (60, "1 min"),
        (10_800, "3 h"),
        (2_678_400, "31 d"),
    ],
)
def test_times_in_words(value: float, text: str) -> None:
    """Three figures, or whole minutes, hours, days."""
    assert in_words(value) == text


@pytest.mark.parametrize(
    ("change", "bound"), [(CREATED, 3), (WIDENED, 3), (DELETED, 31), (FILLED, 31)]
)
def test_what_bounds_an_answer_of_verify(change: str, bound: int) -> None:
    """A refusal is probed again after its refresh; an acceptance stays until it expires."""
    assert TIMES.bound_s(change) == bound


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ([Age(0.1, 2), Age(1.9, 20)], Age(1.9, 20)),
        ([Age(None, 20), Age(1.9, 5)], Age(None, 20)),
        ([Age(0.001, 0)], Age(0.001, 0)),
    ],
)
def test_the_longest_of_several(seen: list[Age], found: Age) -> None:
    """One that did not end within its watch is longer than all that did."""
    assert longest(seen) == found


@pytest.mark.real
def test_what_this_postfix_has_built_in() -> None:
    """Each of its times is read from `postconf -d`: there, and a refresh comes before its expiry."""
    require("postfix")
    found = verify_defaults()
    assert 0 < found.positive_refresh_s < found.positive_expire_s
    assert 0 < found.negative_refresh_s < found.negative_expire_s
    assert found.poll_delay_s > 0
    assert found.poll_count
