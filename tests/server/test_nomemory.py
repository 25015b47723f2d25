"""A process without memory ends, whatever had none: a callback, a greenlet, a thread, the printing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

CODE = 71

_BEGINNING = """
import os, threading, traceback
from gateway.server import nomemory

def end():
    os._exit(71)

def fail(*_arguments, **_more):
    raise MemoryError

# Between the error and its end there may be none for a line of a traceback, either.
traceback.print_exception = fail
"""

_LOOP = (
    _BEGINNING
    + """
import gevent, gevent.event
nomemory.end_loop(end)
hub = gevent.get_hub()
hub.print_exception = fail
"""
)

_WAIT = "\ngevent.event.Event().wait(10)\n"

_PLACES = {
    "a callback": _LOOP + "hub.loop.run_callback(fail)" + _WAIT,
    "a greenlet": _LOOP + "gevent.spawn(fail)" + _WAIT,
    "a timer": _LOOP + "timer = hub.loop.timer(0)\ntimer.start(fail)" + _WAIT,
    "a client's socket": _LOOP
    + "reads, writes = os.pipe()\nos.write(writes, b'!')\n"
    + "reader = hub.loop.io(reads, 1)\nreader.start(fail)"
    + _WAIT,
    "a thread": _BEGINNING
    + "nomemory.end_threads(end)\nthread = threading.Thread(target=fail)\n"
    + "thread.start()\nthread.join()\n",
}


@pytest.mark.parametrize("place", _PLACES)
def test_a_process_without_memory_ends(place: str) -> None:
    """Nobody waits for an answer that nobody gives."""
    assert _exit_code(_PLACES[place]) == CODE


_OTHERS = {
    "a callback": _LOOP.replace("hub.print_exception = fail", "")
    + "hub.loop.run_callback(lambda: 1 / 0)\ngevent.sleep(0.1)\n",
    "a thread": _BEGINNING
    + "nomemory.end_threads(end)\nthread = threading.Thread(target=lambda: 1 / 0)\n"
    + "thread.start()\nthread.join()\n",
}


@pytest.mark.parametrize("place", _OTHERS)
def test_another_error_is_printed(place: str) -> None:
    """And the process goes on."""
    done = _run(_OTHERS[place].replace("traceback.print_exception = fail", ""))
    assert done.returncode == 0, done.stderr
    assert b"ZeroDivisionError" in done.stderr


def test_nothing_at_all_is_left() -> None:
    """Not a byte, of a limit that is as low as what the process has."""
    script = (
        _LOOP.replace("hub.print_exception = fail", "").replace(
            "traceback.print_exception = fail", ""
        )
        + """
import resource
kept = []

def take_all():
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    size = 1 << 20
    while size:
        try:
            while True:
                kept.append(bytearray(size))
        except MemoryError:
            size //= 2
    while True:
        kept.append([])

hub.loop.run_callback(take_all)
"""
        + _WAIT
    )
    assert _exit_code(script) == CODE


def _run(script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, timeout=60
    )


def _exit_code(script: str) -> int:
    done = _run(script)
    print(done.stderr.decode(errors="replace"))
    return done.returncode
