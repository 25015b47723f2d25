"""/metrics of a whole gateway: every process, every front end, every verdict, in one scrape."""

from __future__ import annotations

import os
import signal

import pytest

from gateway import counted
from gateway.frontends.scope import Skip
from gateway.frontends.waiver import Waiver
from gateway.observability.metrics import exposition
from gateway.verification.kinds import KINDS
from tests.rigs.adminpage import WORKERS, Site, running
from tests.rigs.folders import folder
from tests.rigs.waiting import wait_until
from tests.sources import ROOT

REQUESTS = "smmapd_requests_total"
# Enough connections for both workers to have some.
CONNECTIONS = 40


def test_all_processes_add_up(own_site: Site) -> None:
    """However many core processes there are, and the milter: one sum a front end and verdict."""
    site = own_site
    for _ in range(CONNECTIONS):
        site.socketmap(b"fred@example.org", b"olga@example.org")
        site.policy(b"nobody@example.org")
    site.milter(b"dora@example.org")
    site.milter(b"info@example.org")
    for labels, wanted in {
        ("socketmap", "deliverable"): CONNECTIONS,
        ("socketmap", "over-quota"): CONNECTIONS,
        ("socketmap", "nonexistent"): 0,
        ("policy", "nonexistent"): CONNECTIONS,
        ("milter", "denied"): 1,
    }.items():
        site.wait_value(wanted, REQUESTS, *labels)
    site.wait_value(1, "smmapd_skipped_total", "milter", "alias")
    site.wait_value(CONNECTIONS, "smmapd_connections_accepted_total", "socketmap")
    site.wait_value(0, "smmapd_connections", "socketmap")
    site.wait_value(2, "smmapd_connections_accepted_total", "milter")


def test_memory_and_look_ups_are_told_apart(own_site: Site) -> None:
    """What is answered from memory is not a look-up, and each look-up is timed."""
    site = own_site
    # A flat file that was just written is not remembered: its times prove nothing yet.
    wait_until(lambda: remembered(site), "a verdict is remembered")
    samples = site.samples()
    judged = sum(value for (name, _), value in samples.items() if name == REQUESTS)
    misses = samples["smmapd_cache_misses_total", ()]
    assert samples["smmapd_cache_hits_total", ()] + misses == judged
    assert samples["smmapd_lookup_seconds_count", ()] == misses
    assert samples["smmapd_lookup_seconds_bucket", ("+Inf",)] == misses
    assert samples["smmapd_lookup_seconds_sum", ()] > 0
    assert samples["smmapd_cache_entries", ()] >= 1


def remembered(site: Site) -> bool:
    """Ask the same until somebody knows it by heart; all processes have said what they know."""
    asked = site.value(REQUESTS, "socketmap", "deliverable")
    site.socketmap(*[b"fred@example.org"] * 5)
    site.wait_value(asked + 5, REQUESTS, "socketmap", "deliverable")
    return site.value("smmapd_cache_hits_total") > 0


def test_a_process_that_dies_takes_nothing_with_it(own_site: Site) -> None:
    """Counts go on from where they were, and the restart is counted."""
    site = own_site
    site.milter(b"fred@example.org")
    site.wait_value(1, REQUESTS, "milter", "deliverable")
    (pid,) = site.gateway.pids("milter")
    os.kill(pid, signal.SIGKILL)
    site.wait_value(1, "smmapd_process_restarts_total", "milter")
    site.wait_value(1, "smmapd_processes_ready", "milter")
    assert site.value(REQUESTS, "milter", "deliverable") == 1
    site.milter(b"fred@example.org")
    site.wait_value(2, REQUESTS, "milter", "deliverable")
    assert site.value("smmapd_process_restarts_total", "core") == 0


def test_the_process_that_serves_the_page_may_die_too(own_site: Site) -> None:
    """Its successor knows the counts and the restarts of before."""
    site = own_site
    site.socketmap(b"fred@example.org")
    site.wait_value(1, REQUESTS, "socketmap", "deliverable")
    for pid in site.gateway.pids("core"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: restarted(site) == WORKERS, "both restarts are counted")
    assert site.value(REQUESTS, "socketmap", "deliverable") == 1


def restarted(site: Site) -> float:
    """Restarts of the core; connections of a process that is just dying are cut."""
    try:
        return site.value("smmapd_process_restarts_total", "core")
    except OSError:
        return -1


def test_a_reload_loses_no_count(own_site: Site) -> None:
    """The old processes' counts and those of the new ones are one sum."""
    site = own_site
    site.policy(b"olga@example.org")
    site.milter(b"olga@example.org")
    started = site.value("smmapd_start_time_seconds")
    site.gateway.reload({"logging": {"level": "warning"}})
    site.policy(b"olga@example.org")
    for front, wanted in (("policy", 2), ("milter", 1)):
        site.wait_value(wanted, REQUESTS, front, "over-quota")
    assert site.value("smmapd_start_time_seconds") == started
    site.wait_value(WORKERS, "smmapd_processes_wanted", "core")


def test_what_is_not_carried_out_is_counted() -> None:
    """In mode observe nobody is refused, and it shows how many would have been."""
    with folder("admin") as path, running(path, {"": {"mode": "observe"}}) as site:
        assert site.policy(b"nobody@example.org") == b"DUNNO"
        assert site.socketmap(b"nobody@example.org") == [b"OK nobody@example.org"]
        for front in ("policy", "socketmap"):
            site.wait_value(1, "smmapd_not_enforced_total", front, "observed")
            site.wait_value(1, REQUESTS, front, "nonexistent")


# Tests that name counters, and do not raise them by what they are about.
SAY_NOTHING = (
    "tests/admin/test_metrics.py",
    "tests/contrib/test_observation.py",
    "tests/observability/metrics/test_exposition.py",
)


def named_by_a_test(metric: counted.Declared) -> bool:
    """Whether a test of the part that counts it says what it is then."""
    constant = next(name for name, each in vars(counted).items() if each is metric)
    words = (f"{constant}.of(", f"{counted.PREFIX}{metric.name}_total")
    others = (ROOT / "tests").glob("*/**/test_*.py")
    return any(
        word in path.read_text()
        for path in others
        if str(path.relative_to(ROOT)) not in SAY_NOTHING and path.parent.name != "exercises"
        for word in words
    )


def test_no_counter_stays_0(own_site: Site) -> None:
    """Each one is raised by what it is about: one that nothing counts looks like peace.

    Those that a test beside its module counts need not be raised here.
    """
    site = own_site
    wait_until(lambda: remembered(site), "a verdict is remembered")
    site.milter(b"info@example.org")
    site.policy(b"olga@example.org", sender=b"double-bounce@example.org")
    del site.store.mailboxes[b"user.fred"]
    site.store.write()
    site.socketmap(*[b"fred@example.org"] * 2)
    with open(os.path.join(site.store.configdirectory, "mailboxes.db"), "wb") as file:
        file.write(b"\0")
    site.socketmap(b"fred@example.org")
    for each in counted.COUNTS:
        if not named_by_a_test(each):
            name = each.name
            what = f"something counts {name}: raise it here, or in a test beside what counts it"
            wait_until(lambda name=name: name in raised(site), what)  # type: ignore[misc]


def raised(site: Site) -> set[str]:
    """The counters that are not 0, by their declared names."""
    return {
        name.removeprefix(counted.PREFIX).removesuffix("_total")
        for (name, _), value in site.samples().items()
        if name.endswith("_total") and value > 0
    }


def test_the_databases_are_described(site: Site) -> None:
    """Readable, and how large; a flat file has no generation."""
    samples = site.samples()
    for name in ("mailboxes", "quota", "userdeny"):
        assert samples["smmapd_database_readable", (name,)] == 1
        assert ("smmapd_database_generation", (name,)) not in samples
    assert samples["smmapd_database_records", ("mailboxes",)] == len(site.store.mailboxes)
    size = os.path.getsize(os.path.join(site.store.configdirectory, "mailboxes.db"))
    assert samples["smmapd_database_size_bytes", ("mailboxes",)] == size


def test_labels_are_of_closed_sets(site: Site) -> None:
    """No recipient, sender, client or host ever becomes a label."""
    site.socketmap(b'"<script>"@example.org', b"secret@example.org")
    site.policy(b"secret@example.org", b"sender@client.example")
    site.milter(b"secret@example.org")
    site.wait_value(1, REQUESTS, "milter", "nonexistent")
    text = site.get("/metrics").text
    assert not [word for word in ("secret", "script", "client.example", "192.0.2") if word in text]
    verdicts = {kind.name for kind in KINDS}
    reasons = {each.value for each in (*Skip, *Waiver)}
    for name, labels in site.samples():
        if name == REQUESTS:
            assert labels[1] in verdicts
        if name in ("smmapd_skipped_total", "smmapd_not_enforced_total"):
            assert labels[1] in reasons


def test_every_sample_is_declared(site: Site) -> None:
    """Names begin with smmapd_, counts end with _total, and all have a help text."""
    text = site.get("/metrics").text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert names == set(exposition.names())
    assert all(name.startswith("smmapd_") for name in names)
    described = [line.split(maxsplit=3) for line in text.splitlines() if line.startswith("# HELP")]
    assert all(len(words) == 4 and words[3].endswith(".") for words in described)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version="),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version="),
    ],
)
def test_both_formats_of_prometheus(site: Site, accept: str, kind: str) -> None:
    """As the Accept header asks."""
    reply = site.get("/metrics", Accept=accept)
    assert reply.headers["Content-Type"].startswith(kind)
    assert 'smmapd_requests_total{frontend="policy",verdict="denied"}' in reply.text
