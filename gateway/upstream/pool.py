"""Connections to one server, kept between questions.

A question borrows the connection that was used last, so that those that are
not needed grow old and are closed.  A connection that was kept may have been
ended by the peer at any moment: one that shows so beforehand is thrown away,
and a question that meets one that breaks is asked once more, on a new
connection.  So is one that is permanently refused over a connection that was kept:
a server that had answered an earlier question twice would refuse the recipient that is
asked about next.  Where bytes come before the question, the server is at fault.

A server that keeps failing is not asked for a while (breaker.py);
one that answers, and does not take a question, has not failed.

Several threads share a pool without a lock: what they share is a list, and
its append and pop are atomic.  At most `max_idle` connections are kept; how
many questions are in progress at once is decided by the owner of the threads
(gateway/server/dispatcher.py).
"""

from __future__ import annotations

import time

from gateway.errors import UpstreamError
from gateway.upstream.breaker import Breaker
from gateway.upstream.connection import Disconnected, NotTaken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from gateway.upstream.connection import UpstreamConnection

    T = TypeVar("T")

# Connections kept for the next questions.  To the C smmapd each of them is a
# process.
MAX_IDLE = 8  # only a bound

# Seconds that a connection is kept without a question: below the patience of
# every server that is meant (lmtpd 5 minutes, smmapd 6).
MAX_IDLE_TIME = 30.0


class Pool:
    """The connections to one server and what is known of its health.

    `open_link` makes a connection that is ready for a question before the
    given moment, or raises UpstreamError.
    """

    __slots__ = (
        "_idle",
        "_max_idle",
        "_open_link",
        "breaker",
        "opened",
        "server",
    )

    def __init__(
        self,
        server: str,
        open_link: Callable[[float], UpstreamConnection],
        max_idle: int = MAX_IDLE,
    ) -> None:
        self.server = server
        self.breaker = Breaker()
        self.opened = 0  # connections made since the start
        self._open_link = open_link
        self._max_idle = max_idle
        self._idle: list[UpstreamConnection] = []

    def call(
        self,
        talk: Callable[[UpstreamConnection], T],
        until: float,
        final: Callable[[T], bool] | None = None,
    ) -> T:
        """What `talk` makes of a connection; over at `until`.

        What is `final`, a permanent refusal, is believed on a new connection only.
        Raises UpstreamError where no connection can be had, `talk` does, or
        the server is given a rest.
        """
        now = time.monotonic()
        if now >= until:  # same with >: the same nanosecond
            raise UpstreamError(
                self.server, "not asked within the deadline: too many questions wait for it"
            )
        self.breaker.require(self.server, now)
        try:
            result = self._call(talk, until, now, final)
        except NotTaken:
            # Else a few such questions would keep everybody else's from being asked.
            self.breaker.succeeded()
            raise
        except BaseException as fault:
            problem = fault.problem if isinstance(fault, UpstreamError) else ""
            self.breaker.failed(time.monotonic(), problem)
            raise
        self.breaker.succeeded()
        return result

    def _call(
        self,
        talk: Callable[[UpstreamConnection], T],
        until: float,
        now: float,
        final: Callable[[T], bool] | None,
    ) -> T:
        kept = self._borrow(now)
        refused = broken = False
        if kept is not None:
            try:
                result = self._use(kept, talk)
                refused = final is not None and final(result)
                if not refused:
                    return result
            except Disconnected:
                # It was kept too long for the peer's taste; those that were
                # kept even longer will be no better.
                self.close()
                broken = True
        try:
            result = self._on_new_connection(talk, until, keep=not refused)
        except NotTaken:
            raise
        except UpstreamError:
            # A server that ended while it was asked may have taken the new connection, too, before
            # its socket was another process'; its successor is asked once more.
            if not broken or time.monotonic() >= until:  # same with >: the same nanosecond
                raise
            result = self._on_new_connection(talk, until, keep=not refused)
        if refused and final is not None and not final(result):
            self.close()
        return result

    def _on_new_connection(
        self, talk: Callable[[UpstreamConnection], T], until: float, *, keep: bool
    ) -> T:
        """What `talk` makes of a new connection, which stays for the next question with `keep`."""
        link = self._open_link(until)
        self.opened += 1
        if link.stray():
            link.close()
            raise UpstreamError(self.server, "it sends something before it is asked")
        return self._use(link, talk, keep=keep)

    def _use(
        self,
        link: UpstreamConnection,
        talk: Callable[[UpstreamConnection], T],
        *,
        keep: bool = True,
    ) -> T:
        done = False
        try:
            result = talk(link)
            done = link.keep and keep
        finally:
            if done and len(self._idle) < self._max_idle:
                link.idle_since = time.monotonic()
                self._idle.append(link)
            else:
                link.close()
        return result

    def _borrow(self, now: float) -> UpstreamConnection | None:
        """A kept connection that looks sound."""
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return None
            if _is_sound(link, now):
                return link
            link.close()

    def sweep(self, now: float) -> None:
        """Close connections that are too old or that the peer has ended; never waits."""
        kept = []
        while True:
            try:
                link = self._idle.pop(0)
            except IndexError:
                break
            if _is_sound(link, now):
                kept.append(link)
            else:
                link.close()
        self._idle[:0] = kept

    def close(self) -> None:
        """Close the idle connections."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


def _is_sound(link: UpstreamConnection, now: float) -> bool:
    """Whether a kept connection is neither too old nor ended by the peer."""
    # same with <=: the same nanosecond
    return now - link.idle_since < MAX_IDLE_TIME and link.quiet()
