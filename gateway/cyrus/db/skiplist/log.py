"""The log of a skiplist file, from the checkpoint to its last COMMIT, as an index.

What is committed?  What Cyrus' own recovery keeps: the records in front of the
last COMMIT; the forward pointers do not matter, they are set before it.  A
writer appends its records and then the COMMIT; an abort cuts the file back to
the end of the COMMIT before, and the next writer appends there again.  So the
bytes in front of a COMMIT that has been written never change any more, but
for the pointers, which this index does not use.

Reading without a lock therefore has one trap: bytes of a transaction that is
aborted while it is read, and behind them the COMMIT of the one that took its
place.  So what was read is read a second time, and must be the same: at the
time of the second reading the COMMIT was there already, and all in front of
it was final.  Only the records count for "the same", not their pointers.

The index keeps one number of 64 bits for each ADD (a hash of the key, and the
offset), sorted, and one of 32 bits for each DELETE, and no key.

Limits: fdatasync failing behind a COMMIT makes Cyrus take that COMMIT back,
with the file getting shorter; this is noticed by the length, or by the word in
front of `end` being another one, and the index is to be built again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort

from gateway.cyrus.db.skiplist.format import (
    ADD,
    COMMIT,
    COMMIT_WORD,
    DELETE,
    INORDER,
    ONES,
    WORD,
)
from gateway.cyrus.db.skiplist.reading import Stop, records
from gateway.errors import DatabaseDamaged, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.file import FileView

# How often a log that does not read the same twice is read again.
SCANS = 16  # only a bound
_HASH = (1 << 32) - 1  # same with 2 in place 2: offsets are even
_DELETE_WORD = b"\0\0\0\x04"


def key_hash(key: bytes) -> int:
    """The 32 bits by which the index knows a key; they differ from process to process."""
    return hash(key) & _HASH


class Changed(Exception):
    """The file no longer has the commits that the index was made of."""


class Scan:
    """One reading of the log from `start`: what comes before the last COMMIT.

    `end` is behind that COMMIT, `start` where there is none.  `problem` says
    at which offset and why reading stopped, unless that was at the end of the
    file or in a record that is not yet all there.
    """

    __slots__ = ("_prints", "added", "deleted", "end", "problem", "view")

    def __init__(self, view: FileView, start: int) -> None:
        self.view = view
        self.end = start
        self.added = array("Q")
        self.deleted = array("I")
        self.problem: tuple[int, str] | None = None
        self._prints: list[tuple[int, int, int]] = []
        size = view.size()
        added = deleted = 0
        try:
            for item in records(view, start, size, self._prints):
                if item.type == ADD:
                    self.added.append(key_hash(item.key) << 32 | item.offset)
                elif item.type == DELETE:
                    if item.target >= item.offset or item.target & 3:
                        raise Stop(item.offset, f"a DELETE of the record at {item.target}")
                    self.deleted.append(item.target)
                elif item.type == COMMIT:
                    self.end = item.offset + len(COMMIT_WORD)
                    added, deleted = len(self.added), len(self.deleted)
                else:
                    raise Stop(item.offset, f"a record of type {INORDER} in the log")
        except Stop as stop:
            if stop.problem:
                self.problem = (stop.offset, stop.problem)
            elif _ends_with_commit(view, size):
                # The record would pass the end of a file that ends as a whole log does.
                self.problem = (stop.offset, "its lengths pass the end of the file")
        del self.added[added:], self.deleted[deleted:]

    def still(self) -> bool:
        """Whether the bytes are still those that were read, all of them."""
        return all(
            hash(self.view.peek(offset, length)) == print_
            for offset, length, print_ in self._prints
        )

    def confirms(self, earlier: Scan) -> bool:
        """Whether this later reading found all that `earlier` found."""
        return (
            self.end >= earlier.end
            and self.added[: len(earlier.added)] == earlier.added
            and self.deleted[: len(earlier.deleted)] == earlier.deleted
            and (self.end == earlier.end or self.end_is_commit(earlier.end))
        )

    def end_is_commit(self, end: int) -> bool:
        """Whether a COMMIT comes before `end`."""
        return self.view.peek(end - len(COMMIT_WORD), len(COMMIT_WORD)) == COMMIT_WORD


def _ends_with_commit(view: FileView, size: int) -> bool:
    """Whether the file ends with a COMMIT behind a record (SAFE_TO_APPEND in the C source)."""
    tail = view.peek(size - 3 * WORD, 3 * WORD)  # same with 4 in place 2: the file ends there
    before, last, commit = tail[:WORD], tail[WORD : 2 * WORD], tail[2 * WORD :]
    return commit == COMMIT_WORD and (last == ONES or before == _DELETE_WORD)


class Log:
    """The index of the committed log of `view`; `end` is behind the last COMMIT."""

    __slots__ = ("_last_word", "_view", "added", "deleted", "end")

    def __init__(self, view: FileView, start: int) -> None:
        self._view = view
        self.added = array("Q")
        self.deleted = array("I")
        self.end = start
        self._last_word = view.read(start - 4, 4)
        self.refresh()

    def refresh(self) -> None:
        """Take in what has been committed since; one system call where nothing was appended.

        Raises Changed where the file lost commits, DatabaseDamaged, and
        DatabaseUnavailable where the log never reads the same twice.
        """
        size = self._view.size()
        if size == self.end:
            return
        # same with <=: it has returned where they are equal
        if size < self.end or self._view.peek(self.end - 4, 4) != self._last_word:
            raise Changed
        scan = self._settled()
        if scan.end == self.end:
            return
        if self.added or self.deleted:
            for entry in scan.added:
                insort(self.added, entry)
            for target in scan.deleted:
                insort(self.deleted, target)
        else:
            self.added = array("Q", sorted(scan.added))
            self.deleted = array("I", sorted(scan.deleted))
        self.end = scan.end
        self._last_word = COMMIT_WORD

    def _settled(self) -> Scan:
        """A reading of what follows `end` that a second reading confirmed."""
        last = self._scan()
        for _ in range(SCANS):
            # same with and: one reading more
            if last is not None and last.problem is None and (last.end == self.end or last.still()):
                # Without a COMMIT there is nothing to confirm: had one been
                # there when the reading began, it would have been found.
                return last
            again = self._scan()
            if last is not None and again is not None:
                if last.problem is not None and last.problem == again.problem:
                    offset, problem = last.problem
                    raise DatabaseDamaged(self._view.path, f"log record at {offset}: {problem}")
                if last.problem is None and again.confirms(last):
                    return last
            last = again
        raise DatabaseUnavailable(
            self._view.path, "its log changes faster than it can be read; try again"
        )

    def _scan(self) -> Scan | None:
        """A reading, or None where the file got shorter meanwhile."""
        try:
            return Scan(self._view, self.end)
        except DatabaseDamaged:
            if self._view.size() < self.end:
                raise Changed from None
            return None

    def candidates(self, key: bytes) -> list[int]:
        """The offsets of the ADD records that may have `key`, newest first."""
        low = key_hash(key) << 32
        first = bisect_left(self.added, low)
        behind = bisect_right(self.added, low | _HASH, first)
        return [entry & _HASH for entry in reversed(self.added[first:behind])]

    def has(self, key: bytes, offset: int) -> bool:
        """Whether there is a committed ADD record of `key` at `offset`."""
        entry = key_hash(key) << 32 | offset
        at = bisect_left(self.added, entry)
        return at < len(self.added) and self.added[at] == entry

    def is_deleted(self, offset: int) -> bool:
        """Whether the record at `offset`, in the log or in front of it, has been deleted."""
        at = bisect_left(self.deleted, offset)
        return at < len(self.deleted) and self.deleted[at] == offset
