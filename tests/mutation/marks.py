"""Marks: comments in the source that say why a change to their line is not noticed by any test.

    self._quiet = 0  # same with 1: the first look sets it before it is read
    if size >= WHOLE:  # same with >: the longer way to the same answer
    tail = view.peek(size - 3 * WORD, 3 * WORD)  # same with 4 in place 2: the file ends there
    # same with 1, <=: one reading more than it needs, whose result
    # is the same
    while at < size:
    if not found:  # same without not: ...
    MAX_IDLE = 8  # only a bound

`same with` names what comes into the line, as the tool reports it, and the reason;
`in place 2` picks the second of several operators or numbers of the line that would
become that, `in places 1 and 3` more of them.  `only a bound` is for a
bound, whose reason its own comment gives: nothing in that statement is tried.

A mark at the end of a line is about that line, one above a statement about the
whole statement, without the statements inside it.  So a mark goes where its
line goes, whatever the module, the function and the variables are called.  One
that covers no mutant is stale: what it was about has gone, and so must it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

from tests.mutation.mutants import NO_NOT, WORDS, Mutant

ANY = "only a bound"
_MARK = re.compile(
    rf"#\s*(?:(?P<any>{ANY})\b|same (?:with )?(?P<what>.+?)"
    r"(?: in places? (?P<places>\d+(?:(?:, | and )\d+)*))?: (?P<why>.+))"
)
# A comment that begins as a mark does and is none was meant as one.
_MEANT = re.compile(r"#\s*same with(?:out)?\b")
_BESIDE = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)


class Mark(NamedTuple):
    """One comment: its lines, and what may come into them (`ANY`: anything)."""

    line: int
    about: range
    instead: str
    places: tuple[int, ...]  # empty: every place

    def covered(self, found: list[Mutant]) -> list[int]:
        """Which of a module's mutants it explains."""
        those = [
            at
            for at, mutant in enumerate(found)
            if mutant.line in self.about and self.instead in (ANY, mutant.instead)
        ]
        if not self.places:
            return those
        return [those[place - 1] for place in self.places if 0 < place <= len(those)]


class Explained(NamedTuple):
    """What the marks of a module say of its mutants, each by its place in the list of all."""

    untried: set[int]  # only a bound
    same: set[int]
    stale: list[str]  # what is wrong with marks, each with its line


def marks(source: str) -> Iterator[Mark]:
    """The marks of a module; raises ValueError, with the line, where one cannot be read."""
    above: list[tuple[int, str]] = []
    statements = _statements(source)
    fresh = True  # nothing but a comment has come in this line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT and fresh:
            above.append((line, token.string))
        elif token.type == tokenize.COMMENT:
            yield from _read(line, token.string, range(line, line + 1))
        elif token.type not in _BESIDE and fresh:
            about = statements.get(line, range(line, line + 1))
            for there, text in above:
                yield from _read(there, text, about)
            above = []
        fresh = token.type in (tokenize.NEWLINE, *_BESIDE)


def explained(source: str, found: list[Mutant]) -> Explained:
    """What the marks of `source` say of its mutants; raises ValueError as `marks` does."""
    untried: set[int] = set()
    same: set[int] = set()
    stale = []
    for mark in marks(source):
        those = mark.covered(found)
        (untried if mark.instead == ANY else same).update(those)
        if not those or len(those) < len(mark.places):
            stale.append(f"{mark.line}: the mark is stale: nothing here becomes {mark.instead}")
    return Explained(untried, same, stale)


def shown(found: list[Mutant], at: int) -> str:
    """One mutant of a module: its line, what its mark says, and what its statement becomes."""
    mutant = found[at]
    alike = [
        each
        for each, other in enumerate(found)
        if (other.line, other.instead) == (mutant.line, mutant.instead)
    ]
    word = "" if mutant.instead == NO_NOT else "with "
    place = f" in place {alike.index(at) + 1}" if len(alike) > 1 else ""
    return f"{mutant.line}: same {word}{mutant.instead}{place}? {mutant.name}"


def _read(line: int, comment: str, about: range) -> Iterator[Mark]:
    given = _MARK.match(comment)
    if given is None:
        if _MEANT.match(comment):
            raise ValueError(f"{line}: not a mark: {comment}")
        return
    places = tuple(map(int, re.findall(r"\d+", given["places"] or "")))
    for word in given["what"].split(", ") if given["what"] else (ANY,):
        # A number is meant however it is written in the line: 0x2001 is 8193.
        instead = word if word in WORDS or word == ANY else str(_number(line, word))
        yield Mark(line, about, instead, places)


def _number(line: int, word: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        raise ValueError(f"{line}: not a mark: no mutant becomes {word!r}") from None


def _statements(source: str) -> dict[int, range]:
    """The lines of each statement, decorators included and statements inside it not, by its first line."""
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            inside = getattr(node, "body", None)
            end = inside[0].lineno - 1 if inside else node.end_lineno or node.lineno
            decorators = getattr(node, "decorator_list", [])
            begin = min([node.lineno, *(each.lineno for each in decorators)])
            found.setdefault(begin, range(begin, max(end, node.lineno) + 1))
    return found
