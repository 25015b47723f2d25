"""What delivery does with one reading of an address: a user's INBOX, or a shared folder.

The rules are those of verify_user and deliver_local (imap/lmtpd.c).  A record
of userdeny for the gateway's own service refuses as well, although delivery
would not: its administrator wrote it for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cyrus import acl, autocreate
from gateway.cyrus.mailboxrecord import MBTYPE_REMOTE
from gateway.verification import delivery_folders
from gateway.verification.delivery_quota import CatchAll, DeliveryQuota
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Query, Verdict
from gateway.verification.records import DELIVERY

if TYPE_CHECKING:
    from gateway.cyrus.autocreate import Autocreate
    from gateway.cyrus.delivery_names import Addressed, DeliveryNaming
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.records import Records

Outcome = Verdict | Pending


class DeliveryMailboxes:
    """The checks of a store's mailboxes, by the imapd.conf that its delivery service reads."""

    __slots__ = ("_autocreate", "_naming", "_quota", "_service")

    def __init__(self, store: CyrusStore, naming: DeliveryNaming, creation: Autocreate) -> None:
        self._naming = naming
        self._service = store.delivery_service
        self._autocreate = creation
        self._quota = DeliveryQuota(store.delivery_conf)

    def delivered(
        self, addressed: Addressed, query: Query, records: Records, *, asks_denials: bool = True
    ) -> tuple[Outcome, CatchAll]:
        """What is true of one reading, and what the catch-all mailbox has to do with it."""
        _note_name(addressed, records)
        inbox = addressed.inbox
        if asks_denials:
            # A user whose INBOX is reached under another name is blocked under his own, too.
            owner = inbox.owner if inbox is not None else None
            denied = records.denied(addressed.userid) or records.denied(owner)
            if denied is not None:
                return _with_catch_all(denied, CatchAll.TAKES)
        if inbox is None:
            return _with_catch_all(*self._shared(addressed, query, records))
        return _with_catch_all(*self._user(addressed, inbox, query, records))

    def _shared(
        self, addressed: Addressed, query: Query, records: Records
    ) -> tuple[Outcome, CatchAll]:
        """The reading of the folder that takes the mail, else what is known of the others."""
        found = Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text), CatchAll.TAKES
        for name in addressed.folders:
            outcome, catch_all = self._shared_folder(name, query, records)
            if isinstance(outcome, Pending) or outcome.kind.accepts:
                return outcome, catch_all
            if _weight(outcome.kind) >= _weight(found[0].kind):
                found = outcome, catch_all
        return found

    def _shared_folder(
        self, name: MailboxName, query: Query, records: Records
    ) -> tuple[Outcome, CatchAll]:
        entry = records.mailbox(name)
        evidence = Evidence(mailbox=name.internal)
        refused, unfit = self._unfit(entry, evidence, query, records)
        if refused is not None:
            return refused, CatchAll.TAKES
        if entry is None:
            return Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text, evidence), CatchAll.TAKES
        denied = records.denied(name.owner)
        if denied is not None:
            return denied, CatchAll.TAKES
        evidence = Evidence(mailbox=entry.name)
        rights = records.rights(entry)
        if not rights & acl.POST:
            closed = Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text, evidence)
            if rights & acl.LOOKUP:
                closed = Verdict(Kind.NOT_POSTABLE, Kind.NOT_POSTABLE.text, evidence)
            return closed, CatchAll.TAKES
        if entry.mbtype & MBTYPE_REMOTE:
            return unfit or self._shared_at_backend(entry, name, evidence, query), CatchAll.TAKES
        room, catch_all = self._quota.check(entry.name, None, (), query.size, records)
        if _at_rcpt(room, catch_all):
            return room, catch_all
        if unfit is not None:
            return unfit, CatchAll.TAKES
        option = self._kept_by(name, records)
        if option:
            records.note("kept", folder=name.internal, option=option)
            return Verdict(Kind.NOT_FOR_MAIL, Kind.NOT_FOR_MAIL.text, evidence), CatchAll.TAKES
        return room, catch_all

    def _user(
        self, addressed: Addressed, inbox: MailboxName, query: Query, records: Records
    ) -> tuple[Outcome, CatchAll]:
        userid = addressed.userid or b""
        entry = records.mailbox(inbox)
        evidence = Evidence(mailbox=inbox.internal, userid=userid)
        refused, unfit = self._unfit(entry, evidence, query, records)
        if refused is not None:
            return refused, CatchAll.TAKES
        outcome: Outcome
        catch_all = CatchAll.TAKES
        if entry is None:
            created = self._created(userid, inbox, evidence, query, records)
            if not created.kind.accepts:
                return created, CatchAll.TAKES
            outcome = created
        elif entry.mbtype & MBTYPE_REMOTE:
            own = self._naming.recipient(query.recipient)
            is_own = own is not None and own.inbox == inbox
            recipient = _without_folder(query.recipient) if is_own else userid
            outcome = unfit or _at_backend(entry, evidence, query, recipient)
        else:
            folders = self._for_mail(addressed, records)
            room, catch_all = self._quota.check(entry.name, userid, folders, query.size, records)
            if _at_rcpt(room, catch_all):
                return room, catch_all
            outcome = room
            if unfit is not None:
                outcome = self._unfit_inbox(unfit, inbox, query, records)
        denial = records.denial(userid, self._service)
        if denial is not None:
            evidence = Evidence(mailbox=inbox.internal, userid=userid, deny_pattern=denial.pattern)
            return Verdict(Kind.DISABLED, Kind.DISABLED.text, evidence), CatchAll.TAKES
        taken = isinstance(outcome, Pending) or outcome.kind.accepts
        if records.trace is not None and taken and unfit is None:
            for folder in addressed.folders:
                for_mail = not self._kept_by(folder, records)
                delivery_folders.look(folder, records, for_mail=for_mail).note(records)
        return outcome, catch_all

    def _unfit_inbox(
        self, unfit: Verdict, inbox: MailboxName, query: Query, records: Records
    ) -> Verdict:
        """What follows from an INBOX that takes no mail: a folder behind the plus may.

        With a folder in the address it is not to be remembered: it rests on that, too.
        """
        addressed = self._naming.recipient(query.recipient)
        if addressed is None or addressed.inbox != inbox or not addressed.folders:
            return unfit
        folders = self._for_mail(addressed, records)
        if self._quota.saved(folders, query.size, records):
            return Verdict(Kind.DELIVERABLE, b"", unfit.evidence, cacheable=False)
        return Verdict(unfit.kind, unfit.reason, unfit.evidence, cacheable=False)

    def _for_mail(self, addressed: Addressed, records: Records) -> tuple[MailboxName, ...]:
        """The user's folders that mail may be put into, by their names."""
        return tuple(each for each in addressed.folders if not self._kept_by(each, records))

    def _shared_at_backend(
        self, entry: MailboxEntry, name: MailboxName, evidence: Evidence, query: Query
    ) -> Outcome:
        """What the backend is asked about a shared folder that everybody may post to.

        Nothing about one in a domain: no smmapd from 3.0 on finds those, and lmtpd delivers.
        """
        if name.domain is not None:
            return Verdict(Kind.DELIVERABLE, b"", evidence)
        own = self._naming.recipient(query.recipient)
        is_own = own is not None and name in own.folders
        recipient = query.recipient if is_own else self._naming.address(name)
        return _at_backend(entry, evidence, query, recipient)

    def _kept_by(self, folder: MailboxName, records: Records) -> str:
        older = not records.store.mailboxes.has_newer_keys()
        return self._naming.kept_by(folder, older=older)

    def _unfit(
        self, entry: MailboxEntry | None, evidence: Evidence, query: Query, records: Records
    ) -> tuple[Outcome | None, Verdict | None]:
        """What a record that takes no mail says at RCPT, and what only after DATA.

        Whatever else RCPT refuses comes before the latter.
        """
        if entry is None:
            return Pending(query, None, evidence, DELIVERY) if records.kicks else None, None
        unfit = records.refused(entry, query, evidence, DELIVERY)
        if isinstance(unfit, Verdict) and not unfit.kind.catch_all:
            return None, unfit
        return unfit, None

    def _created(
        self,
        userid: bytes,
        inbox: MailboxName,
        evidence: Evidence,
        query: Query,
        records: Records,
    ) -> Verdict:
        """What becomes of a user without INBOX."""
        if not self._autocreate.active and records.trace is None:
            return Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text, evidence)
        local, _, _ = userid.rpartition(b"@") if b"@" in userid else (userid, b"", b"")
        result, why = self._autocreate.outcome(userid, local)
        records.note("autocreate", result=result, reason=why)
        if result == autocreate.NO:
            return Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text, evidence)
        if result == autocreate.FAILS:
            return Verdict(Kind.NOT_CREATABLE, Kind.NOT_CREATABLE.text, evidence)
        before = records.quota(inbox.internal)
        if before is not None and before.root != inbox.internal:
            before = None
        record = self._autocreate.quota(inbox.internal, before)
        return self._quota.too_small(record, query.size, evidence) or Verdict(
            Kind.CREATED, b"", evidence
        )


def _weight(kind: Kind) -> int:
    """How much a refusal says of a folder that may be read in two ways."""
    # same with 3: it only has to be greater
    return 2 if kind.temporary else 0 if kind.missing else 1


def _at_rcpt(room: Verdict, catch_all: CatchAll) -> bool:
    """Whether a quota root refuses at RCPT, where the catch-all mailbox is asked."""
    return room.kind.catch_all and catch_all is not CatchAll.NOT_ASKED


def _with_catch_all(outcome: Outcome, catch_all: CatchAll) -> tuple[Outcome, CatchAll]:
    """What the catch-all mailbox has to do with an outcome: nothing, where the kind says so."""
    if isinstance(outcome, Verdict) and not outcome.kind.catch_all:
        return outcome, CatchAll.NOT_ASKED
    return outcome, catch_all


def _at_backend(entry: MailboxEntry, evidence: Evidence, query: Query, recipient: bytes) -> Pending:
    server = entry.server.decode("utf-8", "backslashreplace")
    evidence = Evidence(mailbox=evidence.mailbox, userid=evidence.userid, server=server)
    asked = Query(recipient, query.size, query.hops, folded=query.folded)
    return Pending(asked, server, evidence, DELIVERY)


def _without_folder(recipient: bytes) -> bytes:
    """The address of the user alone: whatever follows the plus does not decide."""
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
