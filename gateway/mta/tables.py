"""Postfix' lookup tables, as lists in main.cf name them.

A `Table` is `type:name`; `proxy:` in front only says which process reads it for Postfix,
and is taken away, because proxymap(8) talks to Postfix alone.  A `Run` is
tables that follow each other in a list and can be asked in one call.

Some tables are asked for whole addresses only (DICT_FLAG_PATTERN): regular
expressions, which would match parts by chance, tables on other servers that
see one key, and queries that take the key apart (%u, %d).

Sources: DATABASE_README, src/global/maps.c, db_common.c (db_common_dict_partial),
the open functions of src/util/dict_*.c and src/global/dict_*.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from gateway.files import open_file
from gateway.mta import postconf

if TYPE_CHECKING:
    from collections.abc import Iterable

# Types that see whole keys only, and what they are made of beside their name.
_PATTERNS = frozenset({"cidr", "fail", "memcache", "pcre", "randmap", "regexp", "socketmap", "tcp"})
# Types with a query in a file, which may take the key apart.
_QUERIES = frozenset({"ldap", "mysql", "mongodb", "pgsql", "sqlite"})
# Types made of others in braces.
_COMPOSED = frozenset({"pipemap", "unionmap"})
# Files that hold what a table says, as endings of its name.
_ENDINGS: dict[str, tuple[str, ...]] = {
    "btree": (".db",),
    "cdb": (".cdb",),
    "cidr": ("",),
    "dbm": (".pag", ".dir"),
    "hash": (".db",),
    "lmdb": (".lmdb",),
    "pcre": ("",),
    "regexp": ("",),
    "sdbm": (".pag", ".dir"),
    "texthash": ("",),
}
# What takes a key apart: parts of it in a query, and a list of domains for which one is made.
_PARTS = re.compile(rb"%[uUdD1-9]")
_DOMAIN = re.compile(rb"^\s*domain\s*=\s*\S", re.MULTILINE)
# A query's parameters, each with its continuation lines.
_QUERY = re.compile(
    rb"^\s*(query|query_filter|search_base|where_field|additional_conditions)\s*="
    rb"(.*(?:\n[ \t].*)*)",
    re.MULTILINE,
)
# Bytes of a file with a query that are looked at.
_MAX_QUERY = 65_536

_PROXY = "proxy:"


@dataclass(frozen=True, slots=True)
class Table:
    """One table; `text` is `kind:name` as postmap takes it.

    `files` are those that hold all that it says, empty where it says what
    another server or the whole system says.
    """

    kind: str
    name: str

    @property
    def text(self) -> str:
        """As postmap takes it."""
        return f"{self.kind}:{self.name}"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that hold all it says; none where that is not all in files."""
        return tuple(self.name + ending for ending in _ENDINGS.get(self.kind, ()))

    @property
    def constant(self) -> bool:
        """It is in main.cf itself."""
        return self.kind in ("inline", "static")

    def whole_keys_only(self) -> bool:
        """Whether Postfix asks it for whole addresses only; may look into its file."""
        if self.kind in _COMPOSED:
            inner = postconf.split_list(self.name.strip()[1:-1])
            return any(table.whole_keys_only() for table in map(parse, inner) if table is not None)
        if self.kind in _QUERIES:
            return _takes_apart(self.name)
        return self.kind in _PATTERNS


@dataclass(frozen=True, slots=True)
class Run:
    """Tables that one call asks, the first that knows the key answering.

    `program` is postmap or postalias; with `whole` only whole addresses are
    asked for.
    """

    program: str
    tables: tuple[Table, ...]
    whole: bool

    @property
    def name(self) -> str:
        """As main.cf has it."""
        return ", ".join(table.text for table in self.tables)

    @property
    def files(self) -> tuple[str, ...]:
        """All files that hold what it says."""
        return tuple(file for table in self.tables for file in table.files)

    @property
    def all_in_files(self) -> bool:
        """Whether nothing but its files can change what it says."""
        return all(table.files or table.constant for table in self.tables)


def parse(word: str) -> Table | None:
    """The table that a word of a list names; None where it names none (`/file`, a domain)."""
    while word.startswith(_PROXY):
        word = word.removeprefix(_PROXY)
    kind, colon, name = word.partition(":")
    if not colon or not kind or not name or kind.startswith(("/", "!", "[")):
        return None
    return Table(kind, name)


def runs(program: str, named: Iterable[Table]) -> tuple[Run, ...]:
    """The tables in their order, as few calls as that allows."""
    marked = [(table, table.whole_keys_only()) for table in named]
    return tuple(
        Run(program, tuple(table for table, _ in group), whole)
        for whole, group in groupby(marked, key=lambda each: each[1])
    )


def _takes_apart(path: str) -> bool:
    """Whether the query in a file takes the key apart; an unreadable one tells when it is asked."""
    if not path.startswith("/"):
        return True  # parameters in main.cf, under the table's name
    try:
        with open(open_file(path), "rb") as file:
            text = file.read(_MAX_QUERY)
    except OSError:
        return True
    if _DOMAIN.search(text):
        return True
    return any(_PARTS.search(found[2]) for found in _QUERY.finditer(text))
