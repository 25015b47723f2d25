"""Where log lines go, without ever blocking or ending the service.

`SyslogHandler` writes to /dev/log as syslog(3) does, `StreamHandler` to a
descriptor.  A line that cannot be written is counted and dropped; the next
one that goes through is preceded by the count.  Repeated warnings and errors are
held back (`RecordLimiter`), so that no fault and no client fills the disk.
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

from gateway.loglimiter import HeldLines, LogLimiter

SYSLOG_SOCKET = "/dev/log"
# A classic syslogd cuts at 1024 (RFC 3164, 4.1), rsyslog and journald take 8 KiB.
LINE_LIMIT = 8000

# Why lines are lost where there was no room for them.
UNREAD = "they were not read in time"

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

# RFC 3164, 4.1.2: the month in English; strftime's %b is the locale's.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Equal warnings and errors within this many seconds are one line; two a minute tell enough.
REPEAT_SECONDS = 30.0
# Lines from one place in the program, with different values, that are written in that time: a
# client that sends ever new nonsense must not fill the disk.
LINES_OF_A_KIND = 10
# Kinds of lines that are counted at once; the oldest is forgotten.
_MAX_KINDS = 256

# An attribute of records that are never held back: an administrator waits for them.
ANSWER = "gateway_answer"


def severity(level: int) -> int:
    """The severity of syslog(3) for a level of logging."""
    return next((number for least, number in _SEVERITIES if level >= least), 7)


class RecordLimiter:
    """Lets the first of equal warnings and errors through, and counts the rest.

    Lines are of one kind where they come from one call (their text before the values
    are put in); of these LINES_OF_A_KIND go through in REPEAT_SECONDS.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._equal = LogLimiter(1, seconds=REPEAT_SECONDS, kinds=_MAX_KINDS)
        self._alike = LogLimiter(LINES_OF_A_KIND, seconds=REPEAT_SECONDS, kinds=_MAX_KINDS)

    def admit(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """The records to write now: counts that have become due, and `record` unless held back."""
        now = self._clock()
        written = self._passes(record, now)
        due = [*self._equal.take_summaries(now), *self._alike.take_summaries(now)]
        return [*map(_summary, due), *([record] if written else [])]

    def rest(self) -> list[logging.LogRecord]:
        """All counts that have not been written, for the end of the process."""
        now = self._clock()
        return [*map(_summary, (*self._equal.take_rest(now), *self._alike.take_rest(now)))]

    def _passes(self, record: logging.LogRecord, now: float) -> bool:
        if record.levelno < logging.WARNING or getattr(record, ANSWER, False):
            return True
        line = record.getMessage()
        equal = (record.name, record.levelno, line)
        if not self._equal.knows(equal, now):
            alike = (record.name, record.levelno, str(record.msg))
            if not self._alike.admit(alike, line, now):
                return False
        return self._equal.admit(equal, line, now)


def _summary(held: HeldLines) -> logging.LogRecord:
    """The record in place of lines that were held back."""
    name, level, _ = held.kind
    return logging.LogRecord(name, level, "(repeated)", 0, held.summary, (), None)


class LineHandler(ABC, logging.Handler):
    """What both handlers share: the limit, the count of lost lines, and no exception ever out."""

    def __init__(self, limiter: RecordLimiter | None = None) -> None:
        super().__init__()
        self._limiter = limiter or RecordLimiter()
        self._socket: socket.socket | None = None
        self.lost = 0
        self.reason = ""  # why the last of them was

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it."""
        for each in self._limiter.admit(record):
            self._put(each)

    def flush(self) -> None:
        """Write the counts of lines that are still held back."""
        self.acquire()
        try:
            for each in self._limiter.rest():
                self._put(each)
        finally:
            self.release()

    def close(self) -> None:
        """Write what is held back, and close the socket if there is one."""
        self.flush()
        self._disconnect()
        super().close()

    @abstractmethod
    def write(self, level: int, line: str) -> bool:
        """Write one line; False when it was lost."""

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _put(self, record: logging.LogRecord) -> None:
        if self.lost and self.write(logging.WARNING, self.format(self._loss())):
            self.lost = 0
        if not self.write(record.levelno, self.format(record)):
            self.lost += 1

    def _loss(self) -> logging.LogRecord:
        values = (self.lost, self.reason)
        return logging.LogRecord(
            __name__, logging.WARNING, "(lost)", 0, "%d log lines were lost: %s", values, None
        )


class SyslogHandler(LineHandler):
    """Datagrams to /dev/log in the form of RFC 3164, as glibc writes them; never blocks."""

    def __init__(self, ident: str, facility: str, *, path: str = SYSLOG_SOCKET) -> None:
        super().__init__()
        self._ident = ident
        self._facility = FACILITIES[facility]
        self._path = path

    def write(self, level: int, line: str) -> bool:
        """One datagram; after a restart of syslogd the socket is connected again."""
        # RFC 3164, 4.1.2: the day is padded with a blank.
        moment = time.localtime()
        stamp = (
            f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {time.strftime('%H:%M:%S', moment)}"
        )
        head = f"<{self._facility * 8 + severity(level)}>{stamp} {self._ident}[{os.getpid()}]: "
        data = (head + line).encode(errors="backslashreplace")[:LINE_LIMIT]
        return self._send(data) or self._send(data)

    def _send(self, data: bytes) -> bool:
        """Send, or close the socket so that the next call connects afresh."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(self._path)
            self._socket.send(data)
        except BlockingIOError:
            self.reason = UNREAD
            return False
        except OSError as error:
            self.reason = f"{self._path}: {error.strerror}"
            self._disconnect()
            return False
        return True


class StreamHandler(LineHandler):
    """Lines to a descriptor; with `priorities` each begins with <N> as sd-daemon(3) says.

    Never blocks, whatever reads there: what has no room is lost and counted.
    The descriptor is shared with other programs, so it is not made
    non-blocking.  Its limit: where several processes write to one pipe and
    nobody reads it, one of them may find the last room taken after all; it
    then waits for the reader.
    """

    def __init__(self, descriptor: int = 2, *, priorities: bool = False) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._priorities = priorities
        self._socket = _as_socket(descriptor)
        self._rest = b""  # of a line that had no room

    def write(self, level: int, line: str) -> bool:
        """One write, so that lines of several processes do not mix."""
        head = f"<{severity(level)}>" if self._priorities else ""
        data = (head + line).encode(errors="backslashreplace")[:LINE_LIMIT] + b"\n"
        if not self._written_out():
            return False
        self._rest = data
        if not self._written_out() and len(self._rest) == len(data):
            self._rest = b""
            return False
        return True

    def _written_out(self) -> bool:
        """Write what is left of a line; False while there is no room, or no disk."""
        try:
            while self._rest:
                sent = self._push(self._rest)
                if not sent:
                    self.reason = UNREAD
                    return False
                self._rest = self._rest[sent:]
        except OSError as error:
            self.reason = str(error.strerror)
            return False
        return True

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
