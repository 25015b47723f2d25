"""Quantiles from the buckets of a histogram, as Prometheus reckons them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.counted import REST

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counted import MetricKey, Numbers


def quantile(
    share: float,
    key: Callable[[str], MetricKey],
    bounds: tuple[float, ...],
    now: Numbers,
    before: Numbers,
) -> float | None:
    """Seconds under which `share` of the durations fell between two states of the counts.

    Within a bucket they are taken to be spread evenly; in the last one, which
    has no end, its beginning is given.  None where there were none.
    """
    names = [*map(str, bounds), REST]
    counts = [now.get(key(each), 0) - before.get(key(each), 0) for each in names]
    wanted = share * sum(counts)
    if wanted <= 0:
        return None
    below, lower = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = bound
    return lower
