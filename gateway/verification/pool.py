"""What decides on an event loop, and engines for any number of threads, each used by one at a time.

The event loop's engine belongs to the loop.  Threads that wait for another
server borrow one here.  As many are made as
questions are in progress at once; list.append and list.pop are atomic, so no
lock is needed.
"""

from __future__ import annotations

from gateway.verification.cache import VerdictCache
from gateway.verification.questions import StoreQuestions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.verification.decider import Engine, Memory
    from gateway.verification.model import Pending, Verdict
    from gateway.verification.verifier import Verifier


def memory_on(verifier: Verifier) -> Memory:
    """What an event loop decides with: remembered verdicts of `verifier`, where it need not wait.

    The verifier is not to be used by others.
    """
    server = verifier.store.server
    return (
        VerdictCache(verifier)
        if server is None
        else StoreQuestions(server, verifier.authority.name)
    )


class VerifierPool:
    """Engines made by `make`, lent and taken back."""

    __slots__ = ("_idle", "_make")

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._idle: list[Engine] = []

    def borrow(self) -> Engine:
        """An engine for the caller alone; not given back, it is simply lost."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def give_back(self, verifier: Engine) -> None:
        """Let others use it."""
        self._idle.append(verifier)

    def advance(self, pending: Pending, since: float) -> Verdict | Pending:
        """Ask the server that `pending` names, with an engine of the calling thread; may block."""
        verifier = self.borrow()
        outcome = verifier.advance(pending, since=since)
        self.give_back(verifier)
        return outcome
