"""A progress bar on the terminal, and nothing anywhere else.

It is drawn on standard error, at most ten times a second, and wiped away at
the end.  Where standard error is not a terminal, or a dumb one, not a byte is
written.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Self, TextIO

# Seconds between two drawings, and before the first one: what is quick shows no bar.
_INTERVAL = 0.1
_BAR = 30
# How many steps may pass before the clock is looked at.
_STRIDE = 64


class Progress:
    """How far a long piece of work is; used in a `with` statement.

    `total` is the number of steps, None where it is not known: then only what
    is done is counted.  `unit` names the steps, `records` or `bytes`.
    """

    def __init__(
        self, label: str, total: int | None, unit: str, stream: TextIO | None = None
    ) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._done = 0
        self._unlooked = 0
        self._began = time.monotonic()
        self._drawn = self._began
        self._on_screen = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()

    def advance(self, steps: int = 1) -> None:
        """So many steps more are done."""
        self.reach(self._done + steps)

    def reach(self, done: int) -> None:
        """`done` steps are done."""
        self._done = done
        if not self._shown:
            return
        self._unlooked += 1
        if self._unlooked < _STRIDE and self._unit != "bytes":
            return
        self._unlooked = 0
        now = time.monotonic()
        if now - self._drawn >= _INTERVAL:
            self._drawn = now
            self._draw(now - self._began)

    def clear(self) -> None:
        """Wipe the bar away, so that a line can be printed."""
        if self._on_screen:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._on_screen = False

    def make_room(self) -> None:
        """A line of the result is about to be printed: wipe the bar away where both would show."""
        if self._on_screen and sys.stdout.isatty():
            self.clear()

    def _draw(self, seconds: float) -> None:
        line = render(self._label, self._done, self._total, self._unit, seconds)
        width = shutil.get_terminal_size().columns
        self._stream.write("\r" + line[: width - 1] + "\x1b[K")
        self._stream.flush()
        self._on_screen = True


def render(label: str, done: int, total: int | None, unit: str, seconds: float) -> str:
    """The bar's line: what, how far, and how long it still takes."""
    count = f"{done / 1e6:.1f} MB" if unit == "bytes" else f"{done:,} {unit}"
    if not total:
        return f"{label}  {count}"
    part = min(done / total, 1.0)
    filled = int(part * _BAR)
    bar = "#" * filled + "." * (_BAR - filled)
    left = f"  {_clock(seconds * (1 - part) / part)} left" if part > 0 else ""
    return f"{label}  [{bar}] {int(part * 100):3} %  {count}{left}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
