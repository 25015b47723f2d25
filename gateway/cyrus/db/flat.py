"""Reads flat databases: sorted lines of key, TAB, value, LF.

Source: lib/cyrusdb_flat.c and `bsearch_mem_mbox` in lib/bsearch.c.  A
transaction writes a whole new file and renames it into place, so one open file is
one committed state for ever, and needs neither lock nor second look.

NUL, TAB, CR and LF in keys and values are written as 0xff and the byte with
its high bit set, 0xff as two of them.  Lines are in mailbox order of the
escaped keys (gateway/cyrus/db/order.py), which is what Cyrus needs; but a file
that was sorted byte by byte is read as well: "there is none" is said
only if that follows from both orders.  A search looks at the lines that Cyrus' own
looks at, so whatever that finds in a file without order is found here, too; and where
nothing is found, a file of up to MAX_ORDERED bytes has to be in order, or is a fault.

A backup that is copied over it in place is another state: that shows in the times
of the open file, and while it is too young for these to tell, every look is at
another state (gateway/cyrus/db/filetoken.py has the argument).  There is no index, and
nothing is believed of an earlier state.

Where it ends: the format has no checksum.  A file without its last LF is
seen, and so are a line without TAB, a NUL and lines out of order where a search
meets them; a file that is cut off between two lines, or a changed letter, is not.
A larger file without order may hold lines that neither Cyrus nor this finds.
"""

from __future__ import annotations

import time

from gateway.cyrus.db.base import Database, Description
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.filetoken import file_token
from gateway.cyrus.db.order import orders
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

# Files up to this many bytes are read at once and searched from the front: that is as fast as
# bisecting, and finds keys in a file that was written by hand without sorting it.
WHOLE = 64 * 1024  # only a bound

# The longest line that is believed, in bytes; Cyrus' longest are a few thousand.
MAX_LINE = 1024 * 1024  # only a bound

# Files up to this many bytes are looked through, once, before a key is missing: 4 ms.
MAX_ORDERED = 1024 * 1024  # only a bound

_BLOCK = 2048  # only a bound

# How much is read at once to count lines, in bytes, and how large a file may be to be counted for
# a gauge: a few milliseconds.
_PIECE = 1 << 20  # only a bound
MAX_COUNTED = 4 * 1024 * 1024  # only a bound

# What Cyrus writes, and what `sort` in the C locale does.
_ORDERS = orders(True)  # same with False: both are tried
_ESCAPE = 0xFF
_ESCAPED = {byte: bytes((_ESCAPE, byte | 0x80)) for byte in b"\0\t\r\n"} | {_ESCAPE: b"\xff\xff"}


def encode(plain: bytes) -> bytes:
    """`plain` as a flat file has it."""
    return b"".join([_ESCAPED.get(byte) or bytes((byte,)) for byte in plain])


def decode(escaped: bytes) -> bytes:
    """What `escaped`, a piece of a line, stands for; a lone 0xff at its end is dropped."""
    if _ESCAPE not in escaped:
        return escaped
    plain = bytearray()
    following = iter(escaped)
    for byte in following:
        if byte != _ESCAPE:
            plain.append(byte)
            continue
        second = next(following, None)
        if second is not None:
            plain.append(_ESCAPE if second == _ESCAPE else second & 0x7F)
    return bytes(plain)


class _OtherOrder(Exception):
    """Two lines are not in the order that is searched, but in the other one."""


class Flat(Database):
    """The Database of one open flat file (see gateway/cyrus/db/base.py).

    `mboxsort` is ignored: the format always has mailbox order.  `now` is the
    real-time clock in nanoseconds.
    """

    __slots__ = ("_now", "_ordered", "_view")

    format = "flat"
    told_by_kernel = True

    # same with True: the argument is ignored
    def __init__(
        self, view: FileView, *, mboxsort: bool = False, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._view = view
        self._now = now
        self._ordered: tuple[int, int] | None = None  # what the file was when it was in order

    @property
    def path(self) -> str:
        return self._view.path

    def close(self) -> None:
        self._view.close()

    def state(self, key: bytes | None = None) -> Hashable:
        """The open file's stamp (gateway/cyrus/db/filetoken.py): one system call."""
        now = self._now()
        return file_token(self._view.status(), now)

    def count(self) -> int:
        """By its lines, all of which are read."""
        found = offset = 0
        while piece := self._view.peek(offset, _PIECE):
            found += piece.count(b"\n")
            offset += len(piece)
        return found

    def describe(self) -> Description:
        """Size, and records up to MAX_COUNTED bytes."""
        size = self._view.size()
        return Description(self.format, size, records=self.count() if size <= MAX_COUNTED else None)

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None where no line has it."""
        size = self._checked_size()
        word = encode(key) + b"\t"
        if size > WHOLE:  # same with >=: a bound of work
            line = self._search(word, size)[1]
            if line is None:
                self._check_order(size)
                return None
            return decode(line[len(word) : -1])
        text = b"\n" + self._view.read(0, size)
        self._check(text)
        start = text.find(b"\n" + word)
        if start < 0:
            return None
        start += 1 + len(word)
        return decode(text[start : text.index(b"\n", start)])

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All records whose key starts with `prefix`, in the file's order."""
        size = self._checked_size()
        word = encode(prefix)
        bisected = size > WHOLE and prefix  # same with >=: a bound of work
        at = self._search(word, size)[0] if bisected else 0
        while at < size:
            line = self._line(at, size)
            at += len(line)
            if line.startswith(word):
                key, _tab, value = line[:-1].partition(b"\t")
                yield decode(key), decode(value)
            elif bisected:
                return

    def _checked_size(self) -> int:
        """The size in bytes.  `DatabaseDamaged` where the last line is not complete."""
        size = self._view.size()
        if size and self._view.read(size - 1, 1) != b"\n":
            raise DatabaseDamaged(
                self.path, "does not end with a line feed: cut off; restore it or end its last line"
            )
        return size

    def _check(self, text: bytes) -> None:
        # CR is never written either, but an editor may have left it; Cyrus reads it as a letter.
        if b"\0" in text:
            raise DatabaseDamaged(self.path, "holds a NUL byte, which no flat database does")

    def _check_order(self, size: int) -> None:
        """`DatabaseDamaged` where the lines are in no order; once for each state of the file."""
        if size > MAX_ORDERED:  # same with >=: a bound of work
            return
        status = self._view.status()
        mark = status.st_size, status.st_mtime_ns
        if mark == self._ordered:
            return
        lines = self._view.read(0, size).split(b"\n")
        for order in _ORDERS:
            ranks = [line.translate(order) for line in lines[:-1]]
            if ranks == sorted(ranks):
                self._ordered = mark
                return
        raise DatabaseDamaged(self.path, "the lines are not in order; sort it")

    def _line(self, start: int, size: int) -> bytes:
        """The line that starts at `start`, its LF included."""
        length = _BLOCK
        while True:
            block = self._view.read(start, min(length, size - start))
            line, feed, _rest = block.partition(b"\n")
            if feed:
                break
            if length >= MAX_LINE:  # same with >: a bound of work
                raise DatabaseDamaged(self.path, f"the line at {start} has no end")
            length *= 4  # same with 5: a bound of work
        self._check(line)
        if b"\t" not in line:
            raise DatabaseDamaged(self.path, f"the line at {start} has no tabulator")
        return line + feed

    def _line_start(self, middle: int, size: int) -> int:
        """The start of the first line that begins at `middle` or behind; `size` if none does."""
        at = middle - 1
        while at < size:  # same with <=: the last byte is a line feed
            block = self._view.read(at, min(_BLOCK, size - at))
            feed = block.find(b"\n")
            if feed >= 0:
                return at + feed + 1
            at += len(block)
            if at - middle > MAX_LINE:  # same with >=: a bound of work
                raise DatabaseDamaged(self.path, f"the line at {middle} has no end")
        return size

    def _search(self, word: bytes, size: int) -> tuple[int, bytes | None]:
        """Where the first line with `word` starts, and that line; the end and None without one.

        `word` is an escaped key with its TAB, or a prefix of one.
        """
        searched = False
        for order in _ORDERS:
            try:
                found = self._bisect(word, size, order)
            except _OtherOrder:
                continue
            searched = True
            if found.line.startswith(word):
                return found.start, found.line
            if all(found.leaves_out(word, other) for other in _ORDERS):
                break
        if not searched:
            raise DatabaseDamaged(self.path, f"the lines around {word!r} have no order; sort it")
        return size, None

    def _bisect(self, word: bytes, size: int, order: bytes | None) -> _Neighbours:
        """The first line that is not before `word` in `order`.

        At every step all lines before `low` are before `word` and no line
        that starts behind `high` is.  Looks at the same lines as bsearch_mem_mbox does
        (lib/bsearch.c), the first one at first.  Raises _OtherOrder.
        """
        wanted = word.translate(order)
        low, high, middle = 0, size, 0  # same with 1 in place 1: the first line is looked at first
        before, behind, start_behind = b"", b"", size
        while low < high:
            start = self._line_start(middle + 1, size) if middle else 0
            if start > high or start == size:
                high = middle
                middle = (low + high - 1) // 2
                continue
            line = self._line(start, size)
            rank = _rank(line, order)
            if (before and rank <= _rank(before, order)) or (
                behind and rank >= _rank(behind, order)
            ):
                self._blame(start, line, before, behind)
            if rank < wanted:  # same with <=: equal keys were found above
                low = start + 1
                before = line
            else:
                high = middle
                behind, start_behind = line, start
                if line.startswith(word) and word.endswith(b"\t"):
                    break
            middle = (low + high - 1) // 2
        return _Neighbours(before, behind, start_behind)

    def _blame(self, start: int, line: bytes, before: bytes, behind: bytes) -> None:
        """Raise what is wrong with a line that is not between two others in order."""
        for order in _ORDERS:
            rank = _rank(line, order)
            if (not before or _rank(before, order) < rank) and (
                not behind or rank < _rank(behind, order)
            ):
                raise _OtherOrder
        raise DatabaseDamaged(self.path, f"the line at {start} is out of order; sort it")


class _Neighbours:
    """Where a search ended: the line before the word, and the one at or behind it at `start`."""

    __slots__ = ("before", "line", "start")

    def __init__(self, before: bytes, line: bytes, start: int) -> None:
        self.before = before
        self.line = line
        self.start = start

    def leaves_out(self, word: bytes, order: bytes | None) -> bool:
        """Whether, in `order`, these two neighbours show that no line has the word."""
        wanted = word.translate(order)
        # same with <=: equal keys were found above
        return (not self.before or _rank(self.before, order) < wanted) and (
            not self.line or wanted < _rank(self.line, order)
        )


def _rank(line: bytes, order: bytes | None) -> bytes:
    """What the key of a line, with its TAB, counts as in `order`."""
    # same with 2: ranks differ before the TAB
    return line[: line.index(b"\t") + 1].translate(order)
