"""Reading the records of a skiplist file: one by its offset, or many end to end."""

from __future__ import annotations

from gateway.cyrus.db.skiplist.format import (
    ADD,
    COMMIT,
    DELETE,
    DUMMY,
    INORDER,
    SHORTEST,
    WORD,
    Incomplete,
    measure,
    word,
    words,
)
from gateway.errors import DatabaseDamaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.db.file import FileView

# One read fetches a whole record of the mailbox list, in nearly all cases.
READ_AHEAD = 512  # only a bound
# Reading end to end goes by this many bytes.
CHUNK = 1 << 18  # only a bound

_KEYED = frozenset((INORDER, ADD, DUMMY))


class Node:
    """The record with a key at `offset`; `end` is where the next one begins."""

    __slots__ = ("end", "key", "offset", "pointers", "type", "value")

    def __init__(self, view: FileView, offset: int, limit: int) -> None:
        """Read it; all of it must be before `limit`.  Raises DatabaseDamaged."""
        if offset % WORD or offset + SHORTEST > limit:
            raise DatabaseDamaged(view.path, f"a pointer leads to {offset}; records end at {limit}")
        block = view.read(offset, min(READ_AHEAD, limit - offset))
        while True:
            type_ = word(block, 0)
            if type_ not in _KEYED:
                raise DatabaseDamaged(view.path, f"no record with a key at {offset}: type {type_}")
            try:
                key_end, value, value_end, first, end = measure(block, 0)
                break
            except ValueError as nonsense:
                raise DatabaseDamaged(view.path, f"record at {offset}: {nonsense}") from nonsense
            except Incomplete as cut:
                if cut.need > limit - offset:
                    raise DatabaseDamaged(
                        view.path, f"record at {offset}: it passes {limit}, where records end"
                    ) from cut
                need = max(cut.need, 2 * len(block))  # same with //, 3: how much is read next
            block = view.read(offset, min(need, limit - offset))
        self.offset = offset
        self.type = type_
        self.key = block[8:key_end]
        self.value = block[value:value_end]
        self.pointers = words(block, first, end - 4)
        self.end = offset + end


class Stop(Exception):
    """Reading end to end stopped at `offset`, as `problem` says; "" where a record is cut off."""

    def __init__(self, offset: int, problem: str) -> None:
        self.offset = offset
        self.problem = problem
        super().__init__(offset, problem)


class Item:
    """A record met on the way, at `offset` in the file and at `at` in `block`."""

    __slots__ = ("at", "block", "key", "offset", "type")

    def __init__(self, offset: int, type_: int, block: bytes, at: int, key: bytes):
        self.offset = offset
        self.type = type_
        self.block = block
        self.at = at
        self.key = key

    @property
    def value(self) -> bytes:
        """The value of a record with a key."""
        _, value, value_end, _, _ = measure(self.block, self.at)
        return self.block[value:value_end]

    @property
    def target(self) -> int:
        """The offset of the record that a DELETE deletes."""
        return word(self.block, self.at + 4)


def records(
    view: FileView, start: int, end: int, prints: list[tuple[int, int, int]] | None = None
) -> Iterator[Item]:
    """The records from `start` to `end`; raises Stop where there is none that can be read.

    Words of zero between the records of the log are passed over, as Cyrus' own
    recovery does.  `prints` takes the offset, the length and the hash of each
    piece that was read.
    """
    block = b""
    base = start  # the offset of the block's first byte
    at = 0
    need = 4
    while True:
        if at + need > len(block):  # same with >=: how much is read at once
            rest = block[at:]
            base += at
            at = 0
            have = base + len(rest)
            if base == end:
                return
            if base + need > end:
                raise Stop(base, "")
            # same with + in place 1: how much is read at once
            more = view.read(have, min(max(CHUNK, need - len(rest)), end - have))
            if prints is not None:
                prints.append((have, len(more), hash(more)))
            block = rest + more
        type_ = word(block, at)
        key = b""
        behind = at + 4
        try:
            if type_ in {ADD, INORDER}:
                key_end, _, _, _, behind = measure(block, at)
                key = block[at + 8 : key_end]
            elif type_ == DELETE:
                if at + 8 > len(block):
                    raise Incomplete(8)
                behind = at + 8
            elif type_ not in {COMMIT, 0}:
                raise Stop(base + at, f"a record of type {type_}")
        except Incomplete as cut:
            need = cut.need
            continue
        except ValueError as nonsense:
            raise Stop(base + at, str(nonsense)) from nonsense
        if type_:
            yield Item(base + at, type_, block, at, key)
        at = behind
        need = 4
