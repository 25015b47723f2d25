"""The file that this process was started from, to see when another takes its place.

A service of Cyrus leaves when its program was replaced (master/service.c), so
that an upgrade needs no restart.
"""

from __future__ import annotations

import os
import sys


class Program:
    """Remembers what was at the program's path when it was made: early, for nothing to be missed.

    Limits: the launcher's file only; that modules were replaced shows when
    the launcher is, as every installation writes both.
    """

    __slots__ = ("_path", "_state")

    def __init__(self) -> None:
        self._path = os.path.abspath(sys.argv[0])
        self._state = self._look()

    def changed(self) -> bool:
        """True once the path holds another file than at the start, or none."""
        return self._look() != self._state

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns
