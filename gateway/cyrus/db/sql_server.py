"""Databases that Cyrus keeps in tables of an SQL server (lib/cyrusdb_sql.c): pgsql and mysql.

A `SqlSession` is one connection for all tables of a store.  It is opened when
it is first needed, at the first server of sql_hostnames that takes it, kept
for the next questions, and opened anew after every fault.  A question that
meets a connection that broke meanwhile is asked once more, on a new one.  Each
question is one statement that only reads, with the key as a parameter, so what
is seen is committed.

Everything is over ANSWER_SECONDS after it began; then the answer is a fault,
never "no such record".  A call may block for that long, so it does not belong
on an event loop (`CyrusStore.server`).

A server does not tell when a record changes: `state` is another one each
time, and nothing that was read here may be remembered.

Limits: a standby that is read instead of the primary shows what it has got so
far.  The driver looks names up without a deadline; addresses, or names in
/etc/hosts, have none of that.
"""

from __future__ import annotations

import time

from gateway.cyrus.db.live import LiveDatabase
from gateway.cyrus.db.sql_layout import DIALECTS, table_name
from gateway.errors import (
    ConfigurationError,
    DatabaseDamaged,
    DatabaseMissing,
    DatabaseUnavailable,
    StoreError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from gateway.cyrus.db.sql_address import Connect, Connection, Rows, SqlServer
    from gateway.cyrus.db.stamp import AbsenceProof, FileProof
    from gateway.cyrus.folderwatch import FolderWatch

# Seconds for one question with everything that it takes: a look-up takes a
# millisecond, a failover a second or two, and an MTA waits for half a minute.
ANSWER_SECONDS = 5.0

# Seconds in which a server is not tried again after none of them could be
# reached, so that those who wait in line hear of it soon.
REST_SECONDS = 1.0

# What to say where a driver is not installed: the package of Debian, the extra of this project.
_DRIVERS = {
    "pgsql": ("psycopg, version 3", "python3-psycopg", "pgsql"),
    "mysql": ("PyMySQL", "python3-pymysql", "mysql"),
}


def driver(engine: str) -> Connect:
    """What connects to servers of `engine`.  Raises ConfigurationError where it is missing."""
    try:
        if engine == "pgsql":
            from gateway.cyrus.db import pgsql  # noqa: PLC0415  (heavy, and seldom wanted)

            return pgsql.connect
        from gateway.cyrus.db import mysql  # noqa: PLC0415

        return mysql.connect
    except ImportError as error:
        what, package, extra = _DRIVERS[engine]
        raise ConfigurationError(
            f"{engine} needs {what}: install the Debian package {package}, or the extra with"
            f" pip install 'smmapd[{extra}]' ({error})",
            option="sql_engine",
        ) from error


class SqlSession:
    """The connection of one store; used by one thread at a time.

    `connect` is the driver's, `clock` time.monotonic, or what a test puts in
    their places.
    """

    def __init__(
        self, server: SqlServer, connect: Connect, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.server = server
        self._connect = connect
        self._clock = clock
        self._connection: Connection | None = None
        self._rest = float("-inf")  # when servers may be tried again
        self._last_problem = ""

    def rows(self, statement: str, parameters: tuple[bytes, ...]) -> Rows:
        """All rows of `statement`.  Raises DatabaseUnavailable, of it DatabaseMissing."""
        until = self._clock() + ANSWER_SECONDS
        kept = self._connection
        if kept is not None:
            try:
                return kept.rows(statement, parameters, until)
            except DatabaseMissing:
                raise
            except DatabaseUnavailable:
                self.close()
                if self._clock() >= until:
                    raise
        connection = self._connection = self._connected(until)
        try:
            return connection.rows(statement, parameters, until)
        except DatabaseMissing:
            raise
        except DatabaseUnavailable:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; another call would open it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self, until: float) -> Connection:
        """A new connection, to the first server that takes it; each has its share of the time."""
        server = self.server
        now = self._clock()
        if now < self._rest:
            raise DatabaseUnavailable(
                server.name(), f"not tried for a moment, after: {self._last_problem}"
            )
        problems: list[str] = []
        for position, host in enumerate(server.hosts):
            now = self._clock()
            share = now + (until - now) / (len(server.hosts) - position)
            try:
                return self._connect(server, host, share)
            except DatabaseUnavailable as fault:
                problems.append(str(fault) if len(server.hosts) > 1 else fault.problem)
        self._rest = self._clock() + REST_SECONDS
        self._last_problem = "; ".join(problems)
        raise DatabaseUnavailable(server.name(), self._last_problem)


class ServerTable(LiveDatabase):
    """The table that stands for the database file `filename`, as a LiveDatabase.

    There is no path to be followed: each question asks the server.
    """

    __slots__ = ("_items", "_session", "_table", "_value")

    def __init__(self, session: SqlSession, filename: str) -> None:
        table = table_name(filename)
        dialect = DIALECTS[session.server.engine]
        super().__init__(f"{session.server.name()}/{dialect.folded(table)}", "sql")
        self._session = session
        self._value = dialect.select_value(table)
        self._items = dialect.select_items(table)

    def refresh(self) -> None:
        """Nothing: each question is asked afresh."""

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""
        rows = self._rows(self._value, (key,))
        return self._bytes(rows[-1][0]) if rows else None

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, of one committed state, in memory."""
        for key, value in self._rows(self._items, (prefix, prefix)):
            yield self._bytes(key), self._bytes(value)

    def state(self, key: bytes | None = None) -> Hashable:
        """Another one each time: nothing tells that a table has not changed."""
        return object()

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """None: nobody keeps a log of the keys."""
        return None

    @property
    def lineage(self) -> Hashable:
        """Another one each time, too."""
        return object()

    def folders(self) -> tuple[str, ...]:
        """None that this machine could watch."""
        return ()

    def get_proved(
        self, key: bytes, watch: FolderWatch | None = None
    ) -> tuple[bytes | None, FileProof | AbsenceProof | None]:
        """`get`, without a proof."""
        return self.get(key), None

    def close(self) -> None:
        """Close the connection, which the tables of a store share."""
        self._session.close()

    def _rows(self, statement: str, parameters: tuple[bytes, ...]) -> Rows:
        try:
            return self._session.rows(statement, parameters)
        except StoreError as fault:
            if isinstance(fault, DatabaseMissing):
                raise DatabaseMissing(self.path, fault.problem) from fault
            self.counts.faults += 1
            raise

    def _bytes(self, value: object) -> bytes:
        """A column's value; NULL is an empty one, as for the C program."""
        if value is None:
            return b""
        if not isinstance(value, bytes):
            raise DatabaseDamaged(self.path, "a value that is not bytes; the column must be BLOB")
        return value
