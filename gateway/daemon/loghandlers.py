"""Where log lines go, without ever blocking or ending the service.

`SyslogHandler` writes to /dev/log as syslog(3) does, `StreamHandler` to a
descriptor.  A line that cannot be written is counted and dropped; the next
one that goes through is preceded by the count.  A storm of equal lines is one
line with a count; of lines that differ in what a client sent, only the first
few are written.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

SYSLOG_SOCKET = "/dev/log"
# A classic syslogd cuts at 1024 (RFC 3164, 4.1), rsyslog and journald take 8 KiB.
LINE_LIMIT = 8000
# Equal warnings and errors within this time are one line; two lines a minute tell enough.
STORM_SECONDS = 30.0
# Different lines that are watched at once; the oldest is forgotten.
_STORM_KINDS = 256
# Different lines from one place in the program that are written within STORM_SECONDS: a client
# that sends ever new nonsense must not fill the disk.
STORM_LINES = 10

# syslog(3): priority is facility * 8 + severity.
FACILITIES = {
    "user": 1,
    "mail": 2,
    "daemon": 3,
    **{f"local{number}": 16 + number for number in range(8)},
}
_SEVERITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)

# The name of the logger, the level, and the text.
_Key = tuple[str, int, str]


def severity(level: int) -> int:
    """The severity of syslog(3) for a level of logging."""
    return next((number for least, number in _SEVERITIES if level >= least), 7)


class Storms:
    """Lets the first of equal warnings and errors through, and counts the rest.

    Lines are alike where they come from one call (their text before the values
    are put in); of these STORM_LINES go through in STORM_SECONDS.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[_Key, _Storm] = {}
        self._alike: dict[_Key, _Wave] = {}

    def admit(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """The records to write now: counts that have become due, and `record` unless held back."""
        now = self._clock()
        due = self._due(now)
        if record.levelno < logging.WARNING:
            return [*due, record]
        key = (record.name, record.levelno, record.getMessage())
        storm = self._seen.get(key)
        if storm is not None:
            storm.held += 1
            return due
        origin = (record.name, record.levelno, str(record.msg))
        wave = self._alike.get(origin)
        if wave is None:
            due += _room(self._alike, now)
            wave = self._alike[origin] = _Wave(record, now)
        if not wave.admits(record):
            return due
        due += _room(self._seen, now)
        self._seen[key] = _Storm(record, now)
        return [*due, record]

    def rest(self) -> list[logging.LogRecord]:
        """All counts that have not been written, for the end of the process."""
        now = self._clock()
        held: list[_Storm] = [*self._seen.values(), *self._alike.values()]
        self._seen, self._alike = {}, {}
        return [record for each in held for record in each.summary(now)]

    def _due(self, now: float) -> list[logging.LogRecord]:
        return [*_taken(self._seen, now), *_taken(self._alike, now)]


class _Storm:
    """Equal records: the first one, its time, and how many were held back since."""

    def __init__(self, record: logging.LogRecord, first: float) -> None:
        self.record = record
        self.first = first
        self.held = 0

    def summary(self, now: float) -> list[logging.LogRecord]:
        """One record that stands for those held back, or none."""
        if not self.held:
            return []
        return [_noted(self.record, f"{self.held} more times in {now - self.first:.0f} s")]


class _Wave(_Storm):
    """Records that are alike: the last one, how many have passed, and how many were held back."""

    def __init__(self, record: logging.LogRecord, first: float) -> None:
        super().__init__(record, first)
        self.passed = 0

    def admits(self, record: logging.LogRecord) -> bool:
        """Whether `record` may be written; it is counted where not."""
        if self.passed < STORM_LINES:
            self.passed += 1
            return True
        self.record = record
        self.held += 1
        return False

    def summary(self, now: float) -> list[logging.LogRecord]:
        """The last record that was held back, and how many were; or none."""
        if not self.held:
            return []
        note = f"the last of {self.held} more such lines in {now - self.first:.0f} s"
        return [_noted(self.record, note)]


_HeldT = TypeVar("_HeldT", bound=_Storm)


def _room(held: dict[_Key, _HeldT], now: float) -> list[logging.LogRecord]:
    """Forget the oldest where there are too many; its count."""
    return held.pop(next(iter(held))).summary(now) if len(held) >= _STORM_KINDS else []


def _taken(held: dict[_Key, _HeldT], now: float) -> list[logging.LogRecord]:
    """The counts of those that are old enough, which are forgotten."""
    # In order of their first record: the first that is young ends the search.
    due: list[logging.LogRecord] = []
    while held:
        key, each = next(iter(held.items()))
        if now - each.first < STORM_SECONDS:
            break
        del held[key]
        due += each.summary(now)
    return due


def _noted(record: logging.LogRecord, note: str) -> logging.LogRecord:
    """The same line with a note behind it."""
    return logging.LogRecord(
        record.name,
        record.levelno,
        record.pathname,
        record.lineno,
        f"{record.getMessage()} ({note})",
        (),
        None,
    )


class LineHandler(ABC, logging.Handler):
    """What both handlers share: storms, the count of lost lines, and no exception ever out."""

    def __init__(self, storms: Storms | None = None) -> None:
        super().__init__()
        self._storms = Storms() if storms is None else storms
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it."""
        for each in self._storms.admit(record):
            self._put(each)

    def flush(self) -> None:
        """Write the counts of storms that are still held back."""
        self.acquire()
        try:
            for each in self._storms.rest():
                self._put(each)
        finally:
            self.release()

    @abstractmethod
    def write(self, level: int, line: str) -> bool:
        """Write one line; False when it was lost."""

    def _put(self, record: logging.LogRecord) -> None:
        if self.lost and self.write(logging.WARNING, f"{self.lost} log lines were lost"):
            self.lost = 0
        if not self.write(record.levelno, self.format(record)):
            self.lost += 1


class SyslogHandler(LineHandler):
    """Datagrams to /dev/log in the form of RFC 3164, as glibc writes them; never blocks."""

    def __init__(
        self, ident: str, facility: str, *, path: str = SYSLOG_SOCKET, storms: Storms | None = None
    ) -> None:
        super().__init__(storms)
        self._ident = ident
        self._facility = FACILITIES[facility]
        self._path = path
        self._socket: socket.socket | None = None

    def write(self, level: int, line: str) -> bool:
        """One datagram; after a restart of syslogd the socket is connected again."""
        # RFC 3164, 4.1.2: English month, day padded with a blank; strftime's %b is the locale's.
        moment = time.localtime()
        stamp = (
            f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {time.strftime('%H:%M:%S', moment)}"
        )
        head = f"<{self._facility * 8 + severity(level)}>{stamp} {self._ident}[{os.getpid()}]: "
        data = (head + line).encode(errors="backslashreplace")[:LINE_LIMIT]
        return self._send(data) or self._send(data)

    def close(self) -> None:
        """Write what is held back and close the socket."""
        self.flush()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().close()

    def _send(self, data: bytes) -> bool:
        """Send, or close the socket so that the next call connects afresh."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(self._path)
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            return False
        return True


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class StreamHandler(LineHandler):
    """Lines to a descriptor; with `priorities` each begins with <N> as sd-daemon(3) says.

    Never blocks, whoever reads there: what has no room is lost and counted.
    The descriptor is shared with other programs, so it is not made
    non-blocking.  Its limit: where several processes write to one pipe and
    nobody reads it, one of them may find the last room taken after all; it
    then waits for the reader.
    """

    def __init__(
        self, descriptor: int = 2, *, priorities: bool = False, storms: Storms | None = None
    ) -> None:
        super().__init__(storms)
        self._descriptor = descriptor
        self._priorities = priorities
        self._socket = _as_socket(descriptor)
        self._rest = b""  # of a line that had no room

    def write(self, level: int, line: str) -> bool:
        """One write, so that lines of several processes do not mix."""
        head = f"<{severity(level)}>" if self._priorities else ""
        data = (head + line).encode(errors="backslashreplace")[:LINE_LIMIT] + b"\n"
        try:
            while self._rest:
                sent = self._push(self._rest)
                if not sent:
                    return False
                self._rest = self._rest[sent:]
            sent = self._push(data)
            while 0 < sent < len(data):
                data = data[sent:]
                sent = self._push(data)
                if not sent:
                    # Its beginning is out: the rest comes before the next line.
                    self._rest = data
                    return True
            return sent > 0
        except OSError:
            return False

    def close(self) -> None:
        """Write what is held back."""
        self.flush()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().close()

    def _push(self, data: bytes) -> int:
        """How many of these bytes there was room for; raises OSError."""
        if self._socket is not None:
            try:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return 0
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        if not room.poll(0):
            return 0
        return os.write(self._descriptor, data[: select.PIPE_BUF])


def _as_socket(descriptor: int) -> socket.socket | None:
    """The socket behind a descriptor, as journald's; None where it is something else."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        return socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return None
