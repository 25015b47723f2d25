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

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes of output and, apart from it, of messages: the members of some very long lists.
MAX_OUTPUT = 4 * 1024 * 1024

# Where Postfix' programs are that a service's PATH may not have.
FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"

_CHUNK = 65_536

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
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MailServerError(name, f"cannot be started: {reason}") from error
    try:
        out, err = _talk(process, data, until, name)
        code = process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise MailServerError(name, "does not end; look at its tables") from None
    finally:
        _end(process)
    return Done(code, out, err)


def _talk(
    process: subprocess.Popen[bytes], data: bytes, until: float, name: str
) -> tuple[bytes, bytes]:
    """Write `data` and read both outputs to their ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    to, out, err = (each.fileno() for each in (process.stdin, process.stdout, process.stderr))
    poll = select.poll()
    read: dict[int, bytearray] = {out: bytearray(), err: bytearray()}
    for descriptor in read:
        poll.register(descriptor, select.POLLIN)
    os.set_blocking(to, False)
    poll.register(to, select.POLLOUT)
    rest = memoryview(data)
    waiting = len(read)
    while waiting:
        left = until - time.monotonic()
        if left <= 0:
            raise MailServerError(name, "gives no answer in time; look at its tables")
        for descriptor, _event in poll.poll(left * 1000):
            if descriptor == to:
                rest = _feed(to, rest)
                if not rest:
                    poll.unregister(to)
                    process.stdin.close()
                continue
            piece = os.read(descriptor, _CHUNK)
            read[descriptor] += piece
            if not piece:
                poll.unregister(descriptor)
                waiting -= 1
            elif len(read[descriptor]) > MAX_OUTPUT:
                raise MailServerError(name, f"says more than {MAX_OUTPUT} bytes")
    return bytes(read[out]), bytes(read[err])


def _feed(descriptor: int, data: memoryview) -> memoryview:
    """What is left of `data` once the program has taken some; nothing where it takes no more."""
    try:
        return data[os.write(descriptor, data) :] if data else data
    except BlockingIOError:
        return data
    except BrokenPipeError:  # it has ended, and says why
        return memoryview(b"")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it behind; it leads a process group of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
