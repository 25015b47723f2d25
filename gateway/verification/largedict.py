"""A dict of very many keys of which nothing is ever done in one long piece.

A plain dict that grows copies itself: with 200 000 keys everybody waits 7 ms for that, and
for 50 ms where all of it is let go.  This one is a list of dicts, each of some PIECE
keys at most; the key's hash says which.  `put_aside` empties it at once, and lets go of what it
had in pieces: with each `put`, and whenever somebody has time (`release`).

Where it is full, the oldest of one of the dicts give way.  Several threads may share one without a
lock: each step is one atomic operation of a dict, and what is lost between two is asked for
again.  Limits: `most` keys; some fewer where hashes are uneven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

# Keys in each dict; to copy as many takes about half a millisecond.
PIECE = 16_384

# The part of a dict that gives way at once when there is no room in it.
_EVICTED = 16

# What each new key lets go of what was put aside: more than comes, so that it ends.
_RELEASED = 8


class LargeDict(Generic[KeyT, ValueT]):
    """At most `most` values by key.

    `dicts` hold them: a key is in `dicts[hash(key) % len(dicts)]`, which those may use who
    look for one very often.
    """

    __slots__ = ("_aside", "_each", "dicts")

    def __init__(self, most: int) -> None:
        # An odd number: a dict goes by the hash's lowest bits, which must differ within one.
        count = -(-most // PIECE) | 1
        self._each = max(1, most // count)
        self._aside: list[dict[KeyT, ValueT]] = []
        self.dicts: list[dict[KeyT, ValueT]] = [{} for _ in range(count)]

    def __len__(self) -> int:
        return sum(map(len, self.dicts))

    def __iter__(self) -> Iterator[KeyT]:
        for each in self.dicts:
            yield from each

    def __contains__(self, key: object) -> bool:
        return key in self.dicts[hash(key) % len(self.dicts)]

    def get(self, key: KeyT) -> ValueT | None:
        """The value of `key`, or None."""
        dicts = self.dicts
        return dicts[hash(key) % len(dicts)].get(key)

    def put(self, key: KeyT, value: ValueT) -> Sequence[ValueT]:
        """Keep `value`; those that gave way for it."""
        if self._aside:
            self.release(_RELEASED)
        dicts = self.dicts
        values = dicts[hash(key) % len(dicts)]
        gone: Sequence[ValueT] = ()
        if len(values) >= self._each and key not in values:
            gone = _make_room(values)
        values[key] = value
        return gone

    def pop(self, key: KeyT) -> ValueT | None:
        """Take the value of `key` away; it, or None."""
        dicts = self.dicts
        return dicts[hash(key) % len(dicts)].pop(key, None)

    def put_aside(self, most: int | None = None) -> None:
        """Have no key any more, and from now on `most` at most, or as many as before."""
        dicts = self.dicts
        for number, values in enumerate(dicts):
            if values:
                dicts[number] = {}
                self._aside.append(values)
        if most is not None:
            self._each = min(self._each, max(1, most // len(dicts)))

    def release(self, most: int) -> bool:
        """Let go of at most `most` values that were put aside; False if there were none."""
        aside = self._aside
        there = bool(aside)
        while aside and most > 0:
            values = aside[-1]
            if len(values) <= most:
                most -= len(values)
                aside.pop()
                continue
            for _ in range(most):
                values.popitem()
            break
        return there


def _make_room(values: dict[KeyT, ValueT]) -> list[ValueT]:
    """Take the oldest away."""
    gone = []
    for key in list(values)[: max(1, len(values) // _EVICTED)]:
        value = values.pop(key, None)
        if value is not None:
            gone.append(value)
    return gone
