"""Learns from the kernel that something in a folder has changed, at no cost while nothing has.

A look at a file costs a system call, and a busy gateway would make one for
each question.  inotify(7) tells instead: an event is queued before the system
call that changes a folder returns, so whoever reads the queue after a
question has arrived knows of every change that came before it.

A `Folder` counts the changes.  Limits: Linux; only file systems whose changes
all pass through this kernel (a network file system may change elsewhere);
MAX_FOLDERS watches.  Wherever it cannot be used, `folder` gives None and the
caller looks at the file each time.
"""

from __future__ import annotations

import os

from gateway.cyrus import inotify

# Watches of one process; the kernel's own default limit for a user is 8192 or more
# (fs.inotify.max_user_watches).
MAX_FOLDERS = 4096

# Bytes read from the queue at once; an event has at most 16 + 256.
_READ = 65_536


class Folder:
    """A watched folder; `changes` grows with every change of what is in it."""

    __slots__ = ("changes", "path", "watched")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.changes = 0
        self.watched = True


class FolderWatch:
    """The watches of one process.

    `descriptor` is readable when there is news; None where there is no inotify.
    """

    def __init__(self) -> None:
        self.descriptor = inotify.init()
        self.news = 0  # grows with every change of any folder
        self._by_watch: dict[int, Folder] = {}
        self._by_path: dict[bytes, Folder | None] = {}

    def folder(self, path: bytes) -> Folder | None:
        """The watched folder at `path`, or None where it cannot be watched."""
        known = self._by_path.get(path)
        if known is not None:
            return known
        if self.descriptor is None or path in self._by_path:
            return None
        if len(self._by_path) >= MAX_FOLDERS or not inotify.is_local(path):
            return None
        watch = inotify.add(self.descriptor, path)
        if watch is None:
            return None
        folder = Folder(path)
        self._by_watch[watch] = folder
        self._by_path[path] = folder
        return folder

    def drain(self) -> None:
        """Take the news; called before anything is answered that came after them."""
        if self.descriptor is None:
            return
        while True:
            try:
                data = os.read(self.descriptor, _READ)
            except BlockingIOError:
                return
            for watch, mask in inotify.events(data):
                self._changed(watch, mask)

    def close(self) -> None:
        """Give the watches back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        self.news += 1
        for folder in self._by_watch.values():
            folder.watched = False
            folder.changes += 1
        self._by_watch.clear()
        self._by_path.clear()

    def _changed(self, watch: int, mask: int) -> None:
        self.news += 1
        if mask & inotify.OVERFLOW:
            for folder in self._by_watch.values():
                folder.changes += 1
            return
        known = self._by_watch.get(watch)
        if known is None:
            return
        known.changes += 1
        if mask & inotify.GONE:
            # Moved, removed or unmounted: the path may lead elsewhere now.
            known.watched = False
            self._by_watch.pop(watch, None)
            self._by_path.pop(known.path, None)
            inotify.remove(self.descriptor, watch)
