"""SQL: the golden table, keys as parameters, states, locks and faults."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.cyrus.db.sql import sqlite as sql
from gateway.cyrus.db.sql.sqlite import SqliteDatabase
from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable
from tests.golden import FOLDER
from tests.support.ages import let_age
from tests.support.sqlite_tables import create, insert

GOLDEN = os.path.join(FOLDER, "head-sql", "conf", "sql.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sql.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    connection = create(path)
    yield connection
    connection.close()


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(str(path), "mailboxes_db")
    yield database
    database.close()


def test_golden_table_holds_what_the_skiplist_file_holds() -> None:
    """The same mailboxes have the same access rights; only SQL's C program lost the quote."""
    database = SqliteDatabase(GOLDEN, "mailboxes_db")
    other = Skiplist(
        FileView(GOLDEN.replace("head-sql", "head-skiplist").replace("sql.db", "mailboxes.db"))
    )
    rights = []
    for source in (database, other):
        mailboxes = [(k, v) for k, v in source.items(b"N") if not k.startswith(b"NDELETED")]
        rights.append({key: value.partition(b" A ")[2] for key, value in mailboxes})
    assert rights[1].pop(b"Nuser\x1fo'neil")
    assert rights[0] == rights[1]
    records = list(database.items())
    assert len(records) == 335
    assert [key for key, _ in records] == sorted(key for key, _ in records)
    assert all(database.get(key) == value for key, value in records)
    assert database.get(b"Nuser\x1fnobody") is None
    assert (database.path, database.format) == (GOLDEN, "sql")
    other.close()
    database.close()


@pytest.mark.parametrize(
    "key",
    [
        b"Nuser\x1fo'neil",
        b"'; DROP TABLE mailboxes_db; --",
        b"%",
        b"_",
        b"\\",
        b'"',
        b"\xff\xc3",
        b"x" * 9000,
    ],
)
def test_a_key_is_a_parameter(
    writer: sqlite3.Connection, database: SqliteDatabase, key: bytes
) -> None:
    """No byte of a key means anything to SQL, and keys are as long as they like."""
    assert database.get(key) is None
    insert(writer, key, b"v'\xff")
    insert(writer, b"other", b"w")
    assert database.get(key) == b"v'\xff"
    assert list(database.items(key)) == [(key, b"v'\xff")]


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.binary(min_size=1, max_size=6), st.binary(max_size=6)), st.binary(max_size=2)
)
def test_any_bytes_are_listed_under_their_prefix(
    writer: sqlite3.Connection, database: SqliteDatabase, records: dict[bytes, bytes], prefix: bytes
) -> None:
    """Prefixes compare as bytes: case counts, and nothing is a wildcard."""
    writer.execute("DELETE FROM mailboxes_db")
    for key, value in records.items():
        insert(writer, key, value)
    expected = sorted((k, v) for k, v in records.items() if k.startswith(prefix))
    assert list(database.items(prefix)) == expected
    assert all(database.get(key) == value for key, value in records.items())


def test_a_key_with_a_nul_byte_is_not_there(
    writer: sqlite3.Connection, database: SqliteDatabase
) -> None:
    """The C program cuts the key there, and so finds another mailbox."""
    insert(writer, b"user", b"1")
    assert database.get(b"user\0x") is None
    assert database.get(b"") is None


def test_odd_rows_are_read_as_cyrus_reads_them(
    writer: sqlite3.Connection, database: SqliteDatabase
) -> None:
    """NULL is an empty value, and of two rows with one key the last counts."""
    insert(writer, b"null", None)
    insert(writer, b"two", b"1")
    insert(writer, b"two", b"2")
    assert database.get(b"null") == b""
    assert database.get(b"two") == b"2"


def test_the_state_changes_with_each_commit_and_only_then(
    writer: sqlite3.Connection, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open transaction does not show, neither in the state nor in a value."""
    let_age(monkeypatch)
    states = {database.state()}
    assert database.state() in states
    for number in range(5):
        writer.execute("BEGIN IMMEDIATE")
        insert(writer, b"k%d" % number, b"v")
        assert database.state() in states
        assert database.get(b"k%d" % number) is None
        writer.execute("COMMIT")
        assert database.state() not in states
        assert database.get(b"k%d" % number) == b"v"
        states.add(database.state())
    writer.execute("BEGIN")
    insert(writer, b"aborted", b"v")
    writer.execute("ROLLBACK")
    assert database.state() in states
    assert len(states) == 6


def test_another_file_at_the_path_is_opened(
    writer: sqlite3.Connection, path: Path, database: SqliteDatabase
) -> None:
    """A restored file answers at once, with a state of its own."""
    insert(writer, b"k", b"old")
    assert database.get(b"k") == b"old"
    state = database.state()
    other = create(path.with_name("new.db"))
    insert(other, b"k", b"new")
    other.close()
    os.rename(path.with_name("new.db"), path)
    assert database.state() != state
    assert database.get(b"k") == b"new"


@pytest.mark.parametrize("young", [True, False])
def test_a_backup_copied_over_the_file_with_as_many_commits_is_another_state(
    writer: sqlite3.Connection,
    path: Path,
    database: SqliteDatabase,
    young: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SQLite's own counter is what it was, and its pages in memory are of the other history."""
    if not young:
        let_age(monkeypatch)
    insert(writer, b"fred", b"v")
    backup = path.read_bytes()
    counters, states = set(), []
    for key in (b"anna", b"mary"):
        path.write_bytes(backup)
        with closing(sqlite3.connect(path, isolation_level=None)) as another:
            insert(another, key, b"v")
        counters.add(path.read_bytes()[24:28])
        states.append(database.state())
        assert [k for k, _ in database.items()] == sorted([b"fred", key])
        assert database.get(key) == b"v"
    assert len(counters) == 1
    assert states[0] != states[1]


def test_a_reopened_connection_has_another_state(
    writer: sqlite3.Connection, database: SqliteDatabase
) -> None:
    """Nobody counted the commits while it was closed."""
    state = database.state()
    database.close()
    assert database.state() != state


def test_a_writer_that_keeps_its_lock_is_a_temporary_fault(
    writer: sqlite3.Connection, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting is bounded; when the lock is gone, the next look-up works."""
    monkeypatch.setattr(sql, "BUSY_SECONDS", 0.01)
    insert(writer, b"k", b"v")
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnavailable, match=r"locked, for more than 0\.01 seconds"):
        database.get(b"k")
    with pytest.raises(DatabaseUnavailable):
        database.state()
    writer.execute("ROLLBACK")
    assert database.get(b"k") == b"v"


def test_write_ahead_logs_are_read(
    writer: sqlite3.Connection, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With WAL a writer does not hold up readers, and each commit shows."""
    let_age(monkeypatch)
    writer.execute("PRAGMA journal_mode = WAL")
    insert(writer, b"k", b"1")
    state = database.state()
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("UPDATE mailboxes_db SET data = '2'")
    assert database.get(b"k") == b"1"
    assert database.state() == state
    writer.execute("COMMIT")
    assert database.state() != state
    assert database.get(b"k") == b"2"


def test_a_missing_table_is_named(writer: sqlite3.Connection, path: Path) -> None:
    """It is a fault of the store, and no empty database."""
    database = SqliteDatabase(str(path), "quotas_db")
    for call in (lambda: database.get(b"k"), lambda: list(database.items())):
        with pytest.raises(DatabaseUnavailable, match="quotas_db"):
            call()
    database.close()


def test_a_missing_file_is_missing_and_stays_so(path: Path, database: SqliteDatabase) -> None:
    """Nothing is created by looking."""
    with pytest.raises(DatabaseMissing, match=r"sql\.db"):
        database.get(b"k")
    with pytest.raises(DatabaseMissing):
        database.state()
    assert not path.exists()


@pytest.mark.parametrize("content", [b"no database " * 100, b"SQLite format 3\0" + bytes(4080)])
def test_a_damaged_file_is_damaged(path: Path, database: SqliteDatabase, content: bytes) -> None:
    """What SQLite calls malformed, or no database."""
    path.write_bytes(content)
    with pytest.raises(DatabaseDamaged, match=r"sql\.db.*restore the file"):
        database.get(b"k")


# SQLite's result codes, of which the lowest byte is the primary one, and what they mean here.
CODES: list[tuple[str, type[Exception], str]] = [
    ("SQLITE_CORRUPT", DatabaseDamaged, "restore the file"),
    ("SQLITE_CORRUPT_INDEX", DatabaseDamaged, "restore the file"),
    ("SQLITE_NOTADB", DatabaseDamaged, "restore the file"),
    ("SQLITE_BUSY", DatabaseUnavailable, "for more than 2 seconds"),
    ("SQLITE_BUSY_RECOVERY", DatabaseUnavailable, "for more than 2 seconds"),
    ("SQLITE_LOCKED", DatabaseUnavailable, "for more than 2 seconds"),
    ("SQLITE_CANTOPEN", DatabaseUnavailable, "look at sql_database"),
    ("SQLITE_READONLY_ROLLBACK", DatabaseUnavailable, "look at sql_database"),
    ("SQLITE_NOMEM", DatabaseUnavailable, "look at sql_database"),
]


@pytest.mark.parametrize(("code", "kind", "words"), CODES)
def test_what_sqlite_says_is_told_with_what_to_do(
    database: SqliteDatabase,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kind: type[Exception],
    words: str,
) -> None:
    """Only what says that the bytes are at fault is damage."""
    fault = sqlite3.OperationalError("its words")
    fault.sqlite_errorcode = getattr(sqlite3, code)

    def refuse(_database: SqliteDatabase) -> None:
        raise fault

    monkeypatch.setattr(SqliteDatabase, "_connected", refuse)
    with pytest.raises(kind, match=f"its words.*{words}"):
        database.get(b"k")


def test_threads_of_a_pool_may_take_turns(
    writer: sqlite3.Connection, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that one has opened serves the next; each uses it alone."""
    let_age(monkeypatch)
    insert(writer, b"k", b"v")
    state = database.state()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(database.get, b"k").result() == b"v"
        assert pool.submit(database.state).result() == state


def test_a_size_without_sense_is_no_end_of_memory(
    writer: sqlite3.Connection, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite asks for as much memory as a damaged record says; Python then raises MemoryError."""

    class Connection:
        def execute(self, *_: object) -> None:
            raise MemoryError

        def close(self) -> None:
            """Nothing is open."""

    with monkeypatch.context() as patch:
        patch.setattr(SqliteDatabase, "_connected", lambda _database: Connection())
        with pytest.raises(DatabaseUnavailable, match="out of memory"):
            database.get(b"anything")
    insert(writer, b"k", b"v")
    assert database.get(b"k") == b"v"


def test_a_cut_file_is_damaged(
    writer: sqlite3.Connection, path: Path, database: SqliteDatabase
) -> None:
    """Pages that are gone are noticed when they are needed."""
    for number in range(200):
        insert(writer, b"k%d" % number, b"v" * 100)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DatabaseDamaged, match="malformed"):
        list(database.items())


@pytest.mark.parametrize(
    "name", ["a?b.db", "a%41.db", "a#b.db", "a b'\".db", "\u00e4.db", "\udcff.db"]
)
def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    """No character of a path means anything to the URI, and nothing is created."""
    path = tmp_path / name
    with pytest.raises(DatabaseMissing):
        SqliteDatabase(str(path), "mailboxes_db").get(b"k")
    other = tmp_path / "other.db"
    connection = create(other)
    insert(connection, b"k", b"v")
    connection.close()
    os.rename(other, path)
    database = SqliteDatabase(str(path), "mailboxes_db")
    assert database.get(b"k") == b"v"
    database.close()
    with pytest.raises(DatabaseUnavailable, match=r"readonly|read-only"):
        database._select("CREATE TABLE x (y)", ())


def test_the_way_up_from_behind_a_link_is_the_kernels(tmp_path: Path) -> None:
    """Another database lies where `link/..` would lead if a link were a folder."""
    (tmp_path / "far" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/sub")
    for folder, value in ((tmp_path, b"near"), (tmp_path / "far", b"far")):
        connection = create(folder / "sql.db")
        insert(connection, b"k", value)
        connection.close()
    database = SqliteDatabase(f"{tmp_path}/link/../sql.db", "mailboxes_db")
    assert database.get(b"k") == b"far"
    database.close()
