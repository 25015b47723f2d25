"""A table in an SQLite file, as Cyrus makes and fills it."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def create(path: Path) -> sqlite3.Connection:
    """An empty table, and a connection that commits at once."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE mailboxes_db (dbkey BLOB NOT NULL, data BLOB)")
    return connection


def insert(connection: sqlite3.Connection, key: bytes, value: bytes | None) -> None:
    """Cyrus writes text."""
    connection.execute(
        "INSERT INTO mailboxes_db VALUES (CAST(? AS TEXT), CAST(? AS TEXT))", (key, value)
    )
