"""A dict of very many keys of which nothing is ever done in one long piece.

A plain dict that grows copies itself: with 200 000 keys everybody waits 7 ms for that, and
for 50 ms where all of it is let go.  This one is made of several: the newest keys are in one, as
long as it has room, and are then moved, a few with each `put`, into dicts of some PIECE keys, of
which the key's hash says the right one.  So what is asked for again and again costs no more than
in a plain dict, and the rest a tenth of a microsecond.

`put_aside` empties it at once, and lets go of what it had in pieces: with each `put`, and
whenever there is time (`release`).  Where it is full, the oldest of one of the dicts give way.
Several threads may share one without a lock: each step is one atomic operation of a dict,
and what is lost between two is asked for again.  Limits: `most` keys, some fewer where hashes
are uneven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

# Keys in each dict, and half of the newest; to copy as many takes about a third of a millisecond.
PIECE = 16_384  # only a bound

# The part of a dict that gives way at once when there is no room in it.
_EVICTED = 16  # only a bound

# What each new key moves of those that are not the newest any more, so that none is left
# when the next are not.
_MOVED = 2  # only a bound

# What each new key lets go of what was put aside: more than comes, so that it ends.
_RELEASED = 8  # only a bound


class LargeDict(Generic[KeyT, ValueT]):
    """At most `most` values by key.

    A caller that looks for one very often asks `newest` first, and `older` where it is not there.
    """

    __slots__ = ("_aside", "_each", "_most", "_moving", "_older", "_pieces", "_room", "newest")

    def __init__(self, most: int) -> None:
        self._aside: list[dict[KeyT, ValueT]] = []
        self._make(most)

    def _make(self, most: int) -> None:
        self._most = most
        self.newest: dict[KeyT, ValueT] = {}
        self._moving: dict[KeyT, ValueT] = {}
        # Keys in `newest`, and in each of the older, of which there are none before it is full.
        self._room, self._each = max(1, most), 0  # same with 1: one dict has no older ones
        self._older: list[dict[KeyT, ValueT]] = []
        self._pieces = 0
        if most > PIECE:  # same with >=: how the room is divided
            self._room = min(2 * PIECE, most // 4)  # same with 5: how the room is divided
            rest = most - 2 * self._room
            # An odd number: a dict goes by the hash's lowest bits, which must differ within one.
            self._pieces = -(-rest // PIECE) | 1
            self._each = rest // self._pieces

    def __len__(self) -> int:
        return sum(map(len, self._dicts()))

    def __iter__(self) -> Iterator[KeyT]:
        for each in self._dicts():
            yield from each

    def __contains__(self, key: object) -> bool:
        return any(key in each for each in self._dicts())

    def get(self, key: KeyT) -> ValueT | None:
        """The value of `key`, or None."""
        value = self.newest.get(key)
        return value if value is not None else self.older(key)

    def older(self, key: KeyT) -> ValueT | None:
        """The value of `key` if it is not among the newest, or None."""
        older = self._older
        if not older:
            return None
        value = self._moving.get(key)
        return value if value is not None else older[hash(key) % len(older)].get(key)

    def put(self, key: KeyT, value: ValueT) -> Sequence[ValueT]:
        """Keep `value`, which is not None; those that gave way for it."""
        if self._aside:
            self.release(_RELEASED)
        newest = self.newest
        gone: list[ValueT] = []
        if key not in newest:
            if self._older:
                self._pop_older(key)
                self._move(gone)
            if len(newest) >= self._room:
                if self._pieces:
                    if not self._older:
                        self._older = [{} for _ in range(self._pieces)]
                    self._moving, self.newest = newest, {}
                    newest = self.newest
                else:
                    gone = _make_room(newest)
        newest[key] = value
        return gone

    def pop(self, key: KeyT) -> ValueT | None:
        """Take the value of `key` away; it, or None."""
        value = self.newest.pop(key, None)
        older = self._pop_older(key) if self._older else None
        return value if value is not None else older

    def put_aside(self, most: int | None = None) -> None:
        """Have no key any more, and from now on `most` at most, or as many as before."""
        self._aside += filter(None, self._dicts())
        self._make(self._most if most is None else min(self._most, most))

    def release(self, most: int) -> bool:
        """Let go of at most `most` values that were put aside; False if there were none."""
        aside = self._aside
        there = bool(aside)
        while aside and most > 0:  # same with >=: to let go of nothing is nothing
            values = aside[-1]
            if len(values) <= most:
                most -= len(values)
                aside.pop()
                continue
            for _ in range(most):
                values.popitem()
            break
        return there

    def _dicts(self) -> list[dict[KeyT, ValueT]]:
        return [self.newest, self._moving, *self._older]

    def _pop_older(self, key: KeyT) -> ValueT | None:
        older = self._older
        moving = self._moving.pop(key, None)
        value = older[hash(key) % len(older)].pop(key, None)
        return moving if moving is not None else value

    def _move(self, gone: list[ValueT]) -> None:
        """Move a few that are not the newest any more; what is dropped for them goes to `gone`."""
        moving, older = self._moving, self._older
        for _ in range(_MOVED):
            if not moving:
                return
            key, value = moving.popitem()
            values = older[hash(key) % len(older)]
            if len(values) >= self._each:
                gone += _make_room(values)
            values[key] = value


def _make_room(values: dict[KeyT, ValueT]) -> list[ValueT]:
    """Take the oldest away."""
    gone = []
    for key in list(values)[: max(1, len(values) // _EVICTED)]:
        value = values.pop(key, None)
        if value is not None:
            gone.append(value)
    return gone
