"""Statements for a MariaDB or MySQL server, through PyMySQL.

As with the C client's library, no host or `localhost` is the Unix socket of
the local server, whatever the port, and sql_usessl asks for TLS without
checking the certificate.

Limits: the deadline holds for each wait for the server, of which a look-up has
two.  Accounts that log in with caching_sha2_password over TCP without TLS need
the Python package cryptography.

Importing this module needs PyMySQL.
"""

from __future__ import annotations

import time

import pymysql
from pymysql.constants import ER

from gateway.cyrus.db.sql_address import as_written
from gateway.errors import DatabaseMissing, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.sql_address import Host, SqlServer

# Where the local server listens, in Debian's builds of MariaDB and MySQL.
LOCAL_SOCKET = "/run/mysqld/mysqld.sock"
_PORT = 3306
# PyMySQL refuses a time of 0 seconds.
_SHORTEST = 0.001


class MyConnection:
    """One connection; see gateway.cyrus.db.sql_server.Connection."""

    def __init__(self, name: str, connection: pymysql.connections.Connection) -> None:
        self._name = name
        self._connection = connection

    def rows(
        self, statement: str, parameters: tuple[bytes, ...], until: float
    ) -> list[tuple[object, ...]]:
        """All rows of a statement, before `until` (time.monotonic)."""
        left = until - time.monotonic()
        if left <= 0:
            raise DatabaseUnavailable(self._name, "MySQL: no answer within the deadline")
        # PyMySQL has no other way to give each question its own time: it sets the
        # socket's before each read and write.
        self._connection._read_timeout = self._connection._write_timeout = left
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall())
        # What a server sends that is none becomes any exception in PyMySQL.
        except Exception as error:
            if error.args and error.args[0] == ER.NO_SUCH_TABLE:
                raise DatabaseMissing(self._name, f"MySQL: {_words(error)}") from error
            raise DatabaseUnavailable(self._name, f"MySQL: {_words(error)}") from error

    def close(self) -> None:
        """Let go of the connection, without a word to a server that may be gone."""
        # close() would send a farewell, and raises where that has been done.
        self._connection._force_close()


def connect(server: SqlServer, host: Host, until: float) -> MyConnection:
    """A connection to `host` before `until`.  Raises DatabaseUnavailable."""
    name = server.name(host)
    left = max(_SHORTEST, until - time.monotonic())
    path = host.name if host.name.startswith("/") else None
    if host.name in ("", "localhost"):
        path = LOCAL_SOCKET
    try:
        connection = pymysql.connect(
            host=host.name or "localhost",
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
            # A dictionary without an authority: TLS, and no check of the certificate.
            ssl={"check_hostname": False} if server.tls else None,
        )
    # See `rows`; and where the package cryptography is wanted, a RuntimeError says so.
    except Exception as error:
        raise DatabaseUnavailable(name, f"MySQL: cannot connect: {_words(error)}") from error
    return MyConnection(name, connection)


def _words(error: Exception) -> str:
    """The fault in one line: PyMySQL gives a number and words."""
    known = isinstance(error, (pymysql.MySQLError, OSError))
    text = " ".join(map(str, error.args)) if known else str(error)
    return " ".join(text.split()) or type(error).__name__
