"""A folder that is put back to what it was, at the price of what has changed.

    with Snapshot(folder) as snapshot:
        ...
        snapshot.restore()

Nobody may have a file of it open meanwhile.
"""

from __future__ import annotations

import os
import shutil
from typing import Self

# What tells a changed file from the one that was there: inode, size, time of change.
_State = tuple[int, int, int]


class Snapshot:
    """A copy of a folder beside it, and what the files looked like when they were last equal."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._copy = folder + ".snapshot"
        self._files: dict[str, _State] = {}
        self._folders: set[str] = set()

    def __enter__(self) -> Self:
        shutil.copytree(self._folder, self._copy, symlinks=True)
        self._files, self._folders = self._look()
        return self

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._copy)

    def _look(self) -> tuple[dict[str, _State], set[str]]:
        files: dict[str, _State] = {}
        folders: set[str] = set()
        waiting = [self._folder]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.add(entry.path)
                        waiting.append(entry.path)
                    else:
                        state = entry.stat(follow_symlinks=False)
                        files[entry.path] = (state.st_ino, state.st_size, state.st_ctime_ns)
        return files, folders

    def restore(self) -> None:
        """Make the folder what it was: new files go, changed and missing ones come back."""
        files, folders = self._look()
        for path in files.keys() - self._files.keys():
            os.unlink(path)
        for path in sorted(folders - self._folders, reverse=True):
            os.rmdir(path)
        for path in sorted(self._folders - folders):
            os.mkdir(path)
            self._owned(path)
        for path, state in self._files.items():
            if files.get(path) != state:
                self._bring(path)

    def _bring(self, path: str) -> None:
        if os.path.lexists(path):
            os.unlink(path)
        shutil.copy2(self._kept(path), path)
        self._owned(path)
        state = os.lstat(path)
        self._files[path] = (state.st_ino, state.st_size, state.st_ctime_ns)

    def _kept(self, path: str) -> str:
        return self._copy + path.removeprefix(self._folder)

    def _owned(self, path: str) -> None:
        owner = os.lstat(self._folder)
        os.chown(path, owner.st_uid, owner.st_gid)
