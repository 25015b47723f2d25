"""The table: what a row is computed from, and how it is said."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.bench import report
from tests.bench.garage import spec_of
from tests.bench.plot import plot
from tests.bench.report import details, short, table
from tests.bench.rows import ROWS, Figure, Results, Row, outcome
from tests.bench.scenarios import SCENARIOS, SERVERS

OURS = Figure("race", "ours", "requests_per_s")
THEIRS = Figure("race", "c", "requests_per_s")
RACE: Results = {
    "race": {
        "ours": [{"requests_per_s": 100.0}, {"requests_per_s": 60.0}, {"requests_per_s": 90.0}],
        "c": [{"requests_per_s": 20.0}, {"requests_per_s": 30.0}, {"requests_per_s": 30.0}],
    }
}


def test_a_ratio_is_made_in_each_round() -> None:
    """The value is the median of the rounds' ratios, not the ratio of medians."""
    found = outcome(Row("speed", OURS, THEIRS, 3), RACE)
    assert found is not None
    assert (found.value, found.lowest, found.highest) == (3.0, 2.0, 5.0)
    assert (found.over, found.under) == (90.0, 30.0)
    assert found.reached


@pytest.mark.parametrize(
    ("target", "at_least", "reached"),
    [(3.0, True, True), (3.1, True, False), (3.0, False, True), (2.9, False, False)],
)
def test_a_target_is_a_lower_or_an_upper_limit(
    target: float, at_least: bool, reached: bool
) -> None:
    """`at_least` says which; the limit itself is reached."""
    found = outcome(Row("speed", OURS, THEIRS, target, at_least), RACE)
    assert found is not None
    assert found.reached is reached


def test_a_round_without_a_sample_is_left_out() -> None:
    """A round in which one side failed gives no ratio."""
    results: Results = {"race": {**RACE["race"], "c": [None, {"requests_per_s": 30.0}, None]}}
    found = outcome(Row("speed", OURS, THEIRS, 3), results)
    assert found is not None
    assert (found.value, found.lowest, found.highest) == (2.0, 2.0, 2.0)


def test_a_row_without_samples_is_not_reached_but_missing() -> None:
    """What was not measured has no outcome, and the table says why."""
    assert outcome(Row("speed", OURS, THEIRS, 3), {}) is None
    reasons = {"milter/milter, 20": "no libmilter"}
    assert "not measured: no libmilter" in table({}, reasons)
    assert "not measured in this run" in table({}, {})


def test_every_row_is_measured_by_a_scenario() -> None:
    """A row's figures name scenarios and entrants that exist."""
    labels = {s.name: {entrant.label for entrant in s.entrants} for s in SCENARIOS}
    for row in ROWS:
        for figure in filter(None, (row.over, row.under)):
            assert figure.label in labels[figure.scenario]


def test_every_row_has_a_control() -> None:
    """Its own server is in the scenario twice, each started for itself."""
    for row in ROWS:
        (scenario,) = (s for s in SCENARIOS if s.name == row.over.scenario)
        entrants = {entrant.label: entrant for entrant in scenario.everyone}
        control, itself = entrants[row.over.control.label], entrants[row.over.label]
        assert spec_of(control) != spec_of(itself)
        assert (control.server, control.measure) == (itself.server, itself.measure)


def test_every_control_is_of_some_entrant() -> None:
    """A label that nobody has would measure nothing."""
    for scenario in SCENARIOS:
        assert set(scenario.twice) <= {entrant.label for entrant in scenario.entrants}


@pytest.mark.parametrize(
    ("again", "control", "noisy"),
    [((100.0, 63.0, 90.0), 1.0, False), ((80.0, 50.0, 72.0), 0.8, True), ((), None, False)],
)
def test_a_row_says_what_its_control_is(
    again: tuple[float, ...], control: float | None, noisy: bool
) -> None:
    """Against the same server of the same round; one that is off is named beside the verdict."""
    results: Results = {
        "race": {**RACE["race"], "ours (control)": [{"requests_per_s": n} for n in again]}
    }
    row = Row("speed", OURS, THEIRS, 3)
    found = outcome(row, results)
    assert found is not None
    assert (found.control, found.noisy) == (control, noisy)


def test_the_table_names_a_control_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing of one that is not."""
    monkeypatch.setattr(report, "ROWS", (Row("speed", OURS, THEIRS, 3),))
    for again, said in ((100.0, False), (200.0, True)):
        results: Results = {"race": {**RACE["race"], "ours (control)": [{"requests_per_s": again}]}}
        assert ("reached; control off by more than 10 %" in table(results, {})) is said


def test_every_entrant_is_a_known_server() -> None:
    """Its name is one that a server can be made for."""
    named = {entrant.server for scenario in SCENARIOS for entrant in scenario.entrants}
    assert named <= set(SERVERS)


@pytest.mark.parametrize(
    ("value", "text"), [(0.04567, "0.0457"), (5.0, "5"), (99.94, "99.9"), (123456.7, "123 457")]
)
def test_a_number_has_three_figures_that_count(value: float, text: str) -> None:
    """Small ones by significance, large ones whole."""
    assert short(value) == text


def test_the_plot_is_an_svg_with_a_line_for_each_server() -> None:
    """And there is none where nothing was measured."""
    assert plot({}) is None
    results: Results = {
        "connections": {
            f"{server}-{n}": [{"cpu_us": cost}]
            for server, cost in (("c", 60.0), ("ours", 5.0))
            for n in (1, 50, 500)
        }
    }
    text = plot(results)
    assert text is not None
    svg = ET.fromstring(text)
    lines = [element for element in svg.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 2


def test_details_show_what_was_measured() -> None:
    """A scenario that was not measured is left out."""
    results: Results = {"stdin": {"ours": [{"ms": 9.0}], "c": [{"ms": 13.0}]}}
    text = details(results)
    assert "standard input" in text
    assert "50 connections" not in text
