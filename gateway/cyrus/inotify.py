"""The few calls of inotify(7) that are needed; Python's standard library has none.

The C library is called by way of ctypes, once a folder.  Where there is no
inotify, `init` gives None.
"""

from __future__ import annotations

import ctypes
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
_UNMOUNT = 0x2000
_IGNORED = 0x8000
_ONLYDIR = 0x0100_0000
OVERFLOW = 0x4000
GONE = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_WANTED = (
    _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)

# statfs(2): file systems that no other machine writes to.
_LOCAL = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # xfs
        0x9123683E,  # btrfs
        0x01021994,  # tmpfs
        0xF2F52010,  # f2fs
        0x2FC12FC1,  # zfs
        0x3153464A,  # jfs
        0xCA451A4E,  # bcachefs
    }
)

_EVENT = struct.Struct("iIII")
_STATFS_SIZE = 256


def _library() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "inotify_init1") else None


def init() -> int | None:
    """A queue that does not block, or None where there is none to be had."""
    library = _library()
    if library is None:
        return None
    descriptor = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    return descriptor if descriptor >= 0 else None


def add(descriptor: int, path: bytes) -> int | None:
    """Watch the folder at `path`; the watch's number, or None where it cannot be watched."""
    library = _library()
    if library is None:
        return None
    watch = int(library.inotify_add_watch(descriptor, path, _WANTED | _ONLYDIR))
    return watch if watch >= 0 else None


def remove(descriptor: int | None, watch: int) -> None:
    """Watch no more; a watch that is gone already is no fault."""
    library = _library()
    if library is not None and descriptor is not None:
        library.inotify_rm_watch(descriptor, watch)


def is_local(path: bytes) -> bool:
    """Whether every change of what is at `path` passes through this kernel."""
    library = _library()
    if library is None:
        return False
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    if library.statfs(path, buffer) != 0:
        return False
    (kind,) = struct.unpack_from("l", buffer.raw)
    return kind & 0xFFFFFFFF in _LOCAL


def events(data: bytes) -> Iterator[tuple[int, int]]:
    """The watch and the mask of each event in what was read from a queue."""
    at = 0
    while at + _EVENT.size <= len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, at)
        yield watch, mask
        at += _EVENT.size + length
