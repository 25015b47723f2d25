"""The connections of one process to an SQL server, which all its engines share.

A question borrows the connection that was used last, so that those that are
not needed grow old and are closed.  At most `size` are open.  Where no
connection can be made while others are open, as where the server has none
left for us, the question waits for one of those until its deadline.

The servers of sql_hostnames are tried in their order; one that has failed
comes last for a while, for every engine alike.  Each has its share of the
time, and so has a pooled connection: one that hangs leaves time for
the next server.  A connection to another server than the first is given up
after RETURN_SECONDS, so that the first one is used again once it is back.

Names are looked up by `lookup`, which keeps a deadline, and the addresses are
handed to the driver; without one the driver looks them up, however long it takes.

Several threads share a pool without a lock: what they share are lists and
dicts with atomic operations.  Every call may block up to its deadline.
"""

from __future__ import annotations

import time

from gateway.cyrus.db.sqlserver.location import ANSWER_SECONDS, TooManyConnections
from gateway.errors import DatabaseMissing, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.cyrus.db.sqlserver.location import Connect, Host, Rows, SqlConnection, SqlServer

    SocketAddress = tuple[str, int] | tuple[str, int, int, int]
    # Host, port and the last moment give families and addresses; raises OSError.  The same as
    # in gateway/upstream/connection.py, a room that is above this one.
    Lookup = Callable[[str, int, float], Sequence[tuple[int, SocketAddress]]]

# Connections of one process: PostgreSQL has a hundred as a rule, for everybody.
POOL_SIZE = 4  # only a bound

# Seconds in which a server is not tried again after none of them could be
# reached, so that those that wait hear of it soon.
REST_SECONDS = 1.0

# Seconds for which a server that has failed comes after the others.
LAST_SECONDS = 10.0

# Seconds after which a connection to another server than the first is given up.
RETURN_SECONDS = 60.0

# Seconds that an idle connection stays in the pool.
MAX_IDLE_TIME = 30.0

# Seconds between two looks at whether a connection has become free, and between two
# attempts to get one more of a server that has none left.
PAUSE = 0.01
AGAIN_SECONDS = 0.1

# Addresses of a name that are tried.
MAX_ADDRESSES = 4  # only a bound

# Seconds that each row of a listing may take.
LISTING_SECONDS = 60.0


class _PooledConnection:
    """A connection, where it leads, since when it has been open and idle, and if it was used."""

    __slots__ = ("connection", "host", "idle_since", "since", "used")

    def __init__(self, connection: SqlConnection, host: Host, now: float) -> None:
        self.connection = connection
        self.host = host
        self.since = self.idle_since = now
        self.used = False


class SqlPool:
    """Connections to `server`; `size` and `deadline` (seconds) are those of gateway.toml's [sql].

    `connect` is the driver's.  `clock` is time.monotonic and `pause` time.sleep,
    or what a test puts in their places.
    """

    def __init__(
        self,
        server: SqlServer,
        connect: Connect,
        *,
        size: int = POOL_SIZE,
        deadline: float = ANSWER_SECONDS,
        lookup: Lookup | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server = server
        self.size = size
        self.deadline = deadline
        self.clock = clock
        # What engines have learnt of tables, for all of them: see ServerTable.
        self.tables_seen: dict[str, bool] = {}
        self.tables_missing: dict[str, tuple[float, str]] = {}
        self.tables_filled: dict[str, float] = {}  # when each was last seen with a record
        self._connect = connect
        self._lookup = lookup
        self._pause = pause
        self._idle: list[_PooledConnection] = []
        self._places = [True] * size  # the right to open one more connection, each
        self._failed: dict[Host, float] = {}  # until when a server comes last
        self._rest = float("-inf")  # when servers may be tried again
        self._last_problem = ""
        self._retired = False

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return self.size - len(self._places)

    def rows(self, statement: str, parameters: tuple[bytes, ...], until: float) -> Rows:
        """All rows of `statement`, over at `until`.

        A question that meets a connection that broke while it was idle is asked
        once more, on a new one.  Raises DatabaseUnavailable, of it DatabaseMissing,
        and DatabaseDamaged.
        """
        pooled = self._borrow(until)
        now = self.clock()
        share = now + (until - now) / 2 if pooled.used else until
        try:
            return self._asked(pooled, statement, parameters, share)
        except DatabaseMissing:
            raise
        except DatabaseUnavailable:
            if not pooled.used or self.clock() >= until:
                raise
            self._comes_last(pooled.host)
        # Those that were idle beside it are no better.
        self.close()
        return self._asked(self._borrow(until), statement, parameters, until)

    def stream(self, statement: str, parameters: tuple[bytes, ...]) -> Iterator[tuple[object, ...]]:
        """The rows of `statement` one by one, on a connection of their own."""
        pooled = self._borrow(self.clock() + self.deadline)
        done = False
        try:
            yield from pooled.connection.stream(statement, parameters, LISTING_SECONDS)
            done = True
        finally:
            if done:
                self._give_back(pooled)
            else:
                self._drop(pooled)

    def sweep(self) -> None:
        """Close connections that have been idle for long; never waits."""
        now = self.clock()
        used = []
        while (pooled := self._pop(0)) is not None:
            if now - pooled.idle_since < MAX_IDLE_TIME:  # same with <=: the same moment
                used.append(pooled)
            else:
                self._drop(pooled)
        self._idle[:0] = used

    def close(self) -> None:
        """Close the idle connections."""
        while (pooled := self._pop()) is not None:
            self._drop(pooled)

    def retire(self) -> None:
        """Others serve now: one connection is enough for the clients that are still here."""
        self._retired = True
        # same with 1: any one may stay
        while len(self._idle) > 1 and (pooled := self._pop(0)) is not None:
            self._drop(pooled)

    def _asked(
        self, pooled: _PooledConnection, statement: str, parameters: tuple[bytes, ...], until: float
    ) -> Rows:
        sound = False
        try:
            rows = pooled.connection.rows(statement, parameters, until)
            sound = True
            return rows
        except DatabaseMissing:
            sound = True
            raise
        finally:
            if sound:
                self._give_back(pooled)
            else:
                self._drop(pooled)

    def _borrow(self, until: float) -> _PooledConnection:
        """An idle connection, a new one, or the next that becomes free."""
        again = float("-inf")
        problem = ""
        while True:
            pooled = self._pop()
            now = self.clock()
            if pooled is not None:
                if self._is_worth_keeping(pooled, now):
                    return pooled
                self._drop(pooled)
                continue
            if now >= until:
                raise DatabaseUnavailable(
                    self.server.name(),
                    problem or f"not asked within {self.deadline:g} s: too many wait for it",
                )
            if now >= again and self._take_place():  # same with >: the same moment
                try:
                    return self._opened(until)
                except DatabaseUnavailable as fault:
                    problem = fault.problem
                    # Where others have one, the server is there for them; theirs will do.
                    if not isinstance(fault, TooManyConnections) and not self.open:
                        raise
                    again = self.clock() + AGAIN_SECONDS
            self._pause(min(PAUSE, max(0.0, until - now)))

    def _is_worth_keeping(self, pooled: _PooledConnection, now: float) -> bool:
        first = pooled.host == self.server.hosts[0]
        return first or now - pooled.since < RETURN_SECONDS

    def _take_place(self) -> bool:
        if self._retired and self.open:
            return False
        try:
            return self._places.pop()
        except IndexError:
            return False

    def _pop(self, place: int = -1) -> _PooledConnection | None:
        try:
            return self._idle.pop(place)
        except IndexError:
            return None

    def _give_back(self, pooled: _PooledConnection) -> None:
        pooled.used = True
        pooled.idle_since = self.clock()
        if self._retired and self.open > 1:
            self._drop(pooled)
        else:
            self._idle.append(pooled)

    def _drop(self, pooled: _PooledConnection) -> None:
        try:
            pooled.connection.close()
        finally:
            self._places.append(True)

    def _opened(self, until: float) -> _PooledConnection:
        """A new connection; the place for it is given back where there is none."""
        opened = False
        try:
            pooled = self._connected(until)
            opened = True
            return pooled
        finally:
            if not opened:
                self._places.append(True)

    def _connected(self, until: float) -> _PooledConnection:
        """To the first server that takes us; each has its share of the time."""
        server = self.server
        if self.clock() < self._rest:
            raise DatabaseUnavailable(
                server.name(), f"not tried for a moment, after: {self._last_problem}"
            )
        problems: list[str] = []
        hosts = self._in_order()
        busy = False
        for position, host in enumerate(hosts):
            now = self.clock()
            share = now + (until - now) / (len(hosts) - position)
            try:
                connection = self._connected_to(host, share)
            except DatabaseUnavailable as fault:
                busy = busy or isinstance(fault, TooManyConnections)
                problems.append(str(fault) if len(hosts) > 1 else fault.problem)
                self._comes_last(host)
                continue
            self._failed.pop(host, None)
            return _PooledConnection(connection, host, self.clock())
        problem = "; ".join(problems)
        if busy:
            raise TooManyConnections(server.name(), problem)
        if self.open <= 1:
            self._rest = self.clock() + REST_SECONDS
            self._last_problem = problem
        raise DatabaseUnavailable(server.name(), problem)

    def _connected_to(self, host: Host, until: float) -> SqlConnection:
        """To one of the host's addresses, each with its share of the time."""
        addresses = self._addresses(host, until)
        for position, address in enumerate(addresses):
            now = self.clock()
            share = now + (until - now) / (len(addresses) - position)
            try:
                return self._connect(self.server, host, share, address)
            except DatabaseUnavailable:
                if position + 1 == len(addresses):
                    raise
        raise AssertionError("there is a last address")

    def _addresses(self, host: Host, until: float) -> Sequence[str | None]:
        """The addresses of a name; None where the driver knows by itself where the host is."""
        if self._lookup is None or not self.server.has_name(host):
            return (None,)
        name = self.server.name(host)
        try:
            found = self._lookup(host.name, host.port or 0, until)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DatabaseUnavailable(
                name, f"the name {host.name} cannot be looked up: {reason}"
            ) from error
        if not found:
            raise DatabaseUnavailable(name, f"the name {host.name} has no address")
        return list(dict.fromkeys(address[0] for _family, address in found))[:MAX_ADDRESSES]

    def _in_order(self) -> list[Host]:
        """The servers; those that failed a short time ago come last."""
        now = self.clock()
        failed = self._failed
        return sorted(self.server.hosts, key=lambda host: now < failed.get(host, now))

    def _comes_last(self, host: Host) -> None:
        self._failed[host] = self.clock() + LAST_SECONDS


class SqlSession:
    """What one engine asks of a pool; used by one thread at a time.

    `begin` says that a question has come; all statements until the next one
    share its deadline.
    """

    __slots__ = ("_until", "pool")

    def __init__(self, pool: SqlPool) -> None:
        self.pool = pool
        self._until: float | None = None

    @property
    def server(self) -> SqlServer:
        """Where the tables are."""
        return self.pool.server

    def begin(self, since: float | None) -> None:
        """A question came at `since`; None: each statement is one of its own."""
        self._until = None if since is None else since + self.pool.deadline

    def rows(self, statement: str, parameters: tuple[bytes, ...]) -> Rows:
        """All rows of `statement`; raises as SqlPool.rows."""
        until = self._until
        if until is None:
            until = self.pool.clock() + self.pool.deadline
        return self.pool.rows(statement, parameters, until)

    def stream(self, statement: str, parameters: tuple[bytes, ...]) -> Iterator[tuple[object, ...]]:
        """The rows one by one."""
        return self.pool.stream(statement, parameters)
