"""Reads a database that Cyrus keeps in a table of an SQLite file (lib/cyrusdb_sql.c).

The file is opened read only and is never created.  Each statement runs in a
transaction of its own and is read to its end at once, so SQLite's lock on the
file is held for that statement only, and what is seen is committed.  A
connection is opened when it is first needed, again after every fault, and
again when another file is at the path or the file has been written to.

The last is because of restores in place.  SQLite knows that a file has changed by
its change counter, and keeps the pages that it has read until then; data_version
says no more.  A backup that is copied over the file and committed to as often as the
file had been has the same counter, so a connection would go on showing pages of the
overwritten history.  What tells is the file's stamp: a connection that was opened behind
every change reads every page again (gateway/cyrus/db/filetoken.py: what two contents
can have in common).  A commit with WAL is written beside the file and has
data_version; its log is not a history that a backup of the file could have.

Limits: a writer that is just putting its commit into the file holds up this
reader (that is SQLite's locking; with WAL it does not), for BUSY_SECONDS at
most.  A crashed writer's journal must be rolled back by a process that may
write.  A program must not open and close the file by other means while a
statement runs on it: POSIX drops SQLite's locks then.
"""

from __future__ import annotations

import os
import time

from gateway.cyrus.db.base import Database
from gateway.cyrus.db.file import store_fault
from gateway.cyrus.db.filetoken import file_token
from gateway.cyrus.db.sql.layout import DIALECTS, SqlRecords, bounds
from gateway.cyrus.pathwalk import absolute
from gateway.errors import DatabaseDamaged, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Hashable, Iterator

# How long a look-up waits for a commit to get through: longer than a commit
# takes on a slow disk, and shorter than an MTA's patience.
BUSY_SECONDS = 2.0

# Records of a listing that are read at once: some megabytes.
PAGE = 10_000  # only a bound

_DIALECT = DIALECTS["sqlite"]
# Characters that need no escape in the path of an SQLite URI.
_PLAIN = frozenset(b"/-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# SQLite's primary result codes that say that the bytes of the file are at fault.
_DAMAGE = frozenset((11, 26))  # SQLITE_CORRUPT, SQLITE_NOTADB
_BUSY = frozenset((5, 6))  # SQLITE_BUSY, SQLITE_LOCKED


class SqliteDatabase(SqlRecords, Database):
    """The table `table` of the SQLite file `path` as a gateway.cyrus.db.base.Database.

    layout.table_name says which table Cyrus uses for a database.
    Nothing is opened, and nothing raised, on construction.
    """

    format = "sql"
    path: str = ""
    _dialect = _DIALECT

    def __init__(self, path: str, table: str) -> None:
        self.path = path
        self._table_name = table
        self._where = f"table {table}: "
        self._connection: sqlite3.Connection | None = None
        self._stamp: Hashable = None  # of the file when the connection was opened
        # Stands for the connection in a state: data_version counts again in each.
        self._session = object()

    def close(self) -> None:
        """Close the connection; another call would open it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        """Python 3.13 warns of a connection that is dropped as it is."""
        self.close()

    def state(self, key: bytes | None = None) -> Hashable:
        """The token of the committed state: SQLite's data_version for this connection.

        SQLite changes it whenever another connection has committed, to any
        table of the file.  Costs a stat of the path and a read of the file's first page
        under a shared lock.
        """
        row = self._select("PRAGMA data_version", ())[0]
        return (self._session, row[0])

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""
        return self.look((key,)).values.get(key)

    # For gateway/cyrus/keyformat.py: a commit may come between two statements.
    reads_consistently = True

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, PAGE of one committed state at a time.

        A statement that waits for its rows to be taken would hold up Cyrus' commits.
        """
        first: tuple[bytes, ...] = bounds(prefix)
        statement = _DIALECT.select_page(self._table_name, prefix, after=False)
        while True:
            rows = self._select(statement, (*first, PAGE))
            for key, value in rows:
                yield self._column(key), self._value(value)
            if len(rows) < PAGE:
                return
            last = self._column(rows[-1][0])
            statement = _DIALECT.select_page(self._table_name, prefix, after=True)
            first = (last, *bounds(prefix)[1:])

    def _select(
        self, statement: str, parameters: tuple[bytes | int, ...]
    ) -> list[tuple[object, ...]]:
        """All rows that `statement` gives."""
        import sqlite3  # noqa: PLC0415 - most stores have no SQL database

        try:
            cursor = self._connected().execute(statement, parameters)
            try:
                return cursor.fetchall()
            finally:
                cursor.close()
        except sqlite3.Error as fault:
            self.close()
            raise self._explained(fault) from fault
        except UnicodeDecodeError as fault:
            # Its message quotes bytes of a damaged schema, and they are not text.
            self.close()
            raise DatabaseDamaged(
                self.path, "SQLite: its schema is damaged; restore the file"
            ) from fault
        except MemoryError as fault:
            # SQLite believes a size that it reads.
            self.close()
            raise DatabaseUnavailable(
                self.path, "SQLite: out of memory; a size in it may be damaged: restore the file"
            ) from fault

    def _connected(self) -> sqlite3.Connection:
        """A connection that was opened behind the last change of the file at the path."""
        import sqlite3  # noqa: PLC0415

        now = time.time_ns()
        try:
            status = os.stat(self.path)
        except OSError as fault:
            self.close()
            raise store_fault(self.path, "cannot be examined", fault) from fault
        seen = file_token(status, now)
        if self._connection is None or seen != self._stamp:
            self.close()
            self._stamp = seen
            self._session = object()
            self._connection = sqlite3.connect(
                uri(self.path),
                uri=True,  # same with False: Debian's SQLite takes a URI without being told
                timeout=BUSY_SECONDS,
                # No transaction around statements that only read.
                isolation_level=None,
                # The caller may use a pool of threads, one at a time.
                check_same_thread=False,
            )
        return self._connection

    def _explained(self, fault: sqlite3.Error) -> DatabaseUnavailable | DatabaseDamaged:
        """What is wrong, with the table's name, and what to do."""
        # same with 1: SQLITE_ERROR means as little as none
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            return DatabaseDamaged(self.path, f"SQLite: {fault}; restore the file")
        if code in _BUSY:
            return DatabaseUnavailable(
                self.path, f"SQLite: {fault}, for more than {BUSY_SECONDS:g} seconds"
            )
        return DatabaseUnavailable(
            self.path,
            f"table {self._table_name}: SQLite: {fault}; look at sql_database in imapd.conf"
            " and at the rights on the file and its folder",
        )


def uri(path: str) -> str:
    """The SQLite URI that opens `path` for reading only."""
    raw = os.fsencode(absolute(path))
    return (
        "file://"
        + "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
        + "?mode=ro"
    )
