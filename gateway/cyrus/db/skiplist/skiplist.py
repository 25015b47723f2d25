"""Reads skiplist, the old database format of Cyrus IMAP (lib/cyrusdb_skiplist.c), without a lock.

Promise: exactly the committed state.  A writer sets the forward pointers before
it commits, so a reader that follows them sees what may yet be aborted; Cyrus takes a
lock against that, and a writer that holds it holds up all readers.  This reader
needs no lock because it believes no pointer:

- The log is read from its start to the last COMMIT into an index, and kept
  up to date by reading what was appended; log.py has the argument.
- The INORDER records in front of the log were written by a checkpoint, in
  another file that was then renamed to this one.  Nothing but their pointers
  changes after that, and they are in key order, end to end.  What was
  deleted of them, the log says.
- To find a key among them, pointers are hints.  The walk follows one that
  leads forward to an INORDER record or to a record of the committed log, and
  not one that leads to a record of an open transaction.  From the last INORDER
  record in front of the key that was met so, it goes on to the records that follow
  in the file, up to the first that is not in front of the key.  Whether a pointer
  led past a record, as those of an open transaction do, thus does not matter.
- No file says in which order its keys are, and imapd.conf is not believed:
  3.6 and later ignore improved_mboxlist_sort.  A record that is found is right,
  whatever order led to it.  "There is none" is said only if that follows from
  each order in which a file can stand: two records that are neighbours in the
  file have the key between them in every one, or each one has been searched.

What is remembered, the index of the log and every `state`, rests on a log that only
grows, and a backup may be restored over it in place.  The length does not
tell: the new log is as long as the old one where as much has been written since.
So the end of what is known, INORDER records too where the log is short, is
compared in place before it is believed, as soon as the file's length or times are
not what they were: gateway/cyrus/db/history.py has the argument.  Files of two
checkpoints differ in where the log starts or in the second that the header names;
if not, in the records in front of the log, which are compared as far as the tail reaches.

A checkpoint writes a new file, renames it, and empties the old one, which this
object holds: all methods then raise DatabaseUnavailable, and the owner of this
object opens the path again.

Limits: the format has no checksum, so a damaged key or value is not noticed
unless it breaks the order.  The first look-up reads the whole log, which
Cyrus keeps below the size of the INORDER part plus a few KiB, and each one
reads what an open transaction has written so far.
"""

from __future__ import annotations

from gateway.cyrus.db.base import Description
from gateway.cyrus.db.history import History, LogDatabase
from gateway.cyrus.db.order import MAILBOX, PLAIN
from gateway.cyrus.db.skiplist.format import (
    ADD,
    DELETE,
    DUMMY,
    DUMMY_OFFSET,
    HEADER,
    INORDER,
    SIGNED_ORDER,
    SkiplistHeader,
    outline,
)
from gateway.cyrus.db.skiplist.log import Changed, Log
from gateway.cyrus.db.skiplist.reading import Node, Stop, records
from gateway.errors import DatabaseDamaged, DatabaseUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from gateway.cyrus.db.file import FileView
    from gateway.cyrus.db.skiplist.reading import Item

# `changes` gives up on more log than this; reading again is then no dearer.
CHANGES_LIMIT = 1 << 20  # only a bound


# Cyrus compares bytes as C's `char` does, which has a sign on most machines, or
# in mailbox order (improved_mboxlist_sort, up to Cyrus 3.4).
_ORDERS = (SIGNED_ORDER, MAILBOX, PLAIN)


# Which of the header's fields is the number of records.
_RECORDS = 5


class _OtherOrder(Exception):
    """Neighbours in the file are not in the order that is searched, but in another one."""


class Skiplist(LogDatabase):
    """A skiplist file as a gateway.cyrus.db.base.Database.

    `mboxsort` (improved_mboxlist_sort) says which order is the likeliest.
    Raises DatabaseDamaged where `view` is not a skiplist file.
    """

    format = "skiplist"
    told_by_kernel = True

    def __init__(self, view: FileView, *, mboxsort: bool = False) -> None:
        self._view = view
        self._orders = sorted(_ORDERS, key=lambda order: (order is MAILBOX) is not mboxsort)
        self._history = History(outline, DUMMY_OFFSET, 4)
        self._open()

    def state(self, key: bytes | None = None) -> Hashable:
        """The token of the committed state: where its last COMMIT is.

        One system call where the file has not been written to.
        """
        self._refresh()
        return (self._view.identity, self._history.token, self._log.end)

    def count(self) -> int:
        """As of the last checkpoint, by the header."""
        block = self._view.read(0, HEADER.size)
        return int(HEADER.unpack(block)[_RECORDS])

    def describe(self) -> Description:
        """Size and records; there is no number of the generation."""
        return Description(self.format, self._view.size(), records=self.count())

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""
        self._refresh()
        try:
            for offset in self._log.candidates(key):
                node = Node(self._view, offset, self._log.end)
                if node.key == key:
                    return None if self._log.is_deleted(offset) else node.value
            found = self._search(key)
        except DatabaseDamaged as fault:
            self._explain(fault)
            raise
        if found is None or self._log.is_deleted(found.offset):
            return None
        return found.value

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, as of one committed state.

        The log's share of them is held in memory; later commits do not show.
        """
        self._refresh()
        end = self._log.end
        try:
            live, deleted = self._overlay(prefix, end)
            run = self._in_order(prefix)
            order = self._orders[0]
            appended = sorted(live, key=lambda key: key.translate(order), reverse=True)
            for item in run:
                if item.offset in deleted:
                    continue
                rank = item.key.translate(order)
                # same with <=: a key in the log that is live has no live record in front of it
                while appended and appended[-1].translate(order) < rank:
                    key = appended.pop()
                    yield key, Node(self._view, live[key], end).value
                yield item.key, item.value
            while appended:
                key = appended.pop()
                yield key, Node(self._view, live[key], end).value
        except DatabaseDamaged as fault:
            self._explain(fault)
            raise

    def changes(self, since: Hashable) -> frozenset[bytes] | None:
        """The keys that were written or deleted since `state()` gave `since`.

        None where that cannot be told: another file, or too much log.
        Read the new `state()` first, then ask: what is committed in between is
        then named now and once more the next time.
        """
        self._refresh()
        end = self._log.end
        past = (self._view.identity, self._history.token)
        if self.overwritten or not isinstance(since, tuple) or since[:2] != past:
            return None
        start: int = since[2]
        # same with < in place 3: a bound of work
        if not self._header.log_start <= start <= end <= start + CHANGES_LIMIT:
            return None
        keys = set()
        for item in self._run(start, end):
            if item.type == ADD:
                keys.add(item.key)
            elif item.type == DELETE:
                keys.add(Node(self._view, item.target, end).key)
        return frozenset(keys)

    def _open(self) -> None:
        """Read header and log from the start."""
        view = self._view
        if not view.size():
            raise DatabaseUnavailable(
                view.path, "is empty: it is being created, or was replaced; open it again"
            )
        self._header = SkiplistHeader(view.read(0, HEADER.size), view.path)
        self._dummy = Node(view, DUMMY_OFFSET, self._header.first)
        if self._dummy.type != DUMMY or self._dummy.end != self._header.first:
            raise DatabaseDamaged(view.path, "the first record is not a DUMMY with all levels")
        try:
            self._log = Log(view, self._header.log_start)
        except Changed as change:
            raise DatabaseUnavailable(view.path, "was shortened while it was read") from change
        # same with True: where the tail is the known one, so is the log
        self._history.prove(view, self._log.end, same=False)

    def _refresh(self) -> None:
        """Take in new commits; start again where the file has another past than the known one."""
        view, history, log = self._view, self._history, self._log
        if history.is_quiet(view):
            return
        try:
            header = view.peek(0, HEADER.size)
            if not (self._header.is_of(header) and history.prove(view, log.end)):
                raise Changed
            known = log.end
            log.refresh()
            if log.end != known and not history.prove(view, log.end):
                raise Changed
        except Changed:
            self._open()

    def _explain(self, fault: DatabaseDamaged) -> None:
        """Turn `fault` into DatabaseUnavailable where a checkpoint emptied the file meanwhile."""
        if self._view.size() < self._log.end:
            raise DatabaseUnavailable(
                self.path, "was replaced while it was read; open it again"
            ) from fault

    def _search(self, key: bytes, *, prefix: bool = False) -> Node | None:
        """The INORDER record with `key`; with `prefix` the first whose key starts with it.

        Deleted ones count.  None where there is none, whatever the file's order is.
        """
        searched = False
        for order in tuple(self._orders):
            try:
                floor, ahead = self._seek(key, order)
            except _OtherOrder:
                continue
            searched = True
            if ahead is not None and (ahead.key.startswith(key) if prefix else ahead.key == key):
                # Keys with the same prefix are side by side in each order, and `floor` is none.
                self._orders.remove(order)
                self._orders.insert(0, order)
                return ahead
            if all(_between(floor, key, ahead, other) for other in self._orders):
                return None
        if not searched:
            raise DatabaseDamaged(self.path, f"the records around key {key!r} have no order")
        return None

    def _seek(self, key: bytes, order: bytes | None) -> tuple[Node, Node | None]:
        """The last INORDER record in front of `key` in `order`, and the one that follows it.

        Deleted ones count; the first may be the DUMMY, the other one None.
        Raises _OtherOrder.
        """
        rank = key.translate(order)
        node = floor = Node(self._view, DUMMY_OFFSET, self._header.first)
        bound, ahead = self._header.log_start, None  # what is here is not in front of `key`
        # same with 1: hints are proved
        beyond = 0  # the last record that a pointer led to and that was not in front of it
        # same with 2, -2: hints are proved
        for level in range(self._header.levels - 1, -1, -1):  # same with +: no hint comes of it
            while (there := self._hint(node, level, (floor.end, bound, beyond), order)) is not None:
                in_order = there.type == INORDER
                if there.key.translate(order) >= rank:
                    beyond = there.offset
                    if in_order:
                        bound, ahead = there.offset, there
                    break
                node = there
                if in_order:
                    floor = there
        while floor.end < bound:
            there = self._inorder(floor.end, floor, order)
            if there.key.translate(order) >= rank:
                return floor, there
            floor = there
        return floor, ahead

    def _hint(
        self, node: Node, level: int, limits: tuple[int, int, int], order: bytes | None
    ) -> Node | None:
        """The record that the pointer of `level` leads to, if it can be used.

        `limits` are floor, bound and beyond.  It is an INORDER record from
        floor on and in front of bound, or a record of the committed log other
        than beyond, with a higher key than `node`.
        """
        floor, bound, beyond = limits
        # same with 1: no hint comes of it
        offset = node.pointers[level] if level < len(node.pointers) else 0
        log_start = self._header.log_start
        if floor <= offset < bound:  # same with <: hints are proved
            there = Node(self._view, offset, log_start)
            usable = there.type == INORDER
        # same with <, ==: hints are proved
        elif log_start <= offset < self._log.end and offset != beyond:
            there = Node(self._view, offset, self._log.end)
            usable = self._log.has(there.key, offset)
        else:
            return None
        forward = node.type == DUMMY or _ascend(node.key, there.key, order)
        return there if usable and forward else None

    def _inorder(self, offset: int, behind: Node, order: bytes | None) -> Node:
        """The INORDER record at `offset`, whose key must be higher than that of `behind`."""
        there = Node(self._view, offset, self._header.log_start)
        if there.type == INORDER:
            if behind.type == DUMMY or _ascend(behind.key, there.key, order):
                return there
            if any(_ascend(behind.key, there.key, other) for other in _ORDERS):
                raise _OtherOrder
        raise DatabaseDamaged(
            self.path,
            f"the record at {offset} cannot follow the one at {behind.offset}:"
            f" type {there.type}, or out of order",
        )

    def _in_order(self, prefix: bytes) -> Iterator[Item]:
        """The INORDER records whose key starts with `prefix`, deleted ones too."""
        first = self._search(prefix, prefix=True)
        if first is None:
            return iter(())
        return self._run_of(prefix, first.offset)

    def _run_of(self, prefix: bytes, start: int) -> Iterator[Item]:
        """The INORDER records from `start` on, up to the first without `prefix`."""
        for item in self._run(start, self._header.log_start):
            if item.type != INORDER:
                raise DatabaseDamaged(self.path, f"record at {item.offset}: type {item.type}")
            if not item.key.startswith(prefix):
                return
            yield item

    def _overlay(self, prefix: bytes, end: int) -> tuple[dict[bytes, int], frozenset[int]]:
        """The offsets of the log's live records under `prefix`, and those of all deleted ones."""
        live: dict[bytes, int] = {}
        deleted = set()
        for item in self._run(self._header.log_start, end):
            if item.type == DELETE:
                deleted.add(item.target)
            elif item.type == ADD and item.key.startswith(prefix):
                live[item.key] = item.offset
        return {k: at for k, at in live.items() if at not in deleted}, frozenset(deleted)

    def _run(self, start: int, end: int) -> Iterator[Item]:
        """The records from `start` to `end`, all of them committed."""
        try:
            yield from records(self._view, start, end)
        except Stop as stop:
            raise DatabaseDamaged(
                self.path, f"record at {stop.offset}: {stop.problem or 'it is cut off'}"
            ) from stop


def _ascend(low: bytes, high: bytes, order: bytes | None) -> bool:
    return low.translate(order) < high.translate(order)


def _between(floor: Node, key: bytes, ahead: Node | None, order: bytes | None) -> bool:
    """Whether `key` belongs between two neighbours in `order`."""
    return (floor.type == DUMMY or _ascend(floor.key, key, order)) and (
        ahead is None or _ascend(key, ahead.key, order)
    )
