"""What other servers have said, remembered for a short time.

Another server does not tell when its answer changes, so an answer is worth
something for a while only, and for a different while whether it was yes, no
or over quota (`Lifetimes`).  A temporary failure is never remembered.  What is
too old is kept all the same, to be given while no server can be asked, if that
is wanted (`serve_stale`); but never a refusal: a recipient permanently refused may have
been created since.

Several threads share one memory without a lock (largedict.py).  Limits: `max_entries` answers,
the oldest give way, each no longer than what a VerdictCache remembers.
"""

from __future__ import annotations

from gateway.values import Value
from gateway.verification.cache import worth_keeping
from gateway.verification.entry import Entry
from gateway.verification.kinds import NO, OVER_QUOTA, YES
from gateway.verification.largedict import LargeDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.verification.kinds import Kind
    from gateway.verification.model import Verdict


class Lifetimes(Value):
    """Seconds for which an answer holds; 0 is not at all.

    `stale` is how many seconds longer one that is not a permanent refusal may be
    given while no server can be asked.
    """

    __slots__ = ("no", "over_quota", "stale", "yes")
    no: float
    over_quota: float
    stale: float
    yes: float

    def __init__(self, yes: float, no: float, over_quota: float, stale: float = 0.0) -> None:
        self.no = no
        self.over_quota = over_quota
        self.stale = stale
        self.yes = yes
        self._freeze()

    def of(self, kind: Kind) -> float:
        """The lifetime of a verdict of that kind."""
        seconds = {YES: self.yes, NO: self.no, OVER_QUOTA: self.over_quota, None: 0.0}
        return seconds[kind.remembered_as]


def _harmless(kind: Kind) -> bool:
    """Whether nothing is lost by a verdict of that kind which is of the past."""
    return kind.accepts or kind.temporary


class ExpiringEntry(Entry):
    """One remembered answer; it holds until `until` (time.monotonic)."""

    __slots__ = ("until",)

    def __init__(self, recipient: bytes, verdict: Verdict, until: float) -> None:
        # same with 1: an ExpiringEntry does not use it
        super().__init__(recipient, verdict, 0, 0, ())
        self.until = until


class ExpiringCache:
    """Answers; `entries` are those that are kept, by recipient."""

    __slots__ = ("_lifetimes", "entries")

    def __init__(self, lifetimes: Lifetimes, max_entries: int) -> None:
        self._lifetimes = lifetimes
        self.entries: LargeDict[bytes, ExpiringEntry] = LargeDict(max_entries)

    def __len__(self) -> int:
        return len(self.entries)

    def entry(self, recipient: bytes) -> ExpiringEntry | None:
        """What is remembered of `recipient`, whether it still holds or not."""
        return self.entries.get(recipient)

    def keep(self, recipient: bytes, verdict: Verdict, now: float) -> None:
        """Remember the verdict, if it is of a kind that is remembered."""
        lifetime = self._lifetimes.of(verdict.kind)
        entries = self.entries
        if lifetime <= 0 or not worth_keeping(recipient, verdict):
            if not verdict.kind.temporary:
                entries.pop(recipient)
            return
        # Asked again, it is the youngest.
        entries.pop(recipient)
        entries.put(recipient, ExpiringEntry(recipient, verdict, now + lifetime))

    def fresh(self, recipient: bytes, now: float) -> Verdict | None:
        """The verdict that still holds."""
        entry = self.entries.get(recipient)
        return entry.verdict if entry is not None and now < entry.until else None

    def stale(self, recipient: bytes, now: float) -> Verdict | None:
        """The verdict that may be given while no server can be asked: no permanent refusal."""
        entry = self.entries.get(recipient)
        if entry is None or not _harmless(entry.verdict.kind):
            return None
        if now >= entry.until + self._lifetimes.stale:
            return None
        return entry.verdict
