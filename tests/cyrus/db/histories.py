"""What writers do, as data: lists of verbs that Hypothesis makes, how to play them, what to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from hypothesis import settings
from hypothesis import strategies as st

# A property has no deadline: nothing here asserts a time.
UNTIMED = settings(deadline=None)

# Few keys, so that they meet: prefixes of each other, bytes above 127, one that is long.
KEYS = (b"a", b"ab", b"b", b"\xc3\xa9", b"user.fred", b"user.fred.x", b"x" * 700, b"~", b"\x80")
VALUES = (b"", b"1", b"\xff" * 9, b"(rights) \xff\xff\xff\xff", b"v" * 600)

Verb = tuple[str, bytes, bytes]
Order = Callable[[bytes], bytes | tuple[int, ...]]


class Reader(Protocol):
    """What the readers of all formats have in common."""

    def get(self, key: bytes) -> bytes | None: ...
    def items(self) -> Iterator[tuple[bytes, bytes]]: ...


class Writer(Protocol):
    """What the writers of skiplist and twom have in common."""

    committed: dict[bytes, bytes]

    def store(self, key: bytes, value: bytes) -> Iterator[None]: ...
    def delete(self, key: bytes) -> Iterator[None]: ...
    def commit(self) -> Iterator[None]: ...
    def abort(self) -> Iterator[None]: ...


def histories(max_size: int = 24) -> st.SearchStrategy[list[Verb]]:
    """Transactions: stores and deletions, each run of them committed or aborted."""
    store = st.tuples(st.just("store"), st.sampled_from(KEYS), st.sampled_from(VALUES))
    delete = st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(b""))
    ends = st.sampled_from([("commit", b"", b""), ("commit", b"", b""), ("abort", b"", b"")])
    return st.lists(st.one_of(store, store, delete, ends), max_size=max_size)


def play(writer: Writer, history: list[Verb]) -> Iterator[None]:
    """Do it step by step; the last transaction stays open."""
    for verb, key, value in history:
        match verb:
            case "store":
                yield from writer.store(key, value)
            case "delete":
                yield from writer.delete(key)
            case "commit":
                yield from writer.commit()
            case "abort":
                yield from writer.abort()


def fill(writer: Writer, count: int) -> Iterator[None]:
    """Many records in a scattered order, twenty a transaction."""
    for number in range(count):
        key = b"user.%06d" % (number * 7919 % count)
        yield from writer.store(key, b"default {partition} %d" % number)
        if number % 20 == 19:
            yield from writer.commit()
    yield from writer.commit()


def in_order(database: Reader, order: Order = bytes) -> list[tuple[bytes, bytes]]:
    """All records; their keys must come in `order`."""
    records = list(database.items())
    keys = [key for key, _ in records]
    assert keys == sorted(keys, key=order)
    return records


def contents(database: Reader, order: Order = bytes) -> dict[bytes, bytes]:
    """What `get` says of every key there can be; `items` must say the same, in order."""
    listed = in_order(database, order)
    found = {key: value for key in KEYS if (value := database.get(key)) is not None}
    assert dict(listed) == found
    return found
