"""Learns from the kernel that something in a folder has changed, at no cost while nothing has.

A look at a file costs a system call, and a busy gateway would make one for
each question.  inotify(7) tells instead: an event is queued before the system
call that changes a folder returns, so a process that reads the queue after a
question has arrived knows of every change that came before it.

A `Folder` counts the changes of what is in the folder that its path leads to.
It is over (`watched` is false), and has changed once more, as soon as
the path may leads to another place: after a rename, a removal or another mode of any
folder on the way from the root, another symbolic link there, an unmount, a
mount.  This holds for the same moments as any other change: there is no time
in which a path that was swapped, as a restore does it, passes for the old one.
So each folder on the way is watched as well, for the names in it, and the
kernel's table of mounts; after a mount each path is looked at.

Limits: Linux; only file systems whose changes all pass through this kernel (a
network file system may change on another machine) and tell of themselves (zfs' rollback
does not); folders that may be read, on the way too; /proc; MAX_FOLDERS watches, those on
the way among them.  Wherever it cannot be used, `folder` gives None and the
caller looks at the file each time.  An owner of a file with another name (a hard
link) must do so, too: what is written under that name is not noticed.
"""

from __future__ import annotations

import os
import select

from gateway.cyrus import inotify
from gateway.cyrus.pathwalk import absolute, follow

# Watches of one process; the kernel's own default limit for a user is 8192 or more
# (fs.inotify.max_user_watches).
MAX_FOLDERS = 4096  # only a bound

# Bytes read from the queue at once; an event has at most 16 + 256.
_READ = 65_536  # only a bound
_LARGEST_EVENT = 272  # only a bound

# Readable for those that wait for edges when anything is mounted or unmounted
# in this process' mount namespace (proc(5)).
MOUNTS = "/proc/self/mountinfo"


class Folder:
    """A watched folder; `changes` grows with every change of what is in it.

    `steps` are the folders on the way to it, each with the name that is looked up there.
    """

    __slots__ = ("changes", "path", "place", "steps", "watched")

    def __init__(
        self, path: bytes, place: WatchedDirectory, steps: list[tuple[WatchedDirectory, bytes]]
    ) -> None:
        self.path = path
        self.place = place
        self.steps = steps
        self.changes = 0  # same with 1: it only has to grow
        self.watched = True


class WatchedDirectory:
    """One watch of the kernel: a folder on the way of some, of which some want to know all.

    `identity` is its device and inode; more than one path without links may
    lead to it, by way of a mount.
    """

    __slots__ = ("folders", "identity", "paths", "through", "watch")

    def __init__(self, watch: int) -> None:
        self.watch = watch
        self.identity: tuple[int, int] | None = None
        self.paths: set[bytes] = set()
        self.folders: set[Folder] = set()
        self.through: dict[bytes, set[Folder]] = {}  # by the name that is looked up here


class FolderWatch:
    """The watches of one process.

    `descriptor` is readable when something has changed; None where nothing can be watched.
    """

    def __init__(self) -> None:
        # same with 1: it only has to grow
        self.change_count = 0  # grows with every change of any folder
        self.path_changes = 0  # grows whenever a path may lead to another file
        self._by_watch: dict[int, WatchedDirectory] = {}
        self._places: dict[bytes, WatchedDirectory] = {}  # by path, without links
        self._by_path: dict[bytes, Folder] = {}
        self.descriptor: int | None = None
        self._both = select.epoll()
        self._queue = inotify.init()
        self._mounts = _open_mounts()
        if self._queue is None or self._mounts is None:
            self.close()
            return
        self._both.register(self._queue, select.EPOLLIN)
        # same with &: EPOLLERR comes once, asked for or not
        self._both.register(self._mounts, select.EPOLLIN | select.EPOLLET)
        self._both.poll(0)  # the table of mounts is always readable: this is not an edge
        self.descriptor = self._both.fileno()

    def folder(self, path: bytes) -> Folder | None:
        """The watched folder at `path`, or None where it cannot be watched."""
        known = self._by_path.get(path)
        if known is not None:
            return known
        if self._queue is None or not inotify.is_local(path):
            return None
        way = follow(absolute(path), self._enter)
        if way is None:
            return None
        place = self._enter(way[0])
        # The kernel has one watch for each folder: this extends it.
        if place is None or inotify.add(self._queue, way[0]) != place.watch:
            return None
        folder = Folder(path, place, way[1])
        place.folders.add(folder)
        for on_the_way, name in folder.steps:
            on_the_way.through.setdefault(name, set()).add(folder)
        self._by_path[path] = folder
        return folder

    def drain(self) -> None:
        """Read the queued events; called before anything is answered that came after them."""
        if self.descriptor is None:
            return
        for descriptor, _ in self._both.poll(0, 2):  # same with 3: there are two descriptors
            if descriptor == self._mounts:
                self._everything_changed()
            else:
                self._read()

    def close(self) -> None:
        """Give the watches back."""
        self.descriptor = None
        for descriptor in (self._queue, self._mounts):
            if descriptor is not None:
                os.close(descriptor)
        self._queue = self._mounts = None
        self._both.close()
        self.change_count += 1  # same with 2: it only has to grow
        for folder in list(self._by_path.values()):
            folder.watched = False
            folder.changes += 1  # same with 2: it only has to grow
        self._by_watch.clear()
        self._places.clear()
        self._by_path.clear()

    def __del__(self) -> None:
        """No other object has the numbers; the kernel counts the queues of each user."""
        if hasattr(self, "_mounts"):
            self.close()

    def _enter(self, path: bytes) -> WatchedDirectory | None:
        """The place of the folder at `path`, which has no links in it; its names are watched."""
        known = self._places.get(path)
        if known is not None:
            return known
        if self._queue is None or len(self._by_watch) >= MAX_FOLDERS:
            return None
        if not inotify.is_renamed_here(path):
            return None
        watch = inotify.add_names(self._queue, path)
        if watch is None:
            return None
        place = self._by_watch.get(watch)
        if place is None:
            place = self._by_watch[watch] = WatchedDirectory(watch)
            place.identity = _identity(path)
        place.paths.add(path)
        self._places[path] = place
        return place

    def _read(self) -> None:
        while self._queue is not None:
            try:
                data = os.read(self._queue, _READ)
            except BlockingIOError:
                return
            for watch, mask, name in inotify.events(data):
                self._changed(watch, mask, name)
            if len(data) < _READ - _LARGEST_EVENT:  # same with <=: one reading more
                return  # it was empty then

    def _changed(self, watch: int, mask: int, name: bytes) -> None:
        if mask & inotify.OVERFLOW:
            self._everything_changed()
            return
        place = self._by_watch.get(watch)
        if place is None:
            return
        if mask & inotify.GONE:
            # Moved, removed or unmounted: the path may lead to another file now.
            self._lose(place)
            self._check()
            return
        if place.folders:
            self.change_count += 1  # same with 2: it only has to grow
            for folder in place.folders:
                folder.changes += 1  # same with 2: it only has to grow
        through = place.through.get(name)
        if through:
            for folder in list(through):
                self._forget(folder)
            self._check()

    def _everything_changed(self) -> None:
        """The kernel does not say what: something was mounted, or events were lost."""
        self.change_count += 1  # same with 2: it only has to grow
        for folder in self._by_path.values():
            folder.changes += 1
        self._check()

    def _check(self) -> None:
        """Something on a way is another one: what else of the ways is, was not told."""
        self.path_changes += 1  # same with 2: it only has to grow
        for path, place in list(self._places.items()):
            if place.paths and (place.identity is None or _identity(path) != place.identity):
                self._lose(place)

    def _lose(self, place: WatchedDirectory) -> None:
        """Forget every folder that is there or beyond, and the watch."""
        for folder in list(place.folders):
            self._forget(folder)
        for folders in list(place.through.values()):
            for folder in list(folders):
                self._forget(folder)
        self._drop(place)

    def _forget(self, folder: Folder) -> None:
        self.change_count += 1  # same with 2: it only has to grow
        folder.watched = False
        folder.changes += 1  # same with 2: it only has to grow
        self._by_path.pop(folder.path, None)
        folder.place.folders.discard(folder)
        for place, name in folder.steps:
            folders = place.through.get(name)
            if folders is not None:
                folders.discard(folder)
                if not folders:
                    del place.through[name]
        for place in (folder.place, *(place for place, _ in folder.steps)):
            if not place.folders and not place.through:
                self._drop(place)

    def _drop(self, place: WatchedDirectory) -> None:
        for path in place.paths:
            self._places.pop(path, None)
        place.paths.clear()
        if self._by_watch.pop(place.watch, None) is not None:
            inotify.remove(self._queue, place.watch)


def _open_mounts() -> int | None:
    try:
        # same with &: Python sets O_CLOEXEC by itself
        return os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
