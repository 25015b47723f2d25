"""Files that an administrator edits while the gateway runs.

A `Watched` file is read and parsed at construction, and again by `refresh`
once it has changed and then been left alone for SETTLE seconds: who looks at a
file while somebody writes it sees a part of it, and a name that is missing
there would be refused.  A file that cannot be used at the start is an error;
one that becomes unusable later is reported once and what it said before
stands, because a slip in an editor must not change who gets mail.

`refresh` costs one system call when nothing has changed, so it may be called
for every question, and from several threads: the parsed value is replaced as a
whole.  A large file is parsed on a thread of its own, so that nobody's
question waits for that.

Limits: a writer that pauses for SETTLE seconds in the middle is seen in the
middle; write a new file and rename it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.errors import ConfigurationError
from gateway.files import read_with_status

# Bytes of a file; a million aliases have about 64 MB.
MAX_SIZE = 128 * 1024 * 1024

# Seconds for which a file must not have changed before it is read again.
SETTLE = 1.0

# The same for an empty file: what writes it may still be looking for its first
# word, and whoever wants no aliases at all can wait.
SETTLE_EMPTY = 60.0

# Bytes that are parsed at once, in some 5 ms; more than that on a thread.
AT_ONCE = 16 * 1024

# Wrong lines of a file that are told one by one.
MAX_TOLD = 10

T = TypeVar("T")

# A line's number, counted from 1, and what is wrong with it.
LineProblem = tuple[int, str]
Parser = Callable[[bytes], tuple[T, list[LineProblem]]]
Report = Callable[[str], None]
Token = tuple[int, int, int, int, int]

_log = logging.getLogger(__name__)


def log_warning(problem: str) -> None:
    """Tell the log; as an argument, so that many of them count as the same."""
    _log.warning("%s", problem)


class Watched(Generic[T]):
    """The parsed content of the file `path`, and how often it has been read.

    `parse` gives the content and what is wrong with single lines; those are
    told to `report`, one text a problem, and do not count as failures.  It may
    raise ConfigurationError for a file that is none of its kind at all.
    Raises ConfigurationError, which names the file, if it cannot be read.
    """

    __slots__ = (
        "_content",
        "_parse",
        "_reading",
        "_report",
        "_seen",
        "_since",
        "_state",
        "path",
        "value",
        "version",
    )

    def __init__(self, path: str, parse: Parser[T], report: Report = log_warning) -> None:
        self.path = path
        self.version = 0
        self._parse = parse
        self._report = report
        self._reading = threading.Lock()  # held by whoever reads the file
        self._seen: Token | None = None  # of a file that has not been left alone for long enough
        self._since = 0.0  # when that was seen first (time.monotonic)
        # What `value` was made of: the file's token, or the text of a failure; None is made of
        # a file that may have been in the making.
        self._state: Token | str | None
        self.value: T
        self._content: int | None = None  # a hash of what `value` was made of
        status, data = self._read()
        self._take(data)
        self._state = _token(status) if _age(status) >= SETTLE else None

    def refresh(self) -> bool:
        """Read the file again if it has changed; True if there is a new value already.

        A large file's value is there some time later; `version` tells when.
        """
        try:
            status = os.stat(self.path)
        except OSError as error:
            self._failed(self._unreadable(error))
            return False
        token = _token(status)
        if token == self._state or not self._settled(status, token):
            return False
        if not self._reading.acquire(blocking=False):
            return False
        version = self.version
        if status.st_size <= AT_ONCE or not self._on_thread():
            self._read_again()
        return self.version != version

    def _on_thread(self) -> bool:
        """Read the file again on a thread; False where none can be started."""
        try:
            threading.Thread(target=self._read_again, name=f"read {self.path}", daemon=True).start()
        except RuntimeError:  # no thread left; then those who ask have to wait
            return False
        return True

    def _read_again(self) -> None:
        """The reader's part; lets others read afterwards."""
        try:
            status, data = self._read()
            token = _token(status)
            if self._settled(status, token):  # still, now that it has been read
                self._take(data)
                self._state = token
        except ConfigurationError as problem:
            self._failed(problem)
        finally:
            self._reading.release()

    def _settled(self, status: os.stat_result, token: Token) -> bool:
        """Whether nobody has written to the file for long enough."""
        enough = SETTLE if status.st_size else SETTLE_EMPTY
        if _age(status) >= enough:
            return True
        # The file's clock may be another one than ours.
        now = time.monotonic()
        if token != self._seen:
            self._seen = token
            self._since = now
        return now - self._since >= enough

    def _failed(self, problem: ConfigurationError) -> None:
        if self._state != str(problem):
            self._state = str(problem)
            self._report(f"{problem}; what it said before still counts")

    def _read(self) -> tuple[os.stat_result, bytes]:
        """The content, and the file's status afterwards."""
        try:
            data, status = read_with_status(self.path, MAX_SIZE)
            return status, data
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _take(self, data: bytes) -> None:
        content = hash(data)
        if content == self._content:
            return
        try:
            self.value, problems = self._parse(data)
        except ConfigurationError as error:
            error.file = error.file or self.path
            raise
        self._content = content
        self.version += 1
        for line, problem in problems[:MAX_TOLD]:
            self._report(str(ConfigurationError(problem, file=self.path, line=line)))
        if len(problems) > MAX_TOLD:
            more = f"{len(problems) - MAX_TOLD} more lines are wrong and skipped"
            self._report(str(ConfigurationError(more, file=self.path)))

    def _unreadable(self, error: OSError | ValueError) -> ConfigurationError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return ConfigurationError(f"cannot be read: {reason}", file=self.path)


def _token(status: os.stat_result) -> Token:
    # The change time, which nobody can set, shows what a restore with old times hides.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _age(status: os.stat_result) -> float:
    """Seconds since the file was changed or put in its place, by the real-time clock."""
    return time.time() - status.st_ctime
