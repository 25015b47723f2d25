"""Files that an administrator edits while the gateway runs.

A `Watched` file is read and parsed at construction, and again by `refresh`
once it has changed and then been left alone for SETTLE seconds: a reader of a
file while it is being written sees a part of it, and a name that is missing
there would be refused.  Until a file has been read that was left alone,
`settled` is False, and a judge that would permanently refuse a recipient because of what
it does not say must not (`Scope.settled`).

What becomes unusable later is told once, and what it said before stays in force: a slip
in an editor must not change which recipients get mail.  Unusable is what cannot be read, is
not text in lines (plaintext.py), has more wrong lines than right ones, or has
lost most of its entries in one change (`Trust`).

`refresh` costs one system call when nothing has changed, so it may be called
for every question, and from several threads: the parsed value is replaced as a
whole.  A large file is parsed on a thread of its own, so that no
question waits for that.

Limits: a writer that pauses for SETTLE seconds in the middle is seen in the
middle, unless most entries are missing there; write a new file and rename it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.errors import ConfigurationError
from gateway.files import read_with_status, stamp
from gateway.frontends import plaintext

if TYPE_CHECKING:
    from gateway.files import FileStamp

# Bytes of a file; a million aliases have about 64 MB.
MAX_SIZE = 128 * 1024 * 1024

# Seconds for which a file must not have changed before it is read again.
SETTLE = 1.0

# The same for an empty file that had something in it: what writes it may still be looking for its
# first word, and an administrator that wants no aliases at all can wait.
SETTLE_EMPTY = 60.0

# Bytes that are parsed at once, in some 5 ms; more than that on a thread.
AT_ONCE = 16 * 1024

# Wrong lines of a file that are told one by one.
MAX_TOLD = 10

# Entries that a change may always take: in a short list two of three are soon meant.
FEW = 10

T = TypeVar("T", bound=Sized)

# A line's number, counted from 1, and what is wrong with it.
LineProblem = tuple[int, str]
Parser = Callable[[bytes], tuple[T, list[LineProblem]]]
Report = Callable[[str], None]

_log = logging.getLogger(__name__)


# Entries by path, where no file has been read before.
NOTHING_KNOWN: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed of files.

    One change may take up to `max_loss` per cent of a file's entries, and
    always FEW of them, if anything is left; 100: whatever it says.  `known` is how
    many entries files had, by path, before this process began; with `lenient`
    a file that is unusable at the beginning is not an error, but not settled:
    others have found it usable.  `at_once`: the first reading counts, however
    young the file is, for a command that tells how things are now.
    """

    max_loss: int = 50
    known: Mapping[str, int] = field(default_factory=lambda: NOTHING_KNOWN)
    lenient: bool = False
    at_once: bool = False

    def lost(self, before: int | None, after: int, *, empty: bool) -> bool:
        """Whether a change from so many entries to so many is not to be believed.

        `empty`: there is nothing in the file, as when the disk was full.
        """
        if before is None or before <= after:
            return False
        lost = before - after
        return lost * 100 > before * self.max_loss and (lost > FEW or empty)


# What is believed where nothing is known.
TRUST = Trust()


def log_warning(problem: str) -> None:
    """Tell the log; as an argument, so that many of them count as the same."""
    _log.warning("%s", problem)


class Watched(Generic[T]):
    """The parsed content of the file `path`, and how often it has been read.

    `parse` gives the content, which has a length, and what is wrong with single
    lines; those are told to `report`, one text a problem, and do not count as
    failures.  `settled` tells whether the value is of a file that was left
    alone; `problem` is why the file is not used as it is now, empty where it is.
    Raises ConfigurationError, which names the file, if it cannot be used; one
    that was changed just now may yet become usable, and is not an error.
    """

    __slots__ = (
        "_before",
        "_content",
        "_parse",
        "_reading",
        "_report",
        "_seen",
        "_since",
        "_state",
        "_trust",
        "path",
        "problem",
        "settled",
        "value",
        "version",
    )

    def __init__(
        self,
        path: str,
        parse: Parser[T],
        report: Report = log_warning,
        trust: Trust = TRUST,
    ) -> None:
        self.path = path
        self.problem = ""
        self.settled = False
        self.version = 0
        self.value: T
        self._trust = trust
        self._parse = parse
        self._report = report
        self._reading = threading.Lock()  # held by the thread that reads the file
        # Of a file that has not been left alone for long enough.
        self._seen: FileStamp | None = None
        self._since = 0.0  # when that was seen first (time.monotonic)
        # Of the file that was read last and had been left alone, whether it is used or not.
        self._state: FileStamp | None = None
        self._content: int | None = None  # a hash of what `value` was made of
        self._before = trust.known.get(path)  # entries that are in force
        self._begin()

    @property
    def entries(self) -> int:
        """How many entries the value has."""
        return len(self.value)

    @property
    def refused(self) -> bool:
        """Whether the file has been left alone, and is not used all the same."""
        return bool(self.problem) and self._state is not None

    def refresh(self) -> bool:
        """Read the file again if it has changed; True if there is a new value already.

        A large file's value is there some time later; `version` tells when.
        """
        try:
            status = os.stat(self.path)
        except OSError as error:
            self._state = None
            self._failed(self._unreadable(error))
            return False
        token = stamp(status)
        if token == self._state or not self._left_alone(status, token):
            return False
        if not self._reading.acquire(blocking=False):
            return False
        version = self.version
        if status.st_size <= AT_ONCE or not self._on_thread():
            self._read_again()
        return self.version != version

    def _begin(self) -> None:
        """The first reading; afterwards there is a value, if only that of an empty file."""
        young = False
        try:
            status, data = self._read()
            young = not self._trust.at_once and _age(status) < self._enough(status)
            self._state = None if young else stamp(status)
            self._take(data, settled=not young)
        except ConfigurationError as problem:
            if not (young or self._trust.lenient):
                raise
            self.value, _ = self._parse(b"")
            self.version += 1
            if not young:
                self._failed(problem)

    def _on_thread(self) -> bool:
        """Read the file again on a thread; False where none can be started."""
        try:
            threading.Thread(target=self._read_again, name=f"read {self.path}", daemon=True).start()
        except RuntimeError:  # no thread left; then callers have to wait
            return False
        return True

    def _read_again(self) -> None:
        """The reader's part; lets others read afterwards."""
        try:
            status, data = self._read()
            token = stamp(status)
            if self._left_alone(status, token):  # still, now that it has been read
                # Whatever it says, it need not be read again before it changes.
                self._state = token
                self._take(data, settled=True)
        except ConfigurationError as problem:
            self._failed(problem)
        finally:
            self._reading.release()

    def _left_alone(self, status: os.stat_result, token: FileStamp) -> bool:
        """Whether the file has been left alone for long enough."""
        enough = self._enough(status)
        if _age(status) >= enough:
            return True
        # The file's clock may be another one than ours.
        now = time.monotonic()
        if token != self._seen:
            self._seen = token
            self._since = now
        return now - self._since >= enough

    def _enough(self, status: os.stat_result) -> float:
        """Seconds for which a file like this one must have been left alone."""
        to_lose = self._trust.lenient if self._before is None else self._before > 0
        return SETTLE_EMPTY if to_lose and not status.st_size else SETTLE

    def _failed(self, problem: ConfigurationError) -> None:
        """The file is not used as it is now; that is told once."""
        if self.problem != str(problem):
            self.problem = str(problem)
            old = "what it said before still counts"
            self._report(
                f"{problem}; {old if self.settled else 'recipients that it may hold are deferred'}"
            )

    def _read(self) -> tuple[os.stat_result, bytes]:
        """The content, and the file's status afterwards."""
        try:
            data, status = read_with_status(self.path, MAX_SIZE)
            return status, data
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _take(self, data: bytes, *, settled: bool) -> None:
        """Make `data` the value; raises ConfigurationError where it is unusable."""
        content = hash(data)
        if content != self._content or not self.settled:
            value, problems = self._parsed(data)
            if settled:
                self._believe(len(value), empty=not data.strip())
            if content != self._content:
                self._tell(problems)
                self.version += 1
            self.value = value
            self._content = content
        if settled:
            self._before = len(self.value)
            self.settled = True
            self.problem = ""

    def _parsed(self, data: bytes) -> tuple[T, list[LineProblem]]:
        problem = plaintext.unusable(data)
        if problem is not None:
            raise ConfigurationError(problem, file=self.path)
        value, problems = self._parse(plaintext.text_of(data))
        if plaintext.mostly_wrong(len(problems), len(value)):
            line, first = problems[0]
            most = f"{len(problems)} lines are wrong and {len(value)} right, such as: {first}"
            raise ConfigurationError(f"{most}; is this the right file?", file=self.path, line=line)
        return value, problems

    def _believe(self, entries: int, *, empty: bool) -> None:
        if self._trust.lost(self._before, entries, empty=empty):
            raise ConfigurationError(
                f"has {entries} entries, and had {self._before}; if that is meant, restart the "
                "gateway (systemctl restart), or raise max_loss in [scope] and reload",
                file=self.path,
            )

    def _tell(self, problems: list[LineProblem]) -> None:
        for line, problem in problems[:MAX_TOLD]:
            self._report(str(ConfigurationError(problem, file=self.path, line=line)))
        if len(problems) > MAX_TOLD:
            more = f"{len(problems) - MAX_TOLD} more lines are wrong and skipped"
            self._report(str(ConfigurationError(more, file=self.path)))

    def _unreadable(self, error: OSError | ValueError) -> ConfigurationError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, PermissionError):
            reason = f"{reason}; let the user that the gateway becomes read it"
        return ConfigurationError(f"cannot be read: {reason}", file=self.path)


def _age(status: os.stat_result) -> float:
    """Seconds since the file was changed or put in its place, by the real-time clock."""
    return time.time() - status.st_ctime
