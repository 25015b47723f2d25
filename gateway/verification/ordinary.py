"""First answers about ordinary recipients, by a short way.

Nearly everybody is a user with a mailbox of his own on this server, a quota root of the usual
form with room in it, and nothing in userdeny; or he is not there at all.  Both
authorities say the same of them, and three looks tell it: at one record of the mailbox list,
at userdeny, and at the quota root, all of them those that the authority would make.

Whatever else turns up is the authority's to decide (`Verifier.decide_now`), with the record
that was seen already: an address that has several readings, another type of mailbox, a
root without room, a user that is denied, an unusual record, a fault.  So nothing is
refused here but what has no record, and what is accepted would be accepted there:
tests/verification/test_ordinary.py holds the two against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus.mailboxlist import internal_name
from gateway.cyrus.ordinary_records import has_room, is_mailbox
from gateway.errors import StoreError

if TYPE_CHECKING:
    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.cyrus.folderwatch import FolderWatch
    from gateway.cyrus.mailboxlist import Seen
    from gateway.verification.verifier import Verifier

    Proof = FileProof | AbsenceProof | None

# What is found: the recipient has a mailbox and room, or no record; or the authority has to say.
DELIVERABLE, NONEXISTENT, UNDECIDED = "deliverable", "nonexistent", "undecided"


class Ordinary:
    """What a Verifier would say of ordinary recipients; used by the thread of its store.

    After `look`, `seen` is the record of the list that was looked at, None where none was,
    and `proofs` is what tells later that the quota roots are what they were.
    """

    __slots__ = ("_authority", "_kicks", "_store", "_watch", "proofs", "seen")

    def __init__(self, verifier: Verifier, watch: FolderWatch) -> None:
        self._authority = verifier.authority
        self._kicks = verifier.kicks_mupdate
        self._store = verifier.store
        self._watch = watch
        self.proofs: list[Proof] = []
        self.seen: Seen | None = None

    def look(self, recipient: bytes) -> str:
        """One of the constants above; the store has been looked at since the question came."""
        self.seen = None
        ordinary = self._authority.ordinary(recipient)
        if ordinary is None:
            return UNDECIDED
        key, owner = ordinary
        store = self._store
        try:
            value, newer = store.mailboxes.find(key)
            if value is None and not newer:
                return UNDECIDED
            self.seen = key, value
            denials = store.denials
            blocks = not denials.blocks_nobody
            if blocks and denials.check(owner, store.service) is not None:
                return UNDECIDED
            if value is None:
                return self._missing()
            if not is_mailbox(value) or (blocks and self._denied(owner)):
                return UNDECIDED
            return DELIVERABLE if self._has_room(internal_name(key)) else UNDECIDED
        except StoreError:
            return UNDECIDED  # the next look-up that meets the fault says so

    def _missing(self) -> str:
        """There is no record: is there nothing else that may save the recipient?"""
        if self._kicks or self._store.mailboxes.is_empty:
            return UNDECIDED
        return NONEXISTENT if self._authority.refuses_unlisted else UNDECIDED

    def _denied(self, owner: bytes) -> bool:
        """Whether a user with a mailbox is denied at a service that the authority asks about."""
        check = self._store.denials.check
        return any(check(owner, service) is not None for service in self._authority.services)

    def _has_room(self, internal: bytes) -> bool:
        """Whether the quota root of a mailbox, if it has one, has room; notes the proofs."""
        proofs: list[Proof] = []
        self.proofs = proofs
        quotas = self._store.quotas
        database = self._store.databases[2]
        keeps_files = database.keeps_files
        for root in quotas.candidates(internal):
            if keeps_files:
                value, proof = database.get_proved(root, self._watch)
                proofs.append(proof)
            else:
                value = database.get(root)
            if value is not None:
                return has_room(value)
        return True
