"""What commands print: aligned text for people, one JSON object a line for programs.

Results go to standard output, messages to standard error.  Whatever comes
from a database, a log or the command line is made printable first, so that no
record can move the reader's cursor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from gateway.cli.colour import width
from gateway.printable import printable

# Between two columns.
_GAP = "  "


def show(data: bytes | str | None) -> str:
    """`data` for a terminal: printable, on one line, cut; `-` where there is none."""
    return "-" if data is None else printable(data)


def field(data: bytes | str) -> str:
    """`data` as one field of a line whose fields are separated by tabs; not cut."""
    return printable(data, limit=max(len(data) * 4, 64))


def text(data: bytes | None) -> str | None:
    """`data` for JSON: its text, with `\\xNN` for bytes that are not UTF-8; not cut."""
    return None if data is None else data.decode("utf-8", "backslashreplace")


def json_line(value: object) -> str:
    """`value`, made of what JSON knows, on one line."""
    return json.dumps(value, ensure_ascii=False)


def emit(line: str = "") -> None:
    """One line of the result."""
    sys.stdout.write(readable(line) + "\n")


def message(line: str) -> None:
    """One line for the person at the terminal, on standard error."""
    print(f"smmapd-gateway: {readable(line)}", file=sys.stderr)


def readable(line: str) -> str:
    """`line` in UTF-8, also where Python has read an argument as of another encoding.

    Bytes of arguments and file names that are not UTF-8 become escapes.
    """
    try:
        return line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that are not bytes
        return line.encode("utf-8", "backslashreplace").decode("utf-8")


def columns(rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset()) -> Iterator[str]:
    """The rows as lines whose columns are aligned; those in `right` to the right.

    The last column is never padded, so that long ones do not hurt.
    """
    table = [tuple(row) for row in rows]
    last = max((len(row) for row in table), default=0) - 1
    widths = [
        max((width(row[index]) for row in table if index < len(row)), default=0)
        for index in range(last + 1)
    ]
    for row in table:
        cells = []
        for index, cell in enumerate(row):
            blanks = " " * (widths[index] - width(cell))
            cells.append(blanks + cell if index in right else cell + blanks)
        yield _GAP.join(cells).rstrip()


def grouped(number: int) -> str:
    """A number with its thousands apart: 1,234,567."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in per cent, with one digit behind the point."""
    return f"{100 * part / whole:.1f} %" if whole > 0 else "-"


def plural(number: int, word: str) -> str:
    """`1 line`, `2 lines`: of a word whose plural is with an s."""
    return f"{grouped(number)} {word if number == 1 else word + 's'}"
