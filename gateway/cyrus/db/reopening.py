"""A database as the rest of the program holds it: it follows the path.

Cyrus replaces database files by renaming new ones into place (a repack, a
conversion, each commit of a flat one), administrators remove and restore
them, and a descriptor that is open goes on showing the old file for ever.
`ReopeningDatabase` therefore looks at the path's device and inode.  It is looked at when:

- `refresh`, and with it every `state`, does one `stat` of the path and forgets the
  reader when another file is there or none; the next call opens what there is.
- `get` and `items` read the file that the last `refresh` or `state` saw (or that
  they open themselves, the first time), and do not look again: a file that was not
  there then is missing until the next look.  Only where reading fails the path is looked
  at once more, because a writer that puts a new file into place may empty the old one.

So an answer is never older than the caller's last `refresh` or `state`: one of
them comes after a question arrived and before its first `get`.  The state contains the
file's identity: two equal states are of one file.  While the old file is open
its inode cannot be given to a new one.

A file that is the same one may have been written over (gateway/cyrus/db/history.py):
its reader finds that out, and what it found holds for the file's next reader,
too; after a fault it is taken for granted. One of another format answers at once.

Whatever fails closes the reader; the next call tries again, and works as soon as the file does.
"""

from __future__ import annotations

import os
import time

from gateway.cyrus.db import formats
from gateway.cyrus.db.base import Database
from gateway.cyrus.db.file import ReadCounts, close_read, store_fault
from gateway.cyrus.db.filetoken import is_young
from gateway.errors import DatabaseMissing, DatabaseUnavailable, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from typing import TypeVar

    from gateway.cyrus.db.base import ConsistentRead, Description, Proved
    from gateway.cyrus.folderwatch import FolderWatch

    T = TypeVar("T")

# How many times in a row a file may be replaced while one answer is looked for.
MAX_REPLACED = 5  # only a bound


class ReopeningDatabase(Database):
    """The Database at `path`, opened when it is first needed (see gateway/cyrus/db/base.py).

    `configured` is the format that imapd.conf names; the file's own decides, and
    `report` is told once, in one line of text, when they differ.  The other parameters are
    those of `formats.open_database`.  Nothing is opened, and nothing raised, here.
    """

    path: str
    commits: int

    __slots__ = (
        "_absent",
        "_configured",
        "_database",
        "_identity",
        "_lineage",
        "_looked",
        "_mark",
        "_open_file",
        "_overwritten",
        "_place",
        "_state",
        "_touched",
        "_warning",
        "commits",
        "counts",
        "has_links",
        "path",
    )

    def __init__(
        self,
        path: str,
        configured: str,
        *,
        mboxsort: bool = False,
        table: str | None = None,
        virtdomains: bool = False,
        fulldirhash: bool = False,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        # What is read again and what fails; another object may be put here before the first use.
        self.counts = ReadCounts()
        self._configured = configured
        self._open_file: Callable[[ReadCounts], Database] = lambda counts: formats.open_database(
            path,
            configured,
            mboxsort=mboxsort,
            table=table,
            virtdomains=virtdomains,
            fulldirhash=fulldirhash,
            counts=counts,
        )
        self._warning = formats.FormatWarning(path, configured, report)
        self._place = formats.location(path, configured)
        self._database: Database | None = None
        self._identity: tuple[int, int] | None = None
        self._overwritten: tuple[int, int] | None = None  # the file that had another past once
        self._lineage = 0  # same with 1: it only has to differ
        self._mark: Hashable = None  # the file's stamp at the last look, if it tells anything
        self._touched = False  # it was another one since the last `state`
        self._looked = False  # `state` is what looked at the file last
        # Whether the file has another name, too, by which it may be written to.
        self.has_links = False
        # Another number once the file may have been written: `state` tells.
        self.commits = 0
        self._state: Hashable = None  # the last one that was given
        self._absent: str | None = None  # what the last `refresh` said of a file that is not there

    @property
    def format(self) -> str:
        """The format of the open file; while none is open, the configured one."""
        return self._configured if self._database is None else self._database.format

    def refresh(self) -> None:
        """Look at the path, and forget the reader if it is not of the file that is there now.

        One system call.  Raises `DatabaseMissing` or `DatabaseUnavailable`
        where there is no file to be seen; the old one does not answer any more then.
        """
        self._absent = None
        self._looked = False
        if self._look() != self._identity:
            self.close()

    def get(self, key: bytes) -> bytes | None:
        """The value of `key` in the file that was seen last, or None.

        Where that file cannot be read and another one has taken its place
        meanwhile, as skiplist's checkpoint empties the old one, the new one answers.
        """
        if self._looked:
            return self._read(lambda database: database.get_seen(key))
        return self._read(lambda database: database.get(key))

    def _read(self, read: Callable[[Database], T]) -> T:
        """What `read` makes of the file, or of the one that has taken its place."""
        replaced = 0
        while True:
            try:
                return read(self._opened())
            except StoreError as error:
                replaced += 1
                if not self._was_replaced(error) or replaced > MAX_REPLACED:
                    raise

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records with `prefix` in the file that was seen last (as `get`, up to the first)."""
        replaced = 0
        started = False
        while True:
            try:
                for item in self._opened().items(prefix):
                    started = True
                    yield item
                return
            except StoreError as error:
                replaced += 1
                if not self._was_replaced(error) or started or replaced > MAX_REPLACED:
                    raise

    def state(self, key: bytes | None = None) -> Hashable:
        """Refresh, then give the file's own state with its identity: two system calls, mostly."""
        self.refresh()
        state = self._read(lambda database: database.state(key)), self._identity
        self._touched = False
        self._looked = True
        if state != self._state:
            self._state = state
            self.commits += 1
        return state

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """The keys written since `since`, an earlier `state()`, to the file that was seen last.

        None where that cannot be told: another file, or a format that keeps no log.
        """
        if not isinstance(since, tuple) or len(since) != 2:
            return None
        try:
            database = self._opened()
            if since[1] != self._identity:
                return None
            keys = database.changes(since[0])
            if keys is None:
                self._lineage += 1  # same with 2: it only has to differ
            return keys
        except StoreError as error:
            self._give_up(error)
            raise

    def build_index_step(self, *, alone: bool = True) -> bool:
        """As any Database's.  Raises nothing: a fault shows in the look-up that meets it."""
        database = self._database
        try:
            return database is not None and database.build_index_step(alone=alone)
        except StoreError:
            return False

    @property
    def index_wanted(self) -> str:
        """As any Database's.  Raises nothing."""
        try:
            return self._database.index_wanted if self._database is not None else ""
        except StoreError:
            return ""

    def offer_index(self, descriptor: int) -> None:
        """As any Database's, to a reader of the file that is there now; no fault of that shows."""
        try:
            self.refresh()
            self._opened().offer_index(descriptor)
        except StoreError:
            return

    @property
    def missing(self) -> bool:
        """Whether the last look found no file."""
        return self._absent is not None

    @property
    def was_there(self) -> bool:
        """Whether a file has ever been opened here."""
        return self._lineage > 0

    def known_absent(self, key: bytes) -> bool:
        """Whether it is known at no cost that the state seen last has no record `key`."""
        return self._database is not None and self._database.known_absent(key)

    @property
    def lineage(self) -> Hashable:
        """As any Database's: with each file that is opened, and for all that `changes` cannot say.

        Callers that never ask for the `state` hear of another past with each change.
        """
        if self._touched:
            self._touched = False
            self._lineage += 1
        return self._lineage, self._database.history if self._database is not None else None

    @property
    def reads_consistently(self) -> bool:
        """Whether `look` is one statement, and records that are read one by one are not."""
        return self._database is not None and self._database.reads_consistently

    def look(self, keys: Sequence[bytes], prefixes: Sequence[bytes] = ()) -> ConsistentRead:
        """Values and samples of what is open now; see `reads_consistently`."""
        return self._read(lambda database: database.look(keys, prefixes))

    def count(self) -> int | None:
        """The number of records, where the file says it."""
        return self._read(lambda database: database.count())

    def describe(self) -> Description:
        """What the file says of itself."""
        return self._read(lambda database: database.describe())

    def folders(self) -> tuple[str, ...]:
        """The folders in which anything must happen for what is at the path to change.

        Those of the path and of what it leads to, or that of all files; not what leads to these.
        """
        from gateway.cyrus.pathwalk import absolute, folders_of  # noqa: PLC0415 (only to watch)

        place = absolute(self._place)
        return (place,) if self.keeps_files else folders_of(place)

    @property
    def keeps_files(self) -> bool:
        """Whether each record is a file of its own; `state` then says nothing about records."""
        return self._configured == formats.QUOTALEGACY

    @property
    def told_by_kernel(self) -> bool:
        """Whether the kernel tells of each change; of a file, as soon as it is open."""
        database = self._database
        return self.keeps_files if database is None else database.told_by_kernel

    def get_proved(self, key: bytes, watch: FolderWatch | None = None) -> Proved:
        """For a format that keeps files: `get`, and what shows later that it is still valid."""
        try:
            return self._opened().get_proved(key, watch)
        except StoreError as error:
            self._give_up(error)
            raise

    def close(self) -> None:
        """Give the descriptor back; another call would open the file again."""
        database, self._database = self._database, None
        identity, self._identity = self._identity, None
        if database is not None:
            if database.overwritten:
                self._overwritten = identity
            database.close()

    def _look(self) -> tuple[int, int]:
        now = time.time_ns()
        try:
            status = os.stat(self._place)
        except OSError as error:
            self.close()
            raise self._unseen(error) from error
        self.has_links = status.st_nlink > 1
        mark = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if mark != self._mark:
            self._mark = None if is_young(status, now) else mark
            self._touched = True
        return status.st_dev, status.st_ino

    def _unseen(self, error: OSError) -> DatabaseUnavailable:
        """What to raise where the path cannot be looked at; that nothing is there is remembered."""
        fault = store_fault(self._place, "cannot be examined", error)
        if isinstance(fault, DatabaseMissing):
            self._absent = fault.problem
        return fault

    def _opened(self) -> Database:
        """The reader; it is opened here if there is none."""
        if self._database is not None:
            return self._database
        if self._absent is not None:
            raise DatabaseMissing(self._place, self._absent)
        for _ in range(MAX_REPLACED):
            database = self._open()
            if database is not None:
                self._database = database
                self._lineage += 1  # same with 2: it only has to differ
                self._warning.found(database.format)
                return database
        raise DatabaseUnavailable(self._place, "is replaced faster than it can be opened")

    def _open(self) -> Database | None:
        """A reader of the file whose identity is kept; None where the path changed meanwhile.

        A descriptor holds the file until the path has been looked at again: the inode of
        one that is not held may be given to the next, which would pass for it.
        """
        try:
            held = os.open(self._place, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise self._unseen(error) from error
        try:
            try:
                status = os.fstat(held)
            except OSError as error:  # a network file system asks its server again
                raise self._unseen(error) from error
            self._identity = (status.st_dev, status.st_ino)
            database = self._open_file(self.counts)
            try:
                same = self._look() == self._identity
            except StoreError:
                database.close()
                raise
            if not same:
                database.close()
                return None
            if self._identity == self._overwritten:
                database.distrust()
            return database
        finally:
            close_read(held)

    def _was_replaced(self, error: StoreError) -> bool:
        """Give up because of `error`; True where it is of a file that has been replaced since."""
        identity = self._identity
        try:
            # Before the reader is closed, which lets go of the inode.
            replaced = identity is not None and self._look() != identity
        except StoreError:
            replaced = False  # the caller has the better one to raise
        if not replaced and self._database is not None:
            replaced = formats.differs(self._database.format, self._open_file, self.counts)
        if replaced:
            self.counts.retries += 1
            self.close()
            self._overwritten = identity  # if it is the same one, with another past
        else:
            self._give_up(error)
        return replaced

    def _give_up(self, error: StoreError) -> None:
        """Count the fault and close the reader."""
        if not isinstance(error, DatabaseMissing):
            self.counts.faults += 1
            # It may be just being overwritten, and the next reader would not know.
            self._overwritten = self._identity
        self.close()
