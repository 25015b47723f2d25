"""A token of a file that is replaced as a whole: equal tokens mean an unchanged file.

The token is made of `stat`'s device, inode, size and times.  Before 6.13 Linux takes a
file's times from a clock that ticks only every 1 to 10 ms, some file systems keep whole
seconds, and the inode of a file that was renamed away is soon used again.  So two
different contents that were written within one tick can have equal stamps.
The way out is git's racy-timestamp rule: a stamp is believed only when the file was
last written so long before it was looked at that any later write must show
another time.  Until then the token equals nothing, itself included.

The later one of the times of writing and of change counts: `cp -p` and `rsync -t` give
a file that was written just now an old time of writing, and nobody can set the other.

What two different contents can have in common is then everything but the time
of change, and that is not enough: of whatever is done to a file after it was looked
at, the kernel notes a time that is at least that of the look less one tick.

Its limit: the file system's clock must be this machine's.  A file server whose
clock is behind by more than the racy time defeats the rule; one whose clock
is ahead, or a clock that was set back, only makes tokens useless for a while.
"""

from __future__ import annotations

import os

from gateway.files import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from gateway.cyrus.folderwatch import Folder

# Nanoseconds.  Two seconds cover the coarsest clock of a file system in use (FAT, HFS+: 1 to 2 s).
RACY_NS = 2_000_000_000

# A time that is not a whole second was taken by a file system that keeps fractions; then only
# the kernel's tick counts, 10 ms at most (CONFIG_HZ=100), and this is several of them.
RACY_FRACTION_NS = 100_000_000
_SECOND = 1_000_000_000


class Young:
    """The token of a file that may still change unseen: equal to nothing, not even to itself.

    Put into a tuple, the very same object would pass for equal (Python compares
    identities first); a fresh look at the file makes a new one, and that never does.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self)


def is_young(status: os.stat_result, now: int) -> bool:
    """Whether the file may still be written to without its stamp showing it.

    `now` (nanoseconds of the real-time clock) is from before `status` was looked up.
    """
    changed = status.st_ctime_ns
    racy = RACY_FRACTION_NS if changed % _SECOND else RACY_NS
    return max(changed, status.st_mtime_ns) > now - racy


class FileProof:
    """That the file at `path` still says what was read of it.

    `status` is its own when it was opened, at `now` or later.  `folder` is watched, or
    None; `seen` is its count of changes from before the file was opened.
    """

    __slots__ = ("_mark", "_path", "folder", "seen")
    found = True

    def __init__(
        self,
        path: bytes,
        status: os.stat_result,
        now: int,
        folder: Folder | None = None,
        seen: int = 0,  # same with 1: at most one look more
    ) -> None:
        self._path = path
        # None: another content may have this one's stamp.  As long as nothing
        # happens in the folder there is none; then the file is read again.
        self._mark = None if is_young(status, now) else _mark(status)
        self.folder = folder
        self.seen = seen

    @property
    def conclusive(self) -> bool:
        """Whether there is anything to go by: a folder that is watched, or a stamp."""
        return self.folder is not None or self._mark is not None

    def holds(self) -> bool:
        """False as soon as anything about the file may have changed."""
        folder = self.folder
        now = 0  # same with 1: at most one look more
        if folder is not None:
            if not folder.watched:
                return False  # the next change would not show
            now = folder.changes
            if now == self.seen:
                return True
        if self._mark is None:
            return False
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        if _mark(status) != self._mark:
            return False
        self.seen = now
        return True


class AbsenceProof:
    """That there is no file at `path`: one system call at most, and no exception if it holds.

    Nothing but ENOENT proves it: a process that may not enter a folder cannot know what is in it.
    """

    __slots__ = ("_path", "folder", "seen")
    found = False
    conclusive = True

    # same with 1: at most one look more
    def __init__(self, path: bytes, folder: Folder | None = None, seen: int = 0) -> None:
        self._path = path
        self.folder = folder
        self.seen = seen

    def holds(self) -> bool:
        """False as soon as there is a file, or it cannot be told."""
        folder = self.folder
        now = 0  # same with 1: at most one look more
        if folder is not None:
            if not folder.watched:
                return False  # the next change would not show
            now = folder.changes
            if now == self.seen:
                return True
        try:
            os.stat(self._path)
        except FileNotFoundError:
            self.seen = now
            return True
        except OSError:
            return False
        return False


def _mark(status: os.stat_result) -> int:
    """One number for what identifies a file's content; two alike are as good as impossible."""
    return hash(stamp(status))


def file_token(status: os.stat_result, now: int) -> Hashable:
    """The token for `status`, looked up at `now` or later (see `is_young`)."""
    return Young() if is_young(status, now) else stamp(status)
