"""How Cyrus keeps a database in an SQL table (lib/cyrusdb_sql.c), engine by engine.

Names and statement texts only; the owners of connections run them.  A table
has two columns, `dbkey` and `data`, of the engine's type for bytes, and no
index.  Keys are parameters and are given as bytes, so that a quote or a
backslash in a key is a character like any other; the C program puts the key
into the text of the statement.

A statement that looks something up fetches MAX_ROWS rows for its keys and one a
prefix, with MAX_VALUE bytes of each value, whatever the table holds.  Prefixes
are ranges, which an index on `dbkey` serves; where there is none, the first
record in the range ends the search.

Limits: a key with a NUL byte cannot be stored by Cyrus, so none is found.
"""

from __future__ import annotations

from gateway.cyrus.db.base import ConsistentRead
from gateway.errors import DatabaseDamaged
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    SqlRows = Sequence[tuple[object, ...]]

# Nothing makes keys unique, and two writers at once may have left a few of one.
MAX_ROWS = 16

# Bytes of one value; an access list of ten thousand members has fewer.
MAX_VALUE = 1 << 20

# The columns of a table, in the order of every statement's.
COLUMNS = ("dbkey", "data")


def table_name(filename: str) -> str:
    """The table of the database that imapd.conf would keep in `filename`.

    The last part of the path, with its last dot made an underscore: myopen in
    lib/cyrusdb_sql.c.  mailboxes.db becomes mailboxes_db.
    """
    name = filename.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}_{suffix}" if dot else name


def end_of(prefix: bytes) -> bytes | None:
    """The smallest key behind all that start with `prefix`; None where there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


class Dialect(Value):
    """What one engine's SQL looks like; `name` is sql_engine's in imapd.conf.

    `quote` surrounds an identifier, and is doubled in it; `fold`:
    the engine makes an unquoted identifier, as the C program writes it, lower
    case.  `key` and `value` are the columns as bytes, the latter no longer than
    `{most}`; `parameter` stands for the parameter number `{n}`; `part` makes
    `{}` one of several that a statement joins; `fixes` are what makes the columns
    of the table `{table}` those that Cyrus makes, by column.
    """

    __slots__ = ("fixes", "fold", "key", "name", "parameter", "part", "quote", "value")
    fold: bool
    key: str
    fixes: tuple[str, ...]
    name: str
    parameter: str
    part: str
    quote: str
    value: str

    def __init__(
        self,
        *,
        name: str,
        quote: str,
        fold: bool,
        key: str,
        value: str,
        parameter: str,
        part: str,
        fixes: tuple[str, ...] = (),
    ) -> None:
        self.fold = fold
        self.key = key
        self.fixes = fixes
        self.name = name
        self.parameter = parameter
        self.part = part
        self.quote = quote
        self.value = value
        self._freeze()

    def identifier(self, table: str) -> str:
        """The table's name as it is written in a statement."""
        name = self.folded(table)
        return self.quote + name.replace(self.quote, 2 * self.quote) + self.quote

    def folded(self, table: str) -> str:
        """The table's name as the engine keeps it."""
        return table.lower() if self.fold else table

    def select_value(self, table: str) -> str:
        """Records with one key (the parameter), and a third column that is not NULL.

        Of several rows with one key the C program uses the last.
        """
        return self._values(table, 1)

    def select_look(self, table: str, count: int, prefixes: Sequence[bytes]) -> str:
        """As `select_value` for `count` keys, and a record a prefix that has one, NULL behind it.

        Parameters are the keys and what `bounds` gives for each prefix.
        """
        parts = [self._values(table, count)] if count else []
        number = count + 1
        for prefix in prefixes:
            where = self._range(prefix, number)
            number += len(bounds(prefix))
            parts.append(
                f"SELECT {self._columns()}, NULL"  # noqa: S608
                f" FROM {self.identifier(table)}{where} LIMIT 1"
            )
        return " UNION ALL ".join(self.part.format(part) for part in parts)

    def select_items(self, table: str, prefix: bytes) -> str:
        """Keys and values under a prefix, in key order (parameters: the prefix' `bounds`)."""
        where = self._range(prefix, 1)
        return (
            f"SELECT {self._columns()} FROM {self.identifier(table)}{where}"  # noqa: S608
            " ORDER BY dbkey"
        )

    def select_page(self, table: str, prefix: bytes, *, after: bool) -> str:
        """As `select_items`, so many as the last parameter says.

        With `after`, what follows the key in the place of the first of the `bounds`.
        """
        signs = (">" if after else ">=", "<")[: len(bounds(prefix))] or ((">",) if after else ())
        where = self._where(signs, 1)
        return (
            f"SELECT {self._columns()} FROM {self.identifier(table)}{where}"  # noqa: S608
            " ORDER BY dbkey LIMIT ?"
        )

    def mending(self, table: str, columns: Sequence[int]) -> str:
        """The statements that make those of COLUMNS what Cyrus makes them."""
        named = self.identifier(table)
        return " ".join(self.fixes[column].format(table=named) for column in columns)

    def _values(self, table: str, count: int) -> str:
        keys = ", ".join(self.parameter.format(n=1 + each) for each in range(count))
        return (
            f"SELECT {self._columns()}, {self.key} FROM {self.identifier(table)}"  # noqa: S608
            f" WHERE dbkey IN ({keys}) LIMIT {MAX_ROWS}"
        )

    def _columns(self) -> str:
        # One byte more tells a value that is longer from one that is just as long.
        return f"{self.key}, {self.value.format(most=MAX_VALUE + 1)}"

    def _range(self, prefix: bytes, number: int) -> str:
        return self._where((">=", "<")[: len(bounds(prefix))], number)

    def _where(self, signs: Sequence[str], number: int) -> str:
        conditions = [
            f"dbkey {sign} {self.parameter.format(n=number + place)}"
            for place, sign in enumerate(signs)
        ]
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def bounds(prefix: bytes) -> tuple[bytes, ...]:
    """The parameters of a range: where it begins and, if it ends anywhere, where."""
    end = end_of(prefix)
    return () if not prefix else (prefix,) if end is None else (prefix, end)


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        # Cyrus writes text literals, and SQLite keeps them as text in spite of the
        # column's type; text equals no blob there, so the key is made text again.
        Dialect(
            name="sqlite",
            quote='"',
            fold=False,
            key="CAST(dbkey AS BLOB)",
            value="substr(CAST(data AS BLOB), 1, {most})",
            parameter="CAST(? AS TEXT)",
            part="SELECT * FROM ({})",
        ),
        Dialect(
            name="pgsql",
            quote='"',
            fold=True,
            key="dbkey",
            value="substring(data from 1 for {most})",
            parameter="${n}",
            part="({})",
            fixes=(
                "ALTER TABLE {table} ALTER dbkey TYPE bytea USING convert_to(dbkey, 'UTF8');",
                "ALTER TABLE {table} ALTER data TYPE bytea USING convert_to(data, 'UTF8');",
            ),
        ),
        Dialect(
            name="mysql",
            quote="`",
            fold=False,
            key="dbkey",
            value="left(data, {most})",
            parameter="%s",
            part="({})",
            # A BINARY column has filled its keys up with NUL bytes, which are not part of them.
            fixes=(
                "ALTER TABLE {table} MODIFY dbkey VARBINARY(1024) NOT NULL;"
                " UPDATE {table} SET dbkey = TRIM(TRAILING x'00' FROM dbkey);",
                "ALTER TABLE {table} MODIFY data MEDIUMBLOB;",
            ),
        ),
    )
}


class SqlRecords:
    """What the tables of SQLite and of servers have in common: the records in rows.

    A subclass has the `_dialect`, and `_table_name` as statements have it; `_select` runs
    one statement.  `_where` comes before what is wrong with a value, `_fix` behind it.
    """

    __slots__ = ()

    path: str
    _dialect: Dialect
    _table_name: str
    _where = ""
    _fix = ""

    def _select(self, statement: str, parameters: tuple[bytes, ...]) -> SqlRows:
        """All rows of `statement`; raises StoreError."""
        raise NotImplementedError

    def look(self, keys: Sequence[bytes], prefixes: Sequence[bytes] = ()) -> ConsistentRead:
        """Values and samples of one committed state (gateway/cyrus/db/base.py)."""
        statement = self._dialect.select_look(self._table_name, len(keys), prefixes)
        parameters = [*keys, *(bound for prefix in prefixes for bound in bounds(prefix))]
        rows = self._select(statement, tuple(parameters))
        seen = [(self._column(row[0]), self._value(row[1])) for row in rows if row[2] is None]
        samples = [
            next((record for record in seen if record[0].startswith(prefix)), None)
            for prefix in prefixes
        ]
        return ConsistentRead(self._values(rows, keys), samples)

    def _values(self, rows: SqlRows, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that are there; of several rows the last one."""
        # Whatever the server takes for equal, the bytes decide.
        return {
            key: self._value(row[1])
            for row in rows
            if row[2] is not None and (key := self._column(row[0])) in keys
        }

    def _value(self, value: object) -> bytes:
        found = self._column(value)
        if len(found) > MAX_VALUE:
            raise DatabaseDamaged(self.path, f"{self._where}a value of more than {MAX_VALUE} bytes")
        return found

    def _column(self, value: object) -> bytes:
        """A column's value; NULL is an empty one, as for the C program."""
        if value is None:
            return b""
        if not isinstance(value, bytes):
            raise DatabaseDamaged(self.path, f"{self._where}a value that is not bytes{self._fix}")
        return value
