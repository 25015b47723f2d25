"""contrib/prometheus and contrib/grafana, against the metrics that there are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

from gateway.counted import COUNTS, GAUGES
from gateway.observability.metrics import exposition
from tests.rigs.adminpage import WORKERS, running
from tests.rigs.folders import folder
from tests.rigs.prometheus import Prometheus, promtool
from tests.rigs.require import require
from tests.rigs.waiting import wait_until

CONTRIB = os.path.join(os.path.dirname(__file__), "..", "..", "contrib")
PROMETHEUS = os.path.abspath(os.path.join(CONTRIB, "prometheus"))
RULES = os.path.join(PROMETHEUS, "rules.yml")
DASHBOARD = os.path.abspath(os.path.join(CONTRIB, "grafana", "dashboard.json"))

# A histogram's samples have endings of their own.
_HISTOGRAMS = ("smmapd_lookup_seconds", "smmapd_upstream_seconds")
# Labels that Prometheus and this rig add.
_ADDED = {"instance", "job", "le"}


# Expressions that may give nothing while all is well though there are samples, and on flat files.
QUIET = re.compile("_skipped_|_not_enforced_|_upstream_|_generation|> 0")


def text(path: str) -> str:
    """A file of contrib."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def expressions() -> Iterator[tuple[str, str]]:
    """Each panel's title and expression, without Grafana's own variables."""
    for panel in json.loads(text(DASHBOARD))["panels"]:
        for target in panel["targets"]:
            plain = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            assert "$" not in plain, plain
            yield panel["title"], plain


def counted(expression: str, page: str) -> bool:
    """Whether the page has a sample of each metric of an expression: some have none before they count."""
    names = re.findall(r"\bsmmapd_[a-z0-9_]+", expression)
    return all(re.search(rf"^{name}[ {{]", page, re.MULTILINE) for name in names)


def known() -> set[str]:
    """The name of every sample that Prometheus gets."""
    names = set(exposition.names())
    return names | {f"{name}_{end}" for name in _HISTOGRAMS for end in ("bucket", "sum", "count")}


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=["rules", "dashboard"])
def test_every_metric_that_is_named_exists(path: str) -> None:
    """A panel or alert on a metric that nobody counts would be silent for ever."""
    recorded = set(re.findall(r"record: (\S+)", text(path)))
    named = set(re.findall(r"\bsmmapd[_:][a-z0-9_:]+", text(path))) - {"smmapd_rules"}
    assert named - recorded <= known()


def test_every_metric_is_shown() -> None:
    """What is counted stands on the dashboard."""
    shown = set(re.findall(r"\bsmmapd_[a-z0-9_]+", text(DASHBOARD)))
    missing = {
        name
        for name in exposition.names()
        if not any(each.startswith(name) for each in shown) and name != "smmapd_database_readable"
    }
    assert missing == set(), f"contrib/grafana/dashboard.json shows none of {missing}"


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=["rules", "dashboard"])
def test_every_label_that_is_named_exists(path: str) -> None:
    """A sum by a label that is not there is one line, and says nothing."""
    labels = {label for each in (*COUNTS, *GAUGES) for label in each.labels} | _ADDED
    used = set()
    for words in re.findall(r"\bby \(([a-z, ]+)\)", text(path)):
        used |= set(words.split(", "))
    assert used
    assert used <= labels


def test_the_dashboard_is_whole() -> None:
    """Panels have numbers of their own, and do not lie upon each other."""
    shared_metrics = json.loads(text(DASHBOARD))
    panels = shared_metrics["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    counters_of_outcome = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(counters_of_outcome) == len(set(counters_of_outcome))
    assert max(x for x, _ in counters_of_outcome) < 24


@pytest.mark.real
def test_promtool_takes_the_rules() -> None:
    """And each alert rings when it should, and not before."""
    require("prometheus")
    code, said = promtool("check", "rules", RULES)
    assert code == 0, said
    code, said = promtool("test", "rules", "rules_test.yml", cwd=PROMETHEUS)
    assert code == 0, said


@pytest.mark.real
def test_a_real_prometheus_scrapes_and_knows_every_expression() -> None:
    """No expression of the dashboard is an error, and promtool finds no fault with the names."""
    require("prometheus")
    with folder("watched") as path, running(path) as site:
        page = site.get("/metrics").text
        code, said = promtool("check", "metrics", stdin=page)
        assert (code, said) == (0, "")
        site.socketmap(b"fred@example.org", b"olga@example.org")
        with Prometheus([f"127.0.0.1:{site.port}"], RULES) as prometheus:
            prometheus.wait_scraped()
            for title, expression in expressions():
                found = prometheus.query(expression)
                quiet = QUIET.search(expression) or not counted(expression, page)
                assert found or quiet, f"{title}: {expression} gives nothing"
            assert prometheus.query("sum(smmapd_processes_ready)") == [WORKERS + 1]
            assert prometheus.alerts() == {}
            with open(os.path.join(site.store.configdirectory, "mailboxes.db"), "wb") as file:
                file.write(b"\0\0\0\0")
            wait_until(
                lambda: prometheus.alerts().get("SmmapdDatabaseUnreadable") == "pending",
                "the alert is pending",
            )
