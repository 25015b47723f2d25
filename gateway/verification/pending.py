"""A question that only another server can answer."""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.verification.model import Evidence, Query


class Pending(Value):
    """A question that only another server can answer.

    `server` is the one to ask, a backend or the store's own SQL server, or
    None where mupdate is to be kicked and the mailbox list read once more.
    `answers` is the authority whose question it is; empty where every server
    has its own.
    """

    __slots__ = ("answers", "evidence", "query", "server")
    answers: str
    evidence: Evidence
    query: Query
    server: str | None

    def __init__(
        self, query: Query, server: str | None, evidence: Evidence, answers: str = ""
    ) -> None:
        self.answers = answers
        self.evidence = evidence
        self.query = query
        self.server = server
        self._freeze()

    @property
    def key(self) -> tuple[str, str | None, Query]:
        """Questions with the same key have the same answer."""
        return self.answers, self.server, self.query
