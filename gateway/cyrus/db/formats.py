"""Which format a database file has, and opening it as what it is.

As in `cyrusdb_detect` (lib/cyrusdb.c) the first bytes decide, whatever
imapd.conf says.  Beyond the C program, SQLite files are known by theirs and flat ones by
looking like text; what looks like nothing is never taken for an empty or a flat
database, because that would make every mailbox nonexistent.
"""

from __future__ import annotations

import os

from gateway.cyrus.db.file import FileView
from gateway.errors import DatabaseDamaged, DatabaseUnavailable, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.db.base import Database
    from gateway.cyrus.db.file import ReadCounts

TWOSKIP = "twoskip"
TWOM = "twom"
SKIPLIST = "skiplist"
FLAT = "flat"
SQL = "sql"
QUOTALEGACY = "quotalegacy"
# No format: a file of no bytes, and one that looks like none of the others.
EMPTY = "empty"
UNKNOWN = "unknown"

# cyrusdb_detect compares 16 bytes, too.
_MAGIC = {
    b"\xa1\x02\x8b\x0dtwoskip file": TWOSKIP,
    b"\xa1\x02\x8b\x0dskiplist fil": SKIPLIST,
    b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0": TWOM,
    b"SQLite format 3\0": SQL,
}
_MAGIC_LENGTH = 16

# How much of a file has to look like text before it is taken for a flat database, in bytes.
_TEXT = 4096  # only a bound


def detect_view(view: FileView) -> str:
    """The format of an open file, by its first bytes."""
    start = view.peek(0, _TEXT)
    if not start:
        return EMPTY
    known = _MAGIC.get(start[:_MAGIC_LENGTH])
    if known is not None:
        return known
    first, feed, _rest = start.partition(b"\n")
    text = b"\0" not in start and b"\t" in first
    return FLAT if text and (feed or len(start) == _TEXT) else UNKNOWN


def location(path: str, configured: str) -> str:
    """What has to be looked at on the disk for the database that imapd.conf calls `path`.

    quotalegacy drops the last part of its path (`.../quotas.db`) and uses the folder,
    as `myopen` in lib/cyrusdb_quotalegacy.c does; the others use the file.
    """
    if configured != QUOTALEGACY or os.path.isdir(path):
        return path
    return os.path.dirname(path) or "."


class FormatWarning:
    """Reports once, for each format that is found at `path`, that imapd.conf names another."""

    __slots__ = ("_configured", "_path", "_report", "_reported")

    def __init__(self, path: str, configured: str, report: Callable[[str], None] | None) -> None:
        self._path = path
        self._configured = configured
        self._report = report
        self._reported: str | None = None

    def found(self, format_: str) -> None:
        """A file of this format has been opened."""
        if format_ in (self._configured, self._reported) or self._report is None:
            return
        self._reported = format_
        self._report(
            f"{self._path} is {format_}, imapd.conf says {self._configured};"
            f" reading it as {format_}"
        )


def differs(format_: str, open_file: Callable[[ReadCounts], Database], counts: ReadCounts) -> bool:
    """Whether a file that had that format can be opened, and has another one now."""
    try:
        database = open_file(counts)
    except StoreError:
        return False
    database.close()
    return database.format != format_


def open_database(
    path: str,
    configured: str,
    *,
    mboxsort: bool = False,
    table: str | None = None,
    virtdomains: bool = False,
    fulldirhash: bool = False,
    counts: ReadCounts | None = None,
) -> Database:
    """Open what is at `path` as what it is; `configured` is imapd.conf's name for its format.

    `mboxsort` is improved_mboxlist_sort; `table` the SQL table (default: the
    path's last part with `_` for its last dot, as lib/cyrusdb_sql.c derives it);
    `virtdomains` and `fulldirhash` count for quotalegacy alone, which is opened
    where it is configured and nowhere else: a folder in a file's place is a fault.
    An empty file is an empty database only where flat is configured: the other
    formats never leave one behind, so there it is a sign of trouble.
    Reads that start over are counted in `counts`.

    Raises `DatabaseMissing`, `DatabaseUnavailable` or `DatabaseDamaged`.
    """
    place = location(path, configured)
    if configured == QUOTALEGACY:
        from gateway.cyrus.db.quotalegacy import QuotaLegacy  # noqa: PLC0415 (loaded when used)

        return QuotaLegacy(place, virtdomains=virtdomains, fulldirhash=fulldirhash)
    view = FileView(place, counts)
    kept = False
    try:
        found = detect_view(view)
        if found == SQL:
            return _sql(place, table)
        if configured == FLAT and found in (EMPTY, UNKNOWN):
            found = FLAT  # Flat itself says what is wrong with it, if anything is.
        loader = _LOADERS.get(found)
        if loader is None:
            raise _unusable(place, configured, found)
        database = loader(view, mboxsort)
        kept = True
        return database
    finally:
        if not kept:
            view.close()


def _unusable(path: str, configured: str, found: str) -> DatabaseDamaged | DatabaseUnavailable:
    if found == EMPTY:
        return DatabaseUnavailable(
            path, f"is empty, which a {configured} database never is; restore it"
        )
    return DatabaseDamaged(
        path, f"is not a {configured} database, nor one of another known format; restore it"
    )


def _twoskip(view: FileView, mboxsort: bool) -> Database:
    from gateway.cyrus.db.twoskip.twoskip import Twoskip  # noqa: PLC0415

    return Twoskip(view, mboxsort=mboxsort)


def _twom(view: FileView, mboxsort: bool) -> Database:
    from gateway.cyrus.db.twom.twom import Twom  # noqa: PLC0415

    return Twom(view, mboxsort=mboxsort)


def _skiplist(view: FileView, mboxsort: bool) -> Database:
    from gateway.cyrus.db.skiplist.skiplist import Skiplist  # noqa: PLC0415

    return Skiplist(view, mboxsort=mboxsort)


def _flat(view: FileView, mboxsort: bool) -> Database:
    from gateway.cyrus.db.flat import Flat  # noqa: PLC0415

    return Flat(view, mboxsort=mboxsort)


def _sql(path: str, table: str | None) -> Database:
    from gateway.cyrus.db.sql.layout import table_name  # noqa: PLC0415
    from gateway.cyrus.db.sql.sqlite import SqliteDatabase  # noqa: PLC0415

    return SqliteDatabase(path, table or table_name(path))


# Each imports its format when a file of it is first opened: a start pays only for what it uses.
_LOADERS: dict[str, Callable[[FileView, bool], Database]] = {
    TWOSKIP: _twoskip,
    TWOM: _twom,
    SKIPLIST: _skiplist,
    FLAT: _flat,
}
