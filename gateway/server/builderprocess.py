"""A process that makes the index of a mailbox list for the one that serves, and ends.

It is another Python (gateway/worker/indexbuilder.py), started by exec with nothing but one end of
a socket pair: no listening socket, no client, no lock of ours goes with it.  It says now and then
that it is at work, hands over a descriptor (SCM_RIGHTS), and ends; it ends as well when this
process does, whose end of the pair closes then.  It runs in a process group of its own: what a
terminal sends is not for it.

No gevent and no threads: `poll` never waits, and is asked now and then by whatever loop there is.
The process that starts it asks on until `ended`, so that the kernel can forget this one.  Where
SIGCHLD is ignored, or other code in the process waits for children, it is gone by itself.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from array import array
from contextlib import suppress

# Silence, in seconds, after which it is given up: it says something each second that it gets.
SILENCE = 30.0

# Isolated from the environment and from site-packages, as smmapd itself: it needs neither.
# It gets the folder of our packages, and the file's path.  That folder may be site-packages, whose
# modules must not hide Python's own.  What a library of ours has opened
# without care for other programs (libmilter its clients) is closed first.
_PROGRAM = (
    "import os, sys; os.closerange(3, 1 << 20); sys.path.append(sys.argv[1]);"
    " from gateway.worker.indexbuilder import main; sys.exit(main(sys.argv[2]))"
)
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_READ = 4096


def command(path: str) -> list[str]:
    """How the index of the file at `path` is made.  Raises OSError where that is not known."""
    if not sys.executable:  # Python could not tell what it was started as
        raise FileNotFoundError(errno.ENOENT, "it is not known where Python is")
    return [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _HOME, path]


class BuilderProcess:
    """One of them; `ended` once it has gone, `failed` is why there is no index, or empty."""

    def __init__(self, path: str) -> None:
        """Start it.  Raises OSError where that cannot be."""
        self.path = path
        self.failed = ""
        self.ended = False
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                program, *_ = words = command(path)
                # Not by subprocess: to load it takes longer than anybody may have to wait.
                self._pid = os.posix_spawn(
                    program,
                    words,
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                    ],
                    setpgroup=0,
                )
        except OSError:
            self._channel.close()
            raise
        self._channel.setblocking(False)
        self._heard = time.monotonic()
        self._done = False

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._pid

    def poll(self) -> int | None:
        """The descriptor of what it has made, the caller's then; None: not yet, or never."""
        # Looked at first: what it has said before it ended is heard then.
        gone = self._is_gone()
        found = None if self._done else self._hear()
        if self._done:
            return found
        if gone:
            self._give_up("the process that was to make it ended without one")
        elif time.monotonic() - self._heard > SILENCE:
            self._give_up(f"the process that was to make it was silent for {SILENCE:g} seconds")
        return found

    def close(self) -> None:
        """End it at once, and wait for that."""
        self._channel.close()
        self._done = True
        self._kill()
        self._is_gone(0)

    def _is_gone(self, options: int = os.WNOHANG) -> bool:
        """Whether it has ended; with no `options` that is waited for."""
        if not self.ended:
            try:
                self.ended = os.waitpid(self._pid, options) != (0, 0)
            except ChildProcessError:
                self.ended = True  # before anything waited for it
        return self.ended

    def _kill(self) -> None:
        # Not by a number that is another process' by now: it is still ours, if only as a zombie.
        if not self._is_gone():
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _give_up(self, reason: str) -> None:
        self.failed = reason
        self._done = True
        self._channel.close()
        self._kill()

    def _hear(self) -> int | None:
        """What it hands over, if it has."""
        descriptors = array("i")
        try:
            data, more, _flags, _from = self._channel.recvmsg(
                _READ, socket.CMSG_SPACE(descriptors.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            self._give_up(f"the process that was to make it is not heard: {error.strerror}")
            return None
        for level, kind, content in more:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content[:4])
        if data:
            self._heard = time.monotonic()
        if not descriptors:
            return None
        self._done = True
        self._channel.close()
        return descriptors[0]
