"""One remembered verdict, and what it rests on."""

from __future__ import annotations

from gateway.verification.counter import UNCOUNTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.verification.model import Verdict

    Proofs = tuple[FileProof | AbsenceProof, ...]


class Entry:
    """A verdict about `recipient`, and the files' states that it rests on.

    `frame`, `reply` and `counter` belong to the front end that keeps a reply ready.
    With `everything` it rests on all records, since any might have been found.
    """

    __slots__ = (
        "counter",
        "epoch",
        "everything",
        "frame",
        "proofs",
        "recipient",
        "reply",
        "turn",
        "verdict",
    )

    def __init__(
        self,
        recipient: bytes,
        verdict: Verdict,
        epoch: int,
        turn: int,
        proofs: Proofs,
        *,
        everything: bool = False,
    ) -> None:
        self.everything = everything
        self.recipient = recipient
        self.verdict = verdict
        self.epoch = epoch
        self.turn = turn
        self.proofs = proofs
        self.frame = b""
        self.reply = b""
        self.counter = UNCOUNTED
