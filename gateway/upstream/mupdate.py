"""The kick: asks the local mupdate process to bring the mailbox list up to date.

On a Murder frontend a recipient that the mailbox list does not hold may have
been created a moment ago.  Connecting to mupdate's socket makes it fetch what
is new; it writes something back when it has (imap/mupdate-client.c,
kick_mupdate).  The engine then looks once more.

One kick serves all questions that were there when it began, and there are at
most 1 / MIN_INTERVAL of them a second: a flood of recipients that do not exist
does not become a flood of kicks.
"""

from __future__ import annotations

import math
import time

from gateway.errors import UpstreamError
from gateway.upstream.breaker import Breaker

# Where mupdate listens, below configdirectory.
SOCKET = "socket/mupdate.target"

# Seconds to wait for mupdate's word.
DEFAULT_DEADLINE = 5.0

_TOO_LATE = "not asked within the deadline of the question"

# Seconds between the beginnings of two kicks; a question waits for its kick.
MIN_INTERVAL = 0.1


class Kicker:
    """Kicks the mupdate process of the server whose configdirectory is given.

    Threads may share one.  Where several kick at once each does so for
    itself; the owner of the threads lets one do it for all (dispatcher.py).
    """

    __slots__ = ("_began", "_breaker", "_deadline", "_path", "kicks")

    def __init__(self, configdirectory: str, deadline: float = DEFAULT_DEADLINE) -> None:
        self.kicks = 0  # since the start
        self._path = f"{configdirectory}/{SOCKET}"
        self._deadline = deadline
        self._breaker = Breaker()
        self._began = float("-inf")  # when the last kick that succeeded began

    def kick(self, since: float, until: float = math.inf) -> None:
        """Return when the mailbox list is as current as it was at `since` (time.monotonic).

        Blocks up to the deadline, and never beyond `until`.  Raises UpstreamError naming
        the socket when mupdate cannot be reached or does not answer.
        """
        began = self._began
        if began >= since:
            return
        now = time.monotonic()
        if max(now, began + MIN_INTERVAL) >= until:
            raise UpstreamError(self._path, _TOO_LATE)
        if now < began + MIN_INTERVAL:  # same with <=: it sleeps for no time
            # A thread of its own, as all that blocks (Verifier.advance); never an event loop.
            time.sleep(began + MIN_INTERVAL - now)
            now = time.monotonic()
            if now >= until:  # it slept longer than it was told, as on a busy machine
                raise UpstreamError(self._path, _TOO_LATE)
        self._breaker.require(self._path, now)
        try:
            self._kick(now, min(self._deadline, until - now))
        except BaseException as fault:
            problem = fault.problem if isinstance(fault, UpstreamError) else ""
            self._breaker.failed(time.monotonic(), problem)
            raise
        self._began = now
        self._breaker.succeeded()

    def _kick(self, now: float, seconds: float) -> None:
        """Connect, and hear a word; over `seconds` after `now`, both together."""
        import socket  # noqa: PLC0415  (see connection.py)

        self.kicks += 1
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.settimeout(seconds)
                peer.connect(self._path)
                left = now + seconds - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                peer.settimeout(left)
                if not peer.recv(4096):  # same with 4097: a byte is enough
                    raise UpstreamError(self._path, "mupdate closed the connection without a word")
        except TimeoutError as error:
            problem = f"mupdate did not answer within {seconds:.3g} s"
            raise UpstreamError(self._path, problem) from error
        except OSError as error:
            problem = f"cannot reach mupdate: {error.strerror or error}"
            raise UpstreamError(self._path, problem) from error
