"""What the engine found on its way to a verdict, as the steps of an explanation.

Each function makes one `Step` of `gateway.verification.model.STEPS` out of
what was looked up; nothing is decided here.
"""

from __future__ import annotations

from gateway.verification.model import QuotaUse, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.mailboxlist import MailboxList
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.quota import QuotaRecord
    from gateway.cyrus.userdeny import Denial, UserDeny


def name_step(name: MailboxName) -> Step:
    """One reading of the address."""
    return Step(
        "name",
        localpart=name.localpart,
        domain=name.domain,
        boxes=b"/".join(name.boxes),
        owner=name.owner,
        userid=name.userid,
        mailbox=name.internal,
        key=_key(name),
    )


def _key(name: MailboxName) -> bytes:
    """The key to show: the newer form, unless only an older list has the name."""
    return name.dbkey or name.oldkey


def mailbox_step(mailboxes: MailboxList, name: MailboxName, entry: MailboxEntry | None) -> Step:
    """What the list holds; a record that takes no mail is read again, to be shown."""
    shown = entry
    if shown is None and not mailboxes.is_empty:
        shown = mailboxes.record(name)
    facts: dict[str, object] = {
        "file": mailboxes.path,
        "format": mailboxes.database.format,
        "mailbox": name.internal if shown is None else shown.name,
        "key": _key(name),
        "found": entry is not None,
    }
    if shown is not None:
        facts["type"] = shown.mbtype
        facts["partition"] = shown.partition
        facts["server"] = shown.server
        facts["acl"] = shown.acl
        facts["uniqueid"] = shown.uniqueid
    return Step("mailbox", **facts)


def userdeny_step(denials: UserDeny, userid: bytes, service: bytes, denial: Denial | None) -> Step:
    """What the userdeny database says of one user; it has no format where there is none."""
    return Step(
        "userdeny",
        file=denials.path,
        format=None if denials.blocks_nobody else denials.database.format,
        userid=userid,
        service=service,
        pattern=denial.pattern if denial is not None else None,
        message=denial.message if denial is not None else None,
    )


def quota_use(record: QuotaRecord | None) -> QuotaUse | None:
    """What a quota root holds, in bytes and numbers."""
    if record is None:
        return None
    limit, annotations = record.storage_limit, record.annotations_limit
    return QuotaUse(
        record.root,
        record.storage_used,
        limit * 1024 if limit is not None else None,
        record.messages_used,
        record.messages_limit,
        annotations_used=record.annotations_used,
        annotations_limit=annotations * 1024 if annotations is not None else None,
        folders_used=record.folders_used,
        folders_limit=record.folders_limit,
    )
