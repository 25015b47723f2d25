"""The glossary's words: each stands where it says, and what they replaced is gone.

A word of our own that means nothing in the field is easily brought back by a
merge or by habit.  `REPLACED` are names that must not come again, with the word
that is in their place.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.sources import SOURCES, tree

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE
)

REPLACED = {
    "amid": "in_request",
    "appeal": "last check",
    "board": "shared metrics",
    "cell": "outcome counter",
    "course": "answer origin",
    "crew": "helper threads",
    "flights": "dispatcher",
    "leniency": "waiver",
    "ledger": "process registry",
    "tally": "outcome counters",
}
# A table's cell is one.
ALLOWED = {("gateway/cli/output.py", "cell")}


def names(path: str) -> set[str]:
    """Every name that a module gives or uses, in lower case and without underscores in front."""
    found: set[str] = {Path(path).stem}
    for node in ast.walk(tree(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Attribute(attr=name) | ast.arg(arg=name) | ast.Name(id=name):
                found.add(name)
            case _:
                pass
    return {each.lstrip("_").lower() for each in found}


@pytest.mark.parametrize("path", SOURCES)
def test_what_was_replaced_is_gone(path: str) -> None:
    """The message names the word that is in its place."""
    found = {
        word: REPLACED[word] for word in names(path) & set(REPLACED) if (path, word) not in ALLOWED
    }
    assert not found


@pytest.mark.parametrize(("term", "path"), ROWS, ids=[term for term, _ in ROWS])
def test_the_glossary_says_where(term: str, path: str) -> None:
    """Each term's module or folder is there."""
    assert (ROOT / path).exists(), f"{term} is not in {path} any more"


def test_the_glossary_has_rows() -> None:
    """In the form that these tests read."""
    assert len(ROWS) > 30


def test_no_public_class_has_a_namesake() -> None:
    """Two classes of one name are taken for one another."""
    classes = Counter(
        node.name
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_no_module_name_comes_three_times() -> None:
    """But for `__init__`; the modules of config/tables are called as their tables."""
    modules = Counter(Path(path).stem for path in SOURCES if "/config/tables/" not in path)
    often = [name for name, count in modules.items() if count > 2 and name != "__init__"]
    assert often == []
