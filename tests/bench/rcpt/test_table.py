"""The comparison's table and picture, from samples of the test's own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from tests.bench.measures import Sample
from tests.bench.rcpt.chart import chart
from tests.bench.rcpt.questions import AGAIN, SESSIONS
from tests.bench.rcpt.sites import CONTROLS, NOTHING, SITES, TITLES, VERIFY, VERIFY_SHORT
from tests.bench.rcpt.table import (
    Found,
    Spread,
    age_text,
    ages_text,
    control,
    markdown,
    markdown_with_spread,
    spread,
    text,
)

CONTROLLED = "socketmap"
CONTROL = CONTROLS[CONTROLLED]

VERIFY_TIMES: dict[str, int | str] = {
    "positive_refresh_s": 604_800,
    "positive_expire_s": 2_678_400,
    "negative_refresh_s": 10_800,
    "negative_expire_s": 259_200,
    "poll_delay_s": 3,
    "poll_count": "3",
}


def samples(*latencies: float) -> list[Sample | None]:
    """A round each."""
    return [
        {"p50_us": n, "p99_us": 2 * n, "cpu_us": n, "requests_per_s": 1e6 / n} for n in latencies
    ]


def found() -> Found:
    """Three sites; the control is a fifth slower than what it repeats."""
    return Found(
        about={"cpus": 2},
        sizes={"rounds": 3, "watch_s": 20.0},
        verify=VERIFY_TIMES,
        samples={
            NOTHING: {AGAIN: samples(100, 110, 90), SESSIONS: samples(1000, 1000, 1000)},
            VERIFY: {AGAIN: [*samples(150, 170), None]},
            CONTROLLED: {AGAIN: samples(200, 400, 300)},
            CONTROL: {AGAIN: samples(240, 480, 360)},
        },
        ages={
            VERIFY: {"created": {"seconds": None, "wrong": 400}},
            CONTROLLED: {"created": {"seconds": 0.004, "wrong": 0}},
            "quota-status": {"created": {"seconds": 1.84, "wrong": 60}},
            "policy": {"created": {"seconds": None, "wrong": 400}},
        },
    )


def test_a_figure_is_the_median_with_its_spread() -> None:
    """Rounds without a sample are left out, and what was not measured is none."""
    taken = found().samples
    assert spread(taken, NOTHING, AGAIN, "p50_us") == Spread(100, 90, 110)
    assert spread(taken, VERIFY, AGAIN, "p50_us") == Spread(160, 150, 170)
    assert spread(taken, VERIFY, SESSIONS, "p50_us") is None
    assert spread(taken, "policy", AGAIN, "p50_us") is None


def test_the_control_is_a_ratio_of_each_round() -> None:
    """And none where either side is missing."""
    assert control(found().samples, CONTROLLED, AGAIN, "p50_us") == pytest.approx(1.2)
    assert control(found().samples, CONTROLLED, SESSIONS, "p50_us") is None
    assert control(found().samples, VERIFY, AGAIN, "p50_us") is None


def test_a_control_that_is_off_is_named() -> None:
    """Behind the figure that it belongs to."""
    lines = [" ".join(line.split()) for line in text(found()).splitlines()]
    figure = f"{TITLES[CONTROLLED]} 0.3 (0.2 to 0.4)"
    assert f"{figure}; control 1.20, off by more than 10 %" in lines
    assert f"{TITLES[NOTHING]} 0.1 (0.09 to 0.11)" in lines


@pytest.mark.parametrize(
    ("site", "said"),
    [
        (VERIFY, "3 h (set)"),
        (CONTROLLED, "at once"),
        ("quota-status", "1.84 s"),
        ("policy", "more than 20 s"),
        (NOTHING, ""),
    ],
)
def test_what_is_said_of_an_age(site: str, said: str) -> None:
    """Measured, or named as what is set; a first right answer is `at once`, however long it took."""
    assert age_text(found(), site, "created") == said


@pytest.mark.parametrize("made", [markdown, markdown_with_spread])
def test_a_table_has_a_line_for_each_site(made: Callable[[Found], list[str]]) -> None:
    """And the control's; all have as many cells as the head."""
    head, rule, *lines = made(found())
    lines = lines[: lines.index("")] if "" in lines else lines
    assert [line.split("|")[1].strip() for line in lines] == [
        TITLES[NOTHING],
        TITLES[VERIFY],
        TITLES[CONTROLLED],
        f"*{TITLES[CONTROL]}*",
    ]
    assert {line.count("|") for line in (rule, *lines)} == {head.count("|")}


def test_a_cell_with_the_spread() -> None:
    """The median, the rounds' lowest and highest, and the median p99; the control that is off is bold."""
    lines = markdown_with_spread(found())
    (line,) = (line for line in lines if "to 0.4); " in line)
    assert "| 0.3 (0.2 to 0.4); 0.6 |" in line
    assert any("| **1.20**; **1.20** |" in line for line in lines)


def test_ages_in_one_cell() -> None:
    """One word where all are the same."""
    seen = found()
    assert ages_text(seen, NOTHING) == ""
    for change in ("deleted", "filled"):
        seen.ages[CONTROLLED][change] = {"seconds": 0.01, "wrong": 0}
        seen.ages[VERIFY][change] = {"seconds": None, "wrong": 1}
    assert ages_text(seen, CONTROLLED) == "at once"
    assert ages_text(seen, VERIFY) == "3 h, 31 d, 31 d (set)"


def test_the_picture_has_a_point_for_each_figure() -> None:
    """Hollow ones are what is set, and a site's name stands once."""
    svg = ET.fromstring(chart(found()))
    points = [item for item in svg.iter() if item.tag.endswith("circle") and item.get("r") == "3.2"]
    # Latency and cost of three sites asked again, and three ages of those that were measured.
    assert len(points) == 3 + 3 + 2
    assert len([item for item in points if item.get("fill") == "#ffffff"]) == 1
    names = [item.text for item in svg.iter() if item.tag.endswith("text")]
    assert names.count(TITLES[VERIFY]) == 1
    assert TITLES[CONTROL] not in names


def test_every_site_has_a_title() -> None:
    """No two the same."""
    assert set(TITLES) == {*SITES, VERIFY_SHORT}
    assert len(set(TITLES.values())) == len(TITLES)
