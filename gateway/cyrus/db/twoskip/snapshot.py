"""Searching one committed state of a twoskip file: `Snapshot`.

A Snapshot believes nothing but what lies below the committed size it was made with.
Whether that still was the committed size when it had read is not its
business: gateway/cyrus/db/twoskip/twoskip.py looks at the header again and throws
the result away if not.  So anything read here may be garbage of a commit in
between, and all that is promised then is an end within bounds: a result, or
`DatabaseDamaged`.  No walk can go in circles, because each step goes to a
greater key in one of the two orders.
"""

from __future__ import annotations

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.order import Ascent, Orders
from gateway.cyrus.db.twoskip.format import (
    BLANK,
    COMMIT,
    DELETE,
    DUMMY,
    HEADER_SIZE,
    RECORD,
    TwoskipRecord,
)
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cyrus.db.twoskip.waypoints import Waypoints

# Records that one commit is believed to delete side by side; beyond that, forgetting
# everything is cheaper.
MAX_DELETED = 64


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
        is whatever comes before the one, and after the other.
        """
        before, behind = self.before, self.record
        for order in orders:
            wanted = key.translate(order)
            # same with >: keys of one rank are one key
            if before is not None and before.key.translate(order) >= wanted:
                return False
            # same with <: keys of one rank are one key
            if behind is not None and behind.key.translate(order) <= wanted:
                return False
        return True  # same with False: searches once more than it has to


class Snapshot:
    """The records below `end`, the committed size, behind the dummy record in `start`.

    `orders` are the sort orders that are possible, the likeliest first.  `known` are
    records of this very state by their offsets, all of whose checksums are right; `read`
    are those of level `floor` and above that a search has read beside them.  `nearest` gives a
    known record in front of a key, from which the search for it may begin as well.
    """

    __slots__ = ("_dummy", "_floor", "_known", "_nearest", "_orders", "_view", "end", "read")

    def __init__(
        self,
        view: FileView,
        dummy: TwoskipRecord,
        end: int,
        orders: Orders,
        *,
        known: dict[int, TwoskipRecord],
        floor: int,
        nearest: Callable[[bytes], TwoskipRecord | None] | None = None,
    ) -> None:
        self._view = view
        self._orders = orders
        self.end = end
        self._known = known
        self._floor = floor
        self._nearest = nearest
        self.read: list[TwoskipRecord] = []
        self._dummy = dummy
        if self._dummy.type != DUMMY or not self._dummy.level:
            raise DatabaseDamaged(view.path, "no dummy record follows the header")

    @classmethod
    def at(cls, view: FileView, start: bytes, end: int, orders: Orders) -> Snapshot:
        """Without known records; `start` are the file's first bytes, the dummy's head included."""
        dummy = TwoskipRecord(view.path, start[HEADER_SIZE:], HEADER_SIZE, end)
        # same with 1: nobody remembers what was read
        return cls(view, dummy, end, orders, known={}, floor=0)

    @classmethod
    def by(cls, waypoints: Waypoints, view: FileView, orders: Orders) -> Snapshot:
        """Of the state whose upper levels `waypoints` knows."""
        known = waypoints.records
        return cls(
            view,
            known[HEADER_SIZE],
            waypoints.end,
            orders,
            known=known,
            floor=waypoints.floor,
            nearest=waypoints.nearest,
        )

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None.

        A record that is found is right, whatever order led to it.  "There is
        none" is said only when every record that was compared on the way
        passes its checksum, and when the other order either leads to the same
        place (nearly always) or has been tried too.
        """
        start = self._nearest(key) if self._nearest is not None else None
        first = self._search(key, self._orders[0], start=start)
        if first.record is not None and first.record.key == key:
            return first.record.value(self._view)
        self._prove(first)
        if first.ordered and first.is_same_in(self._orders, key):
            return None
        second = self._search(key, self._orders[-1])
        if second.record is not None and second.record.key == key:
            return second.record.value(self._view)
        self._prove(second)
        if not first.ordered and not second.ordered:
            raise DatabaseDamaged(self._view.path, f"the records around key {key!r} have no order")
        return None

    def batch(
        self, prefix: bytes, ascent: Ascent, limit: int
    ) -> tuple[list[tuple[bytes, bytes]], Ascent]:
        """At most `limit` records with `prefix` behind `ascent.key`, and the walk's memory."""
        view = self._view
        records: list[tuple[bytes, bytes]] = []
        after = ascent.key
        record = self._landing(prefix if after is None else after, ascent.orders)
        if record is not None and record.key == after:
            record = self._successor(record)
        # same with <=: a bound of work
        while record is not None and len(records) < limit and record.key.startswith(prefix):
            ascent = ascent.step(view.path, record.key)
            records.append((record.key, record.value(view)))
            record = self._successor(record)
        return records, ascent

    def written(self, since: int) -> frozenset[bytes] | None:
        """The keys that the log from offset `since` on has stored or deleted.

        None where it cannot be told which were deleted.
        """
        view = self._view
        log = view.read(since, self.end - since)
        keys = set()
        successors = set()
        at = 0
        while at < len(log):
            if log.startswith(BLANK, at):
                at += len(BLANK)
                continue
            record = TwoskipRecord.read(view, since + at, self.end)
            if record.type == DELETE:
                successors.add(record.pointers[0])
            elif record.type == RECORD:
                record.value(view)
                keys.add(record.key)
            elif record.type != COMMIT:
                raise DatabaseDamaged(view.path, f"there is an unknown record at {since + at}")
            at += record.length
        for successor in successors:
            deleted = self._deleted_before(successor, since)
            if deleted is None:
                return None
            keys |= deleted
        return frozenset(keys)

    def _deleted_before(self, successor: int, since: int) -> set[bytes] | None:
        """Keys among which are all that were deleted in front of the record at `successor`.

        A delete record does not say which record it deletes, only what
        follows it.  But P, the record in front, still has the pointer that it
        had in the state that ended at `since`: a commit replaces the older
        one of the pair.  From there the old list leads through what was
        deleted to the successor.  None where that way cannot be found: at the
        end of the list, where P was not there then or was changed twice, or
        the successor was not there then.
        """
        if not successor:
            return None
        end = self._record(successor)
        before = self._before(end)
        if before is None or before.offset >= since:
            return None
        offset = _old_pointer(before, since)
        keys: set[bytes] = set()
        while offset and len(keys) <= MAX_DELETED:
            record = TwoskipRecord.read(self._view, offset, self.end)
            if record.type == DELETE:
                offset = record.pointers[0]
                continue
            if record.type != RECORD:
                return None
            record.value(self._view)
            if record.key == end.key:
                return keys
            keys.add(record.key)
            offset = _old_pointer(record, since)
        return None

    def _before(self, record: TwoskipRecord) -> TwoskipRecord | None:
        """The record that leads to `record` on the lowest level; None if the search misses it."""
        for order in self._orders:
            wanted = record.key.translate(order)
            smaller = [
                r
                for r in self._search(record.key, order, down=True).visited
                if r.key.translate(order) < wanted
            ]
            before = smaller[-1] if smaller else self._dummy
            offset = self._lowest(before)
            if offset:
                following = TwoskipRecord.read(self._view, offset, self.end)
                if following.type == DELETE:
                    offset = following.pointers[0]
            if offset == record.offset:
                return before
        return None

    def _search(
        self,
        key: bytes,
        order: bytes | None,
        *,
        down: bool = False,  # same with True: the longer way to the same
        start: TwoskipRecord | None = None,
    ) -> Found:
        """Walk down the levels to the first record that is not before `key` in `order`.

        With `down` it goes on to the lowest level where `key` itself is found
        earlier, so that the record in front of it is among those visited.  With
        `start`, a record of the list in front of `key`, it walks from there.
        """
        view, known, floor = self._view, self._known, self._floor
        end = self.end
        wanted = key.translate(order)
        found = Found()
        visited = found.visited
        before = start if start is not None else self._dummy
        before_rank = start.key.translate(order) if start is not None else None
        behind: TwoskipRecord | None = None
        behind_offset = 0
        level = before.level
        while level:
            offset = before.pointers[level] if level > 1 else self._lowest(before)
            if level == 1 and not offset:
                behind = None
                break
            if offset == behind_offset or not offset or offset >= end:
                level -= 1
                continue
            record = known.get(offset)
            if record is None:
                record = TwoskipRecord.read(view, offset, end)
                if record.type == DELETE and level == 1:
                    offset = record.pointers[0]
                    if offset == behind_offset:  # Both 0 at the end of the list.
                        break
                    record = self._record(offset)
                found.read.append(record)
            if record.type != RECORD or record.level < level:
                raise DatabaseDamaged(view.path, f"there is no record of level {level} at {offset}")
            visited.append(record)
            rank = record.key.translate(order)
            if rank < wanted:
                if before_rank is not None and rank <= before_rank:
                    found.ordered = False
                    return found
                before = record
                before_rank = rank
                continue
            behind = record
            behind_offset = offset
            if record.key == key and not down:
                break
            level -= 1
        if before is not self._dummy:
            found.before = before
        found.record = behind
        if floor:
            self.read += [record for record in found.read if record.level >= floor]
        return found

    def _lowest(self, record: TwoskipRecord) -> int:
        """The committed one of a record's pair of lowest pointers; 0 at the end of the list."""
        first, second = record.pointers[0], record.pointers[1]
        if second >= self.end:
            first, second = second, first
        if first < self.end:
            return max(first, second)
        if second < self.end:  # same with <=: no record fits there: damaged either way
            return second
        raise DatabaseDamaged(
            self._view.path, f"the record at {record.offset} has no committed successor"
        )

    def _record(self, offset: int) -> TwoskipRecord:
        """The ordinary record at `offset`, where the committed list says that there is one."""
        if offset < self.end:  # same with <=: no record fits there: damaged either way
            record = TwoskipRecord.read(self._view, offset, self.end)
            if record.type == RECORD and record.level:
                return record
        raise DatabaseDamaged(self._view.path, f"there is no record at {offset}")

    def _successor(self, record: TwoskipRecord) -> TwoskipRecord | None:
        """The next record of the lowest level, past a delete record; None at the end."""
        offset = self._lowest(record)
        if not offset:
            return None
        following = TwoskipRecord.read(self._view, offset, self.end)
        if following.type == DELETE:
            offset = following.pointers[0]
            return self._record(offset) if offset else None
        return self._record(offset)

    def _landing(self, key: bytes, orders: Orders) -> TwoskipRecord | None:
        """The first record at or behind `key` in the order that the file has, or None."""
        if not key:
            return self._successor(self._dummy)
        results: dict[int | None, TwoskipRecord | None] = {}
        for order in orders:
            found = self._search(key, order)
            self._prove(found)
            if found.record is not None and found.record.key == key:
                return found.record
            if found.ordered:
                results[found.record.offset if found.record else None] = found.record
        if len(results) > 1:  # same with >=: the longer way to the same
            order = self._order(orders)
            return self._search(key, order).record
        for record in results.values():
            return record
        raise DatabaseDamaged(self._view.path, f"the records around key {key!r} have no order")

    def _order(self, orders: Orders) -> bytes | None:
        """The file's order: walk the list until only one is left.  Reads up to all records."""
        ascent = Ascent(None, orders)
        record = self._successor(self._dummy)
        # same with >=: the longer way to the same
        while record is not None and len(ascent.orders) > 1:
            ascent = ascent.step(self._view.path, record.key)
            record = self._successor(record)
        return ascent.orders[0]

    def _prove(self, found: Found) -> None:
        """Check the keys and values that a search went by, but for those that are known.

        The C program checks only what it returns; a damaged key on the way
        would then hide other records.
        """
        for record in found.read:
            record.value(self._view)


def _old_pointer(record: TwoskipRecord, since: int) -> int:
    """The lowest pointer that `record` had in the state that ended at `since`; 0 if it is gone."""
    first, second = record.pointers[0], record.pointers[1]
    if first >= since and second >= since:
        return 0
    return max(pointer for pointer in (first, second) if pointer < since)
