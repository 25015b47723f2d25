"""CONTRIBUTING.md lists every file that the exercises name, no other, and few enough of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import ModuleType

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
    """A list that names what was moved does not help."""
    named = set(_PATH.findall(section(heading)))
    assert named
    missing = {path for path in named if not (ROOT / path).exists()}
    assert missing == set(), f"CONTRIBUTING.md, {heading}: these are not there any more"


@EACH
def test_it_names_what_the_exercise_names(heading: str) -> None:
    """The messages of the tests, and this list, say the same."""
    exercise, _ = EXERCISES[heading]
    told = {path for message in messages(exercise) for path in _PATH.findall(message)}
    wanted = {path for path in told if (ROOT / path).is_file()}
    assert wanted or heading not in ("Add a verdict kind", "Add a metric")
    assert wanted <= set(_PATH.findall(section(heading)))


def test_every_file_of_the_list_of_a_kind_is_named_by_a_test() -> None:
    """Nobody has to know the list: what is missing fails, and says where it belongs."""
    told = {
        path for message in messages(test_add_a_verdict_kind) for path in _PATH.findall(message)
    }
    rows = re.findall(r"^\| (?!file|---)(.*?) \| (.*)", section("Add a verdict kind"), re.MULTILINE)
    needed = [files for files, what in rows if not what.startswith("only if")]
    listed = {path for files in needed for path in _PATH.findall(files)}
    assert len(listed) > 5
    assert listed <= told


def messages(exercise: ModuleType) -> Iterator[str]:
    """What the assertions of a module say, and the constants that they say it with."""
    for node in ast.walk(ast.parse((ROOT / str(exercise.__file__)).read_text())):
        if not isinstance(node, ast.Assert) or node.msg is None:
            continue
        for part in ast.walk(node.msg):
            if isinstance(part, ast.Constant):
                yield str(part.value)
            elif isinstance(part, ast.Name):
                yield str(getattr(exercise, part.id, ""))


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
