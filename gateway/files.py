"""Files that a configuration or a user names: opened only here, so that no open ever waits.

The open of a FIFO waits for a writer, a device may wait for anything, and a
folder opens and cannot be read.  What is not a regular file is an error at once,
which is told from the descriptor, so that it does not matter what was at the
path a moment before.

Raises OSError, with a reason that names what is there instead.  Limits: what a
network's file system does while its server is away is beyond this.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Device, inode, size in bytes, and the times of writing and of change in nanoseconds.
    FileStamp = tuple[int, int, int, int, int]

# Never waits, reaches no child, takes no terminal; O_NONBLOCK means nothing for regular files.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

# By what S_IFMT leaves of a mode.
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe (FIFO)",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}


class NotAFile(OSError):
    """What is there is not a regular file; `strerror` says what."""

    def __init__(self, path: str, mode: int) -> None:
        import errno  # noqa: PLC0415  (a process for one question starts without it)

        kind = _KINDS.get(stat.S_IFMT(mode), "is something else")
        super().__init__(errno.EINVAL, f"{kind}, not a regular file", path)


class TooLong(OSError):
    """The file has more bytes than are read."""

    def __init__(self, path: str, limit: int) -> None:
        import errno  # noqa: PLC0415  (as above)

        super().__init__(errno.EFBIG, f"has more than {limit} bytes", path)


def open_file(path: str) -> int:
    """A descriptor of the regular file at `path`, opened with OPEN_FLAGS."""
    # Looked at first: to open a device may do something, such as starting a watchdog.
    _require_regular(path, os.stat(path))
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        _require_regular(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: str, limit: int) -> bytes:
    """All bytes of the regular file at `path`; TooLong where there are more than `limit`."""
    return read_with_status(path, limit)[0]


def read_with_status(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """As `read_file`, and the file's status after it was read."""
    with open(open_file(path), "rb") as file:
        data = file.read(limit + 1)
        status = os.fstat(file.fileno())
    if len(data) > limit:
        raise TooLong(path, limit)
    return data, status


def stamp(status: os.stat_result) -> FileStamp:
    """What tells a file from itself at another time.

    The time of change, which no program can set, shows what a restore with old times hides.
    """
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _require_regular(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile(path, status.st_mode)
