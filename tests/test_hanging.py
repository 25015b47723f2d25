"""A test that hangs ends, and its name is in what pytest says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HANGS = """
import threading

def test_that_waits_for_nobody():
    threading.Event().wait()
"""
# Far more than it takes; only a failure waits so long.
DEADLINE_S = 60.0


def test_a_hanging_test_names_itself(tmp_path: Path) -> None:
    """With the project's own options and a short limit; the processes of xdist are named, too."""
    (tmp_path / "test_hangs.py").write_text(HANGS)
    options = ["-n", "1", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0.5"]
    where = ["--rootdir", str(tmp_path), "-c", str(ROOT / "pyproject.toml"), str(tmp_path)]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert told.returncode == 1
    assert "test_that_waits_for_nobody" in told.stdout.partition("short test summary")[2]
    assert "test_hangs.py" in told.stderr, "the stack says where"


def test_every_test_has_a_limit(pytestconfig: pytest.Config) -> None:
    """The limit is the project's, on every machine; `make soak` and the like lift it."""
    assert pytestconfig.getini("faulthandler_exit_on_timeout") is True
