"""Tables on SQL servers: what is asked in one statement, and faults that stay temporary."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.cyrus.db.sql.layout import DIALECTS, MAX_VALUE
from gateway.cyrus.db.sqlserver import servertable as sql_server
from gateway.cyrus.db.sqlserver.connections import SqlSession
from gateway.cyrus.db.sqlserver.location import ColumnsUnfit, Host, SqlServer
from gateway.cyrus.db.sqlserver.servertable import MISSING_SECONDS, RESTORE_SECONDS, ServerTable
from gateway.errors import (
    ConfigurationError,
    DatabaseDamaged,
    DatabaseMissing,
    DatabaseUnavailable,
)
from tests.rigs.require import require_module

from .sqlworld import World

if TYPE_CHECKING:
    from gateway.cyrus.db.sqlserver.location import Connect

SHORT_S = 0.2
MISSING = DatabaseMissing("server", "no such relation")


def test_tables_of_a_store_share_a_connection() -> None:
    """It is opened by the first question, at the first host."""
    world = World()
    session = SqlSession(world.pool())
    mailboxes, quotas = ServerTable(session, "mailboxes.db"), ServerTable(session, "quotas.db")
    assert world.tried == []
    assert (mailboxes.get(b"k"), quotas.get(b"k"), quotas.get(b"x")) == (b"v", b"v", None)
    assert list(mailboxes.items(b"")) == [(b"k", b"v")]
    assert [name for name, _ in world.tried] == ["a"]
    mailboxes.close()
    assert world.open == 0


def test_what_belongs_together_is_one_statement() -> None:
    """Keys and one record a prefix; nothing is fetched beyond."""
    world = World()
    world.records = {b"k": b"v", b"user.a": b"w"}
    found = world.table().look((b"k", b"x"), (b"user.", b"N", b""))
    assert dict(found.values) == {b"k": b"v"}
    assert list(found.samples) == [(b"user.a", b"w"), None, (b"k", b"v")]
    ((statement, parameters),) = world.asked
    assert parameters == (b"k", b"x", b"user.", b"user/", b"N", b"O")
    assert statement.count("LIMIT 1)") == 3


def test_one_key_is_one_parameter() -> None:
    """A table that must be there costs nothing else."""
    world = World()
    table = ServerTable(SqlSession(world.pool()), "mailboxes.db")
    assert table.get(b"k") == b"v"
    assert world.asked == [(DIALECTS["pgsql"].select_value("mailboxes_db"), (b"k",))]
    assert table.reads_consistently


def test_the_bytes_of_a_key_decide() -> None:
    """Whatever the server takes for equal."""
    world = World()
    table = world.table()
    world.records = {b"K": b"v"}
    world.before = lambda: world.records.update({b"k": b"other"})
    assert table.get(b"k") == b"other"
    assert table.get(b"K ") is None


def test_a_missing_table_is_missing_and_keeps_the_connection() -> None:
    """The path names the table as the server does."""
    world = World()
    table = world.table()
    world.faults = [MISSING]
    with pytest.raises(DatabaseMissing, match=r"cyrus/mailboxes_db: no such relation"):
        table.get(b"k")
    assert world.open == 1
    assert (table.path, table.format) == ("pgsql://a,b:7/cyrus/mailboxes_db", "sql")


def test_a_table_that_was_never_there_is_asked_for_now_and_then() -> None:
    """Each question would be a line in the server's log; once it was there, each one counts."""
    world = World()
    table = world.table(optional=True)
    world.faults = [MISSING]
    for _ in range(3):
        with pytest.raises(DatabaseMissing):
            table.get(b"k")
    assert len(world.asked) == 1
    assert not table.was_there
    world.now += MISSING_SECONDS
    assert table.get(b"k") == b"v"
    assert table.was_there
    for asked in (3, 4):
        world.faults = [MISSING]
        with pytest.raises(DatabaseMissing):
            table.get(b"k")
        assert len(world.asked) == asked


def test_a_table_that_loses_all_its_records_is_being_restored() -> None:
    """For a while: then the last one has been deleted. One that never had any blocks nobody."""
    world = World()
    world.records = {}
    table = world.table(optional=True)
    assert table.get(b"k") is None
    world.records = {b"other": b"v"}
    assert table.get(b"k") is None
    world.records = {}
    with pytest.raises(DatabaseUnavailable, match="had records a moment ago"):
        table.get(b"k")
    assert table.counts.faults == 1
    world.now += RESTORE_SECONDS
    assert table.get(b"k") is None


def test_a_table_that_must_be_there_is_asked_for_each_time() -> None:
    """The mailbox list that was restored a moment ago counts."""
    world = World()
    table = world.table()
    world.faults = [MISSING]
    with pytest.raises(DatabaseMissing):
        table.get(b"k")
    assert table.get(b"k") == b"v"


def test_columns_hold_bytes() -> None:
    """NULL is empty, as for the C program; text would be another layout."""
    world = World()
    world.records = {b"null": None, b"text": "text"}
    table = world.table()
    assert table.get(b"null") == b""
    with pytest.raises(DatabaseDamaged, match="BLOB"):
        table.get(b"text")


def test_columns_that_compare_otherwise_are_a_fault_that_says_what_mends_it() -> None:
    """In a look-up and in a listing."""
    world = World()
    world.faults = [ColumnsUnfit("server", (0, 1), "the column is text")]
    table = world.table()
    with pytest.raises(DatabaseDamaged) as caught:
        table.get(b"k")
    assert table.counts.faults == 1
    assert str(caught.value) == (
        "pgsql://a,b:7/cyrus/mailboxes_db: dbkey and data: the column is text, and keys and values"
        ' are bytes; as the table\'s owner: ALTER TABLE "mailboxes_db" ALTER dbkey TYPE bytea'
        " USING convert_to(dbkey, 'UTF8'); ALTER TABLE \"mailboxes_db\" ALTER data TYPE bytea"
        " USING convert_to(data, 'UTF8');"
    )


def test_a_value_has_a_bound() -> None:
    """The server sends one byte more at most."""
    world = World()
    world.records = {b"k": b"v" * MAX_VALUE, b"long": b"v" * (MAX_VALUE + 1)}
    table = world.table()
    assert table.get(b"k") == b"v" * MAX_VALUE
    with pytest.raises(DatabaseDamaged, match="more than 1048576 bytes"):
        table.get(b"long")


def test_nothing_is_proof_that_a_table_is_unchanged() -> None:
    """Each state is another one, no folder tells of changes, and there is no log of keys."""
    table = World().table()
    table.refresh()
    state = table.state()
    assert table.state() != state
    assert table.changes(state) is None
    assert table.folders() == ()
    assert table.get_proved(b"k") == (b"v", None)
    assert (
        table.keeps_files,
        table.missing,
        table.build_index_step(),
        table.known_absent(b"x"),
    ) == (False,) * 4


@pytest.mark.parametrize(
    ("engine", "module", "package", "name"),
    [
        ("pgsql", "psycopg", "python3-psycopg", "psycopg"),
        ("mysql", "pymysql", "python3-pymysql", "PyMySQL"),
    ],
)
def test_a_missing_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, engine: str, module: str, package: str, name: str
) -> None:
    """With Debian's package, and the name on the index."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"gateway.cyrus.db.sqlserver.{engine}", raising=False)
    monkeypatch.delattr(f"gateway.cyrus.db.sqlserver.{engine}", raising=False)
    with pytest.raises(ConfigurationError, match=rf"sql_engine: .*{package}.*{name}"):
        sql_server.driver(engine)


def installed(engine: str) -> Connect:
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
        connect(server, server.hosts[0], 0.0, None)


@pytest.mark.parametrize("engine", ["pgsql", "mysql"])
def test_a_server_that_never_says_a_word_is_given_up(engine: str) -> None:
    """Connecting has a deadline, too."""
    connect = installed(engine)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SqlServer(engine, "cyrus", (Host("127.0.0.1", listener.getsockname()[1]),))
        with pytest.raises(DatabaseUnavailable, match=r"deadline|timed out"):
            connect(server, server.hosts[0], time.monotonic() + SHORT_S, None)
