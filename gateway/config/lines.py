"""On which line of a TOML file a key stands: a light scan, since tomllib does not tell.

The scan knows table headers, dotted and quoted keys, comments, and strings
and lists that go over several lines.  Keys inside inline tables belong to the
line of the outer key.  It is for messages only: a key that it misses costs a
message its line, nothing more.  The text must be valid TOML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*(?P<name>{_DOTTED})[ \t]*\]")
_KEY = re.compile(rf"[ \t]*(?P<name>{_DOTTED})[ \t]*=")
# What matters for where a value ends: strings, comments, brackets.
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'|"
    r"#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)


def key_lines(text: str) -> dict[str, int]:
    """The line, counted from 1, of every table header and key of `text`, by dotted name."""
    found: dict[str, int] = {}
    table = ""
    position, line = 0, 1
    while position < len(text):
        header = _HEADER.match(text, position)
        key = None if header else _KEY.match(text, position)
        if header is not None:
            table = _plain(header["name"])
            found.setdefault(table, line)
            position = header.end()
        elif key is not None:
            name = _plain(key["name"])
            found.setdefault(f"{table}.{name}" if table else name, line)
            position = key.end()
        end = _end_of_value(text, position)
        line += text.count("\n", position, end)
        position = end
    return found


def line_of(lines: Mapping[str, T], name: str) -> T | None:
    """The line (or place) of `name`, or of what is next around it; None if there is none."""
    while name:
        if name in lines:
            return lines[name]
        name = name.rpartition(".")[0]
    return None


def _end_of_value(text: str, position: int) -> int:
    """The position behind the line break that ends the value (or comment) at `position`."""
    depth = 0
    for token in _TOKEN.finditer(text, position):
        mark = token[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth = max(0, depth - 1)
        elif mark == "\n" and depth == 0:
            return token.end()
    return len(text)


def _plain(dotted: str) -> str:
    parts = [each[0] for each in re.finditer(_PART, dotted)]
    return ".".join(part[1:-1] if part[0] in "\"'" else part for part in parts)
