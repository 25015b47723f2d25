"""How Cyrus names its SQL tables, and the text of the statements that read them."""

from __future__ import annotations

import pytest

from gateway.cyrus.db.sql_layout import DIALECTS, table_name


@pytest.mark.parametrize(
    ("filename", "table"),
    [
        ("mailboxes.db", "mailboxes_db"),
        ("/var/lib/cyrus/mailboxes.db", "mailboxes_db"),
        ("/var/lib/cyrus.d/quotas", "quotas"),
        ("user.deny.db", "user.deny_db"),
        ("/a/.db", "_db"),
    ],
)
def test_tables_are_named_as_cyrus_does(filename: str, table: str) -> None:
    """The last part of the path, its last dot an underscore."""
    assert table_name(filename) == table


@pytest.mark.parametrize(
    ("engine", "statement"),
    [
        ("sqlite", 'SELECT CAST(data AS BLOB) FROM "A_b" WHERE dbkey = CAST(? AS TEXT)'),
        ("pgsql", 'SELECT data FROM "a_b" WHERE dbkey = $1'),
        ("mysql", "SELECT data FROM `A_b` WHERE dbkey = %s"),
    ],
)
def test_each_engine_has_its_look_up(engine: str, statement: str) -> None:
    """The statement's text, with the table named as the engine names what Cyrus wrote."""
    assert DIALECTS[engine].select_value("A_b") == statement


@pytest.mark.parametrize(
    ("engine", "name"),
    [("sqlite", '"a""b`c"'), ("pgsql", '"a""b`c"'), ("mysql", '`a"b``c`')],
)
def test_a_quote_in_a_name_is_doubled(engine: str, name: str) -> None:
    """A file's name may hold what ends a name in SQL."""
    assert DIALECTS[engine].identifier('a"b`c') == name
