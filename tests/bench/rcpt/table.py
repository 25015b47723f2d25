"""The comparison as text, and as the lines of a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.measures import Sample
from tests.bench.rcpt.age import CHANGES, Verify, in_words
from tests.bench.rcpt.questions import AGAIN, FIRST, FULL, KINDS, SESSIONS, UNKNOWN
from tests.bench.rcpt.sites import CONTROL, CONTROLLED, SITES, TITLES, VERIFY, VERIFY_SHORT
from tests.bench.report import short
from tests.bench.rows import NOISE

Samples = Mapping[str, Mapping[str, Sequence[Sample | None]]]


@dataclass(slots=True)
class Found:
    """One run: samples by site and kind, ages by site and change, and why something is missing."""

    about: Mapping[str, str | int]
    sizes: Mapping[str, float]
    verify: Mapping[str, int | str]
    samples: dict[str, dict[str, list[Sample | None]]] = field(default_factory=dict)
    ages: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    took_s: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and the lowest and the highest."""

    median: float
    lowest: float
    highest: float


def spread(samples: Samples, site: str, kind: str, name: str) -> Spread | None:
    """One figure of a site, or None where no round has it."""
    taken = [sample for sample in samples.get(site, {}).get(kind, ()) if sample]
    values = [sample[name] for sample in taken if name in sample]
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


def control(samples: Samples, kind: str, name: str) -> float | None:
    """The control against the same site: the median of the rounds' ratios."""
    itself = samples.get(CONTROLLED, {}).get(kind, ())
    again = samples.get(CONTROL, {}).get(kind, ())
    ratios = [
        b[name] / a[name] for a, b in zip(itself, again, strict=False) if a and b and a.get(name)
    ]
    return statistics.median(ratios) if ratios else None


# The columns of figures: heading, kind, name, and what it is divided by.
_COLUMNS = (
    *((f"{kind} p50 ms", kind, "p50_us", 1000.0) for kind in KINDS),
    *((f"{kind} p99 ms", kind, "p99_us", 1000.0) for kind in KINDS),
    *((f"{kind} CPU us", kind, "cpu_us", 1.0) for kind in KINDS),
    (f"{SESSIONS}/s", SESSIONS, "requests_per_s", 1.0),
)
# Those of README's table.
_SHORT = (
    ("first, ms", FIRST, "p50_us", 1000.0),
    ("again, ms", AGAIN, "p50_us", 1000.0),
    ("unknown, ms", UNKNOWN, "p50_us", 1000.0),
    ("over quota, ms", FULL, "p50_us", 1000.0),
    ("CPU us, first", FIRST, "cpu_us", 1.0),
    ("again", AGAIN, "cpu_us", 1.0),
    ("sessions/s", SESSIONS, "requests_per_s", 1.0),
)


def age_text(found: Found, site: str, change: str) -> str:
    """How long the old answer was given: measured, or the bound that is configured."""
    seen = found.ages.get(site, {}).get(change)
    if seen is None:
        return ""
    if seen["seconds"] is not None:
        return "at once" if seen["wrong"] == 0 else in_words(seen["seconds"])
    if site == VERIFY:
        return in_words(bound_s(found, change)) + " (set)"
    return f"more than {found.sizes['watch_s']:g} s"


def bound_s(found: Found, change: str) -> int:
    """What verify(8) is configured for."""
    times = Verify(**found.verify)  # type: ignore[arg-type]
    return times.bound_s(change)


def text(found: Found) -> str:
    """Everything, for a terminal: figures with their spread, the control, and ages."""
    where = ", ".join(f"{name} {value}" for name, value in found.about.items())
    rounds = found.sizes["rounds"]
    parts = [f"{where}\n{found.took_s} s, {rounds:g} rounds: median (lowest to highest)\n"]
    for heading, kind, name, unit in _COLUMNS:
        parts.append(_block(found.samples, heading, kind, name, unit))
    parts.append("how long the old answer was given after a mailbox was ...")
    for site in (*SITES, VERIFY_SHORT):
        if site in found.ages:
            cells = (f"{change}: {age_text(found, site, change)}" for change in CHANGES)
            wrong = sum(int(seen["wrong"] or 0) for seen in found.ages[site].values())
            parts.append(f"  {TITLES[site]:42}{', '.join(cells)}; {wrong} wrong answers")
    parts.append("\nverify(8) by `postconf -d`: " + _pairs(found.verify))
    parts += [f"not measured: {name}: {why}" for name, why in found.reasons.items()]
    return "\n".join([*parts, "", *markdown(found), ""])


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _block(samples: Samples, heading: str, kind: str, name: str, unit: float) -> str:
    noise = control(samples, kind, name)
    said = "" if noise is None else f"; control {noise:.2f}"
    if noise is not None and abs(noise - 1) > NOISE:
        said += f", off by more than {NOISE * 100:.0f} %"
    lines = [f"{heading}{said}"]
    for site in SITES:
        seen = spread(samples, site, kind, name)
        if seen is not None:
            figures = (seen.median, seen.lowest, seen.highest)
            middle, low, high = (short(figure / unit) for figure in figures)
            lines.append(f"  {TITLES[site]:42}{middle:>8}  ({low} to {high})")
    return "\n".join(lines) + "\n"


def markdown(found: Found) -> list[str]:
    """The short table: medians; how old an answer was seen to become, or can."""
    lines = [
        "| | " + " | ".join(heading for heading, *_ in _SHORT) + " | created | deleted | filled |",
        "|---" * (len(_SHORT) + 4) + "|",
    ]
    for site in SITES:
        if site == CONTROL or site not in found.samples:
            continue
        cells = []
        for _, kind, name, unit in _SHORT:
            seen = spread(found.samples, site, kind, name)
            cells.append("" if seen is None else short(seen.median / unit))
        cells += [age_text(found, site, change) for change in CHANGES[:3]]
        lines.append(f"| {TITLES[site]} | " + " | ".join(cells) + " |")
    noise = []
    for _, kind, name, _ in _SHORT:
        ratio = control(found.samples, kind, name)
        noise.append("" if ratio is None else f"{ratio:.2f}")
    lines.append("| *control: the socketmap twice* | " + " | ".join(noise) + " | | | |")
    return lines
