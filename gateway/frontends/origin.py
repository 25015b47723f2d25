"""How an answer came about, for its line in the log: how long it took, and where it is from.

A front end marks a `AnswerOrigin` on the way of each question, and the writer of the
line reads it.  Where no lines are written there is none, and nothing looks at a
clock.

Limits: one question at a time.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from gateway.verification.model import Pending

if TYPE_CHECKING:
    from gateway.verification.decider import Memory
    from gateway.verification.model import Query, Verdict

# Where an answer is from: it was remembered, it was computed from this machine's
# files, another server was asked for it, or nothing had to be looked up.
HIT = "hit"
MISS = "miss"
ASKED = "asked"
NONE = "none"


class AnswerOrigin:
    """The way of one client's present question; `source` is where its answer is from."""

    def __init__(self, memory: Memory) -> None:
        """`memory` is what decides, and knows what it remembered."""
        self._memory = memory
        self._since = 0.0
        self.source = NONE

    def arrived(self) -> None:
        """Bytes have come from the client; whatever they ask for waits from now on."""
        self._since = perf_counter()
        self.source = NONE

    def looked_up(self) -> None:
        """Bytes have come, and if there is an answer to them, it is ready."""
        self._since = perf_counter()
        self.source = HIT

    def decide(self, query: Query) -> Verdict | Pending:
        """What the memory decides."""
        memory = self._memory
        hits = memory.hits
        outcome = memory.decide(query)
        if isinstance(outcome, Pending):
            self.source = ASKED
        else:
            self.source = MISS if memory.hits == hits else HIT
        return outcome

    @property
    def microseconds(self) -> int:
        """How long the present question has taken so far."""
        return round((perf_counter() - self._since) * 1e6)
