"""Programs as other users, and daemons in a session of their own.

A daemon's descendants are found by their session, so that a rig can say what
it left behind and can end it, and never touches a process that it did not
start.  A descendant that opens a session of its own is out of sight here: the
rig of a program that does so must know its pid.
"""

from __future__ import annotations

import functools
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.rigs.waiting import DeadlineError, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAM_TIMEOUT_S = 300.0
STOP_DEADLINE_S = 60.0


class RigError(RuntimeError):
    """A real program did not do what the rig needs; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine with its groups, as setuid(2) and setgroups(2) want them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@functools.cache
def account(name: str) -> Account:
    """The account called `name`.  Raises `RigError` if there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise RigError(f"this machine has no user {name}: is its package installed?") from None
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return Account(name, entry.pw_uid, entry.pw_gid, groups)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small, always equal environment, plus `extra`."""
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/", **(extra or {})}


def start(
    argv: Sequence[str | bytes],
    *,
    user: Account | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    session: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program, as `user` if one is given, with unbuffered pipes."""
    return subprocess.Popen(
        argv,
        bufsize=0,
        cwd="/",
        env=environment(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=session,
        pass_fds=pass_fds,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=user.groups if user else None,
    )


def complete(
    argv: Sequence[str | bytes],
    *,
    user: Account | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float = PROGRAM_TIMEOUT_S,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end.

    Raises `RigError` if it needs more than `timeout_s`.
    """
    pipe = subprocess.PIPE
    with start(argv, user=user, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise RigError(f"{argv!r} did not end within {timeout_s:g} s") from None
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def run(
    argv: Sequence[str | bytes],
    *,
    user: Account | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    accept: Sequence[int] = (0,),
    timeout_s: float = PROGRAM_TIMEOUT_S,
) -> bytes:
    """Run a program to its end and return its standard output.

    Raises `RigError`, with what it said, for an exit code that is not in `accept`.
    """
    done = complete(argv, user=user, env=env, stdin=stdin, timeout_s=timeout_s)
    if done.returncode not in accept:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise RigError(f"{argv!r} ended with {done.returncode}: {said}")
    return done.stdout


def session_members(session: int) -> list[int]:
    """The pids of the living processes of a session (zombies are dead)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # Behind the program's name, which may hold anything: state ppid pgrp session.
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
            found.append(int(name))
    return found


def working_in(folder: str) -> list[int]:
    """The pids of the living processes whose working directory is `folder` or below it."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            place = os.readlink(f"/proc/{name}/cwd")
        except OSError:  # it has ended, or is not ours to look at
            continue
        if place == folder or place.startswith(f"{folder}/"):
            found.append(int(name))
    return found


def kill(pid: int) -> None:
    """SIGKILL for a process, which may have ended since it was looked for."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> str:
    """A process' words for people, or "(gone)"."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return "(gone)"


class Daemon:
    """One program in the foreground of its own session, its output in a log file."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: str,
        user: Account | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`argv` must not go to the background by itself; `log` is the file for its output.

        `pass_fds` are descriptors that it inherits.
        """
        self.argv = tuple(argv)
        self.log = log
        self._user = user
        self._env = dict(env or {})
        self._pass_fds = tuple(pass_fds)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid, which is the session's number too.  Raises `RigError` before the start."""
        if self._process is None:
            raise RigError(f"{self.argv[0]} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it; whether it is ready is the rig's question."""
        with open(self.log, "ab") as log:
            self._process = start(
                self.argv,
                user=self._user,
                env=self._env,
                stdout=log.fileno(),
                stderr=log.fileno(),
                session=True,
                pass_fds=self._pass_fds,
            )

    def running(self) -> bool:
        """Has it been started, and has it not ended?"""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raise `RigError`, with what it said, if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise RigError(
                f"{' '.join(self.argv)} ended with {self._process.returncode}: {self.output()}"
            )

    def exit_code(self) -> int:
        """How it ended: its exit code, or the signal's number negated.  It must have ended."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            raise RigError(f"{self.argv[0]} has not been started, or has not ended")
        return code

    def output(self) -> str:
        """What it wrote to standard output and standard error."""
        try:
            with open(self.log, "rb") as file:
                return file.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def members(self) -> list[int]:
        """The living processes of its session, itself included."""
        return session_members(self.pid) if self._process is not None else []

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself (its descendants get none)."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> list[str]:
        """End it and wait until its session is empty; what is left after that is killed.

        Returns the command lines of what had to be killed: empty when all is well.
        """
        if self._process is None:
            return []
        self.send_signal(number)
        killed: list[str] = []
        try:
            wait_until(self._ended, f"{self.argv[0]} and its children end", STOP_DEADLINE_S)
        except DeadlineError:
            for pid in self.members():
                killed.append(command_line(pid))
                kill(pid)
            wait_until(self._ended, f"{self.argv[0]} is gone after SIGKILL")
        self._process = None
        return killed

    def _ended(self) -> bool:
        return not self.running() and not self.members()
