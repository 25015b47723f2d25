"""Quantiles from the buckets of a histogram, as Prometheus reckons them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.observability.metrics.snapshot import Numbers


def quantile(
    share: float, key: str, bounds: tuple[float, ...], now: Numbers, before: Numbers
) -> float | None:
    """Seconds under which `share` of the durations fell between two states of the counts.

    Within a bucket they are taken to be spread evenly; in the last one, which
    has no end, its beginning is given.  None where there were none.
    """
    names = [*map(str, bounds), "inf"]
    counts = [now.get(f"{key}/{each}", 0) - before.get(f"{key}/{each}", 0) for each in names]
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
