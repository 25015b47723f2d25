"""A count of one outcome, and the place where its refusals are kept.

It is kept beside what is remembered, so that giving the same answer again
costs one addition more.  Limits: one thread at a time.
"""

from __future__ import annotations

from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    # The words for it: the verdict's kind, why it was not judged, why it was
    # not carried out; "" for what does not apply.
    Outcome = tuple[str, str, str]

    # Moment (seconds since 1970), outcome, recipient, sender or None, client, reason.
    Refused = tuple[float, Outcome, bytes, bytes | None, bytes, bytes]


class OutcomeCounter:
    """How often one outcome was given; `refusals` is None where it refuses no recipient."""

    __slots__ = ("count", "outcome", "refusals")

    def __init__(
        self, outcome: Outcome = ("", "", ""), refusals: deque[Refused] | None = None
    ) -> None:
        self.count = 0
        self.outcome = outcome
        self.refusals = refusals

    def refused(
        self, recipient: bytes, reason: bytes, sender: bytes | None = None, client: bytes = b""
    ) -> None:
        """Keep one refusal."""
        if self.refusals is not None:
            self.refusals.append((time(), self.outcome, recipient, sender, client, reason))


# For answers that are not counted.
UNCOUNTED = OutcomeCounter()
