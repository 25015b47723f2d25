"""How Cyrus keeps a database in an SQL table (lib/cyrusdb_sql.c), engine by engine.

Names and statement texts only; whoever has a connection runs them.  A table
has two columns, `dbkey` and `data`, of the engine's type for bytes, and no
index.  Each statement has one parameter, which is given as bytes, so that a
quote or a backslash in a key is a character like any other; the C program puts
the key into the text of the statement.

Limits: a key with a NUL byte cannot be stored by Cyrus, so none is found.
"""

from __future__ import annotations

from gateway.values import Value


def table_name(filename: str) -> str:
    """The table of the database that imapd.conf would keep in `filename`.

    The last part of the path, with its last dot made an underscore: myopen in
    lib/cyrusdb_sql.c.  mailboxes.db becomes mailboxes_db.
    """
    name = filename.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}_{suffix}" if dot else name


class Dialect(Value):
    """What one engine's SQL looks like; `name` is sql_engine's in imapd.conf.

    `quote` surrounds an identifier, and is doubled in it; `fold` tells that
    the engine makes an unquoted identifier, as the C program writes it, lower
    case.  `bytes_of` is the expression for a column's value as bytes, `equal`
    and `prefix` the conditions for a key; `{}` stands for the column.
    """

    __slots__ = ("bytes_of", "equal", "fold", "name", "prefix", "quote")
    bytes_of: str
    equal: str
    fold: bool
    name: str
    prefix: str
    quote: str

    def __init__(
        self, *, name: str, quote: str, fold: bool, bytes_of: str, equal: str, prefix: str
    ) -> None:
        self._freeze(bytes_of, equal, fold, name, prefix, quote)

    def identifier(self, table: str) -> str:
        """The table's name as it stands in a statement."""
        name = self.folded(table)
        return self.quote + name.replace(self.quote, 2 * self.quote) + self.quote

    def folded(self, table: str) -> str:
        """The table's name as the engine keeps it."""
        return table.lower() if self.fold else table

    def select_value(self, table: str) -> str:
        """The value of one key (parameter: the key).

        Nothing makes keys unique; of several rows the C program uses the last.
        """
        return (
            f"SELECT {self.bytes_of.format('data')} FROM {self.identifier(table)}"  # noqa: S608
            f" WHERE {self.equal.format('dbkey')}"
        )

    def select_items(self, table: str) -> str:
        """Keys and values under a prefix, in key order (parameter, twice: the prefix).

        The C program's LIKE takes `_` and `%` in the prefix for wildcards, and in
        SQLite ignores case; this statement compares bytes.
        """
        return (
            f"SELECT {self.bytes_of.format('dbkey')}, {self.bytes_of.format('data')}"  # noqa: S608
            f" FROM {self.identifier(table)}"
            f" WHERE {self.prefix.format('dbkey')} ORDER BY dbkey"
        )


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        # Cyrus writes text literals, and SQLite keeps them as text in spite of the
        # column's type; text equals no blob there, so the key is made text again.
        Dialect(
            name="sqlite",
            quote='"',
            fold=False,
            bytes_of="CAST({} AS BLOB)",
            equal="{} = CAST(? AS TEXT)",
            prefix="substr(CAST({} AS BLOB), 1, length(?)) = ?",
        ),
        Dialect(
            name="pgsql",
            quote='"',
            fold=True,
            bytes_of="{}",
            equal="{} = $1",
            prefix="substring({} from 1 for length($1)) = $2",
        ),
        Dialect(
            name="mysql",
            quote="`",
            fold=False,
            bytes_of="{}",
            equal="{} = %s",
            prefix="left({}, length(%s)) = %s",
        ),
    )
}
