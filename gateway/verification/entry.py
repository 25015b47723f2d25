"""One remembered verdict, and what it rests on."""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.verification.model import Verdict

    Proofs = tuple[FileProof | AbsenceProof, ...]

# The part of the entries that gives way at once when there is no room, and how many that may be:
# some 2 ms of work.
_EVICTED = 16
_MOST_EVICTED = 4096


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
        everything: bool = False,
    ) -> None:
        self.everything = everything
        self.recipient = recipient
        self.verdict = verdict
        self.store_version = store_version
        self.tick = tick
        self.proofs = proofs


def make_room(entries: dict[bytes, Entry]) -> None:
    """Let some of the oldest go."""
    count = max(1, min(len(entries) // _EVICTED, _MOST_EVICTED))
    for recipient in list(islice(entries, count)):
        entries.pop(recipient).store_version = -1
