"""Figures go from build/bench into the documents, and nothing else in them changes."""

from __future__ import annotations

import re

import pytest

from tests.bench import publish
from tests.bench.publish import NoPlaceError, put
from tests.bench.rcpt.table import Found
from tests.bench.report import markdown
from tests.rigs.program import ROOT

ROW = {"row": "speed", "target": "at least 5 times"}
FIGURES = {
    "value": 7.123,
    "lowest": 6.5,
    "highest": 8.0,
    "ours": 213_167.4,
    "other": 28_612.0,
    "control": 1.0912,
    "noisy": False,
    "reached": True,
}
RESULTS: dict[str, object] = {
    "date": "2026-11-30",
    "seconds": 829.4,
    "machine": {"cpu": "a machine", "memory_mib": 24105},
    "rows": [{**ROW, **FIGURES}],
    "samples": {"stdin": {"ours": [{"ms": 9.0}]}},
}
PLACE = "before\n\n<!-- figures: speed -->\n{}<!-- figures end -->\nafter\n"


def test_a_row_in_markdown() -> None:
    """Reached or not, with its control, bold where that is off; or not measured."""
    rows: list[dict[str, object]] = [
        {**ROW, **FIGURES},
        {**ROW, **FIGURES, "other": None, "noisy": True, "reached": False},
        dict(ROW),
    ]
    assert markdown(rows)[2:] == [
        "| speed | at least 5 times | 7.12 | 6.5 to 8 | 213 167 | 28 612 | 1.09 | yes |",
        "| speed | at least 5 times | 7.12 | 6.5 to 8 | 213 167 |  | **1.09** | **no** |",
        "| speed | at least 5 times | | | | | | not measured |",
    ]
    assert len({line.count("|") for line in markdown(rows)}) == 1


def test_lines_go_into_their_place() -> None:
    """As often as one likes; what is around them stays."""
    first = put(PLACE.format("old\nlines\n"), "speed", ["new \\1", "lines"])
    assert first == PLACE.format("\nnew \\1\nlines\n\n")
    assert put(first, "speed", ["new \\1", "lines"]) == first


@pytest.mark.parametrize("text", ["", PLACE.format(""), PLACE.format("x") * 2])
def test_a_document_without_the_place(text: str) -> None:
    """Or with two of them: nothing is written by chance."""
    name = "speed" if text != PLACE.format("") else "other"
    with pytest.raises(NoPlaceError, match=f"<!-- figures: {name} -->"):
        put(text, name, ["x"])


@pytest.mark.parametrize(
    ("document", "name"),
    [publish.TARGETS, publish.SCENARIOS, publish.PEERS, publish.PEERS_SHORT],
)
def test_each_document_has_its_place(document: str, name: str) -> None:
    """And what was written into it by hand is gone."""
    with open(f"{ROOT}/{document}", encoding="utf-8") as file:
        text = file.read()
    assert put(text, name, ["x"]) != text
    assert len(re.findall("<!-- figures: ", text)) == len(re.findall("<!-- figures end -->", text))


def test_what_is_put_in() -> None:
    """A table, and what it was measured on."""
    where = "Measured on 2026-11-30 in 13 min 49 s; cpu a machine, memory mib 24105."
    assert publish.of_targets(RESULTS)[-1] == where
    assert publish.of_targets(RESULTS)[2].startswith("| speed |")
    scenarios = publish.of_scenarios(RESULTS)
    assert scenarios[0] == where
    assert "standard input" in scenarios[3]
    found = Found(about={"cpus": 2}, sizes={}, verify={}, took_s=60, date="2026-11-30")
    for lines in publish.of_peers(found):
        assert lines[-1] == "Measured on 2026-11-30 in 1 min 0 s; cpus 2."
