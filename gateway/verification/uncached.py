"""What deciders have in common that remember no files: each answer is asked of another server.

They take the place of a VerdictCache (decider.py, Memory).  Nothing is known at
no cost, and the event loop's ticks are only counted.
"""

from __future__ import annotations

from gateway.verification.kinds import Kind
from gateway.verification.model import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.verification.decider import Indexed


class UncachedMemory:
    """The part of a Memory that needs no knowledge of what is asked."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.invalidations = 0
        self.store = None
        self.watch = None  # no file is read
        self.indexed: Indexed | None = None
        self.timing: Callable[[float], None] | None = None  # nothing is looked up here
        self.nonexistent = Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text)
        self._tick = 0  # same with 1: it only has to grow

    def begin_tick(self) -> None:
        """A tick of the event loop begins."""
        self._tick += 1  # same with 2: it only has to grow

    def files_changed(self) -> None:
        """Nothing changes where nothing is watched."""

    def tick(self) -> int:
        """The number of this tick of the event loop, which grows."""
        return self._tick

    def expire_tick(self) -> None:
        """Time has passed; whether an answer is still valid is looked at each time anyway."""
        self._tick += 1  # same with 2: it only has to grow

    def known_absent(self, _recipient: bytes) -> bool:
        """Nothing is known at no cost."""
        return False

    def shrink(self) -> bool:
        """What is remembered is bounded in another way, where there is anything."""
        return False
