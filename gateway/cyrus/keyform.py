"""Which kind of keys a mailbox list has: those of Cyrus up to 3.4, or those from 3.6 on.

The older key is the mailbox's internal name.  The newer one is `N` and the
database's own form of the name, with a second record under `I` and the mailbox's id.
A server of 3.6 rewrites an older list when it starts.  The list tells itself
which kind it is:

- a key of the newer form with a separator in it settles it: 0x1d and 0x1f
  are in no older name (but `Nobody` may be a shared folder of either kind);
- else it is newer where there is a user's mailbox or an `I` record that names
  its mailbox, and older where there is any other record.

What may look like the other kind does not count: an identifier called `N` in
a record's ACL, shared folders called `Info` or `News`.

What was found out is believed of the same file only.  In another one, which a
rollback may have put there, the record that showed it is looked for again.  On
an SQL server, where nothing tells, that is done each time.
"""

from __future__ import annotations

from gateway.cyrus import dlist
from gateway.cyrus.namepath import DOMAIN_SEPARATOR, HIERARCHY_SEPARATOR
from gateway.cyrus.names import NAME_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from gateway.cyrus.db.base import Database

_ID_KEY = b"I"

# Cyrus' own records of rights and of the queue of changes to them, which are no mailboxes.
_NOTES = (b"$RACL", b"$RUNQ")

# Where the first record, if there is one, may show the kind; the last one is any record.
_TELLING = (NAME_KEY + b"user" + HIERARCHY_SEPARATOR, _ID_KEY, NAME_KEY, b"user.", b"")


class KeyForm:
    """The kind of keys in `database`; `on_older` is called whenever it turns out to be older."""

    __slots__ = ("_database", "_lineage", "_newer", "_on_older", "_witness")

    def __init__(self, database: Database, on_older: Callable[[], None] | None = None) -> None:
        self._database = database
        self._on_older = on_older
        self._newer: bool | None = None  # None until a look-up has to know
        self._witness = b""  # the key of the record that shows it, if one does
        self._lineage: Hashable = None  # of the file that it was seen in

    @property
    def is_known_newer(self) -> bool:
        """Whether it is known, at no cost, that there are no older keys."""
        return self._newer is True and self._lineage == _lineage(self._database)

    def saw_newer(self, key: bytes) -> None:
        """There is a record with `key`, which no older list has (`shows_newer`)."""
        self._newer = True
        self._witness = key
        self._lineage = _lineage(self._database)

    def is_newer(self) -> bool:
        """Whether the keys are newer ones; an empty list counts as such.

        Raises what the database raises.
        """
        lineage = _lineage(self._database)
        if self._newer is None or self._lineage != lineage:
            if not self._is_still_shown():
                self._newer, self._witness = self._probe()
                if self._newer is False and self._on_older is not None:
                    self._on_older()
            self._lineage = lineage
        return self._newer is not False

    def _is_still_shown(self) -> bool:
        """Whether the record that showed the kind is there."""
        if not self._witness:
            return False
        value = self._database.get(self._witness)
        return value is not None and _shows(self._witness, value) is self._newer

    def _probe(self) -> tuple[bool | None, bytes]:
        """The kind, None for an empty list, and the key that shows it."""
        for prefix in _TELLING:
            for key, value in self._database.items(prefix):
                shown = _shows(key, value)
                if shown is not None:
                    return shown, key
                if not prefix:
                    return False, b""
                break
        return None, b""


def _lineage(database: Database) -> Hashable:
    """Another one once another file is read (gateway/cyrus/db/live.py)."""
    return getattr(database, "lineage", None)


def is_note(key: bytes) -> bool:
    """Whether the record under `key` is one of Cyrus' own notes in an older list."""
    return key.startswith(_NOTES)


def shows_newer(key: bytes) -> bool:
    """Whether only a newer list can have a record with `key`."""
    return key.startswith(NAME_KEY) and (DOMAIN_SEPARATOR in key or HIERARCHY_SEPARATOR in key)


def _shows(key: bytes, value: bytes) -> bool | None:
    """True for a record of a newer list, False for one of an older; None where either may be."""
    if key.startswith(NAME_KEY):
        return True if shows_newer(key) else None
    if key.startswith(_ID_KEY):
        return True if value.startswith(b"%") and _names_itself(value) else None
    return None if is_note(key) else False


def _names_itself(value: bytes) -> bool:
    """Whether a record gives its mailbox's name, as `I` records do.

    Only the list itself counts, not those inside of it: an ACL may have an
    identifier of that name, and a history has earlier names.
    """
    depth = 0
    try:
        for event, key, _ in dlist.events(value):
            if event in (dlist.LIST_START, dlist.KVLIST_START):
                depth += 1
            elif event in (dlist.LIST_END, dlist.KVLIST_END):
                depth -= 1
            elif depth == 1 and key == b"N":
                return True
    except dlist.DlistError:
        return False
    return False
