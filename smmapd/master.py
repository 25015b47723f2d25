"""The service protocol of Cyrus master(8), as its multi-connection services speak it.

master starts a service with two descriptors: 3 is a pipe to it, 4 the socket
that listens already (master/service.h).  A service tells master of what it
does in messages of two native integers, message and pid (master/service.c,
notify_master).  A child that says nothing counts as ready, and master starts
another only while none is.  It ends with 0 or 75 (EX_TEMPFAIL) where all is well: master takes
anything else for a failure, and disables a service after five in a row, until SIGHUP.
"""

from __future__ import annotations

import os
import struct

STATUS_FD = 3
LISTEN_FD = 4

# master/service.h
UNAVAILABLE = 2
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


class StartupSignals:
    """What signals mean until the event loop takes them over.

    TERM, INT and QUIT end the process at once; HUP and USR1 are remembered
    for the loop, because clients may have been answered already.  The
    interpreter's own answer to them is death by signal, which master counts
    as a failure of the service.
    """

    __slots__ = ("hangup", "toggles")

    def __init__(self) -> None:
        # The module `signal` wraps this one in enumerations, which cost more
        # than the answer that a client waits for.
        import _signal  # noqa: PLC0415

        self.hangup = False
        self.toggles = 0
        for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT):
            _signal.signal(number, self._leave)
        _signal.signal(_signal.SIGHUP, self._hang_up)
        _signal.signal(_signal.SIGUSR1, self._toggle)

    def _leave(self, _number: int, _frame: object) -> None:
        os._exit(os.EX_TEMPFAIL)

    def _hang_up(self, _number: int, _frame: object) -> None:
        self.hangup = True

    def _toggle(self, _number: int, _frame: object) -> None:
        self.toggles += 1


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
