"""When a process' threads are kept on one CPU, and when they may run anywhere again."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Set

import pytest

from gateway.server import affinity
from gateway.server.affinity import BATCH, BUSY_RATE, CALM, HOLD, SWITCHES, Affinity
from tests.rigs.require import missing

ALL, ONE = {0, 1, 2}, {2}
# Seconds and switches of a batch while threads wait for each other, and while they do not.
BUSY = (BATCH / BUSY_RATE / 2, int(SWITCHES * BATCH) + 1)
ALONE = (BATCH / BUSY_RATE / 2, int(SWITCHES * BATCH) - 1)
SLOW = (BATCH / BUSY_RATE * 2, int(SWITCHES * BATCH) + 1)


class Process:
    """A process of some threads, whose time and switches the test makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cpus: Set[int] = ALL
        self.on = 2
        self.now = 0.0
        self.switched = 0
        self.refusal: OSError | None = None
        self.refuses_to: Set[int] | None = None
        self.moves: list[Set[int]] = []
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: self.cpus)
        monkeypatch.setattr(os, "sched_setaffinity", self._trial)
        monkeypatch.setattr(affinity, "current_cpu", lambda: self.on)
        monkeypatch.setattr(affinity, "_move", self._move)
        self.affinity = Affinity(clock=lambda: self.now, switches=lambda: self.switched)

    def _trial(self, _thread: int, cpus: Set[int]) -> None:
        assert cpus == self.cpus
        if self.refusal is not None:
            raise self.refusal

    def _move(self, cpus: Set[int]) -> None:
        self.moves.append(cpus)
        if cpus == self.refuses_to:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def batch(self, seconds: float, switches: int) -> None:
        """One more batch, that took this."""
        self.now += seconds
        self.switched += switches
        self.affinity.batch_ended()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """One on three CPUs."""
    return Process(monkeypatch)


@pytest.mark.parametrize(
    ("batch", "kept"),
    [(BUSY, True), (ALONE, False), (SLOW, False)],
    ids=["many wait for each other", "one busy connection", "few recipients"],
)
def test_many_busy_threads_are_kept_on_one_cpu(
    process: Process, batch: tuple[float, int], *, kept: bool
) -> None:
    """That on which the one runs that finds out."""
    process.batch(*batch)
    assert process.affinity.kept is kept
    assert process.moves == ([ONE] if kept else [])


def test_after_the_load_they_run_anywhere(process: Process) -> None:
    """As soon as no batch has ended for a while."""
    process.batch(*BUSY)
    process.now += CALM / 2
    process.affinity.tick()
    assert process.affinity.kept
    process.now += CALM
    process.affinity.tick()
    process.affinity.tick()
    assert process.moves == [ONE, ALL]


def test_it_is_decided_anew_now_and_then(process: Process) -> None:
    """Somebody else may need that CPU meanwhile; switches say nothing while they are on it."""
    process.batch(*BUSY)
    while process.affinity.kept:
        process.batch(*ALONE)
    assert process.now >= HOLD
    process.on = 0
    process.batch(*BUSY)
    assert process.moves == [ONE, ALL, {0}]


@pytest.mark.parametrize(
    ("cpus", "on"), [({2}, 2), (ALL, 7), (ALL, -1)], ids=["one CPU", "another set", "unknown"]
)
def test_where_there_is_no_choice_nothing_is_done(
    process: Process, cpus: Set[int], on: int
) -> None:
    """The administrator's own choice of CPUs stands."""
    process.cpus, process.on = cpus, on
    process.batch(*BUSY)
    assert process.moves == []


def test_where_it_is_not_allowed_it_is_said_once(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """As under the service's SystemCallFilter; nothing was moved."""
    process.refusal = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    with caplog.at_level(logging.INFO):
        process.batch(*BUSY)
        process.batch(*BUSY)
    assert process.moves == []
    assert [record.getMessage() for record in caplog.records] == [
        "milter: threads cannot be kept on one CPU: [Errno 1] Operation not permitted"
    ]


def test_cpus_that_are_gone_are_told(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    """An administrator has changed them meanwhile."""
    process.batch(*BUSY)
    process.refuses_to = ALL
    process.now += CALM
    process.affinity.tick()
    assert "not every thread runs on the CPUs that it should run on (0, 1, 2)" in caplog.text
    process.batch(*BUSY)
    assert process.moves == [ONE, ALL]


@pytest.mark.processes
def test_every_thread_of_a_real_process_moves_and_later_ones_do() -> None:
    """And all of them go back."""
    if len(os.sched_getaffinity(0)) < 2:
        missing("there is one CPU: threads cannot be kept on one of two")
    code = """
        import os, threading
        from gateway.server import affinity
        def masks():
            names = os.listdir("/proc/self/task")
            return len(names), {frozenset(os.sched_getaffinity(int(name))) for name in names}
        end = threading.Event()
        def start():
            threading.Thread(target=end.wait, daemon=True).start()
        before = os.sched_getaffinity(0)
        time, switches = [0.0], [0]
        kept = affinity.Affinity(clock=lambda: time[0], switches=lambda: switches[0])
        start(), start()
        switches[0] = 10 * affinity.BATCH
        kept.batch_ended()
        start()
        count, found = masks()
        assert count == 4, count
        assert len(found) == 1, found
        assert len(next(iter(found))) == 1, found
        time[0] = affinity.CALM
        kept.tick()
        assert masks() == (4, {frozenset(before)}), masks()
        assert affinity.voluntary_switches() > 0
    """
    words = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
