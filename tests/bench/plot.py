"""One SVG with two panels: CPU a request against number of mailboxes and of connections.

Both axes are logarithmic.  Written by hand, since a plot of six lines does not
justify a library.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.bench.rows import Results
from tests.bench.scenarios import CONNECTIONS, LARGE, MIDDLE, SMALL

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 460, 330  # of a panel with its margins
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 15, 34, 110
_COLOURS = ("#b2182b", "#2166ac", "#4d4d4d", "#e08214", "#5aae61", "#8073ac")
_FONT = 'font-family="sans-serif" font-size="11"'


@dataclass(frozen=True, slots=True)
class _Scale:
    """A logarithmic axis: `low` to `high` onto `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def plot(results: Results) -> str | None:
    """The SVG's text, or None where neither scenario was measured."""
    by_size = {
        f"{server}, {kind}": _points(
            results, "sizes", {n: f"{label}-{name}-{n}" for n in (SMALL, MIDDLE, LARGE)}
        )
        for label, server in (("c", "C smmapd"), ("ours", "smmapd"))
        for name, kind in (
            ("unknown", "unknown"),
            ("existing", "existing, quota"),
            ("no-quota", "existing, no quota"),
        )
    }
    by_connections = {
        server: _points(results, "connections", {n: f"{label}-{n}" for n in CONNECTIONS})
        for label, server in (
            ("c", "C smmapd"),
            ("ours", "smmapd"),
            ("echo", "C echo server"),
            ("resolver", "postfix-mta-sts-resolver"),
        )
    }
    panels = [
        _panel(0, "CPU us a request against mailboxes", by_size),
        _panel(_WIDTH, "CPU us a request against connections", by_connections),
    ]
    if not any(panels):
        return None
    size = f'width="{2 * _WIDTH}" height="{_HEIGHT}"'
    body = "\n".join(panels)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{_background()}\n{body}\n</svg>\n'


def _background() -> str:
    return f'<rect width="{2 * _WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'


def _points(results: Results, scenario: str, labels: Mapping[int, str]) -> Points:
    found = []
    for x, label in labels.items():
        samples = results.get(scenario, {}).get(label, ())
        values = [sample["cpu_us"] for sample in samples if sample and sample.get("cpu_us")]
        if values:
            found.append((float(x), statistics.median(values)))
    return found


def _panel(offset: int, title: str, lines: Mapping[str, Points]) -> str:
    drawn = {name: points for name, points in lines.items() if points}
    if not drawn:
        return ""
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    across = _Scale(min(xs), max(*xs, min(xs) * 10), offset + _LEFT, offset + _WIDTH - _RIGHT)
    floor, roof = _decade(min(ys), math.floor), _decade(max(ys), math.ceil)
    up = _Scale(floor, max(roof, floor * 10), _HEIGHT - _BOTTOM, _TOP)
    out = [f'<text x="{offset + _LEFT}" y="20" {_FONT} font-weight="bold">{escape(title)}</text>']
    for value in _ticks(up.low, up.high):
        y = up.at(value)
        grey = f'x1="{across.start}" x2="{across.end}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"'
        place = f'x="{across.start - 6}" y="{y + 4:.1f}" text-anchor="end"'
        out.append(f"<line {grey}/><text {place} {_FONT}>{value:g}</text>")
    for value in sorted(set(xs)):
        place = f'x="{across.at(value):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle"'
        out.append(f"<text {place} {_FONT}>{value:,.0f}</text>".replace(",", " "))
    for number, (name, points) in enumerate(drawn.items()):
        colour = _COLOURS[number]
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        column, line = number % 2, number // 2
        x, y = offset + _LEFT + 190 * column, _HEIGHT - _BOTTOM + 42 + 18 * line
        out.append(f'<rect x="{x}" y="{y - 8}" width="14" height="4" fill="{colour}"/>')
        out.append(f'<text x="{x + 20}" y="{y}" {_FONT}>{escape(name)}</text>')
    return "\n".join(out)


def _decade(value: float, rounded: Callable[[float], int]) -> float:
    return float(10 ** rounded(math.log10(value)))


def _ticks(low: float, high: float) -> list[float]:
    found = []
    value = low
    while value <= high * 1.001:
        found += [value * step for step in (1, 2, 5) if value * step <= high * 1.001]
        value *= 10
    return found
