"""The mailbox list, mailboxes.db: which mailboxes there are and whose ACL they have.

Records have had three forms, which gateway/cyrus/mailboxrecord.py reads, and
keys two: gateway/cyrus/keyformat.py finds out which ones a list has.
"""

from __future__ import annotations

from gateway.cyrus import dlist
from gateway.cyrus.keyformat import KeyForm, is_note
from gateway.cyrus.mailboxrecord import (
    MBTYPE_DELETED,
    MBTYPE_INTERMEDIATE,
    MBTYPE_RESERVE,
    list_entry,
    text_entry,
)
from gateway.cyrus.namepath import DOMAIN_SEPARATOR, HIERARCHY_SEPARATOR
from gateway.cyrus.names import NAME_KEY
from gateway.errors import DatabaseEmpty, RecordDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.cyrus.db.base import Database
    from gateway.cyrus.mailboxrecord import MailboxEntry
    from gateway.cyrus.names import MailboxName

    # A key that only newer lists have, and its value in the list, which is one.
    Seen = tuple[bytes, bytes | None]

# Why no recipient is refused, and what to do.
_EMPTY = (
    "has no mailbox at all, so nothing follows from it: it is being restored, or another list has "
    "replaced it; where there really is no mailbox, see allow_empty_list in gateway.toml(5),"
    " smmapd_allow_empty_list in smmapd(8)"
)

# lib/imap_err.et, as the C program words these faults.
_BAD_FORMAT = b"Mailbox has an invalid format"
_BAD_LIST = b"Invalid identifier"
_TRAILING = b"System I/O error"


class MailboxList:
    """Looks mailboxes up in `database`; `on_older` is called where its keys turn out older.

    A list without any record makes no recipient unknown: as a rule it is not the list
    that it was, or not yet.  `may_be_empty` is for a site that has no mailbox.
    """

    __slots__ = ("_form", "_may_be_empty", "database")

    def __init__(
        self,
        database: Database,
        on_older: Callable[[], None] | None = None,
        *,
        may_be_empty: bool = False,
    ) -> None:
        self.database = database
        self._form = KeyForm(database, on_older)
        self._may_be_empty = may_be_empty

    @property
    def path(self) -> str:
        """The database's path, for messages."""
        return self.database.path

    @property
    def is_newer(self) -> bool:
        """Whether the list is known to have keys of the newer form only."""
        return self._form.is_known_newer

    def has_newer_keys(self) -> bool:
        """Whether the keys are those of Cyrus from 3.6 on, as in an empty list.

        Raises what the database raises.
        """
        return self._form.is_newer()

    @property
    def is_empty(self) -> bool:
        """Whether the last look-up met a list without any record."""
        return self._form.is_empty

    def spellings(self, name: MailboxName, *, fuzzy: bool = False) -> list[bytes]:
        """The internal names of records that are `name` but for capitals.

        With `fuzzy` as Cyrus 2.5 searches for shared folders: blanks, hyphens
        and underscores are alike, and the nearest folder above counts.
        Raises what the database raises.
        """
        from gateway.cyrus.spellings import spellings  # noqa: PLC0415  (rarely)

        if self._form.is_newer():
            if not name.dbkey:
                return []
            found = spellings(self.database, name.dbkey, fixed=len(NAME_KEY), blanks=fuzzy)
            return [internal_name(key) for key in found]
        internal = name.oldkey
        found = spellings(self.database, internal, blanks=fuzzy)
        end = internal.rfind(b".")
        # same with >=: no name of a folder begins with a dot
        while fuzzy and not found and end > 0:
            above = internal[:end]
            if self.database.get(above) is not None:
                return [above]
            found = spellings(self.database, above, blanks=True)
            end = internal.rfind(b".", 0, end)  # same with 1: no name of a folder begins with a dot
        return found

    def find(self, key: bytes) -> tuple[bytes | None, bool]:
        """The value under `key`, which only newer lists have, and whether the list is newer.

        Raises what the database raises.
        """
        return self._form.find(key, b"")

    def lookup(self, name: MailboxName, seen: Seen | None = None) -> MailboxEntry | None:
        """The mailbox called `name`; None where there is none for mail.

        A reserved name (MBTYPE_RESERVE: being created or moved here) is found;
        deleted and intermediate ones are not.  Raises `RecordDamaged` for a
        record that makes no sense, `DatabaseEmpty` for a list without any record,
        and what the database raises.  A record that was `seen` is not looked for again.
        """
        entry = self.record(name, seen)
        if entry is None or entry.mbtype & MBTYPE_RESERVE:
            return entry
        if entry.mbtype & (MBTYPE_DELETED | MBTYPE_INTERMEDIATE):
            return None
        return entry

    def record(self, name: MailboxName, seen: Seen | None = None) -> MailboxEntry | None:
        """The record under `name`, of any type; None where there is none.  Raises as `lookup`."""
        # No name holds a NUL byte, and no mailbox has the empty one.
        if not name.oldkey or b"\0" in name.oldkey:
            return None
        dbkey = name.dbkey
        if seen is not None and seen[0] == dbkey:
            value, newer = seen[1], True
        else:
            # "N" alone is the name without any part; and Cyrus' own notes are not mailboxes.
            value, newer = self._form.find(
                dbkey if dbkey != NAME_KEY else b"", b"" if is_note(name.oldkey) else name.oldkey
            )
        if value is None:
            if self._form.is_empty and not self._may_be_empty:
                raise DatabaseEmpty(self.path, _EMPTY)
            return None
        if newer:
            return self._entry(dbkey, name.internal, value, old=False)
        entry = self._entry(name.oldkey, name.oldkey, value, old=True)
        return None if not dbkey and name.before_3 and not entry.before_3 else entry

    def entries(self) -> Iterator[MailboxEntry | RecordDamaged]:
        """Every mailbox of any type, in the file's order.

        A record that makes no sense comes as its fault.  Raises what the
        database raises.
        """
        newer = self._form.is_newer()
        for key, value in self.database.items(NAME_KEY if newer else b""):
            if key == NAME_KEY if newer else is_note(key):
                continue
            try:
                yield self._entry(key, internal_name(key) if newer else key, value, old=not newer)
            except RecordDamaged as fault:
                yield fault

    def _entry(self, key: bytes, name: bytes, value: bytes, *, old: bool) -> MailboxEntry:
        if not value:
            raise RecordDamaged(self.path, key, "is empty", text=_BAD_FORMAT)
        if not value.startswith(b"%"):
            return text_entry(name, value, old=old)
        try:
            return list_entry(name, value, old=old)
        except dlist.DlistError as error:
            text = _TRAILING if error.trailing else _BAD_LIST
            raise RecordDamaged(self.path, key, str(error), text=text) from error
        except ValueError as error:
            raise RecordDamaged(self.path, key, str(error), text=_BAD_FORMAT) from error


def internal_name(key: bytes) -> bytes:
    """The internal name in a key of the newer form: `N`, domain, 0x1d, parts divided by 0x1f."""
    domain, mark, name = key[len(NAME_KEY) :].partition(DOMAIN_SEPARATOR)
    start, name = (domain + b"!", name) if mark else (b"", domain)
    return start + name.replace(b".", b"^").replace(HIERARCHY_SEPARATOR, b".")
