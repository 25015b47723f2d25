"""Postfix' tables that rewrite or redirect recipients: which user reads them, and can they be read?

With `postfix` in [scope] the gateway asks them through postmap, as its user; else
it knows only the text files that `aliases` names.

Sources: canonical(5), virtual(5), aliases(5), relocated(5), DATABASE_README,
SMTPD_ACCESS_README; postsrsd's README for the tables of SRS.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol

from gateway.cli import output
from gateway.cli.checks import access, asuser
from gateway.cli.checks.finding import error, ok, warning
from gateway.cli.checks.postfixconf import items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.cli.checks.postfixconf import PostfixInstance
    from gateway.config import Settings

_SUBJECT = "postfix"
# Parameters, and what a recipient in one of their tables is.
_REDIRECTING = {
    "virtual_alias_maps": "an alias",
    "recipient_canonical_maps": "rewritten",
    "canonical_maps": "rewritten",
    "relocated_maps": "told a new address",
}
_LOCAL = "alias_maps"
# Tables whose source is a text file in the syntax that [scope] aliases reads
# (DATABASE_README); the others cannot be read from here.
_TEXT_TABLES = ("hash", "btree", "dbm", "cdb", "lmdb", "texthash")
_COMPILED = {"hash": ".db", "btree": ".db", "cdb": ".cdb", "lmdb": ".lmdb"}
# postsrsd's tables: its ports of versions 1, its socketmap of version 2, and names like srs.
_SRS = re.compile(r":1000[12]\b|\bsrs|srs\b|postsrsd", re.IGNORECASE)


class Domains(Protocol):
    """Domains that can be asked for one."""

    def __contains__(self, domain: bytes) -> bool: ...


def check(settings: Settings, postfix: PostfixInstance, ours: Domains | None) -> Iterator[Finding]:
    """Every such table, the delimiter, and SRS."""
    parameters = [*_REDIRECTING]
    local = postfix.words("mydestination")
    if settings.scope.postfix or (ours is not None and any(w.encode() in ours for w in local)):
        parameters.append(_LOCAL)
    tables = [(name, table) for name in parameters for table in _tables(postfix, name)]
    if settings.scope.postfix:
        yield from _asked(settings, postfix, tables)
    else:
        yield from _known(settings, postfix, tables)
        yield from _delimiter(settings, postfix)
    yield from _srs(settings, postfix)


def _tables(postfix: PostfixInstance, parameter: str) -> list[str]:
    return [first for first, *_ in items(postfix.parameters.get(parameter, "")) if ":" in first]


def _known(
    settings: Settings, postfix: PostfixInstance, tables: list[tuple[str, str]]
) -> Iterator[Finding]:
    """Without `postfix` in [scope]: what policy and milter refuse though Postfix knows it."""
    named = {os.path.realpath(path) for path in settings.scope.aliases}
    folder = postfix.parameters.get("config_directory") or "/etc/postfix"
    for parameter, table in tables:
        what = _REDIRECTING.get(parameter, "an alias")
        kind, _, path = table.removeprefix("proxy:").partition(":")
        if kind not in _TEXT_TABLES:
            yield warning(
                _SUBJECT,
                f"{table} ({parameter}) is not known to policy and milter: a recipient that is "
                f"{what} there "
                "and has no mailbox is refused",
                f'set postfix = "{folder}" in [scope]: Postfix\' tables are then asked',
            )
        elif os.path.realpath(path) not in named and os.path.exists(path):
            yield warning(
                _SUBJECT,
                f"{path} ({parameter}) is not in [scope]: a recipient that is {what} there and "
                "has no "
                "mailbox is refused",
                f'set postfix = "{folder}" in [scope], or add "{path}" to aliases there',
            )


def _asked(
    settings: Settings, postfix: PostfixInstance, tables: list[tuple[str, str]]
) -> Iterator[Finding]:
    """With `postfix` in [scope]: what the gateway's user cannot ask."""
    identity = asuser.identity_of(settings)
    files = {
        path: (parameter, table)
        for parameter, table in tables
        for path in _files(table)
        if os.path.exists(path)
    }
    user = identity.user if identity is not None else access.own_user()
    barred = access.problems(files, identity)
    for path, (parameter, table) in files.items():
        if path in barred:
            yield error(
                _SUBJECT,
                f"{table} ({parameter}): {path}: user {user} {barred[path]}: recipients that it "
                "may hold are deferred",
                f"setfacl -m u:{user}:r {path}, or put {user} into the group that may read it",
            )
    missing = sorted(
        {
            kind
            for _, table in tables
            if (kind := table.removeprefix("proxy:").partition(":")[0]) not in postfix.table_types
        }
    )
    for kind in missing if postfix.table_types else ():
        yield error(
            _SUBJECT,
            f"Postfix knows no tables of type {kind} here: recipients that one may hold are "
            "deferred",
            f"install postfix-{kind}, or take the table out of main.cf",
        )
    if not barred and not missing and files:
        tables_read = output.plural(len(files), "file")
        yield ok(_SUBJECT, f"user {user} can ask {tables_read} of Postfix' tables")


def _files(table: str) -> list[str]:
    kind, _, rest = table.removeprefix("proxy:").partition(":")
    if not rest.startswith("/"):
        return []
    return [rest + _COMPILED.get(kind, "")]


def _delimiter(settings: Settings, postfix: PostfixInstance) -> Iterator[Finding]:
    theirs = postfix.parameters.get("recipient_delimiter", "")
    own = settings.scope.recipient_delimiter
    if settings.scope.aliases and set(theirs) - set(own):
        yield warning(
            _SUBJECT,
            f"recipient_delimiter is {theirs} in main.cf and {own} in [scope]: an alias with an "
            "extension is refused",
            f'set recipient_delimiter = "{theirs}" in [scope]',
        )


def _srs(settings: Settings, postfix: PostfixInstance) -> Iterator[Finding]:
    names = ("recipient_canonical_maps", "canonical_maps")
    used = [table for name in names for table in _tables(postfix, name) if _SRS.search(table)]
    if used and not settings.scope.srs:
        yield warning(
            _SUBJECT,
            f"{used[0]} looks like SRS, but [scope] does not say so: bounces to SRS0=... "
            "recipients are refused",
            "take srs = false out of [scope]",
        )
