"""What the engine found on its way to a verdict, as the steps of an explanation.

Each function makes one `Step` of STEPS out of what was looked up; nothing is decided here.
"""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.mailboxlist import MailboxList
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.names import MailboxName
    from gateway.cyrus.userdeny import Denial, UserDeny


class Step(Value):
    """One step of the engine, as `explain` prints it: what was looked at, and what it showed.

    `name` is one of STEPS; `facts` are pairs of a word and a value (bytes,
    str, int, bool or None).  `seconds` is how long another server took, where one was asked.
    """

    __slots__ = ("facts", "name", "seconds")
    facts: tuple[tuple[str, object], ...]
    name: str
    seconds: float | None

    def __init__(self, name: str, seconds: float | None = None, /, **facts: object) -> None:
        self.facts = tuple(facts.items())
        self.name = name
        self.seconds = seconds
        self._freeze()


STEPS = (
    "name",
    "userdeny",
    "mailbox",
    "autocreate",
    "catch-all",
    "delivery",
    "mupdate",
    "acl",
    "backend",
    "stale",
    "quota",
    "size",
    "kept",
    "fault",
)


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
    if shown is None and not mailboxes.is_empty:  # same with or: one reading more
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
