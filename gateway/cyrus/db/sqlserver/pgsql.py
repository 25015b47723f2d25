"""Statements for a PostgreSQL server, through libpq as psycopg wraps it.

libpq's calls that do not wait are used, and this module waits, so that a
server that hangs is given up when the time is over; psycopg's cursors, like
libpq's own waiting calls, have no such end.  Keys and values travel in binary
form: a bytea is the bytes that Cyrus stored.  Rows are taken one by one, so
that what an answer may hold is bounded here, and not by the server.

sql_usessl asks for TLS (sslmode require: as in the C program the
certificate is not checked unless libpq's own settings say so); without it
libpq prefers TLS where the server has it.

Limits: a server whose messages are not English is not understood where it has
no connection left; what it says is then a fault like others.

Importing this module needs psycopg 3 and libpq.
"""

from __future__ import annotations

import select
import time

from psycopg import Error, pq

from gateway.cyrus.db.sqlserver.location import (
    MORE_CONNECTIONS,
    ColumnsUnfit,
    TooManyConnections,
    as_written,
    bounded,
)
from gateway.errors import DatabaseMissing, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gateway.cyrus.db.sqlserver.location import Host, Rows, SqlServer

_BYTEA = 17  # the type's number in pg_type
_BINARY = pq.Format.BINARY
# PostgreSQL's appendix "Error Codes".
_UNDEFINED_TABLE = b"42P01"
_UNDEFINED_FUNCTION = b"42883"  # also of an operator, as for `text = bytea`

# The server's words for having no connection left, for anybody or for us.
_NONE_LEFT = ("too many", "remaining connection slots")


class PgConnection:
    """One connection; see gateway.cyrus.db.sqlserver.location.Connection."""

    def __init__(self, name: str, pgconn: pq.abc.PGconn, seconds: float) -> None:
        self._name = name
        self._pgconn = pgconn
        self._seconds = seconds

    def rows(self, statement: str, parameters: tuple[bytes, ...], until: float) -> Rows:
        """All rows of a statement, before `until` (time.monotonic)."""
        return bounded(self._name, self._rows(statement, parameters, lambda: until))

    def stream(
        self, statement: str, parameters: tuple[bytes, ...], patience: float
    ) -> Iterator[tuple[bytes | None, ...]]:
        """The rows one by one; `patience` is in seconds, for each wait for the server."""

        def until() -> float:
            return time.monotonic() + patience

        self.limit(0, until())
        yield from self._rows(statement, parameters, until)
        self.limit(self._seconds, until())

    def limit(self, seconds: float, until: float) -> None:
        """Have the server end a statement after so long, 0: never.

        One that waits for a lock would else go on after we have left, and keep a connection.
        """
        statement = f"SET statement_timeout = {int(seconds * 1000)}"
        for _ in self._rows(statement, (), lambda: until, rows=False):
            pass

    def close(self) -> None:
        """Let go of the connection."""
        self._pgconn.finish()

    def _rows(
        self,
        statement: str,
        parameters: tuple[bytes, ...],
        until: Callable[[], float],
        *,
        rows: bool = True,
    ) -> Iterator[tuple[bytes | None, ...]]:
        """The rows as they come; the connection is of use again when all have been taken."""
        fault: Exception | None = None
        last = None
        try:
            self._send(statement, parameters, until())
            while (result := self._next(until())) is not None:
                last = result
                if result.status not in (pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK):
                    continue
                fault = fault or self._unfit(result)
                for row in range(result.ntuples if fault is None else 0):
                    yield tuple(result.get_value(row, each) for each in range(result.nfields))
        except (Error, OSError) as error:
            raise DatabaseUnavailable(self._name, f"PostgreSQL: {_line(str(error))}") from error
        wanted = pq.ExecStatus.TUPLES_OK if rows else pq.ExecStatus.COMMAND_OK
        if last is None or last.status != wanted:
            raise self._refused(last)
        if fault is not None:
            raise fault

    def _send(self, statement: str, parameters: tuple[bytes, ...], until: float) -> None:
        pgconn = self._pgconn
        pgconn.send_query_params(
            statement.encode(),
            parameters,
            param_types=[_BYTEA] * len(parameters),
            param_formats=[_BINARY] * len(parameters),
            result_format=_BINARY,
        )
        pgconn.set_single_row_mode()
        while pgconn.flush():
            _wait(self._name, pgconn, select.POLLIN | select.POLLOUT, until)
            pgconn.consume_input()

    def _next(self, until: float) -> pq.abc.PGresult | None:
        pgconn = self._pgconn
        while pgconn.is_busy():
            _wait(self._name, pgconn, select.POLLIN, until)
            pgconn.consume_input()
        return pgconn.get_result()

    def _unfit(self, result: pq.abc.PGresult) -> ColumnsUnfit | None:
        """What is wrong with the columns: text, for one, may compare otherwise."""
        places = [place for place in range(min(2, result.nfields)) if result.ftype(place) != _BYTEA]
        return ColumnsUnfit(self._name, tuple(places), _NOT_BYTEA) if places else None

    def _refused(self, result: pq.abc.PGresult | None) -> DatabaseUnavailable | ColumnsUnfit:
        """What the server said instead of rows."""
        if result is None:
            return DatabaseUnavailable(self._name, "PostgreSQL: no result")
        problem = f"PostgreSQL: {_line(result.error_message.decode('utf-8', 'replace'))}"
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        if state == _UNDEFINED_TABLE:
            return DatabaseMissing(self._name, problem)
        if state == _UNDEFINED_FUNCTION:
            return ColumnsUnfit(self._name, (0,), f"{_NOT_BYTEA} ({problem})")
        return DatabaseUnavailable(self._name, problem)


_NOT_BYTEA = "the column is not of type bytea"


def connect(
    server: SqlServer, host: Host, until: float, address: str | None = None
) -> PgConnection:
    """A connection to `host` before `until`.  Raises DatabaseUnavailable."""
    name = server.name(host)
    given = {
        "host": host.name,
        "hostaddr": address or "",
        "port": str(host.port or ""),
        "user": server.user,
        "password": server.password,
        "dbname": server.database,
        "sslmode": "require" if server.tls else "",
    }
    pgconn = pq.PGconn.connect_start(_conninfo(given))
    try:
        _finish_connecting(name, pgconn, until)
        pgconn.nonblocking = 1  # same with 2: libpq asks only whether it is 0
        connection = PgConnection(name, pgconn, server.seconds)
        connection.limit(server.seconds, until)
    except (Error, OSError) as error:
        pgconn.finish()
        raise DatabaseUnavailable(name, f"PostgreSQL: {_line(str(error))}") from error
    except DatabaseUnavailable:
        pgconn.finish()
        raise
    return connection


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
            kind = DatabaseUnavailable
            if any(words in problem for words in _NONE_LEFT):
                kind, problem = TooManyConnections, f"{problem}; {MORE_CONNECTIONS}"
            raise kind(name, f"PostgreSQL: cannot connect: {problem}")
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
