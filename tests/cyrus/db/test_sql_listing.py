"""SQL: a table is listed page by page, a look is one statement, and a value has a bound."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cyrus.db.sql import sqlite as sql
from gateway.cyrus.db.sql.layout import MAX_VALUE
from gateway.cyrus.db.sql.sqlite import SqliteDatabase
from gateway.errors import DatabaseDamaged
from tests.support.sqlite_tables import create, insert


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = create(tmp_path / "sql.db")
    yield connection
    connection.close()


@pytest.fixture
def database(writer: sqlite3.Connection, tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(str(tmp_path / "sql.db"), "mailboxes_db")
    yield database
    database.close()


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_a_long_table_is_listed_page_by_page(
    writer: sqlite3.Connection,
    database: SqliteDatabase,
    page: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it and each prefix, in order, whether a page ends with the last record or not."""
    monkeypatch.setattr(sql, "PAGE", page)
    keys = [b"a", b"user", b"user.a", b"user.b", b"user.ba", b"user/", b"z", b"\xff", b"\xff\xff"]
    for key in keys[::-1]:
        insert(writer, key, b"value of " + key)
    for prefix in (b"", b"user", b"user.", b"user.b", b"\xff", b"nothing"):
        found = list(database.items(prefix))
        assert found == [(key, b"value of " + key) for key in keys if key.startswith(prefix)]


def test_values_and_samples_are_of_one_statement(
    writer: sqlite3.Connection, database: SqliteDatabase
) -> None:
    """Of a prefix whose first record is not one of the keys, too."""
    for key in (b"user.a", b"Nuser", b"x"):
        insert(writer, key, b"value of " + key)
    found = database.look((b"user.a", b"user.b"), (b"N", b"x", b"y"))
    assert dict(found.values) == {b"user.a": b"value of user.a"}
    assert list(found.samples) == [(b"Nuser", b"value of Nuser"), (b"x", b"value of x"), None]
    assert database.reads_consistently


@pytest.mark.parametrize(("more", "sound"), [(0, True), (1, False)])
def test_a_value_has_a_bound(
    writer: sqlite3.Connection, database: SqliteDatabase, more: int, *, sound: bool
) -> None:
    """One byte more is damage, and not read whole."""
    insert(writer, b"key", b"v" * (MAX_VALUE + more))
    if sound:
        assert database.get(b"key") == b"v" * MAX_VALUE
    else:
        with pytest.raises(DatabaseDamaged, match=f"more than {MAX_VALUE} bytes"):
            database.get(b"key")
