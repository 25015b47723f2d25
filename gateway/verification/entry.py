"""One remembered verdict, and what it rests on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.verification.model import Verdict

    Proofs = tuple[FileProof | AbsenceProof, ...]


class Entry:
    """A verdict about `recipient`, and the files' states that it rests on.

    With `everything` it rests on all records, since any might have been found.
    """

    __slots__ = (
        "everything",
        "proofs",
        "recipient",
        "store_version",
        "tick",
        "verdict",
    )

    def __init__(
        self,
        recipient: bytes,
        verdict: Verdict,
        store_version: int,
        tick: int,
        proofs: Proofs,
        *,
        everything: bool = False,  # same with True: the cache of a store sets it
    ) -> None:
        self.everything = everything
        self.recipient = recipient
        self.verdict = verdict
        self.store_version = store_version
        self.tick = tick
        self.proofs = proofs
