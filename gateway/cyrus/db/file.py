"""One open file, read only: every read is a `pread` with its bounds checked.

The file is never mapped: a file that shrinks while it is mapped kills the
process with SIGBUS, a `pread` behind its end only comes back short.  No byte
is buffered here, so each read shows what the file holds at that moment.

Opening never blocks and never has a side effect: a FIFO, a device or a
directory in the file's place is refused, a terminal does not become the
controlling one, and a child process does not inherit the descriptor.
"""

from __future__ import annotations

import errno
import os
import stat

from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable
from gateway.files import OPEN_FLAGS

# Bytes that are read without asking how long the file is.
AT_ONCE = 1 << 20

# What an administrator can do about the faults that are met in practice.
_REMEDIES = {
    errno.EACCES: "let the user that this program runs as read it (group mail, or an ACL)",
    errno.EPERM: "let the user that this program runs as read it (group mail, or an ACL)",
    errno.ELOOP: "remove the loop of symbolic links",
    errno.ENOTDIR: "a part of the path is not a folder; correct the path in imapd.conf",
    errno.ENAMETOOLONG: "correct the path in imapd.conf",
    errno.EMFILE: "raise this process' limit of open files (LimitNOFILE=, ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files (sysctl fs.file-max)",
    errno.EIO: "the disk or its file system fails; look at the kernel's log",
    errno.ESTALE: "the file server has lost the file; mount its file system again",
}


def store_fault(path: str, doing: str, error: OSError) -> DatabaseUnavailable:
    """The exception for a system call on `path` that failed while `doing` something.

    `DatabaseMissing` where the file is not there, else `DatabaseUnavailable`;
    the message says what to do where that is known.
    """
    reason = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        return DatabaseMissing(path, f"{doing}: {reason}")
    remedy = _REMEDIES.get(error.errno or 0)
    return DatabaseUnavailable(path, f"{doing}: {reason}" + (f"; {remedy}" if remedy else ""))


def close_read(descriptor: int) -> None:
    """Close what was only read: whatever a file server says to that, it is closed (close(2)).

    A file system in user space may fail here (flush in FUSE), and nothing is lost by it.
    """
    try:
        os.close(descriptor)
    except OSError:
        return  # closed all the same, and nothing had been written


class ReadCounts:
    """How often reading a database started over because of a writer, and how often it failed.

    For metrics: several readers may share one, on several threads, and a
    count that gets lost between two of them does no harm.
    """

    __slots__ = ("faults", "retries")

    def __init__(self) -> None:
        self.retries = 0
        self.faults = 0


class FileView:
    """A regular file, open for reading; `close` gives the descriptor back.

    `counts` is where its reader counts what it reads again.  Raises on
    construction: `DatabaseMissing` where there is no such file, `DatabaseUnavailable`
    where it cannot be opened or is not a regular file.
    """

    __slots__ = ("_fd", "counts", "identity", "path")

    path: str
    identity: tuple[int, int]

    def __init__(self, path: str, counts: ReadCounts | None = None) -> None:
        self.path = path
        self.counts = counts if counts is not None else ReadCounts()
        self._fd = -1  # same with -2: not a descriptor
        try:
            self._fd = os.open(path, OPEN_FLAGS)
            status = os.fstat(self._fd)
        except OSError as error:
            self.close()
            raise store_fault(path, "cannot be opened", error) from error
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise DatabaseUnavailable(
                path, "is not a regular file; put the database there or correct the path"
            )
        # Device and inode: while this descriptor is open, no other file can have them.
        self.identity = (status.st_dev, status.st_ino)

    def status(self) -> os.stat_result:
        """What `fstat` says now.  Raises `DatabaseUnavailable`."""
        try:
            return os.fstat(self._fd)
        except OSError as error:
            raise store_fault(self.path, "cannot be examined", error) from error

    def size(self) -> int:
        """The file's length in bytes now.  Raises `DatabaseUnavailable`."""
        return self.status().st_size

    def peek(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer only at the end of the file.

        Raises `DatabaseUnavailable` where the system cannot read them, and
        `DatabaseDamaged` where no file has such a place.
        """
        if length > AT_ONCE:
            # A damaged file may say any number, and Python sets so many bytes aside at once.
            length = min(length, max(0, self.size() - offset))
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            raise store_fault(self.path, f"cannot be read at {offset}", error) from error
        except OverflowError as error:
            raise DatabaseDamaged(self.path, f"has no place {offset}") from error

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises `DatabaseDamaged` where the file ends before, and
        `DatabaseUnavailable` where the system cannot read them.
        """
        data = self.peek(offset, length)
        while len(data) < length:
            # A signal or a network file system may cut a read short before the end.
            more = self.peek(offset + len(data), length - len(data))
            if not more:
                raise DatabaseDamaged(
                    self.path,
                    f"ends at {offset + len(data)} where {length} bytes at {offset} belong to it; "
                    "restore it or let Cyrus recover it",
                )
            data += more
        return data

    def close(self) -> None:
        """Give the descriptor back; harmless when it is closed already."""
        if self._fd >= 0:  # same with >, 1: descriptor 0 is standard input
            descriptor, self._fd = self._fd, -1  # same with -2: not a descriptor
            close_read(descriptor)

    def __del__(self) -> None:
        """No other object has the number: an engine that is dropped would lose it for good."""
        self.close()
