"""Statements for a MariaDB or MySQL server, through PyMySQL.

As with the C client's library, no host or `localhost` is the Unix socket of
the local server, whatever the port, and sql_usessl asks for TLS without
checking the certificate.

Rows are taken one by one, so that what an answer may hold is bounded here, and
not by the server.

Limits: the deadline holds for each wait for the server, of which a look-up has
a few.  Accounts that log in with caching_sha2_password over TCP without TLS need
the Python package cryptography.

Importing this module needs PyMySQL.
"""

from __future__ import annotations

import math
import time

import pymysql
from pymysql.constants import ER, FIELD_TYPE
from pymysql.cursors import SSCursor

from gateway.cyrus.db.sqlserver.location import (
    MORE_CONNECTIONS,
    ColumnsUnfit,
    TooManyConnections,
    as_written,
    bounded,
)
from gateway.errors import DatabaseMissing, DatabaseUnavailable, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.cyrus.db.sqlserver.location import Host, Rows, SqlServer

# Where the local server listens, in Debian's builds of MariaDB and MySQL.
LOCAL_SOCKET = "/run/mysqld/mysqld.sock"
_PORT = 3306
# PyMySQL refuses a time of 0 seconds.
_SHORTEST = 0.001


# The number of the character set `binary`, in which bytes are bytes.
_BINARY = 63
# Of the types with that character set, one fills what it holds up with NUL bytes.
_PADDED = FIELD_TYPE.STRING

_NONE_LEFT = frozenset((ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED))


class MyConnection:
    """One connection; see gateway.cyrus.db.sqlserver.location.Connection."""

    def __init__(
        self, name: str, connection: pymysql.connections.Connection, seconds: float
    ) -> None:
        self._name = name
        self._connection = connection
        self._seconds = seconds

    def rows(self, statement: str, parameters: tuple[bytes, ...], until: float) -> Rows:
        """All rows of a statement, before `until` (time.monotonic)."""
        return bounded(self._name, self._rows(statement, parameters, lambda: until))

    def stream(
        self, statement: str, parameters: tuple[bytes, ...], patience: float
    ) -> Iterator[tuple[object, ...]]:
        """The rows one by one; `patience` is in seconds, for each wait for the server."""

        def until() -> float:
            return time.monotonic() + patience

        for _ in self._rows(limit(0), (), until):
            pass
        yield from self._rows(statement, parameters, until)
        for _ in self._rows(limit(self._seconds), (), until):
            pass

    def _rows(
        self, statement: str, parameters: tuple[bytes, ...], until: Callable[[], float]
    ) -> Iterator[tuple[object, ...]]:
        """The rows as they come; the connection is of use again when all have been taken."""
        try:
            self._wait_until(until())
            with self._connection.cursor(SSCursor) as cursor:
                cursor.execute(statement, parameters)
                unfit = _unfit(cursor)
                if unfit:
                    raise ColumnsUnfit(self._name, unfit, _NOT_BINARY)
                while True:
                    self._wait_until(until())
                    row = cursor.fetchone()
                    if row is None:
                        return
                    yield row
        except (StoreError, GeneratorExit):
            raise
        # What a server sends that is none becomes any exception in PyMySQL.
        except Exception as error:
            if error.args and error.args[0] == ER.NO_SUCH_TABLE:
                raise DatabaseMissing(self._name, f"MySQL: {_words(error)}") from error
            raise DatabaseUnavailable(self._name, f"MySQL: {_words(error)}") from error

    def _wait_until(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise DatabaseUnavailable(self._name, "MySQL: no answer within the deadline")
        # PyMySQL has no other way to give each question its own time: it sets the
        # socket's before each read and write.
        self._connection._read_timeout = self._connection._write_timeout = left

    def close(self) -> None:
        """Let go of the connection, without a word to a server that may be gone."""
        # close() would send COM_QUIT, and raises where that has been done.
        self._connection._force_close()


_NOT_BINARY = "the column is not of a type for bytes as they are (VARBINARY, BLOB)"


def _unfit(cursor: SSCursor) -> tuple[int, ...]:
    """The places of columns that ignore case, accents or blanks, or add bytes, in a comparison."""
    fields = (cursor._result.fields or ())[:2] if cursor.description else ()
    return tuple(
        place
        for place, field in enumerate(fields)
        if field.charsetnr != _BINARY or (field.type_code == _PADDED and place == 0)
    )


def limit(seconds: float) -> str:
    """The statement that has the server end others after so long, 0: never.

    One that waits for a lock would else go on after we have left, and keep a connection.
    MariaDB and MySQL have different names for it, in comments that the other ignores.
    """
    return (
        f"SET SESSION lock_wait_timeout = {max(1, math.ceil(seconds)) if seconds else 86400}"
        f" /*M!100101 , SESSION max_statement_time = {seconds:g} */"
        f" /*!50708 , SESSION max_execution_time = {int(seconds * 1000)} */"
    )


def connect(
    server: SqlServer, host: Host, until: float, address: str | None = None
) -> MyConnection:
    """A connection to `host` before `until`.  Raises DatabaseUnavailable."""
    name = server.name(host)
    left = max(_SHORTEST, until - time.monotonic())
    path = host.name if host.name.startswith("/") else None
    if host.name in ("", "localhost"):
        path = LOCAL_SOCKET
    try:
        connection = pymysql.connect(
            host=address or host.name or "localhost",
            port=host.port or _PORT,
            unix_socket=path,
            # The bytes of imapd.conf, as the C program sends them; of text PyMySQL would
            # make Latin-1.
            user=as_written(server.user) or None,
            password=as_written(server.password),
            database=as_written(server.database),
            connect_timeout=left,
            read_timeout=left,
            write_timeout=left,
            autocommit=True,
            init_command=limit(server.seconds),
            # A dictionary without an authority: TLS, and no check of the certificate.
            ssl={"check_hostname": False} if server.tls else None,
        )
    # See `rows`; and where the package cryptography is wanted, a RuntimeError says so.
    except Exception as error:
        problem = f"MySQL: cannot connect: {_words(error)}"
        if error.args and error.args[0] in _NONE_LEFT:
            raise TooManyConnections(name, f"{problem}; {MORE_CONNECTIONS}") from error
        raise DatabaseUnavailable(name, problem) from error
    return MyConnection(name, connection, server.seconds)


def _words(error: Exception) -> str:
    """The fault in one line: PyMySQL gives a number and words."""
    known = isinstance(error, (pymysql.MySQLError, OSError))
    text = " ".join(map(str, error.args)) if known else str(error)
    return " ".join(text.split()) or type(error).__name__
