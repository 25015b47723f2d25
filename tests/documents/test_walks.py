"""docs/walks.md names functions that exist, in the files that it names."""

from __future__ import annotations

import ast
import re

import pytest

from tests.sources import ROOT, tree

WALKS = (ROOT / "docs/walks.md").read_text(encoding="utf-8")
STEPS = sorted(set(re.findall(r"((?:gateway|smmapd)/[\w/]+\.py):(\w+)", WALKS)))


def test_the_four_walks_are_there() -> None:
    """The test below looks at something."""
    assert len(re.findall(r"^## ", WALKS, re.MULTILINE)) == 4
    assert len(STEPS) > 30


@pytest.mark.parametrize(("path", "function"), STEPS, ids=[f"{p}:{f}" for p, f in STEPS])
def test_a_step_is_a_function_of_that_file(path: str, function: str) -> None:
    """A change that moves or renames it changes the walk, too."""
    assert (ROOT / path).is_file(), f"docs/walks.md: there is no {path}; where is {function} now?"
    defined = {
        node.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    assert function in defined, f"docs/walks.md: {path} has no {function}, it has {sorted(defined)}"
