"""Which of Postfix' address classes a domain is in.

The classes are asked in Postfix' order: local (mydestination), virtual alias,
virtual mailbox, relay, and all others.  A list holds domains, `!` in front of
what does not match, `/file` with more words, and tables of which a domain is a
key; relay_domains match the domains below theirs as well, where
parent_domain_matches_subdomains says so (the default).

Sources: ADDRESS_CLASS_README; src/trivial-rewrite/resolve.c, resolve_class;
src/util/match_list.c, match_ops.c.  Limits: address literals of the machine's
own interfaces are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gateway.errors import MailServerError
from gateway.files import open_file
from gateway.mta import postconf, tables
from gateway.mta.keys import of_domain
from gateway.mta.lookups import Lookup, TableAnswers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.mta.postconf import Parameters
    from gateway.mta.tables import Run, Table

# Bytes of a /file in a list, and how deep one may name another.
_MAX_FILE = 16 * 1024 * 1024  # only a bound
_MAX_DEPTH = 8


class Class(Enum):
    """Postfix' address classes."""

    LOCAL = "local"
    ALIAS = "virtual alias"
    VIRTUAL = "virtual mailbox"
    RELAY = "relay"
    OTHER = "other"


# In the order in which Postfix asks.
LISTS: tuple[tuple[Class, str], ...] = (
    (Class.LOCAL, "mydestination"),
    (Class.ALIAS, "virtual_alias_domains"),
    (Class.VIRTUAL, "virtual_mailbox_domains"),
    (Class.RELAY, "relay_domains"),
)
# Lists that match as those of hosts do (domain_list_match in resolve.c).
_HOSTS = frozenset({"relay_domains"})
# Classes whose recipients may have mailboxes.
WITH_MAILBOXES = (Class.LOCAL, Class.VIRTUAL, Class.RELAY)


@dataclass(frozen=True, slots=True)  # same with False: nobody writes to it: they show a mistake
class Pattern:
    """One word of a list: a domain or a run of one table, and what its match means."""

    matches: bool
    domain: bytes = b""
    run: Run | None = None


@dataclass(frozen=True, slots=True)  # same with False: nobody writes to it: they show a mistake
class DomainPatterns:
    """One of Postfix' lists of domains.

    `below` tells whether it matches domains below its own, too, as hosts'
    lists do; `dotted` that these have to be written `.example.org`.
    """

    parameter: str
    patterns: tuple[Pattern, ...]
    below: bool
    dotted: bool

    def lookups(self, domain: bytes) -> Iterator[Lookup]:
        """What its tables have to be asked about `domain`."""
        for pattern in self.patterns:
            if pattern.run is not None:
                yield from (Lookup(pattern.run, name) for name in self._names(domain))

    def has(self, domain: bytes, answers: TableAnswers) -> bool | str:
        """Whether `domain` is in the list, or the fault that keeps that from being known."""
        names = self._names(domain)
        for pattern in self.patterns:
            if pattern.run is None:
                if pattern.domain in names:
                    return pattern.matches
                continue
            for name in names:
                lookup = Lookup(pattern.run, name)
                fault = answers.fault(lookup)
                if fault is not None:
                    return fault
                if answers.value(lookup) is not None:
                    return pattern.matches
        return False

    def may_have(self, domain: bytes) -> bool:
        """False where `domain` is certainly not in the list."""
        names = self._names(domain)
        for pattern in self.patterns:
            if pattern.run is not None:
                return True
            if pattern.domain in names:
                return pattern.matches
        return False

    def _names(self, domain: bytes) -> list[bytes]:
        """What matches the domain."""
        return of_domain(domain, dotted=self.dotted) if self.below else [domain]


def read(parameters: Parameters, parameter: str, ours: Callable[[Table], bool]) -> DomainPatterns:
    """The list `parameter`; tables that are `ours` are left out, for they never know a domain.

    Raises MailServerError for a file that cannot be read.
    """
    style = parameters.words("parent_domain_matches_subdomains")
    return DomainPatterns(
        parameter,
        tuple(_patterns(parameters.words(parameter), ours, matches=True, depth=0)),
        below=parameter in _HOSTS,
        dotted=parameter not in style,
    )


def _patterns(
    listed: list[str], ours: Callable[[Table], bool], *, matches: bool, depth: int
) -> Iterator[Pattern]:
    for word in listed:
        bare = word.lstrip("!")
        # same with +: a sum and a difference are odd alike
        match = matches is ((len(word) - len(bare)) % 2 == 0)
        if bare.startswith("/"):
            yield from _patterns(_file(bare, depth), ours, matches=match, depth=depth + 1)
            continue
        table = tables.parse(bare)
        if table is None:
            yield Pattern(match, domain=bare.encode().lower().removesuffix(b"."))
        elif not ours(table):
            yield Pattern(match, run=tables.runs("postmap", [table])[0])


def _file(path: str, depth: int) -> list[str]:
    """The words of a file in a list, without its comments."""
    if depth >= _MAX_DEPTH:
        raise MailServerError(path, f"files name each other more than {_MAX_DEPTH} deep")
    try:
        with open(open_file(path), encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(_MAX_FILE)
    except OSError as error:
        raise MailServerError(path, f"cannot be read: {error.strerror}") from error
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [word for line in lines for word in postconf.split_list(line)]
