"""Files of Postfix' configuration that are read at a start or reload: have they changed since?

`ConfigurationFiles` notes what tells each file from itself at another time, before
it is read.  A judge that would refuse because of what the files said (a domain that
is none of Postfix', a table that is not among its parameters) looks first
whether they still say it: an administrator who adds a domain to main.cf must
not have its recipients refused until our next reload.  Once changed they stay
so; a new generation reads them again.

Limits: files that name each other in a list of domains are watched one deep,
and what main.cf takes from other places ($(...) or the environment) is not.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gateway.files import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.files import FileStamp

DEFAULT_FOLDER = "/etc/postfix"
NAMES = ("main.cf", "master.cf")

# Seconds that a changed file must have been left alone before it is read again:
# an editor or a copy may be at work.
SETTLE = 1.0


class ConfigurationFiles:
    """The files in `folder` (empty: Postfix' default), as they are now."""

    __slots__ = ("_clock", "_stamps", "changed")

    def __init__(self, folder: str, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stamps: dict[str, FileStamp | None] = {}
        self.changed = False
        self.add(os.path.join(folder or DEFAULT_FOLDER, name) for name in NAMES)

    def add(self, paths: Iterable[str]) -> None:
        """Note these files, too, as they are now."""
        for path in paths:
            self._stamps.setdefault(path, _stamp(path))

    @property
    def version(self) -> int:
        """A number that grows when they have changed."""
        return int(self.changed)

    def refresh(self) -> None:
        """Look whether they have changed: one system call a file."""
        if not self.changed:
            self.changed = any(_stamp(path) != old for path, old in self._stamps.items())

    def change(self) -> tuple[str, FileStamp | None] | None:
        """A file that has changed and been left alone since, with its stamp; None without one."""
        for path, old in self._stamps.items():
            now = _stamp(path)
            if now == old:
                continue
            young = now is not None and self._clock() - max(now[-2:]) / 1e9 < SETTLE
            return None if young else (path, now)
        return None


def _stamp(path: str) -> FileStamp | None:
    try:
        return stamp(os.stat(path))
    except OSError:
        return None
