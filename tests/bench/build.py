"""Compiles the load clients, once for each state of their sources."""

from __future__ import annotations

import hashlib
import os
import subprocess

from tests.bench.cache import cache_folder
from tests.bench.needs import Missing

SOURCES = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("load", "echo", "milterload", "smtpload", "first")
_COMPILE = ("-O2", "-std=gnu11", "-Wall", "-Wextra")


def program(name: str) -> str:
    """The path of a compiled program, made now if its source has changed.

    Raises `Missing` if there is no compiler, or if it says no.
    """
    compiler = os.environ.get("CC") or "cc"
    digest = hashlib.sha256()
    for source in (f"{name}.c", "bench.h"):
        with open(os.path.join(SOURCES, source), "rb") as file:
            digest.update(file.read())
    digest.update(" ".join((compiler, *_COMPILE)).encode())
    path = os.path.join(cache_folder(), f"{name}-{digest.hexdigest()[:16]}")
    if os.path.exists(path):
        return path
    source = os.path.join(SOURCES, f"{name}.c")
    command = [compiler, *_COMPILE, "-o", f"{path}.new", source]
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except FileNotFoundError:
        raise Missing(
            f"no C compiler ({compiler})", "apt-get install gcc libc6-dev, or set CC"
        ) from None
    if done.returncode != 0:
        raise Missing(
            f"{name}.c does not compile: {done.stderr.strip()}", "apt-get install gcc libc6-dev"
        )
    os.rename(f"{path}.new", path)
    return path
