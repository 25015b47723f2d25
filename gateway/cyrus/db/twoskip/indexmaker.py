"""How a reader of a twoskip file comes by its index: it builds one, or takes another process'.

Both goes in pieces of some 2 ms.  Where another process has offered one, that is checked and
proved first (shared.py); where it is not of the file, or not of its present
past, it is forgotten, and what there is goes on.

Limits: an index that cannot be built is given up after some attempts, until the file is
another one.
"""

from __future__ import annotations

from gateway.cyrus.db.twoskip.index import KeyIndex
from gateway.cyrus.db.twoskip.shared import SharedIndex
from gateway.errors import DatabaseDamaged, SharedIndexRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.file import FileView

# How often in a row an index is begun before this file is left without one.
ATTEMPTS = 5  # only a bound


class IndexMaker:
    """Makes the index of the file behind `view`; `more` tells whether there is more to do."""

    __slots__ = ("_failures", "_offer", "_view", "more")

    def __init__(self, view: FileView) -> None:
        self._view = view
        self._failures = 0  # of making an index, one after the other
        self._offer: SharedIndex | None = None  # which is not proved yet
        self.more = True

    @property
    def given_up(self) -> bool:
        """Whether this file stays without an index."""
        return self._failures >= ATTEMPTS

    def offer(self, descriptor: int, index: KeyIndex | None) -> None:
        """Take it into consideration, where it may be of this file and knows more.

        Raises `SharedIndexRefused` where it is nothing of ours.
        """
        offer = SharedIndex.of(descriptor)
        known = index.run.end if index is not None else 0  # same with 1: no index ends at 1
        if offer.identity == self._view.identity and offer.end > known:
            self._offer = offer

    def is_wanted(self, index: KeyIndex | None) -> bool:
        """Whether a new run is, of which none was offered."""
        return not self.given_up and self._offer is None and (index is None or index.outgrown)

    def step(self, index: KeyIndex | None, raw: bytes, *, alone: bool) -> KeyIndex | None:
        """Do a piece; the index that there is then, from that which there was.

        `raw` is the file's header as it is now, and the history that of it.  Without `alone`
        no run is made here.  Raises `DatabaseUnavailable`.
        """
        self.more = True
        try:
            if self._offer is not None:
                return self._take(self._offer, raw) or index
            if index is None and alone:
                index = KeyIndex(self._view)
            if index is None or (index.outgrown and not alone):
                self.more = False
            else:
                self.more = index.step()
                if index.ready:
                    self._failures = 0
        except DatabaseDamaged:
            # A writer may have been at it; really damaged, every look-up says so.
            self._failures += 1
            self.more = not self.given_up
            return None
        return index

    def _take(self, offer: SharedIndex, raw: bytes) -> KeyIndex | None:
        """Do a piece of the proof of what was offered; the index once it is proved."""
        try:
            if offer.check():
                return None
        except SharedIndexRefused:
            self._offer = None
            return None
        self._offer = None
        return offer.index(self._view, raw)
