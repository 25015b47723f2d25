"""CONTRIBUTING.md lists every file that the exercises name, no other, and few enough of them."""

from __future__ import annotations

import re

import pytest

from tests.exercises import (
    test_add_a_metric,
    test_add_a_setting,
    test_add_a_verdict_kind,
)
from tests.exercises.reading import text
from tests.sources import ROOT

PAGE = text("CONTRIBUTING.md")
_PATH = re.compile(r"\b((?:gateway|tests|docs|man|contrib)/[\w./-]*\w/?|[A-Z]+\.md)")

# The heading, the exercise, and how many files a newcomer touches at most: a file of each row, and
# those that "the module" and "its test" are.
EXERCISES = {
    "Your first change: add a setting": (test_add_a_setting, 6),
    "Add a verdict kind": (test_add_a_verdict_kind, 14),
    "Add a metric": (test_add_a_metric, 5),
}
EACH = pytest.mark.parametrize("heading", EXERCISES)


def section(heading: str) -> str:
    """What is below a heading, up to the next one."""
    (found,) = re.findall(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@EACH
def test_the_files_that_it_names_exist(heading: str) -> None:
    """A list that names what was moved is no help."""
    named = set(_PATH.findall(section(heading)))
    assert named
    missing = {path for path in named if not (ROOT / path).exists()}
    assert missing == set(), f"CONTRIBUTING.md, {heading}: these are not there any more"


@EACH
def test_it_names_what_the_exercise_names(heading: str) -> None:
    """The messages of the tests, and this list, say the same."""
    exercise, _ = EXERCISES[heading]
    source = (ROOT / str(exercise.__file__)).read_text()
    strings = re.findall(r'"([^"\n]*)"', source.partition('"""')[2].partition('"""')[2])
    wanted = {path for each in strings for path in _PATH.findall(each) if (ROOT / path).is_file()}
    wanted -= {"CONTRIBUTING.md", *OWN}
    assert wanted <= set(_PATH.findall(section(heading)))


# Where the exercises look, and nobody writes.
OWN = ("gateway/observability/metrics/snapshot.py", "tests/test_documents.py")


@pytest.mark.parametrize(
    ("heading", "most"),
    [(heading, most) for heading, (_, most) in EXERCISES.items() if heading.startswith("Add")],
)
def test_few_files_are_touched(heading: str, most: int) -> None:
    """The rows of its table: one home for one idea."""
    rows = re.findall(r"^\| (?!file|---)(.*?) \|", section(heading), re.MULTILINE)
    files = sum(max(1, row.count("`") // 2) for row in rows)
    assert len(rows) > 4
    assert files <= most
