"""Colour for people at a terminal, and none for programs.

`auto` colours where standard output is a terminal that is not a dumb one, unless the
environment variable NO_COLOR is set to something (https://no-color.org); `always` and
`never` are what they say.  Colour only repeats what the words say.
"""

from __future__ import annotations

import os
import re
import sys
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.verification.kinds import Kind

AUTO = "auto"
ALWAYS = "always"
WHEN = (AUTO, ALWAYS, "never")

_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


class Style(Enum):
    """What a word tells; the values are parameters of SGR (ECMA-48, 8.3.117)."""

    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"
    HEADING = "1"


class Palette:
    """Colours words, or leaves them as they are."""

    def __init__(self, when: str) -> None:
        """`when` is one of WHEN, what --color says."""
        self._on = when == ALWAYS or (when == AUTO and _wanted())

    def paint(self, text: str, style: Style) -> str:
        """`text`, which is printable, in the colour of `style`."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self._on and text else text

    def verdict(self, text: str, kind: Kind) -> str:
        """`text` in the colour of what `kind` means for a mail."""
        return self.paint(text, verdict_style(kind))


def verdict_style(kind: Kind) -> Style:
    """Accepted, put off, or refused for good."""
    if kind.accepts:
        return Style.GOOD
    return Style.DOUBTFUL if kind.temporary else Style.BAD


def width(text: str) -> int:
    """How many characters of `text` are seen."""
    return len(_SEQUENCE.sub("", text))


def _wanted() -> bool:
    environment = os.environ
    return (
        not environment.get("NO_COLOR")
        and environment.get("TERM") not in (None, "", "dumb")
        and sys.stdout.isatty()
    )
