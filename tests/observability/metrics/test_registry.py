"""Counts add up over processes, and outlive them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.counted import MetricKey
from gateway.observability.metrics.gathering import gather
from gateway.observability.metrics.registry import Page, ProcessRegistry, ProcessState
from gateway.observability.metrics.sharedmemory import (
    MetricsSlot,
    SharedMetrics,
    SharedMetricsError,
)
from gateway.observability.metrics.snapshot import LastRefusal, ProcessCounts, Upstream


@pytest.fixture
def registry() -> Iterator[ProcessRegistry]:
    """A supervisor's."""
    made = ProcessRegistry()
    yield made
    made.close()


def keys(**numbers: float) -> dict[MetricKey, float]:
    """Numbers of metrics without labels."""
    return {MetricKey(name): number for name, number in numbers.items()}


def say(slot: MetricsSlot, pid: int = 1, **more: float) -> None:
    """Publish a snapshot with these counts, and the gauge `open` of 1."""
    slot.publish(
        ProcessCounts("core", pid=pid, counts=keys(**more), gauges=keys(open=1)).to_bytes()
    )


def test_counts_and_gauges_add_up(registry: ProcessRegistry) -> None:
    """Over all living processes."""
    one, two = registry.lend(), registry.lend()
    say(one, asked=3)
    say(two, asked=4, missed=1)
    found = gather(one.shared_metrics)
    assert found.counts == keys(asked=7, missed=1)
    assert found.gauges == keys(open=2)


def test_counts_outlive_their_process_and_gauges_do_not(registry: ProcessRegistry) -> None:
    """A sum never shrinks because a process has ended or was started again."""
    one = registry.lend()
    say(one, asked=3)
    registry.take_back(one)
    found = gather(one.shared_metrics)
    assert (found.counts, found.gauges, found.snapshots) == (keys(asked=3), {}, ())
    again = registry.lend()
    assert again.index == one.index
    assert gather(one.shared_metrics).counts == keys(asked=3)
    say(again, asked=2)
    assert gather(one.shared_metrics).counts == keys(asked=5)


def test_a_process_is_taken_back_once(registry: ProcessRegistry) -> None:
    """Its counts are added once, and a slot that is lent again stays with the new process."""
    one = registry.lend()
    say(one, asked=3)
    registry.take_back(one)
    other = registry.lend()
    say(other, asked=1)
    registry.take_back(one)
    assert gather(one.shared_metrics).counts == keys(asked=4)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name": "core"}',
        b"\xff",
        ProcessCounts("x", counts=keys(a=float("nan"))).to_bytes(),
        ProcessCounts("x", counts={MetricKey("\n"): 1}).to_bytes(),
    ],
)
def test_a_process_gone_wrong_spoils_nothing(registry: ProcessRegistry, message: bytes) -> None:
    """What it says is not counted; what the others say is."""
    mad, sane = registry.lend(), registry.lend()
    mad.publish(message)
    say(sane, asked=1)
    assert gather(sane.shared_metrics).counts == keys(asked=1)
    registry.take_back(mad)
    assert gather(sane.shared_metrics).counts == keys(asked=1)


def test_the_supervisor_counts_as_well(registry: ProcessRegistry) -> None:
    """Beside what its processes count, and at once."""
    one = registry.lend()
    say(one, asked=3)
    registry.count(MetricKey("asked"))
    registry.count(MetricKey("restarted", ("core",)))
    found = gather(one.shared_metrics)
    assert found.counts == {**keys(asked=4), MetricKey("restarted", ("core",)): 1}


def test_states_are_shown(registry: ProcessRegistry) -> None:
    """The supervisor's view of its processes, as it is told."""
    states = (ProcessState("core", 0, 1, 77, "ready"), ProcessState("milter", 0, 1, 0, "waiting"))
    registry.show(states)
    assert gather(registry.lend().shared_metrics).processes == states


def test_no_supervisor_no_sum() -> None:
    """Shared metrics to which no supervisor has written are a defect, and said to be one."""
    shared_metrics = SharedMetrics.create()
    with pytest.raises(SharedMetricsError):
        gather(shared_metrics)
    shared_metrics.close()


names = st.text(
    # Debian 12's Hypothesis knows no exclude_characters.
    st.sampled_from([chr(code) for code in range(33, 127) if chr(code) != "/"]),
    min_size=1,
    max_size=20,
)
texts = st.text(max_size=20)


@given(
    st.dictionaries(
        st.builds(MetricKey, names, st.tuples() | st.tuples(names, names)),
        st.integers(0, 1 << 40) | st.floats(0, 1e9),
    ),
    st.lists(st.builds(LastRefusal, st.floats(0, 4e9), *[texts] * 7), max_size=3),
    st.lists(st.builds(Upstream, st.floats(0, 4e9), *[texts] * 3), max_size=3),
)
def test_a_snapshot_comes_back_as_it_went(
    numbers: dict[MetricKey, float], refusals: list[LastRefusal], upstreams: list[Upstream]
) -> None:
    """Whatever its texts hold."""
    snapshot = ProcessCounts("core", 1, 2, 3, 4.5, numbers, {}, refusals, upstreams)
    assert ProcessCounts.from_bytes(snapshot.to_bytes()) == snapshot


@given(st.binary(max_size=200))
def test_parsers_raise_their_own_error_only(message: bytes) -> None:
    """No message, whatever it is, gets further than the parser."""
    for parse in (ProcessCounts.from_bytes, Page.from_bytes):
        with pytest.raises(SharedMetricsError):
            parse(message)


def test_the_newest_refusals_of_all_come_first(registry: ProcessRegistry) -> None:
    """As many as the page shows."""
    slots = [registry.lend() for _ in range(2)]
    for number, slot in enumerate(slots):
        refusals = [
            LastRefusal(float(2 * n + number), "policy", "denied", "", str(n), "", "", "", "")
            for n in range(15)
        ]
        slot.publish(ProcessCounts("core", refusals=refusals).to_bytes())
    found = gather(slots[0].shared_metrics)
    assert [each.time for each in found.refusals] == [float(n) for n in range(29, 9, -1)]


def test_the_newest_answer_of_each_server_is_shown(registry: ProcessRegistry) -> None:
    """By kind and name, whichever process asked."""
    answers = [Upstream(2.0, "backend", "one", "late"), Upstream(1.0, "backend", "one", "")]
    for answer in answers:
        registry.lend().publish(ProcessCounts("core", upstreams=[answer]).to_bytes())
    slot = registry.lend()
    slot.publish(ProcessCounts("core", upstreams=[Upstream(1.0, "mupdate", "", "")]).to_bytes())
    assert gather(slot.shared_metrics).upstreams == [answers[0], Upstream(1.0, "mupdate", "", "")]
