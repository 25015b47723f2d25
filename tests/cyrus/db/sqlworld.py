"""SQL servers that a test takes down, with what they were asked, and a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.cyrus.db.sqlserver.connections import SqlPool, SqlSession
from gateway.cyrus.db.sqlserver.location import Host, SqlServer
from gateway.cyrus.db.sqlserver.servertable import ServerTable
from gateway.errors import DatabaseUnavailable

SERVER = SqlServer("pgsql", "cyrus", (Host("a"), Host("b", 7)), user="u", password="hidden")


class World:
    """The servers; `pool` and `table` are ours on them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.down: dict[str, Exception] = {}
        self.records: dict[bytes, object] = {b"k": b"v"}
        self.tried: list[tuple[str, float]] = []
        self.addresses: list[str | None] = []
        self.asked: list[tuple[str, tuple[bytes, ...]]] = []
        self.left: list[float] = []  # the time that each question had
        self.faults: list[Exception] = []
        self.before: Callable[[], None] | None = None  # called at each question
        self.paused: Callable[[], None] | None = None  # called while somebody waits
        self.open = 0

    def refuse(self, *hosts: str) -> None:
        """These are down."""
        self.down = {host: DatabaseUnavailable(host, "refused") for host in hosts}

    def connect(
        self, _server: SqlServer, host: Host, until: float, address: str | None = None
    ) -> Connection:
        """A driver's connect."""
        self.tried.append((host.name, until - self.now))
        self.addresses.append(address)
        if host.name in self.down:
            raise self.down[host.name]
        self.open += 1
        return Connection(self, host.name)

    def pause(self, seconds: float) -> None:
        """Time passes for who waits."""
        self.now += seconds
        if self.paused is not None:
            self.paused()

    def pool(self, server: SqlServer = SERVER, size: int = 4) -> SqlPool:
        """A pool with these servers."""
        return SqlPool(server, self.connect, size=size, clock=lambda: self.now, pause=self.pause)

    def table(self, *, optional: bool = False) -> ServerTable:
        """The mailbox list."""
        session = SqlSession(self.pool())
        return ServerTable(session, "/var/lib/cyrus/Mailboxes.db", optional=optional)


class Connection:
    """One connection to the world."""

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._host = host

    def rows(
        self, statement: str, parameters: tuple[bytes, ...], until: float
    ) -> list[tuple[object, ...]]:
        """The next fault, or the rows."""
        world = self._world
        world.asked.append((statement, parameters))
        world.left.append(until - world.now)
        if world.before is not None:
            world.before()
        if world.faults:
            raise world.faults.pop(0)
        if world.now > until:
            raise DatabaseUnavailable(self._host, "no answer within the deadline")
        found: list[tuple[object, ...]] = [
            (key, value, key) for key, value in world.records.items() if key in parameters
        ]
        if "NULL" in statement:
            found += [(*record, None) for record in world.records.items()]
        return found

    def stream(
        self, statement: str, parameters: tuple[bytes, ...], _patience: float
    ) -> Iterator[tuple[object, ...]]:
        """All records, one by one."""
        self._world.asked.append((statement, parameters))
        yield from self._world.records.items()

    def close(self) -> None:
        """One less."""
        self._world.open -= 1
