"""A user's folder behind the plus, as delivery finds it: may it take a mail that INBOX does not?

Only everybody's right to post and what the folder is count here, not its quota
(deliver_mailbox in imap/lmtpd.c).  A folder that is being created or moved counts as one that
takes the mail: the moment passes, and with lmtp_over_quota_perm_failure a refusal
would lose the mail for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cyrus import acl
from gateway.verification.kinds import Kind
from gateway.verification.records import unfit

if TYPE_CHECKING:
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.names import MailboxName
    from gateway.verification.records import Records


@dataclass(frozen=True, slots=True)  # same with False: nobody writes to it: they show a mistake
class UserFolder:
    """What a folder is: `entry` is None where there is none, `unfit` why it takes no mail."""

    name: MailboxName
    entry: MailboxEntry | None
    unfit: Kind | None
    post: bool

    @property
    def may_take(self) -> bool:
        """Whether delivery may put a mail into it, if there is room."""
        return self.post and (self.unfit is None or self.unfit.passes)

    def note(self, records: Records, **facts: object) -> None:
        """Tell the trace of it, with more facts."""
        records.note(
            "delivery",
            folder=self.name.internal,
            found=self.entry is not None,
            post=self.post,
            unfit=self.unfit.name if self.unfit is not None else None,
            **facts,
        )


def look(name: MailboxName, records: Records, *, for_mail: bool = True) -> UserFolder:
    """What the mailbox list says of a user's folder.  Raises StoreError.

    `for_mail`: by its name it may be a folder for mail (`DeliveryNaming.kept_by`).
    """
    entry = records.store.mailboxes.lookup(name)
    if entry is None:
        return UserFolder(name, None, None, post=False)
    post = bool(acl.rights(entry.acl) & acl.POST)
    why = unfit(entry, delivery=True) if for_mail else Kind.NOT_FOR_MAIL
    return UserFolder(name, entry, why, post)
