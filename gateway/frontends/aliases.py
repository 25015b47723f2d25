"""Alias files: recipients that are rewritten before delivery and must not be refused.

An MTA asks about the recipient as the client named it; an alias is not a
mailbox.  What is read is the left sides of alias files, in either syntax, a
line at a time:

- `name: value, ...` as in aliases(5) of Postfix and Sendmail,
- `pattern value, ...` as in Postfix' virtual(5), canonical(5) and relocated(5):
  `user@domain`, `user`, or `@domain` for every recipient of a domain; and
  Sendmail's `user+*@domain`, `user++@domain` and `+*@domain` for recipients
  with an extension.

Comments, empty lines, continuation lines and quotes are as in Postfix
(aliases(5), virtual(5), postmap(1)).  Right sides are not looked at, and the
files of `:include:` are not read.

Limits: an alias without a domain covers that name in every domain of ours,
because the files do not tell which domains are local.  Upper and lower case
are the same for ASCII letters only.  A compiled database is an error; a text
file counts when it is saved, before postmap or newaliases has run.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.frontends.domains import canonical
from gateway.frontends.watched import TRUST, LineProblem, Report, Trust, Watched, log_warning
from gateway.protocols.address import (
    Address,
    BadAddress,
    is_domain,
    outside_quotes,
    parse_path,
)

# Postfix' usual recipient_delimiter, and the one that Cyrus knows.
DELIMITERS = b"+"

# What Sendmail's tables have behind a name for any extension, an empty one too, and for one that
# is not empty.
PLUS, ANY, SOME = b"+", b"+*", b"++"

# Bytes of a logical line, and of a wrong line that a report shows.
MAX_LINE = 1024 * 1024
_SHOWN = 60

_BLANKS = b" \t\r\f\v"
_BRACKET, _COLON = b"[:"


class Aliases:
    """The left sides of several alias files.

    `delimiters` are the characters of which each may begin an extension.
    Raises ConfigurationError, which names the file, for one that cannot be
    used.  Wrong lines are told to `report` and skipped.
    """

    __slots__ = ("_delimiters", "files")

    def __init__(
        self,
        paths: Sequence[str],
        report: Report = log_warning,
        delimiters: bytes = DELIMITERS,
        trust: Trust = TRUST,
    ) -> None:
        self._delimiters = delimiters
        self.files = tuple(Watched(path, parse, report, trust) for path in paths)

    def refresh(self) -> None:
        """Read the files again that have changed (watched.py)."""
        for file in self.files:
            file.refresh()

    @property
    def version(self) -> int:
        """A number that grows whenever one of the files says something new."""
        return sum(file.version for file in self.files)

    def covers(self, recipient: Address) -> bool:
        """True if `recipient`, with or without its extension, is an alias.

        The forms are those of virtual(5), "ADDRESS EXTENSION", and Sendmail's
        (cf/README, "virtusertable"; aliases have `name+*`, too).
        """
        if not self.files:
            return False
        local = recipient.local.lower()
        domain = canonical(recipient.domain)
        # A delimiter in front begins no extension (split_addr.c).
        names = [local]
        names += [local[:at] for at, byte in enumerate(local) if at and byte in self._delimiters]
        base, plus, extension = local.partition(PLUS)
        wildcards: list[bytes] = []
        if base and plus:
            wildcards = [ANY, SOME] if extension else [ANY]
            names += [base + wildcard for wildcard in wildcards]
        forms = list(names)
        if domain:
            forms += [name + b"@" + domain for name in (*names, *wildcards, b"")]
        return any(form in file.value for file in self.files for form in forms)


def parse(data: bytes) -> tuple[frozenset[bytes], list[LineProblem]]:
    """The left sides in an alias file's content, and what is wrong with which line.

    Raises ConfigurationError for a compiled database.
    """
    found: set[bytes] = set()
    problems: list[LineProblem] = []
    for number, line in _logical_lines(data):
        if line.startswith(b":include:"):
            continue
        try:
            found.add(_left_side(line))
        except ValueError as problem:
            shown = line[:_SHOWN].decode("utf-8", "backslashreplace")
            problems.append((number, f"{problem}; the line is skipped: {shown!r}"))
    return frozenset(found), problems


def _logical_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Lines with their continuations, and the number of the first one (readlline.c).

    Comments and blank lines are dropped, also between a line and its
    continuation.
    """
    lines: list[tuple[int, list[bytes]]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.strip(_BLANKS)
        if not text or text.startswith(b"#"):
            continue
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1][1].append(text)
        else:
            # A continuation of nothing keeps its blank, and is told as such.
            lines.append((number, [line.rstrip(_BLANKS)]))
    return [(number, b" ".join(parts)) for number, parts in lines]


def _left_side(line: bytes) -> bytes:
    """The alias that `line` defines, ready to be compared; raises ValueError with what is wrong."""
    if line.startswith((b" ", b"\t")):
        raise ValueError("a continuation line without a line before it")
    if len(line) > MAX_LINE:
        raise ValueError(f"more than {MAX_LINE} bytes")
    if b"\0" in line:
        raise ValueError("a NUL byte")
    end = _key_end(line)
    key = line[:end]
    value = line[end:].lstrip(_BLANKS).removeprefix(b":").lstrip(_BLANKS)
    if not key:
        raise ValueError("no name before the colon")
    if not value:
        raise ValueError("nothing behind the name; write `name: value` or `pattern value`")
    if key.startswith(b"@"):
        domain = canonical(key[1:].removesuffix(b"."))
        if not is_domain(domain):
            raise ValueError("no domain behind the @")
        return b"@" + domain
    address = parse_path(key)
    if isinstance(address, BadAddress):
        raise ValueError(address.problem)  # noqa: TRY004 - the type of the line's fault
    local = address.local.lower()
    if address.domain:
        return local + b"@" + canonical(address.domain)
    # A quoted name may hold an @ of its own: `"user@domain": value`.
    name, at, domain = local.rpartition(b"@")
    return name + at + canonical(domain)


def _key_end(line: bytes) -> int:
    """Where the left side ends: at a blank or colon outside of quotes and brackets.

    Raises ValueError for quotes that do not end.
    """
    bracket = False
    for position, byte in outside_quotes(line):
        if byte in b"[]":
            bracket = byte == _BRACKET
        elif byte in b" \t" or (byte == _COLON and not bracket):
            return position
    return len(line)
