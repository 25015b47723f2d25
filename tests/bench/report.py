"""The results for people: the table of targets, and what each server did in each scenario."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from tests.bench.measures import Sample
from tests.bench.rows import NOISE, ROWS, Outcome, Results, Row, outcome
from tests.bench.scenarios import SCENARIOS

# The figures of a load that are printed, with their headings.
_COLUMNS = {
    "requests_per_s": "requests/s",
    "cpu_us": "CPU us",
    "p50_us": "p50 us",
    "p99_us": "p99 us",
    "p999_us": "p99.9 us",
    "max_us": "max us",
    "anonymous_mib": "anon MiB",
    "setup_s": "set-up s",
    "ms": "ms",
    "longest_ms": "longest ms",
}


def short(value: float) -> str:
    """A number with three figures that count."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def target_text(row: Row) -> str:
    """What must be reached, such as `at least 5 times`."""
    return f"{'at least' if row.at_least else 'at most'} {short(row.target)} {row.unit}"


def table(results: Results, reasons: Mapping[str, str]) -> str:
    """The table of targets; `reasons` says by scenario and label why something is missing."""
    lines: list[Sequence[str]] = [
        ("", "target", "measured", "lowest", "highest", "ours", "other", "control", "")
    ]
    for row in ROWS:
        found = outcome(row, results)
        if found is None:
            lines.append(
                (row.what, target_text(row), "-", "", "", "", "", "", _missing(row, reasons))
            )
        else:
            lines.append((row.what, target_text(row), *_cells(found)))
    return _aligned(lines)


def _cells(found: Outcome) -> tuple[str, ...]:
    under = "" if found.under is None else short(found.under)
    numbers = (found.value, found.lowest, found.highest, found.over)
    control = "" if found.control is None else short(found.control)
    reached = "reached" if found.reached else "NOT REACHED"
    noise = f"; control off by more than {NOISE * 100:.0f} %" if found.noisy else ""
    return (*map(short, numbers), under, control, reached + noise)


def _missing(row: Row, reasons: Mapping[str, str]) -> str:
    figures = [row.over] if row.under is None else [row.over, row.under]
    for figure in figures:
        reason = reasons.get(f"{figure.scenario}/{figure.label}")
        if reason:
            return f"not measured: {' '.join(reason.split())[:160]}"
    return "not measured in this run"


def markdown(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The lines of the table of targets in Markdown; `rows` as results.json has them."""
    lines = [
        "| what | target | measured | spread | ours | the other | control | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [str(row["row"]), str(row["target"])]
        if "value" not in row:
            lines.append(f"| {' | '.join(cells)} | | | | | | not measured |")
            continue
        value, lowest, highest, ours = (
            short(_number(row[name])) for name in ("value", "lowest", "highest", "ours")
        )
        other, control = (
            "" if row[name] is None else short(_number(row[name])) for name in ("other", "control")
        )
        cells += [value, f"{lowest} to {highest}", ours, other]
        cells += [f"**{control}**" if row["noisy"] else control]
        lines.append(f"| {' | '.join(cells)} | {'yes' if row['reached'] else '**no**'} |")
    return lines


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def details(results: Results) -> str:
    """Every entrant of every scenario: medians, and the spread of answers over connections."""
    parts = []
    for scenario in SCENARIOS:
        labels = results.get(scenario.name)
        if not labels:
            continue
        found = {label: _medians(samples) for label, samples in labels.items()}
        shown = [name for name in _COLUMNS if any(name in sample for sample in found.values())]
        lines = [("", *(_COLUMNS[name] for name in shown), "least/median/most a connection")]
        for label, sample in found.items():
            cells = (short(sample[name]) if name in sample else "" for name in shown)
            lines.append((label, *cells, _spread(sample)))
        parts.append(f"{scenario.title}\n{_aligned(lines)}")
    return "\n\n".join(parts)


def _medians(samples: Sequence[Sample | None]) -> Sample:
    taken = [sample for sample in samples if sample is not None]
    names = taken[0] if taken else {}
    return {name: statistics.median(sample[name] for sample in taken) for name in names}


def _spread(sample: Sample) -> str:
    if not sample.get("most"):
        return ""
    return "/".join(f"{sample[name]:.0f}" for name in ("least", "median", "most"))


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out: list[str] = []
    for line in lines:
        first, *rest = line
        last = rest.pop() if rest else ""
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:-1], strict=True)]
        out.append("  ".join([*cells, last]).rstrip())
    return "\n".join(out)
