"""What Prometheus reads, made of snapshots; and what a process says of itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.counted import CACHE_HITS, REQUESTS, MetricKey
from gateway.cyrus.db.formats import QUOTALEGACY
from gateway.observability.metrics import databases
from gateway.observability.metrics.databases import DatabaseState
from gateway.observability.metrics.exposition import View, render
from gateway.observability.metrics.gathering import Gathered
from gateway.observability.metrics.registry import ProcessState
from gateway.observability.metrics.snapshot import ProcessCounts, Upstream
from gateway.observability.metrics.timing import Timings
from gateway.wiring.assembly import make_store
from tests.support.admin_stores import settings

STATES = (
    ProcessState("core", 0, 2, 10, "ready"),
    ProcessState("core", 1, 2, 11, "starting"),
    ProcessState("core", 0, 1, 9, "leaving"),
    ProcessState("milter", 0, 2, 0, "waiting"),
)


def samples(view: View) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by name and label values (in the order of the labels' names)."""
    text = render(view, "")[0].decode()
    return {
        (sample.name, tuple(sample.labels[each] for each in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def view(
    counts: dict[MetricKey, float] | None = None,
    *,
    upstreams: list[Upstream] | None = None,
    found: tuple[DatabaseState, ...] = (),
) -> View:
    """A view of these counts."""
    snapshots = (ProcessCounts("core", upstreams=upstreams or []),)
    return View(Gathered(7.0, STATES, snapshots, counts or {}, {}), found, {"core": 3})


def test_counts_become_samples() -> None:
    """Names and labels come from the snapshot's keys; keys that nobody declared are left out."""
    found = samples(
        view(
            {
                REQUESTS.of("policy", "denied"): 2,
                CACHE_HITS.of(): 5,
                MetricKey("nobody", ("knows",)): 1,
            }
        )
    )
    assert found["smmapd_requests_total", ("policy", "denied")] == 2
    assert found["smmapd_cache_hits_total", ()] == 5
    assert not [name for name, _ in found if "nobody" in name]


def test_a_histogram_is_cumulative() -> None:
    """From buckets that are not, and a sum."""
    timings = Timings()
    for seconds in (10e-6, 40e-6, 40e-6, 99.0):
        timings.lookup(seconds)
    found = samples(view(timings.numbers()))
    assert found["smmapd_lookup_seconds_bucket", ("2.5e-05",)] == 1
    assert found["smmapd_lookup_seconds_bucket", ("5e-05",)] == 3
    assert found["smmapd_lookup_seconds_bucket", ("1.0",)] == 3
    assert found["smmapd_lookup_seconds_bucket", ("+Inf",)] == 4
    assert found["smmapd_lookup_seconds_count", ()] == 4
    assert found["smmapd_lookup_seconds_sum", ()] == pytest.approx(99.00009)


def test_processes_are_counted_with_their_starts() -> None:
    """Those that serve, those that should, and how often they were started again."""
    found = samples(view())
    assert found["smmapd_processes_ready", ("core",)] == 1
    assert found["smmapd_processes_wanted", ("core",)] == 2
    assert found["smmapd_processes_wanted", ("milter",)] == 1
    assert found["smmapd_process_restarts_total", ("core",)] == 3
    assert found["smmapd_process_restarts_total", ("milter",)] == 0
    assert found["smmapd_start_time_seconds", ()] == 7.0


def test_what_a_database_does_not_say_is_not_there() -> None:
    """No sample is better than a zero that means nothing."""
    state = DatabaseState("quota", "/q", QUOTALEGACY, problem="it burns")
    found = samples(view(found=(state,)))
    assert found["smmapd_database_readable", ("quota",)] == 0
    assert ("smmapd_database_size_bytes", ("quota",)) not in found


def test_a_server_that_fails_counts_as_failing_until_it_answers() -> None:
    """By its newest answer."""
    one, two = Upstream(1.0, "backend", "one", "late"), Upstream(1.0, "backend", "two", "late")
    assert samples(view(upstreams=[one, two]))["smmapd_upstream_failing", ("backend",)] == 2
    well = Upstream(2.0, "backend", "two", "")
    assert samples(view(upstreams=[one, two, well]))["smmapd_upstream_failing", ("backend",)] == 1


def test_databases_are_looked_at_afresh(tmp_path: Path) -> None:
    """Readable, damaged, missing, and well again, as the next question would find them."""
    store = make_store(settings(str(tmp_path)))
    path = store.mailboxes.path
    assert [each.problem for each in databases.look(store)] == ["", "", ""]
    os.rename(path, f"{path}.away")
    missing, *_ = databases.look(store)
    assert path in missing.problem
    os.rename(f"{path}.away", path)
    os.remove(store.denials.path)
    _, denials, _ = databases.look(store)
    assert (denials.problem, denials.absent) == ("", True)
    with open(store.quotas.path, "wb") as file:
        file.write(b"no line feed")
    _, _, quotas = databases.look(store)
    assert store.quotas.path in quotas.problem
    assert [each.name for each in databases.look(store)] == ["mailboxes", "userdeny", "quota"]
