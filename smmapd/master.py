"""The service protocol of Cyrus master(8), as its multi-connection services speak it.

master starts a service with two descriptors: 3 is a pipe to it, 4 the socket
that listens already (master/service.h).  A service tells master of what it
does in messages of two native integers, message and pid (master/service.c,
notify_master).  A child that says nothing counts as ready, and master starts
another only while none is.
"""

from __future__ import annotations

import os
import struct

from smmapd import exits

STATUS_FD = 3
LISTEN_FD = 4

# master/service.h
AVAILABLE = 1
UNAVAILABLE = 2
CONNECTION = 3
CONNECTION_MULTI = 4

_MESSAGE = struct.Struct("=ii")


def started_by_master() -> bool:
    """Whether master started this process: its name for the service, and its descriptors."""
    return "CYRUS_SERVICE" in os.environ and _is_open(STATUS_FD) and _is_open(LISTEN_FD)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def handle_early_signals() -> None:
    """Have a signal that comes before anything is served end the process as a served one would.

    The interpreter's own answer to SIGHUP and SIGTERM is death by signal,
    which master counts as a failure of the service.
    """
    import signal  # noqa: PLC0415  (only where a service starts)

    codes = {
        signal.SIGHUP: exits.OK,
        signal.SIGTERM: exits.TEMPFAIL,
        signal.SIGINT: exits.TEMPFAIL,
        signal.SIGQUIT: exits.TEMPFAIL,
    }

    def leave(number: int, _frame: object) -> None:
        os._exit(codes[signal.Signals(number)])

    for number in codes:
        signal.signal(number, leave)


class Status:
    """The pipe to master.  A master that is gone is not an error here: the socket tells."""

    __slots__ = ("_message_pid", "unavailable")

    def __init__(self) -> None:
        os.set_inheritable(STATUS_FD, False)
        os.set_inheritable(LISTEN_FD, False)
        self._message_pid = os.getpid()
        self.unavailable = False

    def connection(self) -> None:
        """One more connection was accepted, and this process takes further ones."""
        self._send(CONNECTION_MULTI)

    def no_more(self) -> None:
        """This process accepts nothing any more: master may start another one."""
        if not self.unavailable:
            self.unavailable = True
            self._send(UNAVAILABLE)

    def _send(self, message: int) -> None:
        try:
            os.write(STATUS_FD, _MESSAGE.pack(message, self._message_pid))
        except BrokenPipeError:
            return
