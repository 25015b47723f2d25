"""The program of the process that makes the index of a mailbox list for others (builderprocess.py).

Its standard input is one end of a socket pair.  It says a byte each second, then one more with the
descriptor of a sealed index, and ends.  Where the other end closes, it is not needed
any more, and ends at once.  It gives way to those that serve (nice(2)): altogether at first,
while the clients that have waited for a start are answered, later somewhat.  Where memory runs
out it is the first that the kernel ends (proc(5), oom_score_adj).

Limits: a defect of ours shows as its exit code alone; the process that wanted the index makes one
by itself then.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import DatabaseDamaged, StoreError

if TYPE_CHECKING:
    from collections.abc import Generator

# Seconds for which it takes only what of the processors is left, and how much it gives way then.  A
# million mailboxes take two seconds of a processor: clients that all come at once behind a start
# would share it with them, and wait twice as long.
FIRST = 3.0
ALTOGETHER = 19

# How much it gives way from then on: where everybody wants the processor, it gets four fifths of
# what one that serves gets, and the index is there in some seconds.
NICE = 1

# How much rather it is ended than others where there is no memory left: before all.
VICTIM = b"1000"

# How often it begins again where a backup has been put over the file while it was read.
ATTEMPTS = 5

# Seconds between two words that it is at work.
WORD = 1.0


def build(path: str, home: socket.socket) -> int | None:
    """The descriptor of the sealed index of the file at `path`; None where it is not waited for.

    Also where there is none.  Raises `StoreError` where the file cannot be read, and
    OSError where there is no memory.
    """
    work = _pieces(path, home)
    found: list[int | None] = []
    faults: list[Exception] = []

    def begin() -> None:
        with suppress(OSError):  # where the unit denies it
            os.nice(ALTOGETHER)  # of this thread alone (sched(7)): nobody may take it back
        until = time.monotonic() + FIRST
        try:
            while time.monotonic() < until:
                next(work)
        except StopIteration as end:
            found.append(end.value)
        except Exception as error:  # noqa: BLE001  (the other thread's, to raise)
            faults.append(error)

    thread = threading.Thread(target=begin)
    with suppress(RuntimeError):  # "can't start new thread"
        thread.start()
        thread.join()
    if faults:
        raise faults[0]
    while not found:
        try:
            next(work)
        except StopIteration as end:
            found.append(end.value)
    return found[0]


def _pieces(path: str, home: socket.socket) -> Generator[None, None, int | None]:
    """The work of `build`, some milliseconds at a time."""
    database = Twoskip(FileView(path))
    said = time.monotonic()
    for _ in range(ATTEMPTS):
        while database.build_index_step():
            if not _is_there(home):
                return None
            if time.monotonic() - said > WORD:
                said = time.monotonic()
                with suppress(OSError):  # full or gone: the next look tells which
                    home.send(b".")
            yield
        with suppress(DatabaseDamaged):  # the header, which is being written
            descriptor = database.export_index()
            if descriptor is not None:
                return descriptor
    return None


def _is_there(home: socket.socket) -> bool:
    try:
        return bool(home.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main(path: str) -> int:
    """Make it and hand it over; the exit code (sysexits.h)."""
    with suppress(OSError):  # where the unit denies it, it competes as an equal
        os.nice(NICE)
    with suppress(OSError):  # without /proc
        rather = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(rather, VICTIM)
        finally:
            os.close(rather)
    with socket.socket(fileno=0) as home:
        home.setblocking(False)
        try:
            descriptor = build(path, home)
            if descriptor is None:
                return os.EX_UNAVAILABLE
            socket.send_fds(home, [b"!"], [descriptor])
        except StoreError:
            return os.EX_DATAERR
        except (OSError, MemoryError):
            return os.EX_OSERR
    return os.EX_OK
