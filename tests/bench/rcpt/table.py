"""The comparison as text, and as the lines of a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.measures import Sample
from tests.bench.rcpt.age import CHANGES, Verify, in_words
from tests.bench.rcpt.questions import AGAIN, FIRST, FULL, KINDS, SESSIONS, UNKNOWN
from tests.bench.rcpt.sites import CONTROLS, SITES, TITLES, VERIFY, VERIFY_SHORT
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
    date: str = ""


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


def control(samples: Samples, site: str, kind: str, name: str) -> float | None:
    """The site's control against it, if it has one: the median of the rounds' ratios."""
    itself = samples.get(site, {}).get(kind, ())
    again = samples.get(CONTROLS.get(site, ""), {}).get(kind, ())
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
    ("first time, ms", FIRST, "p50_us", 1000.0),
    ("again, ms", AGAIN, "p50_us", 1000.0),
    ("unknown, ms", UNKNOWN, "p50_us", 1000.0),
    ("over quota, ms", FULL, "p50_us", 1000.0),
    ("CPU us, first time", FIRST, "cpu_us", 1.0),
    ("CPU us, again", AGAIN, "cpu_us", 1.0),
    ("sessions/s", SESSIONS, "requests_per_s", 1.0),
)
# What the kinds are called in the tables.
_NAMES = {
    FIRST: "first time",
    AGAIN: "again",
    UNKNOWN: "unknown",
    FULL: "over quota",
    SESSIONS: "a session",
}
# The figures of the table with latencies.
_LATENCIES = ("p50_us", "p99_us")
# Behind what was not measured, but is configured.
_SET = " (set)"


def age_text(found: Found, site: str, change: str) -> str:
    """How long the old answer was given: measured, or the bound that is configured."""
    seen = found.ages.get(site, {}).get(change)
    if seen is None:
        return ""
    if seen["seconds"] is not None:
        return "at once" if seen["wrong"] == 0 else in_words(seen["seconds"])
    if site == VERIFY:
        return in_words(bound_s(found, change)) + _SET
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
    return "\n".join([*parts, "", *markdown(found), "", *markdown_with_spread(found), ""])


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _block(samples: Samples, heading: str, kind: str, name: str, unit: float) -> str:
    lines = [heading]
    for site in SITES:
        seen = spread(samples, site, kind, name)
        if seen is not None:
            figures = (seen.median, seen.lowest, seen.highest)
            middle, low, high = (short(figure / unit) for figure in figures)
            noise = control(samples, site, kind, name)
            said = "" if noise is None else f"; control {noise:.2f}"
            if noise is not None and abs(noise - 1) > NOISE:
                said += f", off by more than {NOISE * 100:.0f} %"
            lines.append(f"  {TITLES[site]:42}{middle:>8}  ({low} to {high}){said}")
    return "\n".join(lines) + "\n"


def markdown(found: Found) -> list[str]:
    """The short table: medians; how old an answer was seen to become, or can."""
    head = [heading for heading, *_ in _SHORT]
    lines = _head([*head, "old answers go on after: created, deleted, filled"])
    for site in _compared(found):
        cells = []
        for _, kind, name, unit in _SHORT:
            seen = spread(found.samples, site, kind, name)
            cells.append("" if seen is None else short(seen.median / unit))
        lines.append(_line(TITLES[site], [*cells, ages_text(found, site)]))
    figures = [(kind, name) for _, kind, name, _ in _SHORT]
    return [*lines, *_controls(found, figures, [""])]


def markdown_with_spread(found: Found) -> list[str]:
    """Two tables: latencies, median and p99; then costs and sessions. In brackets, the rounds'."""
    lines = _head([f"{_NAMES[kind]}, ms" for kind in KINDS])
    for site in _compared(found):
        cells = []
        for kind in KINDS:
            middle = spread(found.samples, site, kind, "p50_us")
            high = spread(found.samples, site, kind, "p99_us")
            both = "" if middle is None or high is None else short(high.median / 1000)
            cells.append(both and f"{_with_spread(middle, 1000)}; {both}")
        lines.append(_line(TITLES[site], cells))
    for site in _controlled(found):
        ratios = ([_ratio(found, site, kind, name) for name in _LATENCIES] for kind in KINDS)
        lines.append(_control_line(site, ["; ".join(each).strip("; ") for each in ratios]))
    lines.append("")
    lines += _head([*(f"{_NAMES[kind]}, CPU us" for kind in KINDS), "sessions/s"])
    figures = [*((kind, "cpu_us") for kind in KINDS), (SESSIONS, "requests_per_s")]
    for site in _compared(found):
        seen = (spread(found.samples, site, kind, name) for kind, name in figures)
        lines.append(_line(TITLES[site], [_with_spread(figure, 1) for figure in seen]))
    return [*lines, *_controls(found, figures)]


def ages_text(found: Found, site: str) -> str:
    """All of a site's ages, in one cell."""
    seen = [age_text(found, site, change) for change in CHANGES[:3]]
    if not any(seen):
        return ""
    if len(set(seen)) == 1:
        return seen[0]
    if all(one.endswith(_SET) for one in seen):
        return ", ".join(one.removesuffix(_SET) for one in seen) + _SET
    return ", ".join(seen)


def _compared(found: Found) -> list[str]:
    return [site for site in SITES if site in found.samples and site not in CONTROLS.values()]


def _controlled(found: Found) -> list[str]:
    return [site for site, again in CONTROLS.items() if again in found.samples]


def _controls(
    found: Found, figures: Sequence[tuple[str, str]], more: Sequence[str] = ()
) -> list[str]:
    """A line for each control, with a cell for each figure."""
    return [
        _control_line(site, [*(_ratio(found, site, kind, name) for kind, name in figures), *more])
        for site in _controlled(found)
    ]


def _control_line(site: str, cells: Sequence[str]) -> str:
    return _line(f"*{TITLES[CONTROLS[site]]}*", cells)


def _ratio(found: Found, site: str, kind: str, name: str) -> str:
    """The control's, as a cell; bold where it is off."""
    ratio = control(found.samples, site, kind, name)
    if ratio is None:
        return ""
    return f"**{ratio:.2f}**" if abs(ratio - 1) > NOISE else f"{ratio:.2f}"


def _with_spread(seen: Spread | None, unit: float) -> str:
    if seen is None:
        return ""
    middle, low, high = (short(value / unit) for value in (seen.median, seen.lowest, seen.highest))
    return f"{middle} ({low} to {high})"


def _head(cells: Sequence[str]) -> list[str]:
    return [_line("", cells), "|---" * (len(cells) + 1) + "|"]


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"
