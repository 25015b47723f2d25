"""Add a metric: declare it in gateway/counted.py, count it, test it, show it.

The page itself, that no counter stays 0 and that every name is on the page is for
tests/admin/test_metrics.py; that the dashboard shows it for tests/contrib/test_observation.py.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway import counted as metrics
from gateway.counted import COUNTS, GAUGES
from gateway.observability.metrics.exposition import names
from tests.exercises.reading import text
from tests.sources import ROOT, SOURCES, tree

MODULES = {path: tree(path) for path in SOURCES}
SNAPSHOT = "gateway/observability/metrics/snapshot.py"
DECLARING = str(Path(metrics.__file__).relative_to(ROOT))
# The names by which the declared metrics are counted; a key that no metric gives is an error of types.
NAMES = {name: each for name, each in vars(metrics).items() if isinstance(each, metrics.Declared)}
USED = {
    getattr(node, "id", getattr(node, "attr", ""))
    for path, module in MODULES.items()
    if path != DECLARING
    for node in ast.walk(module)
    if isinstance(node, ast.Name | ast.Attribute)
}


def test_declared_metrics_are_found() -> None:
    """The tests below look at something."""
    assert {"REQUESTS", "CACHE_HITS", "LOOKUP"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_something_counts_it(name: str) -> None:
    """A metric whose key nothing asks for is 0 for ever."""
    assert name in USED, (
        f"nothing in gateway/ counts {name}: `counted.add({name}.of(...))` where it happens"
    )


def test_each_is_shown() -> None:
    """A metric that is in none of the page's tables reaches nobody."""
    shown = {*COUNTS, *GAUGES, metrics.LOOKUP, metrics.UPSTREAM}
    missing = {name for name, each in NAMES.items() if each not in shown}
    assert missing == set(), f"add {missing} to COUNTS or GAUGES in {DECLARING}"


def test_a_key_has_the_labels_of_its_metric() -> None:
    """Else its value would be on no line of the page."""
    assert metrics.CACHE_HITS.of() == ("cache_hits", ())
    with pytest.raises(AssertionError, match="frontend"):
        metrics.REQUESTS.of("policy")


def test_no_key_is_made_by_hand() -> None:
    """But where a message is read."""
    makers = {
        path
        for path, module in MODULES.items()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == metrics.MetricKey.__name__
    }
    assert makers == {DECLARING, SNAPSHOT}


@pytest.mark.parametrize("name", names())
def test_the_dashboard_or_an_alert_has_it(name: str) -> None:
    """What nobody sees need not be counted."""
    shown = text("contrib/grafana/dashboard.json") + text("contrib/prometheus/rules.yml")
    known = name in shown
    assert known, f"contrib/grafana/dashboard.json: a panel, or a query of one, for {name}"
