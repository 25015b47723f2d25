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
- Whatever the reason, lmtp_catchall_mailbox takes it, and if that fails its own
  reason is the answer.

A record of userdeny for the gateway's own service refuses as well, although
delivery would not: its administrator wrote it for that.

What is refused for ever is looked at once more where the version cannot be
told (a list of Cyrus up to 3.4) or the address was folded: see
`DeliveryNaming.others`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus import acl, autocreate
from gateway.cyrus.autocreate import Autocreate
from gateway.cyrus.delivery_names import Addressed, DeliveryNaming
from gateway.cyrus.mailboxlist import (
    MBTYPE_EMAIL,
    MBTYPE_KIND,
    MBTYPE_MOVING,
    MBTYPE_NETNEWS,
    MBTYPE_REMOTE,
    MBTYPE_RESERVE,
)
from gateway.verification.delivery_room import CatchAll, Room
from gateway.verification.model import Evidence, Kind, Query, Verdict
from gateway.verification.pending import Pending
from gateway.verification.texts import (
    BAD_ADDRESS_TEXT,
    BAD_NAME_TEXT,
    DISABLED_TEXT,
    NONEXISTENT_TEXT,
    NOT_FOR_MAIL_TEXT,
    NOT_POSTABLE_TEXT,
    RESERVED_TEXT,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.mailboxlist import MailboxEntry
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.records import Records

DELIVERY = "delivery"

# Kinds of mailboxes that mail may be put into.
_FOR_MAIL = (MBTYPE_EMAIL, MBTYPE_NETNEWS)

Outcome = Verdict | Pending


class DeliveryChecks:
    """The checks on a store, by the imapd.conf that its delivery service reads."""

    __slots__ = (
        "_autocreate",
        "_catch_all",
        "_conf",
        "_naming",
        "_room",
        "_service",
        "_store",
    )
    name = DELIVERY

    def __init__(self, store: CyrusStore) -> None:
        conf = store.delivery_conf
        self._store = store
        self._conf = conf
        self._service = store.delivery_service
        self._naming = DeliveryNaming(conf)
        self._autocreate = Autocreate(conf)
        catch_all = conf.lmtp_catchall_mailbox
        self._catch_all = self._naming.user(catch_all) if catch_all is not None else None
        self._room = Room(conf)

    def plain(self, recipient: bytes) -> tuple[bytes, bytes] | None:
        """The key without which `recipient` does not exist, and the owner who may be denied."""
        if self._catch_all is not None or self._autocreate.active:
            return None
        naming = self._naming.naming
        # With capitals kept, a folded address may be that of another spelling.
        return self._naming.plain(recipient) if naming.downcase else None

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
        """The verdict, or who must be asked; raises StoreError."""
        addressed = self._naming.recipient(query.recipient)
        if addressed is None:
            records.note("name", problem=BAD_ADDRESS_TEXT)
            return Verdict(Kind.BAD_ADDRESS, BAD_ADDRESS_TEXT)
        outcome = self._caught(addressed, query, records)
        if isinstance(outcome, Pending) or not _is_final(outcome.kind):
            return outcome
        older = not self._store.mailboxes.has_newer_keys()
        if not older and not query.folded:
            return outcome
        return self._otherwise(query, records, outcome, older=older)

    def _otherwise(
        self, query: Query, records: Records, refusal: Verdict, *, older: bool
    ) -> Outcome:
        """The first of the other readings of an address that is not refused for ever."""
        naming = self._naming
        folded = query.folded and self.folds(query.recipient)
        others = list(naming.others(query.recipient, older=older, folded=folded))
        for each in others:
            outcome = self._delivered(each, query, records)[0]
            if isinstance(outcome, Pending) or not _is_final(outcome.kind):
                return outcome
        if refusal.kind is Kind.NONEXISTENT:
            addressed = naming.recipient(query.recipient)
            fuzzy = older and self._conf.lmtp_fuzzy_mailbox_match
            if addressed is not None and (folded or fuzzy):
                # Folding may have lost the default domain's capitals as well as a folder's.
                for reading in (addressed, *others):
                    for each in self._spelt_otherwise(reading, folded=folded, fuzzy=fuzzy):
                        outcome = self._delivered(each, query, records)[0]
                        if isinstance(outcome, Pending) or not _is_final(outcome.kind):
                            return _passing(outcome) if fuzzy else outcome
            if fuzzy and addressed is not None and addressed.inbox is None:
                return _passing(refusal)
        return refusal

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
        outcome, catch_all = self._delivered(addressed, query, records)
        if isinstance(outcome, Pending) or outcome.kind.accepts:
            return outcome
        if self._catch_all is None or catch_all is CatchAll.NOT_ASKED:
            return outcome
        records.note("catch-all", mailbox=self._conf.lmtp_catchall_mailbox)
        assert self._catch_all.inbox is not None, "the option names a user"
        second, _ = self._user(self._catch_all, self._catch_all.inbox, query, records)
        if isinstance(second, Pending):
            return second
        if not second.kind.accepts:
            # Cyrus 2.5 keeps the first reason; and who hands the mail over may not tell its size.
            keeps = catch_all is CatchAll.MAY_TAKE or not self._store.mailboxes.has_newer_keys()
            worse = outcome.kind.temporary and _is_final(second.kind)
            return outcome if keeps and worse else second
        return Verdict(Kind.CATCH_ALL, b"", second.evidence, cacheable=second.cacheable)

    def _delivered(
        self, addressed: Addressed, query: Query, records: Records
    ) -> tuple[Outcome, CatchAll]:
        """What is true of one reading, and what the catch-all mailbox has to do with it."""
        _note_name(addressed, records)
        denied = records.denied(addressed.userid)
        if denied is not None:
            return denied, CatchAll.NOT_ASKED
        if addressed.inbox is None:
            return self._shared(addressed, query, records), CatchAll.TAKES
        return self._user(addressed, addressed.inbox, query, records)

    def _shared(self, addressed: Addressed, query: Query, records: Records) -> Outcome:
        found: Outcome | None = None
        for name in addressed.folders:
            outcome = self._shared_folder(name, query, records)
            if isinstance(outcome, Pending) or outcome.kind is not Kind.NONEXISTENT:
                return outcome
            found = found or outcome
        return found or Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT)

    def _shared_folder(self, name: MailboxName, query: Query, records: Records) -> Outcome:
        entry = records.mailbox(name)
        evidence = Evidence(mailbox=name.internal)
        unfit = self._unfit(entry, evidence, query, records)
        if unfit is not None or entry is None:
            return unfit or Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT, evidence)
        denied = records.denied(name.owner)
        if denied is not None:
            return denied
        evidence = Evidence(mailbox=entry.name)
        rights = records.rights(entry)
        if not rights & acl.POST:
            if rights & acl.LOOKUP:
                return Verdict(Kind.NOT_POSTABLE, NOT_POSTABLE_TEXT, evidence)
            return Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT, evidence)
        if entry.mbtype & MBTYPE_REMOTE:
            return _at_backend(entry, evidence, query, query.recipient)
        if self._naming.is_deleted(name):
            return Verdict(Kind.NOT_FOR_MAIL, NOT_FOR_MAIL_TEXT, evidence)
        return self._room.check(entry.name, None, (), query.size, records)[0]

    def _user(
        self, addressed: Addressed, inbox: MailboxName, query: Query, records: Records
    ) -> tuple[Outcome, CatchAll]:
        userid = addressed.userid or b""
        entry = records.mailbox(inbox)
        evidence = Evidence(mailbox=inbox.internal, userid=userid)
        unfit = self._unfit(entry, evidence, query, records)
        if unfit is not None:
            return unfit, CatchAll.TAKES
        if entry is not None and addressed is not self._catch_all:
            # A user whose INBOX is reached under another name is blocked under his own, too.
            denied = records.denied(inbox.owner)
            if denied is not None:
                return denied, CatchAll.NOT_ASKED
        outcome: Outcome
        if entry is None:
            created = self._created(userid, inbox, query, records)
            if not created.kind.accepts:
                return created, CatchAll.TAKES
            outcome = created
        elif entry.mbtype & MBTYPE_REMOTE:
            outcome = _at_backend(entry, evidence, query, _without_folder(query.recipient))
        else:
            room, catch_all = self._room.check(
                entry.name, userid, addressed.folders, query.size, records
            )
            if not room.kind.accepts:
                return room, catch_all
            outcome = room
        denial = records.denial(userid, self._service)
        if denial is not None:
            evidence = Evidence(mailbox=inbox.internal, userid=userid, deny_pattern=denial.pattern)
            return Verdict(Kind.DISABLED, DISABLED_TEXT, evidence), CatchAll.TAKES
        if records.trace is not None:
            self._note_folders(addressed.folders, records)
        return outcome, CatchAll.TAKES

    def _unfit(
        self, entry: MailboxEntry | None, evidence: Evidence, query: Query, records: Records
    ) -> Outcome | None:
        """What is said of a record that takes no mail; None where it may, or there is none."""
        if entry is None:
            return Pending(query, None, evidence, DELIVERY) if records.kicks else None
        if entry.mbtype & MBTYPE_RESERVE and records.kicks:
            return Pending(query, None, evidence, DELIVERY)
        if entry.mbtype & (MBTYPE_RESERVE | MBTYPE_MOVING):
            return Verdict(Kind.RESERVED, RESERVED_TEXT, evidence, cacheable=False)
        if entry.mbtype & MBTYPE_KIND not in _FOR_MAIL:
            return Verdict(Kind.NOT_FOR_MAIL, NOT_FOR_MAIL_TEXT, evidence)
        return None

    def _created(
        self, userid: bytes, inbox: MailboxName, query: Query, records: Records
    ) -> Verdict:
        """What becomes of a user without INBOX."""
        evidence = Evidence(mailbox=inbox.internal, userid=userid)
        local, _, _ = userid.rpartition(b"@") if b"@" in userid else (userid, b"", b"")
        result, why = self._autocreate.outcome(userid, local, inbox.internal)
        records.note("autocreate", result=result, reason=why)
        if result == autocreate.NO:
            return Verdict(Kind.NONEXISTENT, NONEXISTENT_TEXT, evidence)
        if result == autocreate.FAILS:
            return Verdict(Kind.NOT_CREATABLE, BAD_NAME_TEXT, evidence)
        before = records.quota(inbox.internal)
        if before is not None and before.root != inbox.internal:
            before = None
        record = self._autocreate.quota(inbox.internal, before)
        return self._room.too_small(record, query.size, evidence) or Verdict(
            Kind.CREATED, b"", evidence
        )

    def _note_folders(self, folders: tuple[MailboxName, ...], records: Records) -> None:
        for folder in folders:
            entry = self._store.mailboxes.lookup(folder)
            post = entry is not None and bool(acl.rights(entry.acl) & acl.POST)
            records.note("delivery", folder=folder.internal, found=entry is not None, post=post)


def _is_final(kind: Kind) -> bool:
    """Whether a verdict of that kind refuses for ever, for what the recipient is."""
    return not kind.accepts and not kind.temporary and kind is not Kind.DENIED


def _passing(outcome: Outcome) -> Outcome:
    """The same, not to be remembered: any record might have been found."""
    if isinstance(outcome, Pending):
        return outcome
    return Verdict(outcome.kind, outcome.reason, outcome.evidence, cacheable=False)


def _at_backend(entry: MailboxEntry, evidence: Evidence, query: Query, recipient: bytes) -> Pending:
    server = entry.server.decode("utf-8", "backslashreplace")
    evidence = Evidence(mailbox=evidence.mailbox, userid=evidence.userid, server=server)
    asked = Query(recipient, query.size, query.hops, folded=query.folded)
    return Pending(asked, server, evidence, DELIVERY)


def _without_folder(recipient: bytes) -> bytes:
    """The address of the user alone: whatever stands behind the plus does not decide."""
    local, at, domain = recipient.rpartition(b"@")
    if not at:
        local, domain = recipient, b""
    return local.partition(b"+")[0] + at + domain


def _note_name(addressed: Addressed, records: Records) -> None:
    if records.trace is None:
        return
    inbox = addressed.inbox
    names = (inbox,) if inbox is not None else addressed.folders
    records.note(
        "name",
        userid=addressed.userid,
        domain=names[0].domain if names else None,
        folders=b", ".join(b"/".join(each.boxes) for each in addressed.folders),
        mailbox=b", ".join(each.internal for each in names),
        key=b", ".join(each.dbkey for each in names),
    )
