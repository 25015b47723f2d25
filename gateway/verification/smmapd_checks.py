"""The authority "smmapd": what the C program of that name says.

The order and the texts are those of imap/smmapd.c (verify_user) and
lib/imap_err.et: recipient, userdeny, mailbox, post right, backend, quota.
Where the C program refuses permanently because of its own trouble (an unreadable
record, a mailbox that is just being created), the verdict is temporary.
"""

from __future__ import annotations

from gateway.cyrus.mailboxrecord import MBTYPE_REMOTE
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Pending, Verdict
from gateway.verification.records import SMMAPD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.store import CyrusStore
    from gateway.verification.model import Query
    from gateway.verification.records import Records


class SmmapdChecks:
    """The checks on a store; its imapd.conf says what over quota means, and which server to ask."""

    __slots__ = ("_over_quota", "_store", "ordinary", "plain")
    name = SMMAPD
    services: tuple[bytes, ...] = ()
    refuses_unlisted = True

    def __init__(self, store: CyrusStore) -> None:
        conf = store.conf
        permanent = conf.lmtp_over_quota_perm_failure
        self._store = store
        self._over_quota = Kind.OVER_QUOTA_PERMANENT if permanent else Kind.OVER_QUOTA
        # The key without which a recipient does not exist, and the owner that may be denied; the
        # same of a mailbox that is there.
        self.plain = self.ordinary = store.naming.plain

    def folds(self, _recipient: bytes) -> bool:
        """The C program takes every key as it comes."""
        return False

    def keys(self, recipient: bytes, _kind: Kind) -> set[bytes]:
        """The keys of all records that a verdict on `recipient` rests on."""
        found: set[bytes] = set()
        candidates = self._store.quotas.candidates
        for name in self._store.naming.readings(recipient):
            found |= {name.dbkey, name.oldkey, name.owner or b"", name.userid or b""}
            found |= {*candidates(name.internal), *candidates(name.oldkey)}
        return found

    def decide(self, query: Query, records: Records) -> Verdict | Pending:
        """The outcome of the first reading of the address that takes the mail, or is blocked.

        Where none does, it is that of the first whose mailbox there is.  Raises StoreError.
        """
        store = self._store
        best: Verdict | Pending | None = None
        for name in store.naming.readings(query.recipient):
            if not name.dbkey and store.mailboxes.has_newer_keys():
                continue
            outcome = self._reading(query, name, records)
            if not _may_be_another(outcome):
                return outcome
            if best is None or (_is_missing(best) and not _is_missing(outcome)):
                best = outcome
        assert best is not None, "an address has a reading that counts in every list"
        return best

    def _reading(self, query: Query, name: MailboxName, records: Records) -> Verdict | Pending:
        userid = name.userid
        if records.trace is not None:
            from gateway.verification.steps import name_step  # noqa: PLC0415  (explanations only)

            records.trace.append(name_step(name))
        denied = records.denied(userid)
        if denied is not None:
            return denied

        entry = records.mailbox(name)
        evidence = Evidence(mailbox=name.internal, userid=userid)
        if entry is None:
            if records.kicks:
                return Pending(query, None, evidence, SMMAPD)
            return Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text, evidence)
        # A user whose mailbox is reached under another name is blocked under his own, too.
        denied = records.denied(name.owner)
        if denied is not None:
            return denied
        evidence = Evidence(mailbox=entry.name, userid=userid)
        refused = records.refused(entry, query, evidence, SMMAPD)
        if refused is not None:
            return refused

        if userid is None:
            # A shared folder: its sender is nobody in particular.
            from gateway.cyrus import acl  # noqa: PLC0415  (few recipients are such folders)

            rights = records.rights(entry)
            if not rights & acl.POST:
                if rights & acl.LOOKUP:
                    return Verdict(Kind.NOT_POSTABLE, Kind.NOT_POSTABLE.text, evidence)
                return Verdict(Kind.NONEXISTENT, Kind.NONEXISTENT.text, evidence)

        if entry.mbtype & MBTYPE_REMOTE:
            server = entry.server.decode("utf-8", "backslashreplace")
            evidence = Evidence(mailbox=entry.name, userid=userid, server=server)
            return Pending(query, server, evidence, SMMAPD)
        return self._quota_verdict(query, name.quota_names, userid, records)

    def _quota_verdict(
        self, query: Query, names: tuple[bytes, ...], userid: bytes | None, records: Records
    ) -> Verdict:
        mailbox = names[-1]
        record = records.quota(*names)
        exceeded = record is not None and record.exceeded()
        records.note_quota(mailbox, record, self._over_quota if exceeded else None)
        evidence = Evidence(mailbox=mailbox, userid=userid, quota=record)
        if exceeded:
            return Verdict(self._over_quota, self._over_quota.text, evidence)
        if query.size is not None and record is not None:
            fits = not record.exceeded(storage_more=query.size)
            records.note("size", size=query.size, fits=fits)
            if not fits:
                return Verdict(Kind.SIZE_OVER_QUOTA, Kind.SIZE_OVER_QUOTA.text, evidence)
        return Verdict(Kind.DELIVERABLE, b"", evidence)


def _is_missing(outcome: Verdict | Pending) -> bool:
    """Whether no mailbox was found, or none that may be known."""
    if isinstance(outcome, Pending):
        return outcome.server is None
    return outcome.kind.missing


def _may_be_another(outcome: Verdict | Pending) -> bool:
    """Whether the next reading of an address may still make a difference."""
    if isinstance(outcome, Pending):
        return outcome.server is None
    return outcome.kind.other_readings
