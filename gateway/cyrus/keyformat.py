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

A list that shows no record at all has no kind.  It is not the list that it
was, or not yet: a new server in the place of the old one, a dump that is being
restored, a table that a tool has just made.

What was found out is believed until the database may have changed.  Then the
record that showed a newer one is looked for again, and where that is gone, another one:
one record under each of a few prefixes.  What shows an older one proves nothing about records
that have come since, so of an older list those prefixes are looked at after each change.
On an SQL server, where nothing tells of changes, that is part of the statement that looks for
the mailbox.
"""

from __future__ import annotations

from gateway.cyrus import dlist
from gateway.cyrus.namepath import DOMAIN_SEPARATOR, HIERARCHY_SEPARATOR
from gateway.cyrus.names import NAME_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from gateway.cyrus.db.base import Database, Record

_ID_KEY = b"I"

# Cyrus' own records of rights and of the queue of changes to them, which are not mailboxes.
_NOTES = (b"$RACL", b"$RUNQ")

# Records of rights, and of JMAP's ids, in a newer list (KEY_TYPE_ACL and _JID in imap/mboxlist.c).
_OTHER_KEYS = (b"A", b"J")

# How many records may be damaged, or of either kind, in front of one that shows the newer.
_LOOKED_AT = 64

# Where one record, if there is any, may show the kind; the last one is any record.
_TELLING = (NAME_KEY + b"user" + HIERARCHY_SEPARATOR, _ID_KEY, NAME_KEY, b"user.", b"")


class KeyForm:
    """The kind of keys in `database`; `on_older` is called whenever it turns out to be older."""

    __slots__ = ("_database", "_newer", "_on_older", "_seen", "_witness")

    def __init__(self, database: Database, on_older: Callable[[], None] | None = None) -> None:
        self._database = database
        self._on_older = on_older
        self._newer: bool | None = None  # None until a look-up has to know, and of an empty list
        self._witness = b""  # the key of the record that shows it, if one does
        self._seen: Hashable = None  # what `_marks` said when the witness was seen

    @property
    def is_known_newer(self) -> bool:
        """Whether it is known, at no cost, that there are no older keys."""
        return self._newer is True and self._seen == _marks(self._database)

    @property
    def is_empty(self) -> bool:
        """Whether the last `is_newer` or `find` met a list without any record."""
        return self._newer is None

    def is_newer(self) -> bool:
        """Whether the keys are newer ones; an empty list counts as such.

        Raises what the database raises.
        """
        return self._is_newer(_marks(self._database))

    def _is_newer(self, marks: Hashable) -> bool:
        """As `is_newer`, with what `_marks` says now."""
        if self._newer is None or self._seen != marks:
            if not self._is_still_shown():
                self._conclude(self._samples())
            self._seen = marks
        return self._newer is not False

    def find(self, newer: bytes, older: bytes) -> tuple[bytes | None, bool]:
        """The value under the key of the list's own kind, and whether that is the newer one.

        A key is empty where a list of that kind cannot have the mailbox.  Raises
        what the database raises.
        """
        if self._database.reads_consistently:
            return self._find_at_once(newer, older)
        settles = shows_newer(newer)
        if settles:
            value = self._database.get(newer)
            if value is not None:
                self._saw(newer)
                return value, True
        marks = _marks(self._database)
        known = self._newer is not None and self._seen == marks
        is_newer = self._is_newer(marks)
        key = newer if is_newer else older
        if not key or (settles and is_newer and known):
            return None, is_newer
        # In a file that is being filled a newer one may have come before what shows that it is.
        return self._database.get(key), is_newer

    def _find_at_once(self, newer: bytes, older: bytes) -> tuple[bytes | None, bool]:
        """As `find`, in one statement where the witness is still there, else in two."""
        keys = tuple(key for key in (newer, older) if key)
        witness = self._witness if self._newer else b""
        for wanted, prefixes in (((*keys, witness), ()), (keys, _TELLING)):
            if not prefixes and not witness:
                continue
            found = self._database.look(wanted, prefixes)
            values = found.values
            if newer in values and shows_newer(newer):
                self._saw(newer)
                return values[newer], True
            if prefixes:
                self._conclude(found.samples)
            elif witness not in values or not _shows(witness, values[witness]):
                continue
            break
        is_newer = self._newer is not False
        return values.get(newer if is_newer else older), is_newer

    def _saw(self, key: bytes) -> None:
        """There is a record with `key`, which no older list has (`shows_newer`)."""
        self._newer = True
        self._witness = key
        self._seen = _marks(self._database)

    def _is_still_shown(self) -> bool:
        """Whether the list was newer, and the record that showed it is there.

        One that shows an older list may be beside newer ones by now, which outweigh it.
        """
        if not self._newer or not self._witness:
            return False
        value = self._database.get(self._witness)
        return value is not None and _shows(self._witness, value) is True

    def _samples(self) -> Sequence[Record | None]:
        """A record under each of _TELLING, where there is one."""
        return self._database.look((), _TELLING).samples

    def _conclude(self, samples: Sequence[Record | None]) -> None:
        """The kind that the records show, and the key of the one that shows it."""
        was = self._newer
        self._newer, self._witness = _kind(samples)
        if self._newer is False and not self._witness:
            self._newer, self._witness = self._search()
        if self._newer is False and was is not False and self._on_older is not None:
            self._on_older()

    def _search(self) -> tuple[bool, bytes]:
        """Whether some record is of a newer list, where the first ones do not tell."""
        from itertools import islice  # noqa: PLC0415  (few lists leave it open)

        for prefix in (_ID_KEY, NAME_KEY):
            for key, value in islice(self._database.items(prefix), _LOOKED_AT):
                if _shows(key, value):
                    return True, key
        return False, b""


def _kind(samples: Sequence[Record | None]) -> tuple[bool | None, bytes]:
    """The kind, None of an empty list, and the key of the record that shows it."""
    for prefix, record in zip(_TELLING, samples, strict=True):
        if record is None:
            continue
        shown = _shows(*record)
        if shown is not None:
            return shown, record[0]
        if not prefix:
            # Nothing of the newer kind was found, so what is there is of the older.
            return False, b""
    return None, b""


def _marks(database: Database) -> Hashable:
    """Another value once another file is read, or this one may have been written.

    See gateway/cyrus/db/reopening.py.
    """
    return (database.lineage, database.commits)


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
    return None if is_note(key) or key.startswith(_OTHER_KEYS) else False


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
