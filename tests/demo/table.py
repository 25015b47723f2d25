"""The answers as a table, or as a block each where the terminal is too narrow for one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from tests.demo.running import Answer

HEADINGS = ("recipient", "verdict", "socketmap reply", "policy action", "SMTP reply")
_GAP = "  "


def cells(answer: Answer) -> tuple[str, ...]:
    """The columns of one row."""
    return (answer.recipient, answer.verdict, answer.socketmap, answer.policy, answer.smtp)


def columns(text: str) -> int:
    """The columns that `text` takes on a terminal (letters of double width, marks of none)."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def lines(answers: Sequence[Answer], width: int | None = None) -> Iterator[str]:
    """The table; `width` is the terminal's, None where the lines may be of any length."""
    rows = [HEADINGS, *(tuple(map(printable, cells(answer))) for answer in answers)]
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    if width is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        yield from _blocks(rows[1:])
        return
    rows.insert(1, tuple("-" * each for each in widths))
    for row in rows:
        padded = (
            cell + " " * (each - columns(cell)) for cell, each in zip(row, widths, strict=True)
        )
        yield _GAP.join(padded).rstrip()


def printable(text: str) -> str:
    """`text` with a `?` for what a terminal must not get."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _blocks(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widest = max(map(len, HEADINGS))
    for row in rows:
        yield row[0]
        for heading, cell in zip(HEADINGS[1:], row[1:], strict=True):
            yield f"  {heading:<{widest}}  {cell}"
