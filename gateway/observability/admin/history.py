"""The last minutes of the counts, for rates: so many a second, lately and over time.

One sample every STEP seconds; a process that has just started has none, and
says so instead of guessing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.counted import MetricKey, Numbers

# Seconds between two samples, and how many are kept: five minutes.
STEP = 5.0
SAMPLES = 61
# Seconds that a rate is taken over at least: what happens now, without jumping.
WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The counts at one moment of time.monotonic."""

    moment: float
    counts: Numbers


class CountHistory:
    """The samples; the oldest gives way."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def keep(self, moment: float, counts: Numbers) -> None:
        """One more."""
        self._samples.append(Sample(moment, counts))

    def recent(self, moment: float) -> Sample | None:
        """The newest sample that is at least WINDOW old, else the oldest there is.

        None where there is none that is a second old.
        """
        old = [each for each in self._samples if moment - each.moment >= WINDOW]
        if old:
            return old[-1]
        first = self.oldest
        return first if first is not None and moment - first.moment >= 1.0 else None

    @property
    def oldest(self) -> Sample | None:
        """The oldest sample."""
        return self._samples[0] if self._samples else None

    def series(self, wanted: Callable[[MetricKey], bool]) -> list[float]:
        """How many a second between samples, of all counts whose key is `wanted`."""
        sums = [(each.moment, total(each.counts, wanted)) for each in self._samples]
        return [
            max(0.0, after - before) / (later - earlier)
            for (earlier, before), (later, after) in pairwise(sums)
            if later > earlier
        ]


def total(counts: Numbers, wanted: Callable[[MetricKey], bool]) -> float:
    """The sum of all counts whose key is `wanted`."""
    return sum(count for key, count in counts.items() if wanted(key))
