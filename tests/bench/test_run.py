"""The harness itself: interrupted in a measure, and on a machine that lacks something."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.bench import needs
from tests.bench.garage import Garage
from tests.bench.measures import Progress
from tests.bench.needs import MIN_DESCRIPTORS, Missing
from tests.bench.run import EX_UNAVAILABLE, INTERRUPTED
from tests.bench.scenarios import SMALL
from tests.rigs.accounting import descendants
from tests.rigs.folders import folder
from tests.rigs.processes import Daemon, RigError, command_line
from tests.rigs.program import ROOT
from tests.rigs.require import require, require_root
from tests.rigs.waiting import wait_until

DEADLINE_S = 60.0
# A measure that nobody waits for: only the signal ends it.
FOR_EVER_S = "3600"

# The harness with one scenario, on the smallest store.
PROGRAM = """
import sys
from tests.bench import run
from tests.bench.measures import REPEATED, Load
from tests.bench.scenarios import SMALL, Entrant, Scenario
name, *words = sys.argv[1:]
entrant = Entrant(name, name, Load(keys=REPEATED, anything_goes=True), SMALL)
run.SCENARIOS = (Scenario("small", "a small store", (entrant,), seconds=float("inf")),)
sys.exit(run.main(words))
"""


@contextmanager
def harness(server: str) -> Iterator[tuple[Daemon, str]]:
    """One that measures `server`, and the folder below which it leaves what it leaves."""
    require("build", "cyrus")
    require_root("the harness starts Cyrus as another user")
    with folder("br") as where, folder("bt") as temporary:
        words = ["--seconds", FOR_EVER_S, "--output", f"{where}/output"]
        daemon = Daemon(
            [sys.executable, "-c", PROGRAM, server, *words],
            log=f"{where}/log",
            env={"PYTHONPATH": ROOT, "TMPDIR": temporary, "SMMAPD_BENCH_CACHE": f"{where}/cache"},
        )
        daemon.start()
        try:
            yield daemon, where
        finally:
            assert daemon.stop(signal.SIGINT) == []
        assert os.listdir(temporary) == []


def _load_runs(daemon: Daemon) -> list[int]:
    """All of its processes, as soon as the one that loads the server for long is among them."""
    daemon.check()
    found = descendants(daemon.pid)
    measuring = any(f" -t {FOR_EVER_S}" in command_line(pid) for pid in found)
    return found if measuring else []


class Stubborn:
    """A server that had to be killed; `ended` hears of it."""

    def __init__(self, ended: list[object]) -> None:
        self._ended = ended

    def stop(self) -> None:
        """It is over."""
        self._ended.append(self)
        raise RigError("it left processes behind, which had to be killed")


def test_servers_that_had_to_be_killed(capsys: pytest.CaptureFixture[str]) -> None:
    """All are ended first; then it is an error, or a line where something else ended the run."""
    for interrupted in (False, True):
        ended: list[object] = []
        with (
            pytest.raises(KeyboardInterrupt if interrupted else RigError),
            Garage() as garage,
        ):
            for number in range(2):
                spec = (f"server {number}", SMALL, True, 0)
                garage._running[spec] = (Stubborn(ended), None, Progress())  # type: ignore[assignment]
            if interrupted:
                raise KeyboardInterrupt
        assert len(ended) == 2
        assert capsys.readouterr().err.count("had to be killed") == (2 if interrupted else 0)


@pytest.mark.real
@pytest.mark.parametrize(
    ("server", "number"),
    [("gateway", signal.SIGTERM), ("echo", signal.SIGINT)],
)
def test_a_measure_that_is_interrupted(server: str, number: signal.Signals) -> None:
    """Servers and clients are ended, their folders are gone, and no result is written."""
    with harness(server) as (daemon, where):
        processes = wait_until(lambda: _load_runs(daemon), "it measures", DEADLINE_S)
        assert len(processes) >= 2
        daemon.send_signal(number)
        wait_until(lambda: not daemon.running(), "it ends", DEADLINE_S)
        assert daemon.exit_code() == INTERRUPTED, daemon.output()
        told = "interrupted; the servers are ended, nothing was written"
        assert daemon.output().splitlines()[-1] == told
        assert not os.path.exists(f"{where}/output")
        # A zombie whose parent has gone, too, has no words left.
        wait_until(
            lambda: {command_line(pid) for pid in processes} <= {"", "(gone)"},
            "its processes have ended",
            DEADLINE_S,
        )


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (MIN_DESCRIPTORS - 1, MIN_DESCRIPTORS - 1))


def _run(path: str, *, limited: bool = False) -> subprocess.CompletedProcess[str]:
    """The harness as a user starts it, with that PATH."""
    return subprocess.run(
        [sys.executable, "-m", "tests.bench.run", "--only", "stdin"],
        capture_output=True,
        check=False,
        text=True,
        timeout=DEADLINE_S,
        cwd=ROOT,
        env={"PATH": path},
        preexec_fn=_limited if limited else None,
    )


def test_a_machine_without_debians_packages() -> None:
    """Nothing is started, and the command that brings what is missing is named."""
    require_root("the harness looks at that first")
    done = _run("/nonexistent")
    assert done.returncode == EX_UNAVAILABLE
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("missing: ")
    assert "no dpkg-query" in line
    assert line.endswith("tests/rigs/packages.sh install build cyrus")


@pytest.mark.real
def test_too_few_open_files() -> None:
    """Where not even root's limit can be raised."""
    require("build", "cyrus")
    require_root("the harness looks at that first")
    done = _run(os.environ["PATH"], limited=True)
    assert done.returncode == EX_UNAVAILABLE
    (line,) = done.stderr.splitlines()
    assert line == (
        f"missing: only {MIN_DESCRIPTORS - 1} open files are allowed; to get it: ulimit -Hn 4096"
    )


def test_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told so first."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match="not run by root; to get it: run it as root"):
        needs.check_machine()
