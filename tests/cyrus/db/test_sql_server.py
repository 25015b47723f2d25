"""SQL servers: one connection kept, failover, deadlines, and faults that stay temporary."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable

import pytest

from gateway.cyrus.db import sql_server
from gateway.cyrus.db.sql_address import Host, SqlServer
from gateway.cyrus.db.sql_server import ServerTable, SqlSession
from gateway.errors import (
    ConfigurationError,
    DatabaseDamaged,
    DatabaseMissing,
    DatabaseUnavailable,
)
from tests.rigs.require import require_module

SERVER = SqlServer("pgsql", "cyrus", (Host("a"), Host("b", 7)), user="u", password="hidden")
SHORT_S = 0.2
GONE = DatabaseUnavailable("server", "it is gone")


class World:
    """Servers that a test takes down, what they were asked, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.down: set[str] = set()
        self.records: dict[bytes, object] = {b"k": b"v"}
        self.tried: list[tuple[str, float]] = []
        self.asked: list[tuple[str, tuple[bytes, ...]]] = []
        self.faults: list[Exception] = []
        self.before: Callable[[], None] | None = None  # called at each question
        self.open = 0

    def connect(self, _server: SqlServer, host: Host, until: float) -> Connection:
        """A driver's connect."""
        self.tried.append((host.name, until - self.now))
        if host.name in self.down:
            raise DatabaseUnavailable(host.name, "refused")
        self.open += 1
        return Connection(self)

    def session(self, server: SqlServer = SERVER) -> SqlSession:
        """A session with these servers."""
        return SqlSession(server, self.connect, lambda: self.now)

    def table(self) -> ServerTable:
        """The mailbox list."""
        return ServerTable(self.session(), "/var/lib/cyrus/Mailboxes.db")


class Connection:
    """One connection to the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def rows(
        self, statement: str, parameters: tuple[bytes, ...], _until: float
    ) -> list[tuple[object, ...]]:
        """The next fault, or the rows."""
        world = self._world
        world.asked.append((statement, parameters))
        if world.before is not None:
            world.before()
        if world.faults:
            raise world.faults.pop(0)
        if len(parameters) == 1:
            (key,) = parameters
            return [(world.records[key],)] if key in world.records else []
        return list(world.records.items())

    def close(self) -> None:
        """One less."""
        self._world.open -= 1


def test_one_connection_serves_all_questions() -> None:
    """It is opened by the first, at the first host; tables of a store share it."""
    world = World()
    session = world.session()
    mailboxes, quotas = ServerTable(session, "mailboxes.db"), ServerTable(session, "quotas.db")
    assert world.tried == []
    assert (mailboxes.get(b"k"), quotas.get(b"k"), quotas.get(b"x")) == (b"v", b"v", None)
    assert list(mailboxes.items(b"")) == [(b"k", b"v")]
    assert [name for name, _ in world.tried] == ["a"]
    assert world.asked[0] == ('SELECT data FROM "mailboxes_db" WHERE dbkey = $1', (b"k",))
    mailboxes.close()
    assert world.open == 0


def test_the_next_host_is_tried_with_its_share_of_the_time() -> None:
    """A host that is down does not use up the time of the others."""
    world = World()
    world.down = {"a"}
    assert world.table().get(b"k") == b"v"
    assert world.tried == [("a", sql_server.ANSWER_SECONDS / 2), ("b", sql_server.ANSWER_SECONDS)]


def test_a_connection_that_broke_is_replaced_unseen() -> None:
    """The question is asked once more, on a new connection."""
    world = World()
    table = world.table()
    assert table.get(b"k") == b"v"
    world.faults = [GONE]
    world.down = {"a"}
    assert table.get(b"k") == b"v"
    assert [name for name, _ in world.tried] == ["a", "a", "b"]
    assert world.open == 1


def test_a_question_that_fails_twice_is_a_fault_and_the_next_is_a_new_one() -> None:
    """A fault is never an answer, and it does not last."""
    world = World()
    table = world.table()
    assert table.get(b"k") == b"v"
    world.faults = [GONE, GONE]
    with pytest.raises(DatabaseUnavailable, match="gone"):
        table.get(b"k")
    assert world.open == 0
    assert table.counts.faults == 1
    assert table.get(b"k") == b"v"


def test_a_kept_connection_that_used_up_the_time_is_the_answer() -> None:
    """No second try where the deadline is over."""
    world = World()
    table = world.table()
    table.get(b"k")

    def pass_time() -> None:
        world.now += sql_server.ANSWER_SECONDS

    world.faults = [GONE]
    world.before = pass_time
    with pytest.raises(DatabaseUnavailable, match="gone"):
        table.get(b"k")
    assert len(world.tried) == 1


def test_servers_that_are_all_down_rest_for_a_moment() -> None:
    """Who asks meanwhile knows at once, with every host's reason; then they are tried again."""
    world = World()
    world.down = {"a", "b"}
    table = world.table()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match=r"a: refused; b: refused"):
            table.get(b"k")
    assert len(world.tried) == 2
    world.now += sql_server.REST_SECONDS
    world.down = set()
    assert table.get(b"k") == b"v"


def test_a_server_without_others_is_named_once() -> None:
    """There is no other that the reason could be of."""
    world = World()
    world.down = {"a"}
    with pytest.raises(DatabaseUnavailable, match=r"^pgsql://a/cyrus: refused$"):
        world.session(SqlServer("pgsql", "cyrus", (Host("a"),))).rows("SELECT 1", (b"k",))


def test_a_missing_table_is_missing_and_keeps_the_connection() -> None:
    """Userdeny takes that for nobody denied; the path names the table as the server does."""
    world = World()
    table = world.table()
    world.faults = [DatabaseMissing("server", "no such relation")]
    with pytest.raises(DatabaseMissing, match=r"cyrus/mailboxes_db: no such relation"):
        table.get(b"k")
    assert world.open == 1
    assert (table.path, table.format) == ("pgsql://a,b:7/cyrus/mailboxes_db", "sql")


def test_columns_hold_bytes() -> None:
    """NULL is empty, as for the C program; text would be another layout."""
    world = World()
    world.records = {b"null": None, b"text": "text"}
    table = world.table()
    assert table.get(b"null") == b""
    with pytest.raises(DatabaseDamaged, match="BLOB"):
        table.get(b"text")


def test_nothing_is_proof_that_a_table_is_unchanged() -> None:
    """Each state is another one, no folder tells of changes, and there is no log of keys."""
    table = World().table()
    table.refresh()
    state = table.state()
    assert table.state() != state
    assert table.changes(state) is None
    assert table.folders() == ()
    assert table.get_proved(b"k") == (b"v", None)
    assert (table.keeps_files, table.missing, table.prepare(), table.absent(b"x")) == (False,) * 4


@pytest.mark.parametrize(
    ("engine", "module", "package"),
    [("pgsql", "psycopg", "python3-psycopg"), ("mysql", "pymysql", "python3-pymysql")],
)
def test_a_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, engine: str, module: str, package: str
) -> None:
    """With Debian's package and the extra."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"gateway.cyrus.db.{engine}", raising=False)
    monkeypatch.delattr(f"gateway.cyrus.db.{engine}", raising=False)
    with pytest.raises(ConfigurationError, match=rf"sql_engine: .*{package}.*smmapd\[{engine}\]"):
        sql_server.driver(engine)


def installed(engine: str) -> Callable[[SqlServer, Host, float], object]:
    """The driver's connect; without psycopg's libpq that is an ImportError, too."""
    module = {"pgsql": "psycopg", "mysql": "pymysql"}[engine]
    require_module(module, f"the extra `{engine}`, which `make venv` installs, and libpq5")
    return sql_server.driver(engine)


@pytest.mark.parametrize("engine", ["pgsql", "mysql"])
def test_drivers_connect(engine: str) -> None:
    """What is not installed is for the test above."""
    connect = installed(engine)
    server = SqlServer(engine, "cyrus", (Host("127.0.0.1", 1),))
    with pytest.raises(DatabaseUnavailable, match=rf"{engine}://127\.0\.0\.1:1/cyrus"):
        connect(server, server.hosts[0], 0.0)


@pytest.mark.parametrize("engine", ["pgsql", "mysql"])
def test_a_server_that_never_says_a_word_is_given_up(engine: str) -> None:
    """Connecting has a deadline, too."""
    connect = installed(engine)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SqlServer(engine, "cyrus", (Host("127.0.0.1", listener.getsockname()[1]),))
        with pytest.raises(DatabaseUnavailable, match=r"deadline|timed out"):
            connect(server, server.hosts[0], time.monotonic() + SHORT_S)
