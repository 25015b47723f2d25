"""How Cyrus names its SQL tables, and the text of the statements that read them."""

from __future__ import annotations

import pytest

from gateway.cyrus.db.sql.layout import DIALECTS, bounds, end_of, table_name


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


LOOKS = {
    "sqlite": """
        SELECT * FROM (SELECT CAST(dbkey AS BLOB), substr(CAST(data AS BLOB), 1, 1048577),
            CAST(dbkey AS BLOB) FROM "A_b"
            WHERE dbkey IN (CAST(? AS TEXT), CAST(? AS TEXT)) LIMIT 16)
        UNION ALL SELECT * FROM (SELECT CAST(dbkey AS BLOB),
            substr(CAST(data AS BLOB), 1, 1048577), NULL FROM "A_b"
            WHERE dbkey >= CAST(? AS TEXT) AND dbkey < CAST(? AS TEXT) LIMIT 1)
        UNION ALL SELECT * FROM (SELECT CAST(dbkey AS BLOB),
            substr(CAST(data AS BLOB), 1, 1048577), NULL FROM "A_b" LIMIT 1)""",
    "pgsql": """
        (SELECT dbkey, substring(data from 1 for 1048577), dbkey FROM "a_b"
            WHERE dbkey IN ($1, $2) LIMIT 16)
        UNION ALL (SELECT dbkey, substring(data from 1 for 1048577), NULL FROM "a_b"
            WHERE dbkey >= $3 AND dbkey < $4 LIMIT 1)
        UNION ALL (SELECT dbkey, substring(data from 1 for 1048577), NULL FROM "a_b" LIMIT 1)""",
    "mysql": """
        (SELECT dbkey, left(data, 1048577), dbkey FROM `A_b` WHERE dbkey IN (%s, %s) LIMIT 16)
        UNION ALL (SELECT dbkey, left(data, 1048577), NULL FROM `A_b`
            WHERE dbkey >= %s AND dbkey < %s LIMIT 1)
        UNION ALL (SELECT dbkey, left(data, 1048577), NULL FROM `A_b` LIMIT 1)""",
}


@pytest.mark.parametrize("engine", LOOKS)
def test_each_engine_has_its_look_up(engine: str) -> None:
    """One statement, whose rows are few whatever the table holds; named as Cyrus' is."""
    assert DIALECTS[engine].select_look("A_b", 2, (b"N", b"")) == " ".join(LOOKS[engine].split())


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"", None), (b"N", b"O"), (b"user.", b"user/"), (b"a\xff", b"b"), (b"\xff\xff", None)],
)
def test_a_prefix_is_a_range(prefix: bytes, end: bytes | None) -> None:
    """Up to the first key that does not begin with it, if there is one."""
    assert end_of(prefix) == end
    assert bounds(prefix) == tuple(each for each in (prefix or None, end) if each is not None)


@pytest.mark.parametrize(
    ("engine", "name"),
    [("sqlite", '"a""b`c"'), ("pgsql", '"a""b`c"'), ("mysql", '`a"b``c`')],
)
def test_a_quote_in_a_name_is_doubled(engine: str, name: str) -> None:
    """A file's name may hold what ends a name in SQL."""
    assert DIALECTS[engine].identifier('a"b`c') == name


FIELDS = "dbkey, substring(data from 1 for 1048577)"
STATEMENTS = [
    (
        DIALECTS["pgsql"].select_value("a"),
        f'SELECT {FIELDS}, dbkey FROM "a" WHERE dbkey IN ($1) LIMIT 16',
    ),
    (
        DIALECTS["pgsql"].select_look("a", 2, ()),
        f'(SELECT {FIELDS}, dbkey FROM "a" WHERE dbkey IN ($1, $2) LIMIT 16)',
    ),
    (DIALECTS["pgsql"].select_items("a", b""), f'SELECT {FIELDS} FROM "a" ORDER BY dbkey'),
    (
        DIALECTS["pgsql"].select_items("a", b"N"),
        f'SELECT {FIELDS} FROM "a" WHERE dbkey >= $1 AND dbkey < $2 ORDER BY dbkey',
    ),
    (
        DIALECTS["pgsql"].select_page("a", b"N", after=False).replace("LIMIT ?", "LIMIT n"),
        f'SELECT {FIELDS} FROM "a" WHERE dbkey >= $1 AND dbkey < $2 ORDER BY dbkey LIMIT n',
    ),
    (
        DIALECTS["pgsql"].select_page("a", b"", after=True).replace("LIMIT ?", "LIMIT n"),
        f'SELECT {FIELDS} FROM "a" WHERE dbkey > $1 ORDER BY dbkey LIMIT n',
    ),
]


@pytest.mark.parametrize(("statement", "text"), STATEMENTS)
def test_parameters_are_counted_from_one(statement: str, text: str) -> None:
    """As PostgreSQL numbers them; the others take them in their order."""
    assert statement == text
