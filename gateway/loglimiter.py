"""A limit on log lines: of each kind a few are written within some seconds, the rest is a count.

No clock, no logger: the caller tells the time and writes the lines, with `logging` in the
gateway and with syslog(3) in smmapd, whose start has no room for `logging`.  No line is lost
without a trace: the count of what was held back is a line of its own once the time is over,
when its kind is forgotten for another, and at the end of the process.
"""

from __future__ import annotations

# A logger's name, a level, and what lines of one kind have in common: their text, or the text
# before values are put in.
Kind = tuple[str, int, str]


class HeldLines:
    """Lines of one kind that were held back: the last of them, and how many."""

    __slots__ = ("alike", "began", "ended", "held", "kind", "line", "passed")

    def __init__(self, kind: Kind, line: str, began: float) -> None:
        self.kind = kind
        self.line = line
        self.began = self.ended = began
        self.passed = 1
        self.held = 0
        self.alike = True  # every line had the same text

    @property
    def summary(self) -> str:
        """The line to write in place of those that were held back."""
        count = (
            f"{self.held} more times" if self.alike else f"the last of {self.held} more such lines"
        )
        return f"{self.line} ({count} in {self.ended - self.began:.0f} s)"


class LogLimiter:
    """Lets `lines` lines of a kind through in `seconds`; of `kinds` kinds, the oldest is forgotten.

    Times are of one clock, in seconds.
    """

    __slots__ = ("_kinds", "_lines", "_over", "_seconds", "_seen")

    def __init__(self, lines: int, *, seconds: float, kinds: int) -> None:
        self._lines = lines
        self._seconds = seconds
        self._kinds = kinds
        self._seen: dict[Kind, HeldLines] = {}  # in the order of their first lines
        self._over: list[HeldLines] = []

    def knows(self, kind: Kind, now: float) -> bool:
        """Whether a line of that kind was written within the time."""
        self._expire(now)
        return kind in self._seen

    def admit(self, kind: Kind, line: str, now: float) -> bool:
        """Whether to write `line`; if not, it is counted."""
        self._expire(now)
        seen = self._seen.get(kind)
        if seen is None:
            if len(self._seen) >= self._kinds:
                self._end(next(iter(self._seen)), now)
            self._seen[kind] = HeldLines(kind, line, now)
            return True
        seen.alike = seen.alike and line == seen.line
        seen.line = line
        if seen.passed < self._lines:
            seen.passed += 1
            return True
        seen.held += 1
        return False

    def take_summaries(self, now: float) -> list[HeldLines]:
        """The counts that are due, each once."""
        self._expire(now)
        over, self._over = self._over, []
        return over

    def take_rest(self, now: float) -> list[HeldLines]:
        """All counts, due or not, for the end of the process."""
        for kind in [*self._seen]:
            self._end(kind, now)
        return self.take_summaries(now)

    def _expire(self, now: float) -> None:
        while self._seen:
            kind, oldest = next(iter(self._seen.items()))
            if now - oldest.began < self._seconds:
                return
            self._end(kind, now)

    def _end(self, kind: Kind, now: float) -> None:
        ended = self._seen.pop(kind)
        if ended.held:
            ended.ended = now
            self._over.append(ended)
