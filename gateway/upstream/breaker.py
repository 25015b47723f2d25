"""When a server is asked no more for a while: a circuit breaker.

After THRESHOLD failures in a row the breaker opens: the server is not asked,
and a caller that would ask knows so at once instead of after a deadline.  When the
pause is over one question goes through as a probe; if it succeeds the breaker
closes, if not the next pause is twice as long, up to LONGEST_PAUSE.

Time is passed in, so there is no clock here.  Several threads may use one
breaker without a lock: each step is a single assignment or one atomic
operation of a list, and the worst that a race does is one probe too many.
"""

from __future__ import annotations

from gateway.errors import UpstreamError

# A single failure is an accident: a connection that was reset, one reply too
# late.  Three in a row are not.
THRESHOLD = 3  # only a bound

# Seconds.  The first pause is short, so that a restart of the server costs
# little; the longest is how late a recovery is noticed at worst.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0


class Breaker:
    """The state of one server; `threshold` failures in a row open it."""

    __slots__ = ("_failures", "_pause", "_probes", "_problem", "_threshold", "_until")

    def __init__(self, threshold: int = THRESHOLD) -> None:
        self._threshold = threshold
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._problem = ""  # of the last failure
        self._until: float | None = None  # the end of the pause; None while closed
        self._probes: list[bool] = []  # the right to probe: one element, once a pause

    def require(self, server: str, now: float) -> None:
        """Raise UpstreamError where `server` is not to be asked at `now`; else as `allows`."""
        if not self.allows(now):
            raise UpstreamError(server, f"not asked for a while, after: {self._problem}")

    def allows(self, now: float) -> bool:
        """Whether to ask at `now`; where True, `succeeded` or `failed` must follow."""
        until = self._until
        if until is None:
            return True
        if now < until:
            return False
        try:
            return self._probes.pop()
        except IndexError:  # another question is the probe
            return False

    def succeeded(self) -> None:
        """The server has answered."""
        if self._failures:
            self._failures = 0
        if self._until is not None:
            self._pause = FIRST_PAUSE
            self._until = None

    def failed(self, now: float, problem: str = "") -> None:
        """The server could not be asked, or talked nonsense: `problem`, where that is known."""
        self._failures += 1
        self._problem = problem or self._problem
        until = self._until
        if until is None:
            if self._failures < self._threshold:
                return
        elif now < until:
            return  # a question of before the pause
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._until = now + self._pause
        self._probes[:] = [True]
