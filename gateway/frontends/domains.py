"""Lists of mail domains: which ones are ours.

A list holds domains, and `.example.org` for every domain below example.org
(not example.org itself).  Case does not matter, and neither does whether an
internationalised domain is written in UTF-8 or as `xn--` labels (RFC 5890).
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.frontends.watched import LineProblem
from gateway.protocols.address import is_domain

# Bytes of a wrong line that a report shows.
_SHOWN = 60


def canonical(domain: bytes) -> bytes:
    """`domain` in the one form in which domains are compared: lower case, `xn--` labels.

    Bytes that no such form exists of stay as they are, in lower case.
    """
    folded = domain.lower()
    if folded.isascii():
        return folded
    try:
        return folded.decode("utf-8").encode("idna").lower()
    except UnicodeError:
        return folded


class DomainList:
    """A frozen set of domains and of patterns for the domains below one."""

    __slots__ = ("_below", "_exact")

    def __init__(self, entries: Iterable[bytes]) -> None:
        exact: set[bytes] = set()
        below: set[bytes] = set()
        for entry in entries:
            group = below if entry.startswith(b".") else exact
            group.add(canonical(entry.removeprefix(b".").removesuffix(b".")))
        self._exact = frozenset(exact)
        self._below = frozenset(below)

    def __len__(self) -> int:
        return len(self._exact) + len(self._below)

    def __contains__(self, domain: bytes) -> bool:
        domain = canonical(domain)
        if domain in self._exact:
            return True
        if self._below:
            _, dot, parent = domain.partition(b".")
            while dot:
                if parent in self._below:
                    return True
                _, dot, parent = parent.partition(b".")
        return False


def entry_problem(entry: bytes) -> str | None:
    """What is wrong with one entry of a list, or None."""
    if is_domain(entry.removeprefix(b".").removesuffix(b".")):
        return None
    shown = entry[:_SHOWN].decode("utf-8", "backslashreplace")
    return f"{shown!r} is not a domain; write example.org, or .example.org for all below it"


def parse(data: bytes) -> tuple[DomainList, list[LineProblem]]:
    """The domains of a file with one a line; `#` begins a comment, wrong lines are skipped."""
    entries: list[bytes] = []
    problems: list[LineProblem] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        entry = line.partition(b"#")[0].strip()
        if not entry:
            continue
        problem = entry_problem(entry)
        if problem is None:
            entries.append(entry)
        else:
            problems.append((number, f"{problem}; the line is skipped"))
    return DomainList(entries), problems
