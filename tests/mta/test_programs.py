"""Postfix' programs, as the gateway runs them: whatever they do, it ends in time."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import MailServerError
from gateway.mta import programs, spawn
from gateway.mta.programs import run
from tests.rigs.waiting import wait_until

Script = Callable[[str], str]

# Both ways to start a program, wherever the tests run.
pytestmark = pytest.mark.parametrize("direct", [True, False], ids=["posix_spawn", "subprocess"])

# Longer than anything here takes, and than a test may wait for something that hangs.
LONG = 30.0


@pytest.fixture(autouse=True)
def _way(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two ways; this machine has the first one."""
    assert spawn.AVAILABLE
    monkeypatch.setattr(spawn, "AVAILABLE", direct)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes a shell script, and gives its path."""

    def make(text: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def alive(group: int) -> list[str]:
    """The processes of a group that run still, by their line in /proc."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                line = file.read()
        except OSError:  # it has just ended
            continue
        state, _parent, its_group = line.rpartition(")")[2].split()[:3]
        if int(its_group) == group and state != "Z":
            found.append(line)
    return found


def test_what_it_says(script: Script) -> None:
    """Its output, its messages and its code; a lot goes in and comes out."""
    data = b"x" * 1_000_000 + b"\n"
    done = run([script("cat; echo fatal: no >&2; exit 3")], data, time.monotonic() + LONG)
    assert (done.code, done.out, done.err) == (3, data, b"fatal: no\n")


def test_one_that_does_not_read(script: Script) -> None:
    """Ends before it has taken what was written to it."""
    done = run([script("echo no")], b"x" * 1_000_000, time.monotonic() + LONG)
    assert (done.code, done.out) == (0, b"no\n")


@pytest.mark.parametrize(
    "text", ["sleep 1000", "cat; sleep 1000 & exec sleep 1000", "exec >&-; sleep 1000"]
)
def test_one_that_hangs(script: Script, tmp_path: Path, text: str) -> None:
    """Is ended, with those that it has started."""
    pid_file = f"{tmp_path}/pid"
    path = script(f"echo $$ > {pid_file}\n{text}")
    with pytest.raises(MailServerError, match=r"^program: gives no answer in time"):
        run([path], b"", time.monotonic() + 0.3)
    with open(pid_file, encoding="ascii") as file:
        group = int(file.read())
    wait_until(lambda: not alive(group), "everything that it has started is gone")


def test_one_that_prints_without_end(script: Script) -> None:
    """Takes no more memory than it may."""
    with pytest.raises(MailServerError, match="says more than"):
        run([script("exec yes")], b"", time.monotonic() + LONG)


@pytest.mark.parametrize("mode", [0o644, None])
def test_one_that_cannot_be_started(tmp_path: Path, mode: int | None) -> None:
    """The error names it."""
    path = tmp_path / "postmap"
    if mode is not None:
        path.write_text("no program")
        path.chmod(mode)
    with pytest.raises(MailServerError, match=r"^postmap: cannot be started: "):
        run([str(path)], b"", time.monotonic() + LONG)


def test_one_that_is_not_installed() -> None:
    """What to do about it is said."""
    with pytest.raises(MailServerError, match=r"^nosuchprogram: is not installed"):
        programs.find("nosuchprogram")


@pytest.mark.parametrize(
    ("err", "problem"),
    [
        (b"", "it ended with code 1"),
        (b"postmap: warning: a\npostmap: fatal: open /x: no\n", "postmap: fatal: open /x: no"),
        (b"odd \xff words\n\n", "odd \\xff words"),
    ],
)
def test_its_last_words(err: bytes, problem: str) -> None:
    """On one line."""
    assert programs.Done(1, b"", err).problem == problem


def test_what_it_inherits(script: Script) -> None:
    """Three descriptors, no signal that is blocked or ignored, and nothing of our environment."""
    with socket.socket() as listener:
        listener.set_inheritable(True)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            path = script("ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status; env")
            done = run([path], b"", time.monotonic() + LONG)
        finally:
            signal.signal(signal.SIGPIPE, before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    lines = done.out.decode().split("\n")
    assert lines[0].strip() == "4"  # ls has one on the folder
    assert int(lines[1].split()[1], 16) & 1 << (signal.SIGTERM - 1) == 0
    assert int(lines[2].split()[1], 16) & 1 << (signal.SIGPIPE - 1) == 0
    assert {line.partition("=")[0] for line in lines[3:] if line} <= {
        "PATH",
        "LC_ALL",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
    }
