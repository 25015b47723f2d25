"""Whether a mail fits where lmtpd puts it: quotas at RCPT and after DATA.

At RCPT lmtpd looks at every resource of INBOX' quota root as it is
(verify_user in imap/lmtpd.c); with `lmtp_strict_quota` with the announced size
and one mail on top.  After DATA it looks again, with the size that the mail
has; then a folder behind the plus with room and right saves it, and no
catch-all mailbox does.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gateway.verification import delivery_folders
from gateway.verification.kinds import Kind
from gateway.verification.model import Evidence, Verdict

if TYPE_CHECKING:
    from gateway.cyrus.imapdconf import ImapdConf
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.quota import QuotaRecord
    from gateway.verification.records import Records


class CatchAll(Enum):
    """What the catch-all mailbox has to do with a refusal."""

    TAKES = "it takes the mail, or its own refusal is the answer"
    MAY_TAKE = "it may take the mail, but cannot make the refusal worse"
    NOT_ASKED = "delivery does not ask it any more"


# Bytes that the smallest mail has, where none was announced.
_SMALLEST = 1


class DeliveryQuota:
    """The rules under one configuration."""

    __slots__ = ("_fuzzy", "_over_quota", "_strict")

    def __init__(self, conf: ImapdConf) -> None:
        permanent = conf.lmtp_over_quota_perm_failure
        self._fuzzy = conf.lmtp_fuzzy_mailbox_match
        self._over_quota = Kind.OVER_QUOTA_PERMANENT if permanent else Kind.OVER_QUOTA
        self._strict = conf.lmtp_strict_quota

    def check(
        self,
        mailbox: bytes,
        userid: bytes | None,
        folders: tuple[MailboxName, ...],
        size: int | None,
        records: Records,
    ) -> tuple[Verdict, CatchAll]:
        """The verdict on a mailbox that exists, and what the catch-all mailbox has to do with it.

        `mailbox` is its internal name, `folders` are those behind the plus
        that may save the mail, `size` is the announced size in bytes.  Raises
        StoreError.
        """
        record = records.quota(mailbox)
        exceeded = record is not None and self._exceeded_at_rcpt(record, size or 0)
        after_data = record is not None and not exceeded and self._exceeded_after_data(record, size)
        # What the record says is worth telling where it refuses, or is to be shown.
        over = exceeded or after_data
        told = over or records.trace is not None
        use = record if told else None
        evidence = Evidence(mailbox=mailbox, userid=userid, quota=use)
        if told:
            records.note_quota(mailbox, use, self._over_quota if over else None)
        if record is None or not over:
            if size is not None and record is not None and not self._strict:
                fits = not record.exceeded(size, 0)
                records.note("size", size=size, fits=fits)
                if not fits:
                    size_over = Verdict(Kind.SIZE_OVER_QUOTA, Kind.SIZE_OVER_QUOTA.text, evidence)
                    return size_over, CatchAll.TAKES
            return Verdict(Kind.DELIVERABLE, b"", evidence), CatchAll.TAKES
        # Refused for its size alone: the MTA that hands the mail to lmtpd may not announce it.
        savable = after_data or (exceeded and not self._exceeded_at_rcpt(record, 0))
        if savable and self.saved(folders, size, records):
            return Verdict(Kind.DELIVERABLE, b"", evidence), CatchAll.TAKES
        kind = self._over_quota
        if savable and folders and self._fuzzy:
            kind = kind.for_now or kind  # another folder may match, and save it
        catch_all = CatchAll.MAY_TAKE if savable else CatchAll.TAKES
        return Verdict(kind, kind.text, evidence), (CatchAll.NOT_ASKED if after_data else catch_all)

    def too_small(
        self, record: QuotaRecord, size: int | None, evidence: Evidence
    ) -> Verdict | None:
        """The refusal of a mailbox that is only just made, with a quota that is too small."""
        # same with 1: one mail is added, or the look after DATA says so
        if self._exceeded_at_rcpt(record, size or 0) or self._exceeded_after_data(record, size):
            return Verdict(self._over_quota, self._over_quota.text, evidence)
        return None

    def _exceeded_at_rcpt(self, record: QuotaRecord, size: int) -> bool:
        more = record.exceeded(size, 1) if self._strict else record.exceeded(0, 0)
        return more or record.exceeded_otherwise(folders=True)

    def _exceeded_after_data(self, record: QuotaRecord, size: int | None) -> bool:
        return self._strict and record.exceeded(size or _SMALLEST, 1)

    def saved(self, folders: tuple[MailboxName, ...], size: int | None, records: Records) -> bool:
        """Whether a user's folder takes a mail that INBOX does not."""
        return any(self._saves(each, size, records) for each in folders)

    def _saves(self, folder: MailboxName, size: int | None, records: Records) -> bool:
        """Whether delivery puts the mail into a user's folder."""
        found = delivery_folders.look(folder, records)
        fits = False
        if found.entry is not None and found.may_take:
            record = records.quota(found.entry.name)
            fits = record is None or not (
                record.exceeded(size or _SMALLEST, 1) or record.exceeded_otherwise(folders=False)
            )
        found.note(records, fits=fits)
        return fits
