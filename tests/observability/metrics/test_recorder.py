"""What a process says of itself: the counts of its parts, collected once a second."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.config import Settings
from gateway.config.choices import AddressPrivacy
from gateway.counted import DATABASE_RETRIES, RESIDENT_BYTES, Counts, Declared
from gateway.observability.logging.setup import AddressWriter
from gateway.observability.metrics.recorder import Recorder
from gateway.observability.metrics.sharedmemory import MetricsSlot
from gateway.server.server import Server
from gateway.verification.decider import Engine
from gateway.wiring.assembly import make_store
from tests.support.admin_stores import settings

SEEN = Declared("seen", ("what",), "For these tests.")

# What is counted here is not published.
_NO_SLOT = cast("MetricsSlot", None)


@dataclass
class Process:
    """The first core."""

    name: str = "core"
    index: int = 0
    generation: int = 1
    metrics_slot: MetricsSlot = _NO_SLOT


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    """A gateway on the demo's store."""
    return settings(str(tmp_path))


@pytest.fixture
def recorder(configured: Settings) -> Recorder:
    """Of a process that has just started."""
    return Recorder(Process(), configured, AddressWriter(AddressPrivacy.FULL))


def servers(*counted: Counts) -> list[Server]:
    """Listening sockets as far as the recorder looks at them."""
    return [
        cast("Server", SimpleNamespace(accepted=0, connections=(), counted=each))
        for each in counted
    ]


def test_whatever_a_part_counts_is_in_the_snapshot(recorder: Recorder) -> None:
    """A front end's conversations, its sockets, the process: one sum, and nothing to register."""
    sockets = Counts(), Counts()
    recorder.watch_servers("policy", servers(*sockets))
    for counted in (
        recorder.counters("policy").counted,
        recorder.counters("milter").counted,
        recorder.counted,
        *sockets,
    ):
        counted.add(SEEN.of("tree"), 2)
    recorder.counted.add(SEEN.of("bird"), 0)
    counts = recorder.snapshot().counts
    assert (counts[SEEN.of("tree")], counts[SEEN.of("bird")]) == (10, 0)


def test_a_snapshot_changes_no_count(recorder: Recorder) -> None:
    """The next one has the same, and what has come since."""
    counted = recorder.counters("policy").counted
    counted.add(SEEN.of("tree"))
    assert recorder.snapshot().counts[SEEN.of("tree")] == 1
    counted.add(SEEN.of("tree"))
    assert recorder.snapshot().counts[SEEN.of("tree")] == 2


def test_a_snapshot_is_made_where_the_kernel_has_no_memory_to_tell_how_much_there_is(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process must not end for it, as the milter's did; the number is the last one."""
    before = recorder.snapshot().gauges[RESIDENT_BYTES.of("core")]
    assert before > 0

    def pread(_descriptor: int, _length: int, _offset: int) -> bytes:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as short:
        short.setattr(os, "pread", pread)
        assert recorder.snapshot().gauges[RESIDENT_BYTES.of("core")] == before


def test_reads_that_start_over_are_counted_by_database(
    recorder: Recorder, configured: Settings
) -> None:
    """Of every engine's store that the recorder was shown."""
    store = make_store(configured)
    recorder.timed(cast("Engine", SimpleNamespace(store=store)))
    store.databases[0].counts.retries += 2
    counts = recorder.snapshot().counts
    assert counts[DATABASE_RETRIES.of("mailboxes")] == 2
    assert counts[DATABASE_RETRIES.of("quota")] == 0
