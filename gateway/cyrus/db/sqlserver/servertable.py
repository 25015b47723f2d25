"""Databases that Cyrus keeps in tables of an SQL server (lib/cyrusdb_sql.c): pgsql and mysql.

What belongs together is asked in one statement, which only reads, with keys as
parameters; so what is seen is committed, and of one moment.  Connections are
those of the process (connections.py).

Everything is over when the question's deadline is (`SqlSession.begin`); then
the answer is a fault, never "no such record".  A call may block for that long,
so it does not belong on an event loop (`CyrusStore.server`).

A column that does not compare as bytes is a fault as well: such a server takes
`Fred`, `fr\u00e9d` and `fred ` for the same key, or no key for itself.

A server does not tell when a record changes: `state` is another one each
time, and nothing that was read here may be remembered.

Limits: a standby that is read instead of the primary shows what it has got so
far.
"""

from __future__ import annotations

from gateway.cyrus.db.base import Description
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.db.sql.layout import COLUMNS, DIALECTS, SqlRecords, bounds, table_name
from gateway.cyrus.db.sqlserver.location import ColumnsUnfit
from gateway.errors import (
    ConfigurationError,
    DatabaseDamaged,
    DatabaseMissing,
    DatabaseUnavailable,
    StoreError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from gateway.cyrus.db.filetoken import AbsenceProof, FileProof
    from gateway.cyrus.db.sqlserver.connections import SqlSession
    from gateway.cyrus.db.sqlserver.location import Connect, Rows
    from gateway.cyrus.folderwatch import FolderWatch

# Seconds for which an optional table that had records and has none is being restored, as long
# as nobody has waited for it: a dump makes all tables first, and fills them one by one.
RESTORE_SECONDS = 60.0

# Seconds for which a table that was never there is not asked for again: each question
# would be a line in the server's log.
MISSING_SECONDS = 5.0

# What to say where a driver is not installed: the package of Debian, and that of the index.
_DRIVERS = {
    "pgsql": ("psycopg, version 3", "python3-psycopg", "psycopg"),
    "mysql": ("PyMySQL", "python3-pymysql", "PyMySQL"),
}


def driver(engine: str) -> Connect:
    """What connects to servers of `engine`.  Raises ConfigurationError where it is missing."""
    try:
        if engine == "pgsql":
            from gateway.cyrus.db.sqlserver import pgsql  # noqa: PLC0415  (heavy, and seldom wanted)

            return pgsql.connect
        from gateway.cyrus.db.sqlserver import mysql  # noqa: PLC0415

        return mysql.connect
    except ImportError as error:
        what, package, name = _DRIVERS[engine]
        raise ConfigurationError(
            f"{engine} needs {what}: install the Debian package {package}, or with pip,"
            f" in the gateway's environment, {name} ({error})",
            option="sql_engine",
        ) from error


class ServerTable(SqlRecords, ReopeningDatabase):
    """The table in place of the database file `filename`, as a ReopeningDatabase.

    There is no path to be followed: each question asks the server.  `optional` is
    for a table that need not be there: until it has been seen once, it is looked
    for every MISSING_SECONDS only.
    """

    __slots__ = ("_dialect", "_optional", "_session", "_table_name")

    _fix = "; the column must be BLOB"
    # For gateway/cyrus/keyformat.py: between two statements anything may happen.
    reads_consistently = True

    def __init__(self, session: SqlSession, filename: str, *, optional: bool = False) -> None:
        self._table_name = table_name(filename)
        self._dialect = DIALECTS[session.server.engine]
        name = f"{session.server.name()}/{self._dialect.folded(self._table_name)}"
        super().__init__(name, "sql")
        self._session = session
        self._optional = optional

    def refresh(self) -> None:
        """Nothing: each question is asked afresh."""

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""
        if self._optional:
            found = self.look((key,), (b"",))
            self._require_filled(found.samples[0] is not None)
            return found.values.get(key)
        statement = self._dialect.select_value(self._table_name)
        return self._values(self._select(statement, (key,)), (key,)).get(key)

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, of one committed state, as they come."""
        statement = self._dialect.select_items(self._table_name, prefix)
        try:
            for key, value in self._session.stream(statement, bounds(prefix)):
                yield self._column(key), self._value(value)
        except StoreError as fault:
            raise self._explained(fault) from fault

    def state(self, key: bytes | None = None) -> Hashable:
        """Another one each time: nothing shows that a table has not changed."""
        return object()

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """None: there is no log of the keys."""
        return None

    def count(self) -> int | None:
        """None: the server would read the whole table."""
        return None

    def describe(self) -> Description:
        """Nothing but the format."""
        return Description(self.format)

    @property
    def lineage(self) -> Hashable:
        """Another one each time, too."""
        return object()

    @property
    def was_there(self) -> bool:
        """Whether the table has been seen, by any engine of the process."""
        return self.path in self._session.pool.tables_seen

    def folders(self) -> tuple[str, ...]:
        """None that this machine could watch."""
        return ()

    def get_proved(
        self, key: bytes, watch: FolderWatch | None = None
    ) -> tuple[bytes | None, FileProof | AbsenceProof | None]:
        """`get`, without a proof."""
        return self.get(key), None

    def close(self) -> None:
        """Close the idle connections; the tables of a store share them."""
        self._session.pool.close()

    def _require_filled(self, filled: bool) -> None:
        """Raise DatabaseUnavailable where the table has lost all of its records a moment ago."""
        pool = self._session.pool
        now = pool.clock()
        if filled:
            pool.tables_filled[self.path] = now
        elif now - pool.tables_filled.get(self.path, -RESTORE_SECONDS) < RESTORE_SECONDS:
            self.counts.faults += 1
            raise DatabaseUnavailable(
                self.path,
                "had records a moment ago and has none: it is being restored, or the last one was"
                f" deleted, which is believed after {RESTORE_SECONDS:g} s",
            )

    def _select(self, statement: str, parameters: tuple[bytes, ...]) -> Rows:
        pool = self._session.pool
        if self._optional and not self.was_there:
            moment, problem = pool.tables_missing.get(self.path, (0.0, ""))
            if pool.clock() < moment:
                raise DatabaseMissing(self.path, problem)
        try:
            rows = self._session.rows(statement, parameters)
        except StoreError as fault:
            raise self._explained(fault) from fault
        pool.tables_seen[self.path] = True  # same with False: that it is in there counts
        return rows

    def _explained(self, fault: StoreError) -> StoreError:
        """The fault with the table's name, and with what fixes it."""
        if isinstance(fault, DatabaseMissing):
            pool = self._session.pool
            pool.tables_missing[self.path] = (pool.clock() + MISSING_SECONDS, fault.problem)
            return DatabaseMissing(self.path, fault.problem)
        self.counts.faults += 1
        if not isinstance(fault, ColumnsUnfit):
            return fault
        named = " and ".join(COLUMNS[each] for each in fault.columns)
        fix = self._dialect.mending(self._table_name, fault.columns)
        return DatabaseDamaged(
            self.path,
            f"{named}: {fault.found}, and keys and values are bytes; as the table's owner: {fix}",
        )
