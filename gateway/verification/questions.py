"""A store that may keep a question waiting: its databases are tables of an SQL server.

An event loop must not wait for another server.  `StoreQuestions` stands where
a VerdictCache does and makes every query a `Pending` question for the server;
a thread's Verifier answers it (`answer`), and may find that a backend has to
be asked after that.

Nothing is remembered: an SQL server does not tell when a record has changed,
and there is no time to live for what Cyrus knows better.
"""

from __future__ import annotations

import time

from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Evidence, Pending, Verdict
from gateway.verification.uncached import UncachedMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.cyrus.store import CyrusStore
    from gateway.verification.entry import Entry
    from gateway.verification.model import Query


class StoreQuestions(UncachedMemory):
    """Plays the part of a Memory (decider.py) for the store of the SQL server `server`.

    `answers` is the authority whose questions they are.
    """

    def __init__(self, server: str, answers: str = "") -> None:
        super().__init__()
        self._answers = answers
        self._server = server

    def decide(self, query: Query) -> Pending:
        """The server must be asked."""
        self.misses += 1
        return Pending(query, self._server, NO_EVIDENCE, self._answers)

    @property
    def entries(self) -> Mapping[bytes, Entry]:
        """Nothing is remembered."""
        return {}

    def entry(self, _recipient: bytes) -> Entry | None:
        """Nothing is remembered."""
        return None

    def is_valid(self, _entry: Entry) -> bool:
        """There is no entry that could."""
        return False


def answer(
    store: CyrusStore,
    pending: Pending,
    decide: Callable[[Query], Verdict | Pending],
    since: float | None,
) -> Verdict | Pending:
    """The outcome of a question that `StoreQuestions` made; blocks for the SQL server.

    `decide` is what finds it in the databases of `store`.

    All that it asks has one deadline, which runs from `since`.  One that has
    waited in the queue for longer is given up: the caller will not wait for the rest.
    """
    now = time.monotonic()
    came = since if since is not None else now
    seconds = store.answer_seconds
    if now - came > seconds:  # same with >=: a bound of time
        fault = f"{pending.server}: not asked within {seconds:g} s: too many wait for it"
        return Verdict(
            Kind.STORE_FAULT, Kind.STORE_FAULT.text, Evidence(fault=fault), cacheable=False
        )
    store.begin(came)
    try:
        return decide(pending.query)
    finally:
        store.begin(None)
