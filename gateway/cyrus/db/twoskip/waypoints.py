"""The upper levels of a twoskip file's skip list, remembered while the file stays as it is.

For processes that answer many questions and have no index yet
(index.py): the first half of each search goes by the same few thousand
records, and reading them again is most of its cost.

What is remembered is of one committed state: of one generation and size, and of one
history of the file (history.py).  A record's pointers below the committed size do
not change within one, and those of an open transaction change no result
(twoskip.py has the argument), so it does not matter when in that state a record
was read.  With the next commit everything is forgotten.  Only records that passed all their
checksums, in a search that saw one state, are kept.

Limits: about MAX_RECORDS records, of some 400 bytes each, and none in files that were
written over once.
"""

from __future__ import annotations

from bisect import bisect_left

from gateway.cyrus.db.twoskip.format import (
    HEADER_SIZE,
    START,
    TwoskipHeader,
    TwoskipRecord,
    committed,
)
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from gateway.cyrus.db.file import FileView

# Records remembered: of two million the seven lowest levels are left to be read.
MAX_RECORDS = 16384  # only a bound

# Records of earlier states that a search lets go, in some 20 us: all of them at once would take
# 10 ms, for which a question would wait after each commit.
RELEASED = 32  # only a bound


class Waypoints:
    """The records of one state by their offsets, the dummy record among them.

    `end` is the state's committed size; `floor` is the lowest level that is remembered.
    """

    __slots__ = (
        "_order",
        "_outdated",
        "_ranks",
        "_sorted",
        "_state",
        "_view",
        "end",
        "floor",
        "records",
    )

    def __init__(self, view: FileView, order: bytes | None) -> None:
        """`order` is that in which a key is looked for first (order.py)."""
        self._order = order
        # What is remembered but for the dummy, sorted, and by what.
        self._sorted: list[TwoskipRecord] = []
        self._ranks: list[bytes] = []
        self._outdated: list[TwoskipRecord] = []  # of earlier states: only to be let go
        self._view = view
        self._state: Hashable = None
        self.end = 0  # same with 1: the first look sets it
        self.floor = 0  # same with 1: the first look sets it
        self.records: dict[int, TwoskipRecord] = {}

    def move_to(self, raw: bytes, token: Hashable) -> None:
        """Be of the state with the header `raw` and the history `token`.

        Raises `DatabaseDamaged` where there is no sound header or no dummy record.
        """
        if self._outdated:
            self.release(RELEASED)
        state = committed(raw), token
        if state == self._state:
            return
        self._state = None
        view = self._view
        header = TwoskipHeader(view.path, raw)
        self.end = header.end
        # Of the levels each has half as many records as the one below.
        self.floor = max(2, (header.records // MAX_RECORDS).bit_length() + 1)
        start = view.peek(0, START)
        if committed(start) != state[0]:
            raise DatabaseDamaged(view.path, "was committed to while it was read")
        self.records = {
            HEADER_SIZE: TwoskipRecord(view.path, start[HEADER_SIZE:], HEADER_SIZE, self.end)
        }
        self._put_aside()
        self._state = state

    def forget(self) -> None:
        """Remember nothing; the next search starts from the beginning."""
        self._state = None
        self.records = {}
        self._put_aside()

    def release(self, most: int) -> bool:
        """Let go of some records that are of no use any more; False if there were none."""
        outdated = self._outdated
        there = bool(outdated)
        del outdated[-most:]
        return there

    def _put_aside(self) -> None:
        self._outdated += self._sorted
        self._sorted = []
        self._ranks = []

    def keep(self, records: list[TwoskipRecord]) -> None:
        """Remember what a search has read in this state, as far as it is sound."""
        for record in records:
            try:
                record.condense(self._view)
            except DatabaseDamaged:
                continue  # no search depends on it yet; the one that does says so
            if len(self.records) < 2 * MAX_RECORDS and record.offset not in self.records:
                self.records[record.offset] = record
                rank = record.key.translate(self._order)
                at = bisect_left(self._ranks, rank)
                self._ranks.insert(at, rank)
                self._sorted.insert(at, record)

    def nearest(self, key: bytes) -> TwoskipRecord | None:
        """The last remembered record in front of `key`; None where that is the dummy record.

        It is one of the list, so a search may begin there as well as at the
        list's head.  Where the file has another order it is some record of the list, and
        the search finds out as it does anyway: by the neighbours among which it ends.
        """
        at = bisect_left(self._ranks, key.translate(self._order))
        return self._sorted[at - 1] if at else None
