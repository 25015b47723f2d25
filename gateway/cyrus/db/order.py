"""The two orders in which Cyrus sorts the keys of a database.

Plain order compares bytes (`bsearch_ncompare_raw` in lib/bsearch.c).  Mailbox
order (`bsearch_ncompare_mbox`, `bsearch_mem_mbox` there) puts TAB and LF
lowest and `.` below all other bytes but NUL, so that a mailbox's folders follow it
at once.  flat databases always have mailbox order; skiplist and twoskip
have it up to Cyrus 3.4 where `improved_mboxlist_sort` is on.  From 3.6 on that
option is ignored, so a reader takes it for a hint and never for the truth.

An order is a table for `bytes.translate`: keys compare as their translations
do.  None stands for plain order, as it does for `translate`.
"""

from __future__ import annotations

from gateway.errors import DatabaseDamaged

PLAIN: None = None

Orders = tuple[bytes | None, ...]


def _mailbox_order() -> bytes:
    """NUL stays; TAB and LF become 1, `.` 2, what was below them moves up."""
    table = bytearray(range(256))
    table[0x01:0x09] = range(0x03, 0x0B)
    table[0x09] = table[0x0A] = 0x01
    table[ord(".")] = 0x02
    return bytes(table)


MAILBOX: bytes = _mailbox_order()


def orders(mboxsort: bool) -> tuple[bytes | None, bytes | None]:
    """Both orders, the one that the configuration names (`mboxsort`) first."""
    return (MAILBOX, PLAIN) if mboxsort else (PLAIN, MAILBOX)


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
            raise DatabaseDamaged(path, f"key {key!r} comes after key {last!r}")
        return Ascent(key, left)
