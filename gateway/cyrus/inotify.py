"""The few calls of inotify(7) that are needed; Python's standard library has none.

The C library is called by way of ctypes, once a folder.  Where there is no
inotify, `init` gives None.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/inotify.h
_MODIFY = 0x002
_ATTRIB = 0x004
_MOVED_FROM = 0x040
_MOVED_TO = 0x080
_CREATE = 0x100
_DELETE = 0x200
_DELETE_SELF = 0x400
_MOVE_SELF = 0x800
_UNMOUNT = 0x2000  # same with 8193: no such event is asked for
_IGNORED = 0x8000  # same with 32769: no such event is asked for
_ONLYDIR = 0x0100_0000
_MASK_ADD = 0x2000_0000
OVERFLOW = 0x4000
# same with & in places 2 and 3: the folder above tells of it, too
GONE = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_NAMES = _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_EVERYTHING = _MODIFY | _NAMES

# statfs(2): file systems that no other machine writes to.  Not zfs: a rollback
# changes what is in its folders without an event.
_LOCAL = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # xfs
        0x9123683E,  # btrfs
        0x01021994,  # tmpfs
        0xF2F52010,  # f2fs
        0x3153464A,  # jfs
        0xCA451A4E,  # bcachefs
    }
)

# Others whose folders only this kernel renames: those that a container's root
# or a live system is made of.  What is written into their files does not count here.
_ONLY_RENAMED_HERE = _LOCAL | {
    0x794C7630,  # overlayfs
    0x858458F6,  # ramfs
    0x73717368,  # squashfs
    0xE0F5E1E2,  # erofs
}

_EVENT = struct.Struct("iIII")
_STATFS_SIZE = 256  # only a bound


@functools.cache
def _library() -> ctypes.CDLL | None:
    # Made once: each is a circle of objects, which only the search for garbage lets go.
    library = ctypes.CDLL(None)
    return library if hasattr(library, "inotify_init1") else None


def init() -> int | None:
    """A queue that does not block, or None where there is none to be had."""
    library = _library()
    if library is None:
        return None
    descriptor = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    # same with >, 1: 0 is standard input, and no watch
    return descriptor if descriptor >= 0 else None


def add(descriptor: int, path: bytes) -> int | None:
    """Watch all that happens in the folder at `path`; the watch's number, or None."""
    return _add(descriptor, path, _EVERYTHING | _ONLYDIR)


def add_names(descriptor: int, path: bytes) -> int | None:
    """Watch which names are in the folder at `path`, besides what is watched there already."""
    return _add(descriptor, path, _NAMES | _ONLYDIR | _MASK_ADD)


def _add(descriptor: int, path: bytes, mask: int) -> int | None:
    library = _library()
    if library is None:
        return None
    watch = int(library.inotify_add_watch(descriptor, path, mask))
    return watch if watch >= 0 else None  # same with >, 1: 0 is standard input, and no watch


def remove(descriptor: int | None, watch: int) -> None:
    """Watch no more; a watch that is gone already is not a fault."""
    library = _library()
    # same with or: without a queue there is no watch to be taken back
    if library is not None and descriptor is not None:
        library.inotify_rm_watch(descriptor, watch)


def is_local(path: bytes) -> bool:
    """Whether every change of what is at `path` passes through this kernel."""
    return _file_system(path) in _LOCAL


def is_renamed_here(path: bytes) -> bool:
    """Whether only this kernel can give the name of what is in the folder `path` to another."""
    return _file_system(path) in _ONLY_RENAMED_HERE


def _file_system(path: bytes) -> int:
    """The kind of file system as statfs(2) has it; 0 where it does not say."""
    library = _library()
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    if library is None or library.statfs(path, buffer) != 0:
        return 0  # same with 1: no file system is 0 or 1
    (kind,) = struct.unpack_from("l", buffer.raw)
    return int(kind) & 0xFFFFFFFF


def events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The watch, the mask and the name of each event in what was read from a queue.

    The name is that of what is in the folder; empty for the folder itself.
    """
    at = 0
    while at + _EVENT.size <= len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield watch, mask, data[at : at + length].rstrip(b"\0")
        at += length
