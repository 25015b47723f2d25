"""The shared metrics: what one process writes, all read; and what a dead one leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.metrics.sharedmemory import (
    HALF,
    LIMIT,
    MetricsSlot,
    SharedMetrics,
    SharedMetricsError,
)


@pytest.fixture
def shared_metrics() -> Iterator[SharedMetrics]:
    """New shared metrics."""
    made = SharedMetrics.create()
    yield made
    made.close()


def test_nothing_has_been_said(shared_metrics: SharedMetrics) -> None:
    """A slot that nobody has written to, wherever it is, holds nothing."""
    assert shared_metrics.read(0, 1) is None
    assert shared_metrics.read(1000, 1) is None


def test_the_newest_message_is_read(shared_metrics: SharedMetrics) -> None:
    """Each message takes the place of the one before, and of no other's."""
    one, other = MetricsSlot(shared_metrics, 3, 7), MetricsSlot(shared_metrics, 4, 8)
    other.publish(b"other")
    for message in (b"first", b"", b"third"):
        one.publish(message)
        assert shared_metrics.read(3, 7) == message
    assert shared_metrics.read(4, 8) == b"other"


def test_what_an_earlier_process_left_is_not_taken(shared_metrics: SharedMetrics) -> None:
    """A slot that is lent again is empty until its new process has spoken."""
    MetricsSlot(shared_metrics, 1, 2).publish(b"old")
    assert shared_metrics.read(1, 3) is None
    MetricsSlot(shared_metrics, 1, 3).publish(b"new")
    assert shared_metrics.read(1, 3) == b"new"


@given(st.integers(1, 60), st.binary(max_size=30))
def test_a_writer_that_dies_leaves_its_last_message(written: int, before: bytes) -> None:
    """However much of the next message was written, the one before is read, or that one whole."""
    after, made = SharedMetrics.create(), SharedMetrics.create()
    try:
        MetricsSlot(made, 0, 5).publish(before)
        MetricsSlot(after, 0, 5, 1).publish(b"next message")
        os.pwrite(made.fileno(), os.pread(after.fileno(), HALF, 0)[:written], 0)
        assert made.read(0, 5) in (before, b"next message")
    finally:
        made.close()
        after.close()


def test_a_message_that_is_too_long_is_refused(shared_metrics: SharedMetrics) -> None:
    """It would reach into the next half."""
    slot = MetricsSlot(shared_metrics, 0, 1)
    slot.publish(bytes(LIMIT))
    with pytest.raises(SharedMetricsError, match="do not fit"):
        slot.publish(bytes(LIMIT + 1))
    assert shared_metrics.read(0, 1) == bytes(LIMIT)
