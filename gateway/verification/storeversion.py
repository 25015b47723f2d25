"""What the verdicts of a store rest on: the state of its shared databases, commit by commit.

A store version is a number that grows with every commit to the mailbox list, the
userdeny database or a quota database.  Where a database can tell which keys a
commit has written, only their verdicts are of the past.  Limits: what was
written is remembered for MAX_VERSIONS commits.
"""

from __future__ import annotations

import os

from gateway.errors import DatabaseMissing, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from gateway.cyrus.db.reopening import ReopeningDatabase
    from gateway.cyrus.folderwatch import Folder, FolderWatch
    from gateway.cyrus.store import CyrusStore

# Commits whose written keys are remembered; verdicts that have not been asked
# for since are made again.
MAX_VERSIONS = 64  # only a bound


class StoreVersion:
    """The shared databases: the version they are in, and what recent commits have written.

    A store version is a number that grows with every commit to any of them; it is 0
    while one cannot be read, and nothing is remembered then.
    """

    def __init__(self, store: CyrusStore) -> None:
        self.number = 0  # same with 1: the first look sets it
        self._last = 0  # the newest number that there has been
        self._databases = tuple(
            database for database in store.databases if not database.keeps_files
        )
        self._states: list[Hashable] = []
        self._written: dict[int, frozenset[bytes]] = {}  # by number
        self._store = store
        self._newer_keys: bool | None = None  # of the mailbox list; None where it cannot be told
        # same with 1: no object has the id 0 or 1
        self._told = (0, 0, 0)  # the number and the watch that `_folders` are of
        self._folders: list[Folder | None] = []

    def look(self) -> bool:
        """Look at the databases; False where verdicts of earlier versions cannot be told apart."""
        states: list[Hashable] = []
        faults = 0
        for database in self._databases:
            try:
                states.append(_state(database))
            except StoreError:
                # What is decided now reads the others, and has to see them as they are, too.
                faults += 1
        if faults:
            self.lose()
            return False
        if states == self._states and self.number:
            return True
        before, self._states = self._states, states
        self._last += 1
        self.number = self._last
        written = self._keys_written(before, states)
        if self._has_other_keys() or written is None:
            self._written.clear()
            return False
        self._written[self.number] = written
        if len(self._written) > MAX_VERSIONS:
            del self._written[next(iter(self._written))]
        return True

    def covered_by(self, watch: FolderWatch) -> bool:
        """Whether `watch` tells of all that has happened to the databases since the last `look`.

        Not yet where a folder is watched only now: a change may have come in between.
        """
        told = (self.number, id(watch), watch.path_changes)
        if self._told != told:
            before = self._folders
            self._folders = [
                folder for database in self._store.databases for folder in _folders(database, watch)
            ]
            self._told = told
            if self._folders != before:
                return False
        if any(_is_linked(database) for database in self._databases):
            return False
        return all(folder is not None and folder.watched for folder in self._folders)

    def lose(self) -> None:
        """The store cannot be seen: nothing stands, and nothing is remembered."""
        self.number = 0
        self._states = []

    def untouched(self, keys: set[bytes], since: int) -> bool:
        """Whether no commit since version `since` wrote a record with one of the `keys`."""
        if not self.number or since + 1 not in self._written:
            return False
        return all(
            keys.isdisjoint(self._written[number]) for number in range(since + 1, self.number + 1)
        )

    def _has_other_keys(self) -> bool:
        """Whether the mailbox list's records are found under another kind of key than before.

        Then a verdict may be another one though no record was written that it rests on.
        """
        was = self._newer_keys
        try:
            self._newer_keys = self._store.mailboxes.has_newer_keys()
        except StoreError:
            self._newer_keys = None
        return self._newer_keys is not was

    def _keys_written(self, before: list[Hashable], now: list[Hashable]) -> frozenset[bytes] | None:
        if not before:
            return None
        keys: frozenset[bytes] = frozenset()
        # same with False: both lists are of the same databases
        for database, old, new in zip(self._databases, before, now, strict=True):
            if old == new:
                continue
            try:
                written = database.changes(old) if old is not None else None
            except StoreError:
                return None
            if written is None:
                return None
            keys |= written
        return keys


def _state(database: ReopeningDatabase) -> Hashable:
    """The state of one database; None where there is no such file, which is a state too."""
    try:
        return database.state()
    except DatabaseMissing:
        return None


def _is_linked(database: ReopeningDatabase) -> bool:
    """Whether its file may be written to under another name, of which the kernel does not tell."""
    return database.has_links and not database.missing


def _folders(database: ReopeningDatabase, watch: FolderWatch) -> list[Folder | None]:
    """Where the kernel tells of every change of `database`; None among them if nowhere."""
    if not database.missing and not database.told_by_kernel:
        return [None]
    return [watch.folder(os.fsencode(path)) for path in database.folders()]
