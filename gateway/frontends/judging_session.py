"""What the conversations with Postfix' policy clients and with milters' MTAs have in common.

Events that ask about a recipient go to the judge and the engine (judging.py).  A
subclass says what its events mean and how its peer is told a decision.

In trouble nothing is said, the complaint is passed on, and the session is
`finished`: neither protocol has a word for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.frontends.session import QueuedSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.errors import ProtocolError
    from gateway.frontends.judging import Judging
    from gateway.frontends.session import EventParser
    from gateway.mta.lookups import Lookups
    from gateway.verification.model import Pending

# A peer that waits for its answers, as MTAs do, has one or two in progress.
BATCH = 4


class JudgingSession(QueuedSession):
    """The state between the bytes of one peer and the engine.

    `judging` is this peer's; `complain` hears of what breaks the protocol.
    """

    __slots__ = ("_complain", "_judging")

    batch = BATCH

    def __init__(
        self,
        judging: Judging[Any],
        parser: EventParser,
        *,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(parser)
        self._complain = complain
        self._judging = judging

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question for others; nothing is answered before it is resolved."""
        return self._judging.pending

    def _arrived(self) -> None:
        if self._judging.origin is not None:
            self._judging.origin.arrived()

    def _expire_tick(self) -> None:
        self._judging.expire_tick()

    def _refuse(self, error: ProtocolError) -> bytes:
        self.finished = True
        if self._complain is not None:
            self._complain(str(error))
        return b""
