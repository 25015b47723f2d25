"""The limit of open files, and what of it is for clients."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.daemon import descriptors


@pytest.mark.parametrize(
    ("limit", "clients"), [(64, 32), (512, 256), (1024, 768), (524288, 524032)]
)
def test_some_are_kept_back_for_databases(limit: int, clients: int) -> None:
    """A fixed number, or half of a few."""
    assert descriptors.for_clients(limit) == clients


def test_the_soft_limit_becomes_the_hard_one() -> None:
    """And is told."""
    code = "from gateway.daemon import descriptors; print(descriptors.raise_limit())"
    words = ["/usr/bin/prlimit", "--nofile=64:100", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    assert done.stdout == "100\n"
