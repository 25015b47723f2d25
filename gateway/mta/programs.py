"""Postfix' own programs, run within a deadline and with bounds.

Promises: whatever a program does (it hangs, it prints without end, it cannot
be started), the call ends by its deadline, holds at most MAX_OUTPUT bytes, and
leaves no process behind; the fault is a MailServerError that names it.

Limits: the calling thread waits; an event loop uses threads.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import MailServerError
from gateway.mta import spawn

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes of output and, apart from it, of messages: the members of some very long lists.
MAX_OUTPUT = 4 * 1024 * 1024

# Where Postfix' programs are that a service's PATH may not have.
FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"

_CHUNK = 65_536

# The code of a program whose end was reported elsewhere in this process.
_UNKNOWN = 255

# What such a program sees of our environment: nothing that could change what it reads.
_ENVIRONMENT = {"PATH": FOLDERS, "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended: its exit code (negative: a signal), and what it said."""

    code: int
    out: bytes
    err: bytes

    @property
    def problem(self) -> str:
        """Its last words, on one line."""
        lines = self.err.decode("utf-8", "backslashreplace").split("\n")
        told = [line.strip() for line in lines if line.strip()]
        fatal = [line for line in told if "fatal:" in line or "panic:" in line]
        words = (fatal or told)[-1:] or [f"it ended with code {self.code}"]
        return words[0]


def find(program: str) -> str:
    """The path of a program of Postfix; raises MailServerError where there is none."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":" + FOLDERS)
    if path is None:
        problem = f"is not installed, or is not in {FOLDERS}; install Postfix, or take postfix out"
        raise MailServerError(program, f"{problem} of [scope]")
    return path


def run(argv: Sequence[str], data: bytes, until: float) -> Done:
    """Run `argv` with `data` on its standard input, by `until` (time.monotonic).

    Raises MailServerError, which names the program.
    """
    name = os.path.basename(argv[0])
    try:
        process = _Process(argv)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MailServerError(name, f"cannot be started: {reason}") from error
    try:
        out, err = _talk(process, data, until, name)
        code = process.wait(until)
        if code is None:
            raise MailServerError(name, "does not end; look at its tables")
    finally:
        process.end()
    return Done(code, out, err)


class _Process:
    """A program that runs; `to`, `out` and `err` are our ends of its pipes."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._code: int | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        inside, self.to = os.pipe()
        self.out, outside = os.pipe()
        self.err, errors = os.pipe()
        try:
            if spawn.AVAILABLE:
                self.pid = spawn.spawn(argv, _ENVIRONMENT, (inside, outside, errors))
            else:
                self._popen = subprocess.Popen(
                    argv,
                    stdin=inside,
                    stdout=outside,
                    stderr=errors,
                    env=_ENVIRONMENT,
                    start_new_session=True,
                )
                self.pid = self._popen.pid
        except BaseException:
            self._close(self.to, self.out, self.err)
            raise
        finally:
            self._close(inside, outside, errors)
        self._ends = os.pidfd_open(self.pid)

    def closed(self) -> None:
        """Nothing more is written to it."""
        self._close(self.to)
        self.to = -1

    def wait(self, until: float) -> int | None:
        """Its exit code (negative: a signal), or None where it still runs then."""
        if self._code is None:
            poll = select.poll()
            poll.register(self._ends, select.POLLIN)
            if poll.poll(max(0.0, until - time.monotonic()) * 1000):
                self._code = self._reaped()
        return self._code

    def end(self) -> None:
        """Leave nothing of it behind; it leads a process group of its own."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._code = self._reaped()
        self._close(self.to, self.out, self.err, self._ends)

    def _reaped(self) -> int:
        if self._popen is not None:
            return self._popen.wait()
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:  # its end was reported elsewhere in this process
            return _UNKNOWN

    @staticmethod
    def _close(*descriptors: int) -> None:
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)


def _talk(process: _Process, data: bytes, until: float, name: str) -> tuple[bytes, bytes]:
    """Write `data` and read both outputs to their ends."""
    poll = select.poll()
    read: dict[int, bytearray] = {process.out: bytearray(), process.err: bytearray()}
    for descriptor in read:
        poll.register(descriptor, select.POLLIN)
    os.set_blocking(process.to, False)
    poll.register(process.to, select.POLLOUT)
    rest = memoryview(data)
    waiting = len(read)
    while waiting:
        left = until - time.monotonic()
        if left <= 0:
            raise MailServerError(name, "gives no answer in time; look at its tables")
        for descriptor, _event in poll.poll(left * 1000):
            if descriptor == process.to:
                rest = _feed(descriptor, rest)
                if not rest:
                    poll.unregister(descriptor)
                    process.closed()
                continue
            piece = os.read(descriptor, _CHUNK)
            read[descriptor] += piece
            if not piece:
                poll.unregister(descriptor)
                waiting -= 1
            elif len(read[descriptor]) > MAX_OUTPUT:
                raise MailServerError(name, f"says more than {MAX_OUTPUT} bytes")
    return bytes(read[process.out]), bytes(read[process.err])


def _feed(descriptor: int, data: memoryview) -> memoryview:
    """What is left of `data` once the program has taken some; nothing where it takes no more."""
    try:
        return data[os.write(descriptor, data) :] if data else data
    except BlockingIOError:
        return data
    except BrokenPipeError:  # it has ended, and says why
        return memoryview(b"")
