"""Add a metric: declare it, count it, show it.

The page itself, that no counter stays 0 and that every name is on the page is for
tests/admin/test_metrics.py; that the dashboard shows it for tests/contrib/test_observation.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from gateway.observability.metrics.exposition import COUNTS, GAUGES, Declared, names
from tests.exercises.reading import text
from tests.sources import SOURCES, tree


def keys(module: ast.Module) -> Iterator[str]:
    """The strings of a module up to the first slash, those of f-strings, too."""
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.partition("/")[0]


def written(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and key of each `SNAPSHOT.counts[KEY] = ...`, and of the gauges."""
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr in ("counts", "gauges")
        ):
            yield node.lineno, next(keys(ast.Module([ast.Expr(node.slice)], [])), "")


MODULES = {path: tree(path) for path in SOURCES}
DECLARING = {
    path
    for path, module in MODULES.items()
    if any(isinstance(node, ast.ClassDef) and node.name == "Declared" for node in ast.walk(module))
}
KEYS = {key for path, module in MODULES.items() if path not in DECLARING for key in keys(module)}


@pytest.mark.parametrize("declared", [*COUNTS, *GAUGES], ids=lambda each: each.name)
def test_something_counts_it(declared: Declared) -> None:
    """A metric whose key nothing puts into a snapshot is 0 for ever."""
    assert declared.key in KEYS, f"nothing in gateway/ counts {declared.key}"


def test_what_is_counted_is_declared() -> None:
    """A count that no metric has the key of reaches nobody."""
    declared = {each.key for each in (*COUNTS, *GAUGES)}
    found = {
        f"{path}:{line}": key
        for path, module in MODULES.items()
        for line, key in written(module)
        if key not in declared
    }
    assert found == {}


def test_writings_are_found() -> None:
    """The tests above look at something."""
    module = ast.parse('s.counts["a"] = 1\ns.gauges[f"b/{c}"] = 2\nd["e"] = 3')
    assert list(written(module)) == [(1, "a"), (2, "b")]
    assert len(DECLARING) == 1


@pytest.mark.parametrize("name", names())
def test_the_dashboard_or_an_alert_has_it(name: str) -> None:
    """contrib/grafana and contrib/prometheus: what nobody sees need not be counted."""
    shown = text("contrib/grafana/dashboard.json") + text("contrib/prometheus/rules.yml")
    assert name in shown
