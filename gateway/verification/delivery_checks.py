"""The authority "delivery": what becomes of a mail that is handed to Cyrus' lmtpd.

The rules are those of process_recipient (imap/lmtpengine.c), verify_user and
deliver_local (imap/lmtpd.c), from RCPT to the reply that follows DATA, for
mail from nobody in particular:

- INBOX decides for a user.  The folder behind the plus can only save the mail
  where quotas are strict and INBOX is full; else delivery puts it into INBOX.
- A user without INBOX: autocreate_post.
- A shared folder must exist under exactly that name, and everybody may post.
- The quota of what receives it, in every resource, as it is now; with
  lmtp_strict_quota with the mail on top.
- userdeny under the delivery service's name.
- What is refused at RCPT goes to lmtp_catchall_mailbox (`Kind.catch_all`), and if that
  fails its own reason is the answer.

What is permanently refused is looked at once more where the version cannot be
told (a list of Cyrus up to 3.4) or the address was folded: see
`DeliveryNaming.others`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus.autocreate import Autocreate
from gateway.cyrus.delivery_names import Addressed, DeliveryNaming
from gateway.verification.delivery_mailboxes import DeliveryMailboxes, Outcome
from gateway.verification.delivery_quota import CatchAll
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.records import DELIVERY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.store import CyrusStore
    from gateway.verification.records import Records


class DeliveryChecks:
    """The checks on a store, by the imapd.conf that its delivery service reads."""

    __slots__ = (
        "_autocreate",
        "_catch_all",
        "_conf",
        "_mailboxes",
        "_naming",
        "_store",
        "refuses_unlisted",
        "services",
    )
    name = DELIVERY

    def __init__(self, store: CyrusStore) -> None:
        conf = store.delivery_conf
        self._store = store
        self.services = (store.delivery_service,)
        self._conf = conf
        self._naming = DeliveryNaming(conf)
        self._autocreate = Autocreate(conf)
        catch_all = conf.lmtp_catchall_mailbox
        self._catch_all = self._naming.user(catch_all) if catch_all is not None else None
        # With capitals kept, a folded address may be that of another spelling.
        self.refuses_unlisted = (
            catch_all is None and not self._autocreate.active and self._naming.naming.downcase
        )
        self._mailboxes = DeliveryMailboxes(store, self._naming, self._autocreate)

    def plain(self, recipient: bytes) -> tuple[bytes, bytes] | None:
        """The key without which `recipient` does not exist, and the owner that may be denied."""
        return self._naming.plain(recipient) if self.refuses_unlisted else None

    def ordinary(self, recipient: bytes) -> tuple[bytes, bytes] | None:
        """The same, of a mailbox that is there: nothing else may take its mail."""
        return self._naming.plain(recipient)

    def folds(self, recipient: bytes) -> bool:
        """Whether another spelling of `recipient` may be a mailbox."""
        naming = self._naming.naming
        if recipient != recipient.lower():
            return False
        if not naming.downcase or naming.default_domain != naming.default_domain.lower():
            return True
        addressed = self._naming.recipient(recipient)
        return addressed is not None and addressed.inbox is None

    def keys(self, recipient: bytes, kind: Kind) -> set[bytes]:
        """The keys of all records that a verdict of that kind on `recipient` rests on."""
        addressed = self._naming.recipient(recipient)
        if addressed is None:
            return set()
        readings = [addressed]
        if kind is not Kind.DELIVERABLE or not self._store.mailboxes.is_newer:
            # same with False in place 2: more keys than it rests on cost a look
            readings += self._naming.others(recipient, older=True, folded=True)
            if self._catch_all is not None:
                readings.append(self._catch_all)
        found: set[bytes] = set()
        for each in readings:
            names = each.folders
            if each.inbox is not None:
                names = (each.inbox, *names) if self._conf.lmtp_strict_quota else (each.inbox,)
            for name in names:
                found |= {name.dbkey, name.oldkey, name.owner or b""}
                found.update(self._store.quotas.candidates(name.internal))
                found.update(self._store.quotas.candidates(name.oldkey))
            found.add(each.userid or b"")
        return found

    def decide(self, query: Query, records: Records) -> Outcome:
        """The verdict, or which server must be asked; raises StoreError."""
        # Only strict quotas, and a trace, make a user's folder matter.
        folders = self._conf.lmtp_strict_quota or records.trace is not None
        addressed = self._naming.recipient(query.recipient, folders=folders)
        if addressed is None:
            records.note("name", problem=Kind.BAD_ADDRESS.text)
            return Verdict(Kind.BAD_ADDRESS, Kind.BAD_ADDRESS.text)
        outcome = self._caught(addressed, query, records)
        if isinstance(outcome, Pending) or not outcome.kind.other_readings:
            return outcome
        older = not self._store.mailboxes.has_newer_keys()
        if not older and not query.folded:
            return outcome
        return self._otherwise(query, records, outcome, older=older)

    def _otherwise(
        self, query: Query, records: Records, refusal: Verdict, *, older: bool
    ) -> Outcome:
        """The first of the other readings of an address that is not permanently refused."""
        naming = self._naming
        folded = query.folded and self.folds(query.recipient)
        others = list(naming.others(query.recipient, older=older, folded=folded))
        for each in others:
            outcome = self._mailboxes.delivered(each, query, records)[0]
            if isinstance(outcome, Pending) or not outcome.kind.other_readings:
                return _kept_quota(refusal, outcome)
        if folded or refusal.kind.missing:
            addressed = naming.recipient(query.recipient)
            fuzzy = older and self._conf.lmtp_fuzzy_mailbox_match
            fuzzy = fuzzy and refusal.kind.missing
            if addressed is not None and (folded or fuzzy):
                # Folding may have lost the default domain's capitals as well as a folder's.
                for reading in (addressed, *others):
                    for each in self._spelt_otherwise(reading, folded=folded, fuzzy=fuzzy):
                        outcome = self._mailboxes.delivered(each, query, records)[0]
                        if isinstance(outcome, Pending) or not outcome.kind.other_readings:
                            outcome = _kept_quota(refusal, outcome)
                            return _passing(outcome) if fuzzy else outcome
            if fuzzy and addressed is not None and addressed.inbox is None:
                return _passing(refusal)
        if folded and self._catch_all is not None and refusal.kind.for_now is not None:
            # Whatever is written otherwise is unknown, and goes to the catch-all mailbox.
            outcome = self._mailboxes.delivered(
                self._catch_all, query, records, asks_denials=False
            )[0]
            if isinstance(outcome, Pending) or not outcome.kind.other_readings:
                return _kept_quota(refusal, outcome)
        # "Does not exist" is forgotten with any change of the list.  Other refusals are not, and a
        # mailbox in another spelling may be created.
        return _passing_verdict(refusal) if folded and not refusal.kind.missing else refusal

    def _spelt_otherwise(
        self, addressed: Addressed, *, folded: bool, fuzzy: bool
    ) -> Iterator[Addressed]:
        """The mailboxes whose names differ in capitals only; with `fuzzy` as Cyrus 2.5 searches."""
        naming = self._naming.naming
        mailboxes = self._store.mailboxes
        if addressed.inbox is None:
            for folder in addressed.folders:
                for internal in mailboxes.spellings(folder, fuzzy=fuzzy):
                    yield Addressed(None, None, (naming.named(internal),))
        elif folded and not naming.downcase:
            for internal in mailboxes.spellings(addressed.inbox):
                name = naming.named(internal)
                if name.owner is not None:
                    yield Addressed(name.owner, name)

    def _caught(self, addressed: Addressed, query: Query, records: Records) -> Outcome:
        """The verdict on one reading, and on the catch-all mailbox where that is refused."""
        outcome, catch_all = self._mailboxes.delivered(addressed, query, records)
        if isinstance(outcome, Pending) or outcome.kind.accepts:
            return outcome
        if self._catch_all is None or catch_all is CatchAll.NOT_ASKED:
            return outcome
        records.note("catch-all", mailbox=self._conf.lmtp_catchall_mailbox)
        second, _ = self._mailboxes.delivered(self._catch_all, query, records, asks_denials=False)
        if isinstance(second, Pending):
            return second
        if not second.kind.accepts:
            # Cyrus 2.5 keeps the first reason; and the MTA may not announce the size.
            keeps = catch_all is CatchAll.MAY_TAKE or not self._store.mailboxes.has_newer_keys()
            worse = outcome.kind.temporary and second.kind.other_readings
            return outcome if keeps and worse else second
        return Verdict(Kind.CATCH_ALL, b"", second.evidence, cacheable=second.cacheable)


def _kept_quota(refusal: Verdict, other: Outcome) -> Outcome:
    """What holds where `refusal` is of the mailbox that was asked about, and `other` of another.

    A full mailbox is there, and most of what is addressed like that is for it: taking it for
    the other mailbox would bounce.  As it might be for that one, it is not permanently refused.
    """
    kind = refusal.kind.for_now
    if kind is None:
        return other
    # Not remembered: it rests on the other mailbox, too.
    return Verdict(kind, refusal.reason, refusal.evidence, cacheable=False)


def _passing(outcome: Outcome) -> Outcome:
    """The same, not to be remembered: any record might have been found."""
    return outcome if isinstance(outcome, Pending) else _passing_verdict(outcome)


def _passing_verdict(verdict: Verdict) -> Verdict:
    return Verdict(verdict.kind, verdict.reason, verdict.evidence, cacheable=False)
