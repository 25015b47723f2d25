"""Files that an administrator edits while the gateway runs.

A `Watched` file is read and parsed at construction, and again by `refresh`
when its token (device, inode, size and time of change) is another one.  A
file that cannot be used at the start is an error; one that becomes unusable
later is reported once and what it said before stands, because a slip in an
editor must not change who gets mail.

`refresh` costs one system call when nothing has changed, so it may be called
for every question.  It may be called from several threads: the parsed value
is replaced as a whole, and the worst of a race is that a file is read twice.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.errors import ConfigurationError

# Bytes of a file; a million aliases have about 64 MB.
MAX_SIZE = 128 * 1024 * 1024

T = TypeVar("T")

# A line's number, counted from 1, and what is wrong with it.
LineProblem = tuple[int, str]
Parser = Callable[[bytes], tuple[T, list[LineProblem]]]
Report = Callable[[str], None]
Token = tuple[int, int, int, int]

log_warning: Report = logging.getLogger(__name__).warning


class Watched(Generic[T]):
    """The parsed content of the file `path`.

    `parse` gives the content and what is wrong with single lines; those are
    told to `report`, one text a problem, and do not count as failures.
    Raises ConfigurationError, which names the file, if it cannot be read.
    """

    __slots__ = ("_parse", "_report", "_state", "path", "value")

    def __init__(self, path: str, parse: Parser[T], report: Report = log_warning) -> None:
        self.path = path
        self._parse = parse
        self._report = report
        # What was last seen of the file: its token, or the text of a failure.
        self._state: Token | str
        self.value: T
        token, data = self._read()
        self._take(token, data)

    def refresh(self) -> bool:
        """Read the file again if it has changed; True if there is a new value."""
        try:
            if self._state == _token(os.stat(self.path)):
                return False
            token, data = self._read()
        except (OSError, ConfigurationError) as error:
            problem = error if isinstance(error, ConfigurationError) else self._unreadable(error)
            if self._state != str(problem):
                self._state = str(problem)
                self._report(f"{problem}; what it said before still counts")
            return False
        self._take(token, data)
        return True

    def _read(self) -> tuple[Token, bytes]:
        try:
            # Non-blocking: the open of a FIFO would wait for a writer.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise ConfigurationError("this is no regular file", file=self.path)
                if status.st_size > MAX_SIZE:
                    problem = f"{status.st_size} bytes are more than the {MAX_SIZE} that are read"
                    raise ConfigurationError(problem, file=self.path)
                return _token(status), file.read(MAX_SIZE)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _take(self, token: Token, data: bytes) -> None:
        self.value, problems = self._parse(data)
        self._state = token
        for line, problem in problems:
            self._report(str(ConfigurationError(problem, file=self.path, line=line)))

    def _unreadable(self, error: OSError | ValueError) -> ConfigurationError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return ConfigurationError(f"cannot be read: {reason}", file=self.path)


def _token(status: os.stat_result) -> Token:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
