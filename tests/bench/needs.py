"""What the benchmark needs of the machine, and how to get what is missing."""

from __future__ import annotations

import os
import resource
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
RIG_PACKAGES = os.path.join(HERE, os.pardir, "rigs", "packages.sh")
BENCH_PACKAGES = os.path.join(HERE, "packages.sh")
# 500 connections, the listening sockets and a margin, in the client and in each server.
MIN_DESCRIPTORS = 1024


class Missing(Exception):
    """Something is not there; `how` says how to get it."""

    def __init__(self, what: str, how: str) -> None:
        self.what = what
        self.how = how
        super().__init__(f"{what}; to get it: {how}")


def check_machine() -> None:
    """Raises `Missing` for whatever no row can be measured without."""
    if os.geteuid() != 0:
        raise Missing(
            "the benchmark is not run by root",
            "run it as root: Cyrus' master runs as user cyrus, and only root sees its memory",
        )
    if not os.access("/proc/self/smaps_rollup", os.R_OK):
        raise Missing("no /proc/PID/smaps_rollup", "Linux 4.14 or newer with /proc mounted")
    check_packages(RIG_PACKAGES, "build", "cyrus")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MIN_DESCRIPTORS:
        if hard < MIN_DESCRIPTORS:
            raise Missing(f"only {hard} open files are allowed", "ulimit -Hn 4096")
        resource.setrlimit(resource.RLIMIT_NOFILE, (MIN_DESCRIPTORS, hard))


def check_packages(script: str, *groups: str) -> None:
    """Raises `Missing` with what a packages.sh says about the groups."""
    done = subprocess.run(
        ["/bin/bash", script, "check", *groups], capture_output=True, check=False, text=True
    )
    if done.returncode != 0:
        how = f"{os.path.normpath(script)} install {' '.join(groups)}"
        raise Missing(" ".join(done.stderr.split()), how)


def check_program(path: str, how: str) -> str:
    """The path, if it can be executed.  Raises `Missing` if not."""
    if not os.access(path, os.X_OK):
        raise Missing(f"{path} is not there", how)
    return path
