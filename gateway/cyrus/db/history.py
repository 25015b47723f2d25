"""Whether the log that a file holds now is the one that was read before, and longer.

twoskip, twom and skiplist append: what a commit has written never changes, but
for the pointers of its records.  So a reader that knows a file up to some end has
only to read what follows it, unless the file has been given another past
meanwhile: a backup written over it in place, and commits on top of that.  The
length does not tell, nor do the numbers in the header: each history counts its own
commits.  A `Tail` therefore keeps the last bytes of the log that is known, and
`follow` compares them with those that are in the same place now, without the
pointers, before anything is believed of what was read earlier.

What can two different histories have in common, and why is it not enough?  They have
the same beginning, up to the backup.  To be taken for one another they must
then differ, and after that have written the same TAIL_BYTES at the same place:

- Where less than that has been written since the beginning of the file or since
  they parted, the first difference itself is among what is compared.  This is
  the whole proof for small databases, and for every restore after which there
  were fewer than some 250 commits.
- Else both must have repeated, after the difference, the same commits in the same
  order with records of the same bytes: those of the mailbox list hold a unique
  id and a time (Cyrus 3), and the number of pointers of each record is drawn at random
  (rand(), from a seed of time and process).  Two records have the same number in
  one case of three, and 64 KiB hold 150 to 1000 records, so this happens
  once in 10^70 replays of even the very same operations.
- And all of it must have come between two looks.  A look at any moment in
  between finds the log shorter than it was.

Limits: bytes in front of the tail that are edited by hand, without Cyrus.

A `History` is such a tail with the moment at which it was compared: a file whose
length and times are what they were then, and were old enough then to tell
(gateway/cyrus/db/filetoken.py), need not be compared again.
"""

from __future__ import annotations

import time

from gateway.cyrus.db.base import Database
from gateway.cyrus.db.filetoken import is_young
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from gateway.cyrus.db.file import FileView

    # Of the record at a place in some bytes of the log: where it ends, and from where to
    # where Cyrus may write to it later.  None where no whole record begins there.  With
    # `first` nothing tells yet that one does, so everything that can be checked is.
    Measure = Callable[[bytes, int, bool], tuple[int, int, int] | None]

# Bytes that are kept and compared: a look at them takes 6 microseconds, 35 behind a commit.
TAIL_BYTES = 64 * 1024  # only a bound

# What is kept at least of a log that is longer, or it is read from further in front.
_LEAST = TAIL_BYTES // 2  # only a bound

# What is read to find the beginning of a record, where one is longer than the tail.
_WIDEST = 64 * TAIL_BYTES  # only a bound


class Tail:
    """The log's bytes from `start` to `end` as they were read last.

    `first` is where the first record of a file begins, `step` what each place
    of one is a multiple of.  Nothing is known, and `end` is 0, until `capture`.
    """

    __slots__ = ("_bytes", "_first", "_measure", "_records", "_step", "end", "start")

    def __init__(self, measure: Measure, first: int, step: int) -> None:
        self._measure = measure
        self._first = first
        self._step = step
        self.forget()

    def forget(self) -> None:
        """Know nothing."""
        self.start = self.end = 0
        self._bytes = b""
        # Where each record begins, and what of it may change, counted from `start`.
        self._records: list[tuple[int, int, int]] = []

    def capture(self, view: FileView, end: int) -> bool:
        """Keep what is before `end`; False where that is not records up to there.

        Raises `DatabaseUnavailable`, and `DatabaseDamaged` where the file is shorter.
        """
        self.forget()
        width = TAIL_BYTES
        while True:
            start = max(self._first, (end - width) // self._step * self._step)
            data = view.read(start, end - start)
            found = self._boundary(data, start == self._first)
            # Behind a record that is longer than the tail, hardly anything would be kept.
            if found is not None and (start == self._first or len(data) - found[0] >= _LEAST):
                at, records = found
                self.start, self.end = start + at, end
                self._bytes = data[at:]
                self._records = [(begin - at, a - at, b - at) for begin, a, b in records]
                return True
            if start == self._first or width >= _WIDEST:  # same with >: the longer way to the same
                return False
            width *= 8

    def follow(self, view: FileView, end: int) -> bool:
        """Whether all that is known is still there, and only records after it up to `end`.

        These are known then, too.  Raises as `capture` does.
        """
        kept = self._bytes
        if not kept or end < self.end:
            return False
        if end - self.end > TAIL_BYTES:  # same with >=: the longer way to the same
            known = self._is_same(view.read(self.start, len(kept)))
            return known and self.capture(view, end)
        data = view.read(self.start, end - self.start)
        if not self._is_same(data[: len(kept)]):
            return False
        appended = self._outline(data, len(kept))
        if appended is None:
            return False
        self._records += appended
        self._bytes = data
        self.end = end
        if len(data) > 2 * TAIL_BYTES:  # same with >=, //, 3: how much is kept at most
            self._trim()
        return True

    def kept(self) -> tuple[int, bytes]:
        """Where what is known begins, and its bytes up to `end`: for another process."""
        return self.start, self._bytes

    def take(self, start: int, kept: bytes) -> bool:
        """Know what another one has `kept`; False where that is not records, or too few."""
        self.forget()
        records = self._outline(kept, 0)
        if not kept or records is None:
            return False
        if start != self._first and len(kept) < _LEAST:
            return False
        self.start, self.end = start, start + len(kept)
        self._bytes, self._records = kept, records
        return True

    def _is_same(self, data: bytes) -> bool:
        """Whether `data` is what is kept, but for what may change."""
        kept = self._bytes
        if data == kept:
            return True
        if len(data) != len(kept):
            return False  # same with True: as much is read as is kept
        masked = bytearray(data)
        for _, begin, end in self._records:
            masked[begin:end] = kept[begin:end]
        return masked == kept

    def _boundary(
        self, data: bytes, at_first: bool
    ) -> tuple[int, list[tuple[int, int, int]]] | None:
        """Where a record begins from which records lead to the end of `data`, and those."""
        # same with 2: no record begins there
        for at in range(0, 1 if at_first else len(data), self._step):
            if not at_first and self._measure(data, at, True) is None:
                continue
            records = self._outline(data, at)
            if records is not None:
                return at, records
        return None

    def _outline(self, data: bytes, at: int) -> list[tuple[int, int, int]] | None:
        """The records from `at` to the end of `data`; None where it is not records."""
        measure = self._measure
        size = len(data)
        records = []
        while at < size:
            found = measure(data, at, False)
            if found is None:
                return None
            end, first, behind = found
            if first < behind:
                records.append((at, first, behind))
            at = end
        return records if at == size else None

    def _trim(self) -> None:
        """Drop what is in front of the record in which the last TAIL_BYTES begin."""
        wanted = len(self._bytes) - TAIL_BYTES
        at = max((begin for begin, _, _ in self._records if begin <= wanted), default=0)
        self.start += at
        self._bytes = self._bytes[at:]
        self._records = [
            (begin - at, a - at, b - at) for begin, a, b in self._records if begin >= at
        ]


class LogDatabase(Database):
    """What the formats have in common that are logs between two repacks.

    A subclass sets `_view` and `_history` before anything else is asked.
    """

    __slots__ = ("_history", "_view")

    _history: History
    _view: FileView

    @property
    def path(self) -> str:
        """The file's path as the configuration gives it."""
        return self._view.path

    def close(self) -> None:
        """Give the descriptor back; the object is not used again."""
        self._view.close()

    @property
    def history(self) -> Hashable:
        """The token of what is known of its past."""
        return self._history.token

    @property
    def overwritten(self) -> bool:
        """Whether the file has had another past."""
        return self._history.overwritten

    def distrust(self) -> None:
        """An earlier reader has found that it has had one."""
        self._history.overwritten = True


class History:
    """What a reader knows of the past of its file.

    `token` is another one as soon as nothing that was read before can be believed
    any more, and in each reader.  `overwritten` stays true for a file that has had
    another past: Cyrus itself remembers places in a file by its length, and a
    process of it that goes on over a restore may write pointers that do not agree
    with its log.  What such a file says is only what a look-up finds.
    """

    __slots__ = ("_looked", "_proved", "overwritten", "tail", "token")

    def __init__(self, measure: Measure, first: int, step: int) -> None:
        self.tail = Tail(measure, first, step)
        self.token = object()
        self.overwritten = False
        # Head, times and length of the file at the last look, and at the last that proved it.
        self._looked: tuple[bytes, int, int, int] | None = None
        self._proved: tuple[bytes, int, int, int] | None = None

    def is_quiet(self, view: FileView, head: bytes = b"") -> bool:
        """Whether the file has not been written to since `prove`: one system call.

        `head` are the file's first bytes as they are now, where they tell more than
        its times (what is written through memory does not show in these at once).
        """
        now = time.time_ns()
        status = view.status()
        looked = (head, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if looked == self._proved:
            return True
        self._looked = None if is_young(status, now) else looked
        self._proved = None
        return False

    def prove(self, view: FileView, end: int, *, same: bool = True) -> bool:
        """Whether the committed log up to `end` is the known one, perhaps grown.

        With `same` false the caller knows that it is not.  Where it is another
        one, or no records at all, there is another `token`.  Raises `DatabaseUnavailable`.
        """
        tail = self.tail
        begun = tail.end > 0  # same with 1: no log ends there
        try:
            known = same and tail.follow(view, end)
            if not known:
                self.token = object()
                self.overwritten = self.overwritten or begun
                if not tail.capture(view, end):
                    tail.forget()  # so that each look finds another history
                    return False
        except DatabaseDamaged:
            self.token = object()
            self.overwritten = True
            tail.forget()
            return False
        self._proved = self._looked
        return known
