"""What a search of a twoskip file, or a walk along it, remembers of its way.

Keys ascend in one of two orders (order.py), which the file does not tell; both
classes keep what is needed to find out that it was the other one.
"""

from __future__ import annotations

from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.twoskip_format import TwoskipRecord

Orders = tuple[bytes | None, ...]


class Ascent:
    """A walk's memory: the last key, and the orders in which all keys so far ascend."""

    __slots__ = ("key", "orders")

    def __init__(self, key: bytes | None, orders: Orders) -> None:
        self.key = key
        self.orders = orders

    def step(self, path: str, key: bytes) -> Ascent:
        """The memory after going on to `key`; `DatabaseDamaged` where no order is left."""
        last = self.key
        if last is None:
            return Ascent(key, self.orders)
        left = tuple(o for o in self.orders if last.translate(o) < key.translate(o))
        if not left:
            raise DatabaseDamaged(path, f"key {key!r} stands behind key {last!r}")
        return Ascent(key, left)


class Found:
    """Where a search ended.

    `before` is the record in front of the key, None where that is the dummy, and
    `record` the first one at or behind it, None at the end of the list.
    `visited` are the records whose keys were compared, in that order, and
    `read` those among them that were not known.  `ordered` is False where their
    keys did not ascend in the order that the search assumed; `record` means
    nothing then.
    """

    __slots__ = ("before", "ordered", "read", "record", "visited")

    def __init__(self) -> None:
        self.before: TwoskipRecord | None = None
        self.record: TwoskipRecord | None = None
        self.visited: list[TwoskipRecord] = []
        self.read: list[TwoskipRecord] = []
        self.ordered = True

    def is_same_in(self, orders: Orders, key: bytes) -> bool:
        """Whether a search in any of the orders, if the list has it, ends here, too.

        Of two neighbours one is in front of the key in it and one behind: so
        is whatever stands in front of the one, and behind the other.
        """
        before, behind = self.before, self.record
        for order in orders:
            wanted = key.translate(order)
            if before is not None and before.key.translate(order) >= wanted:
                return False
            if behind is not None and behind.key.translate(order) <= wanted:
                return False
        return True
