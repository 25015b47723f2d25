"""The comparison as one SVG: a line for each site, and three panels of points.

Latency at the client, processor time of everything a RCPT, and how long an answer stays
that is no longer true; hollow where that is not measured, but set.  All axes are logarithmic.  Written by hand, as plot.py is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.bench.rcpt.age import CREATED, DELETED, FILLED, in_words
from tests.bench.rcpt.questions import AGAIN, FIRST, UNKNOWN
from tests.bench.rcpt.sites import CONTROLS, SITES, TITLES, VERIFY
from tests.bench.rcpt.table import Found, bound_s, spread

_NAMES, _PANEL, _GAP, _LINE, _TOP, _BOTTOM = 226, 210, 38, 26, 62, 40
_COLOURS = {
    AGAIN: "#2166ac",
    FIRST: "#e08214",
    UNKNOWN: "#b2182b",
    CREATED: "#8073ac",
    DELETED: "#b2182b",
    FILLED: "#e08214",
}
_FONT = 'font-family="sans-serif" font-size="11"'
# What "at once" is drawn as: no time was seen, and a logarithmic axis has no nought.
_AT_ONCE_S = 0.01
# Points of one line that are on top of each other are told apart by this many pixels.
_APART = 6.0


@dataclass(frozen=True, slots=True)
class Point:
    """A value, and the end of its whisker (the same if it has none); hollow if not measured."""

    value: float
    until: float
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what is on its axis, its ticks, and a point by site and series."""

    title: str
    series: Sequence[tuple[str, str]]  # key, and what it is called
    ticks: Sequence[tuple[float, str]]
    point: Callable[[str, str], Point | None]


def chart(found: Found) -> str:
    """The SVG's text."""
    controls = CONTROLS.values()
    sites = [site for site in SITES if site in found.samples and site not in controls]
    panels = _panels(found)
    width = _NAMES + len(panels) * (_PANEL + _GAP)
    height = _TOP + _LINE * len(sites) + _BOTTOM
    body = [f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for number, site in enumerate(sites):
        y = _TOP + _LINE * number
        if number % 2 == 0:
            body.append(f'<rect y="{y}" width="{width}" height="{_LINE}" fill="#f5f5f5"/>')
        place = f'x="{_NAMES - 8}" y="{y + _LINE / 2 + 4}" text-anchor="end"'
        body.append(f"<text {place} {_FONT}>{escape(TITLES[site])}</text>")
    for number, panel in enumerate(panels):
        body += _panel(panel, _NAMES + number * (_PANEL + _GAP), sites)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    return "\n".join([head, *body, "</svg>"]) + "\n"


def _panels(found: Found) -> list[Panel]:
    asked = ((AGAIN, "again"), (FIRST, "first time"), (UNKNOWN, "unknown"))

    def latency(site: str, kind: str) -> Point | None:
        middle = spread(found.samples, site, kind, "p50_us")
        high = spread(found.samples, site, kind, "p99_us")
        return Point(middle.median, high.median) if middle and high else None

    def cost(site: str, kind: str) -> Point | None:
        seen = spread(found.samples, site, kind, "cpu_us")
        return Point(seen.median, seen.median) if seen and seen.median > 0 else None

    def age(site: str, change: str) -> Point | None:
        seen = found.ages.get(site, {}).get(change)
        if seen is None:
            return None
        value = seen["seconds"]
        if value is None:
            bound = float(bound_s(found, change)) if site == VERIFY else found.sizes["watch_s"]
            return Point(bound, bound, hollow=True)
        value = max(value, _AT_ONCE_S) if seen["wrong"] else _AT_ONCE_S
        return Point(value, value)

    latencies = [(10.0**n, in_words(10.0 ** (n - 6))) for n in range(2, 8)]
    costs = [(10.0**n, in_words(10.0 ** (n - 6))) for n in range(2, 5)]
    times = [(_AT_ONCE_S, "at once"), *((n, in_words(n)) for n in (1, 60, 3600, 86400, 2678400))]
    changed = ((CREATED, "created"), (DELETED, "deleted"), (FILLED, "filled"))
    return [
        Panel("RCPT at the client, median to p99", asked, latencies, latency),
        Panel("CPU of everything for a RCPT", asked, costs, cost),
        Panel("after a change, still the old answer", changed, times, age),
    ]


def _panel(panel: Panel, left: int, sites: Sequence[str]) -> list[str]:
    low, high = panel.ticks[0][0] / 1.6, panel.ticks[-1][0] * 1.6

    def across(value: float) -> float:
        share = math.log(min(max(value, low), high) / low) / math.log(high / low)
        return left + share * _PANEL

    bottom = _TOP + _LINE * len(sites)
    out = [f'<text x="{left}" y="16" {_FONT} font-weight="bold">{escape(panel.title)}</text>']
    at = left
    for key, called in panel.series:
        out.append(f'<circle cx="{at + 5}" cy="30" r="4" fill="{_COLOURS[key]}"/>')
        out.append(f'<text x="{at + 13}" y="34" {_FONT}>{escape(called)}</text>')
        at += 72
    for number, (value, called) in enumerate(panel.ticks):
        place = across(value)
        ends = f'x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP - 6}" y2="{bottom}"'
        # Every second one a line lower: they would run into each other.
        foot = bottom + 14 + 13 * (number % 2)
        out.append(f'<line {ends} stroke="#cccccc"/>')
        out.append(f'<text x="{place:.1f}" y="{foot}" text-anchor="middle" {_FONT}>{called}</text>')
    for row, site in enumerate(sites):
        for series, (key, _) in enumerate(panel.series):
            point = panel.point(site, key)
            if point is not None:
                y = _TOP + _LINE * (row + 0.5) + _APART * (series - (len(panel.series) - 1) / 2)
                out += _drawn(
                    across(point.value), across(point.until), y, _COLOURS[key], point.hollow
                )
    return out


def _drawn(x: float, until: float, y: float, colour: str, hollow: bool) -> list[str]:
    fill = "#ffffff" if hollow else colour
    whisker = f'x1="{x:.1f}" x2="{until:.1f}" y1="{y:.1f}" y2="{y:.1f}"'
    return [
        f'<line {whisker} stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}" stroke="{colour}"/>',
    ]
