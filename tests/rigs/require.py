"""What a real test needs from the machine, and what happens where that is missing.

A missing program skips the test and names exactly what is missing.  On CI
(`CI=true`) and with `RIGS_REQUIRED=1` it fails the test instead: a real test
that is silently skipped proves nothing.
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
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
    pytest.skip(what, allow_module_level=True)


@functools.cache
def _lacks(group: str) -> str:
    """What `packages.sh check` says about one group; empty if nothing is missing."""
    done = subprocess.run(
        ["/bin/bash", PACKAGES, "check", group], capture_output=True, check=False, text=True
    )
    return "" if done.returncode == 0 else done.stderr.strip()


def require(*groups: str) -> None:
    """Go on only as root and with these groups of packages.sh on the machine."""
    require_root("the rigs start their programs as other users")
    lacks = [text for text in map(_lacks, groups) if text]
    if lacks:
        missing("\n".join(lacks))


def require_root(why: str) -> None:
    """Go on only as root; `why` says what for."""
    if os.geteuid() != 0:
        missing(f"{why}: run the tests as root")


def require_command(name: str, how: str) -> str:
    """Go on only if `name` is found on PATH; `how` says how to get it.  Returns its path."""
    path = shutil.which(name)
    if path is None:
        missing(f"there is no program {name} on PATH: {how}")
    return path


def require_module(name: str, how: str) -> None:
    """Go on only if `name` can be imported, with the libraries it needs; `how` as above."""
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing(f"the module {name} cannot be imported ({error}): {how}")


def require_program(path: str, how: str) -> str:
    """Go on only if `path` can be executed; `how` says how to get it.  Returns `path`."""
    if not os.access(path, os.X_OK):
        missing(f"{path} is missing or not executable: {how}")
    return path


def unpacked(group: str, script: str = PACKAGES) -> str:
    """The folder that packages.sh (or another script of its kind) has unpacked a group's packages into.

    Raises `subprocess.CalledProcessError` if it has not: `require` the group first.
    """
    done = subprocess.run(
        ["/bin/bash", script, "where", group], capture_output=True, check=True, text=True
    )
    return done.stdout.strip()
