"""A token of a file that is replaced as a whole: equal tokens mean an unchanged file.

The token is made of `stat`'s device, inode, size and times.  Linux takes a
file's times from a clock that ticks only every 1 to 10 ms, some file systems keep whole
seconds, and the inode of a file that was renamed away is soon used again.  So two
different contents that were written within one tick can have equal stamps.
The way out is git's racy-timestamp rule: a stamp is believed only when the file was
last written so long before it was looked at that any later write must show
another time.  Until then the token equals nothing, itself included.

Its limit: the file system's clock must be this machine's.  A file server
whose clock is behind by more than `RACY_NS` defeats the rule; one whose clock
is ahead, or a clock that was set back, only makes tokens useless for a while.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

# Nanoseconds.  Two seconds cover the coarsest clock of a file system in use (FAT, HFS+: 1 to 2 s).
RACY_NS = 2_000_000_000


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


def stamp(status: os.stat_result, now: int) -> Hashable:
    """The token for `status`, looked up at `now` (nanoseconds of the real-time clock)."""
    if status.st_mtime_ns > now - RACY_NS:
        return Young()
    # The change time, which nobody can set, shows what a restore with old times hides.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
