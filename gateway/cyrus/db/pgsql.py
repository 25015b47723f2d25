"""Statements for a PostgreSQL server, through libpq as psycopg wraps it.

libpq's calls that do not wait are used, and this module waits, so that a
server that hangs is given up when the time is over; psycopg's cursors, like
libpq's own waiting calls, have no such end.  Keys and values travel in binary
form: a bytea is the bytes that Cyrus stored.

sql_usessl asks for TLS (sslmode require: as in the C program the
certificate is not checked unless libpq's own settings say so); without it
libpq prefers TLS where the server has it.

Importing this module needs psycopg 3 and libpq.
"""

from __future__ import annotations

import select
import time

from psycopg import Error, pq

from gateway.cyrus.db.sql_address import as_written
from gateway.errors import DatabaseMissing, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.cyrus.db.sql_address import Host, SqlServer

_BYTEA = 17  # the type's number in pg_type
_BINARY = pq.Format.BINARY
_UNDEFINED_TABLE = b"42P01"  # PostgreSQL's appendix "Error Codes"


class PgConnection:
    """One connection; see gateway.cyrus.db.sql_server.Connection."""

    def __init__(self, name: str, pgconn: pq.abc.PGconn) -> None:
        self._name = name
        self._pgconn = pgconn

    def rows(
        self, statement: str, parameters: tuple[bytes, ...], until: float
    ) -> list[tuple[bytes | None, ...]]:
        """All rows of a statement, before `until` (time.monotonic)."""
        pgconn = self._pgconn
        try:
            pgconn.send_query_params(
                statement.encode(),
                parameters,
                param_types=[_BYTEA] * len(parameters),
                param_formats=[_BINARY] * len(parameters),
                result_format=_BINARY,
            )
            while pgconn.flush():
                _wait(self._name, pgconn, select.POLLIN | select.POLLOUT, until)
                pgconn.consume_input()
            last: pq.abc.PGresult | None = None
            while True:
                while pgconn.is_busy():
                    _wait(self._name, pgconn, select.POLLIN, until)
                    pgconn.consume_input()
                result = pgconn.get_result()
                if result is None:
                    break
                last = result
        except (Error, OSError) as error:
            raise DatabaseUnavailable(self._name, f"PostgreSQL: {_line(str(error))}") from error
        if last is None or last.status != pq.ExecStatus.TUPLES_OK:
            raise self._refused(last)
        return [
            tuple(last.get_value(row, column) for column in range(last.nfields))
            for row in range(last.ntuples)
        ]

    def close(self) -> None:
        """Let go of the connection."""
        self._pgconn.finish()

    def _refused(self, result: pq.abc.PGresult | None) -> DatabaseUnavailable:
        """What the server said instead of rows."""
        if result is None:
            return DatabaseUnavailable(self._name, "PostgreSQL: no result")
        problem = f"PostgreSQL: {_line(result.error_message.decode('utf-8', 'replace'))}"
        if result.error_field(pq.DiagnosticField.SQLSTATE) == _UNDEFINED_TABLE:
            return DatabaseMissing(self._name, problem)
        return DatabaseUnavailable(self._name, problem)


def connect(server: SqlServer, host: Host, until: float) -> PgConnection:
    """A connection to `host` before `until`.  Raises DatabaseUnavailable."""
    name = server.name(host)
    given = {
        "host": host.name,
        "port": str(host.port or ""),
        "user": server.user,
        "password": server.password,
        "dbname": server.database,
        "sslmode": "require" if server.tls else "",
    }
    pgconn = pq.PGconn.connect_start(_conninfo(given))
    try:
        _finish_connecting(name, pgconn, until)
        pgconn.nonblocking = 1
    except (Error, OSError) as error:
        pgconn.finish()
        raise DatabaseUnavailable(name, f"PostgreSQL: {_line(str(error))}") from error
    except DatabaseUnavailable:
        pgconn.finish()
        raise
    return PgConnection(name, pgconn)


def _conninfo(given: Mapping[str, str]) -> bytes:
    """libpq's connection string; the values are bytes of imapd.conf, which need not be UTF-8."""
    parts = []
    for key, value in given.items():
        if value:
            quoted = as_written(value).replace(b"\\", b"\\\\").replace(b"'", b"\\'")
            parts.append(b"%b='%b'" % (key.encode(), quoted))
    return b" ".join(parts)


def _finish_connecting(name: str, pgconn: pq.abc.PGconn, until: float) -> None:
    polling = pq.PollingStatus
    state = polling.WRITING if pgconn.status != pq.ConnStatus.BAD else polling.FAILED
    while state != polling.OK:
        if state == polling.FAILED:
            problem = _line(pgconn.error_message.decode("utf-8", "replace"))
            raise DatabaseUnavailable(name, f"PostgreSQL: cannot connect: {problem}")
        _wait(name, pgconn, select.POLLIN if state == polling.READING else select.POLLOUT, until)
        state = polling(pgconn.connect_poll())


def _wait(name: str, pgconn: pq.abc.PGconn, events: int, until: float) -> None:
    """Wait until the server's socket is ready for one of `events`."""
    left = until - time.monotonic()
    poll = select.poll()
    poll.register(pgconn.socket, events)
    if left <= 0 or not poll.poll(left * 1000):
        raise DatabaseUnavailable(name, "PostgreSQL: no answer within the deadline")


def _line(text: str) -> str:
    """The server's words in one line."""
    return " ".join(text.split())
