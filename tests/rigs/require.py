"""What a real test needs from the machine, and what happens where that is missing.

A missing program skips the test and names exactly what is missing.  On CI
(`CI=true`) and with `RIGS_REQUIRED=1` it fails the test instead: a real test
that is silently skipped proves nothing.
"""

from __future__ import annotations

import functools
import os
import subprocess
from typing import NoReturn

import pytest

PACKAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "packages.sh")


def required() -> bool:
    """Must everything be there (True), or may a test be skipped (False)?"""
    return os.environ.get("CI") == "true" or os.environ.get("RIGS_REQUIRED") == "1"


def missing(what: str) -> NoReturn:
    """End the test because `what` is missing: a failure where all is required, else a skip."""
    if required():
        pytest.fail(f"a real test cannot run: {what}", pytrace=False)
    pytest.skip(what)


@functools.cache
def _lacks(group: str) -> str:
    """What `packages.sh check` says about one group; empty if nothing is missing."""
    done = subprocess.run(
        ["/bin/bash", PACKAGES, "check", group], capture_output=True, check=False, text=True
    )
    return "" if done.returncode == 0 else done.stderr.strip()


def require(*groups: str) -> None:
    """Go on only as root and with these groups of packages.sh on the machine."""
    if os.geteuid() != 0:
        missing("the rigs start their programs as other users: run the tests as root")
    lacks = [text for text in map(_lacks, groups) if text]
    if lacks:
        missing("\n".join(lacks))


def require_program(path: str, how: str) -> str:
    """Go on only if `path` can be executed; `how` says how to get it.  Returns `path`."""
    if not os.access(path, os.X_OK):
        missing(f"{path} is missing or not executable: {how}")
    return path
