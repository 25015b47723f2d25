"""What the server needs of a conversation; socketmap_session has the meanings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.verification.model import Pending, Verdict


class Session(Protocol):
    """What the server needs of a conversation; see socketmap_session for the meanings."""

    @property
    def pending(self) -> Pending | Lookups | None:
        """A question that others answer (dispatcher.py)."""

    @property
    def finished(self) -> bool:
        """The last word has been said."""

    @property
    def busy(self) -> bool:
        """Requests wait for `replies`, or one for `resolved`."""

    @property
    def idle(self) -> bool:
        """Not busy, and no part of a request is held."""

    @property
    def engaged(self) -> bool:
        """Several requests belong together, as those of a mail, and the last is still to come."""

    def cached_reply(self, data: bytes) -> bytes | None:
        """All replies to `data` at once, or None: then `receive` takes it."""

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Take bytes from the client; empty bytes are their end.

        `coalesced` says that other bytes came before these in the same piece of the wire.
        """

    def replies(self) -> bytes:
        """Answer a batch of requests."""

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """Answer the pending request, or go on to what else it needs."""
