"""Rates and quantiles, from counts that only grow."""

from __future__ import annotations

import pytest

from gateway.counted import MetricKey
from gateway.observability.admin.history import SAMPLES, STEP, WINDOW, CountHistory
from gateway.observability.admin.status import quantile

BOUNDS = (1.0, 2.0, 4.0)


def key(bound: str) -> MetricKey:
    """That of a histogram's bucket."""
    return MetricKey("h", (bound,))


def buckets(*counts: int) -> dict[MetricKey, float]:
    """The counts of a histogram `h`."""
    return {key(str(name)): n for name, n in zip((*BOUNDS, "inf"), counts, strict=True)}


@pytest.mark.parametrize(
    ("share", "counts", "seconds"),
    [
        (0.5, (0, 0, 0, 0), None),
        (0.5, (10, 0, 0, 0), 0.5),
        (0.5, (5, 5, 0, 0), 1.0),
        (0.75, (5, 5, 0, 0), 1.5),
        (0.5, (0, 0, 10, 0), 3.0),
        (0.99, (0, 0, 0, 10), 4.0),
        (0.5, (0, 10, 0, 90), 4.0),
    ],
)
def test_quantiles_are_even_within_a_bucket(
    share: float, counts: tuple[int, ...], seconds: float | None
) -> None:
    """Even within a bucket, and the last bound where there is no upper one."""
    assert quantile(share, key, BOUNDS, buckets(*counts), {}) == seconds


def test_quantiles_are_of_what_came_since() -> None:
    """What was there before does not count."""
    before, now = buckets(100, 0, 0, 0), buckets(100, 10, 0, 0)
    assert quantile(0.5, key, BOUNDS, now, before) == 1.5
    assert quantile(0.5, key, BOUNDS, before, before) is None


def test_a_rate_needs_a_past() -> None:
    """Before the first second is over, nothing is guessed."""
    history = CountHistory()
    assert history.recent(0.0) is None
    history.keep(0.0, {MetricKey("a"): 1})
    assert history.recent(0.5) is None
    sample = history.recent(1.0)
    assert sample is not None
    assert sample.counts == {MetricKey("a"): 1}


def test_a_rate_is_of_the_last_seconds() -> None:
    """The newest sample that is old enough."""
    history = CountHistory()
    for n in range(10):
        history.keep(n * STEP, {MetricKey("a"): n})
    sample = history.recent(9 * STEP)
    assert sample is not None
    assert sample.moment == 9 * STEP - WINDOW


def test_a_series_is_of_five_minutes() -> None:
    """So many a second between one sample and the next; older ones give way."""
    one, two = MetricKey("requests", ("a",)), MetricKey("requests", ("b",))
    history = CountHistory()
    for n in range(SAMPLES + 10):
        history.keep(n * STEP, {one: 10.0 * n, two: n, MetricKey("other"): 5 * n})
    assert history.series(lambda key: key.metric == "requests") == [11 / STEP] * (SAMPLES - 1)
    assert history.series({MetricKey("other"), two}.__contains__) == [6 / STEP] * (SAMPLES - 1)


def test_a_series_never_falls_below_zero() -> None:
    """A process gone wrong may take counts with it; that is not negative traffic."""
    history = CountHistory()
    for n, count in enumerate((5, 0, 5)):
        history.keep(float(n), {MetricKey("a"): count})
    assert history.series(lambda _key: True) == [0, 5]
