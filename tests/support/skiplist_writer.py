"""Writes skiplist files for the tests, step by step, as lib/cyrusdb_skiplist.c does.

Every method that changes the file is a generator that yields after each write,
so that a test may stop it anywhere.  `committed` is what a reader must see.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

MAGIC = b"\xa1\x02\x8b\x0dskiplist file\0\0\0"
LEVELS = 20
DUMMY_OFFSET = 48
FIRST = DUMMY_OFFSET + 4 * (3 + LEVELS + 1)
INORDER, ADD, DELETE, COMMIT, DUMMY = 1, 2, 4, 255, 257
ONES = b"\xff\xff\xff\xff"
Steps = Iterator[None]
Order = Callable[[bytes], Any]


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def rank(key: bytes) -> tuple[int, ...]:
    """compare_signed: bytes compare as signed numbers."""
    return tuple(byte - 256 if byte > 127 else byte for byte in key)


def finish(steps: Steps) -> None:
    for _ in steps:
        pass


class SkiplistWriter:
    """One writer with the lock; `piece` cuts its appends into writes of so many bytes.

    `order` gives what keys compare as.
    """

    def __init__(self, path: str, seed: int = 0, piece: int = 1 << 20, order: Order = rank) -> None:
        self.path = path
        self.order = order
        self.piece = piece
        self.random = random.Random(seed)
        self.committed: dict[bytes, bytes] = {}
        self.pending: dict[bytes, bytes] = {}
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self.data = bytearray()
        self.log_start = FIRST
        self.current_level = 1
        self.started = FIRST
        self.log: list[int] = []
        dummy = u32(DUMMY) + bytes(8 + 4 * LEVELS) + ONES
        finish(self._write(0, self._header() + dummy))
        self.started = len(self.data)

    def close(self) -> None:
        os.close(self.fd)

    # The parts of a record.

    def _word(self, at: int) -> int:
        return int(struct.unpack_from(">I", self.data, at)[0])

    def key(self, at: int) -> bytes:
        return bytes(self.data[at + 8 : at + 8 + self._word(at + 4)])

    def _pointers(self, at: int) -> int:
        value = at + 8 + len(pad(self.key(at)))
        return value + 4 + (self._word(value) + 3 & ~3)

    def _level(self, at: int) -> int:
        first = word = self._pointers(at)
        while self.data[word : word + 4] != ONES:
            word += 4
        return (word - first) // 4

    def _end(self, at: int) -> int:
        if self._word(at) == DELETE:
            return at + 8
        return self._pointers(at) + 4 * self._level(at) + 4

    def _forward(self, at: int, level: int) -> int:
        return self._word(self._pointers(at) + 4 * level)

    def _set(self, at: int, level: int, target: int) -> Steps:
        return self._write(self._pointers(at) + 4 * level, u32(target))

    def _header(self) -> bytes:
        return MAGIC + struct.pack(
            ">7I", 1, 2, LEVELS, self.current_level, 0, self.log_start, 1_000_000_000
        )

    def _write(self, at: int, data: bytes, then: Callable[[], None] | None = None) -> Steps:
        for start in range(0, len(data), self.piece):
            part = data[start : start + self.piece]
            os.pwrite(self.fd, part, at + start)
            self.data[at + start : at + start + len(part)] = part
            if then is not None and start + len(part) == len(data):
                then()
            yield

    def _find(self, key: bytes) -> tuple[int, list[int]]:
        """The node at or behind `key` (0: none), and the last one before it at each level."""
        before = [DUMMY_OFFSET] * LEVELS
        at = DUMMY_OFFSET
        for level in range(self.current_level - 1, -1, -1):
            while (there := self._forward(at, level)) and self._is_before(there, key):
                at = there
            before[level] = at
        return self._forward(at, 0), before

    def _is_before(self, at: int, key: bytes) -> bool:
        return bool(self.order(self.key(at)) < self.order(key))

    # What a writer does.

    def store(self, key: bytes, value: bytes) -> Steps:
        found, before = self._find(key)
        at = len(self.data)
        record = b""
        if found and self.key(found) == key:
            level = self._level(found)
            record = u32(DELETE) + u32(found)
            self.log.append(at)
            at += 8
            after = [self._forward(found, n) for n in range(level)]
        else:
            level = 1
            while level < LEVELS and self.random.random() < 0.5:
                level += 1
            if level > self.current_level:
                self.current_level = level
                yield from self._write(0, self._header())
            after = [self._forward(before[n], n) for n in range(level)]
        record += u32(ADD) + u32(len(key)) + pad(key) + u32(len(value)) + pad(value)
        record += b"".join(map(u32, after)) + ONES
        self.log.append(at)
        yield from self._write(len(self.data), record)
        for n in range(level):
            yield from self._set(before[n], n, at)
        self.pending[key] = value

    def delete(self, key: bytes) -> Steps:
        found, before = self._find(key)
        if not found or self.key(found) != key:
            return
        self.log.append(len(self.data))
        yield from self._write(len(self.data), u32(DELETE) + u32(found))
        for n in range(self.current_level):
            if self._forward(before[n], n) != found:
                break
            yield from self._set(before[n], n, self._forward(found, n))
        del self.pending[key]

    def commit(self) -> Steps:
        if not self.log:
            return

        def committed() -> None:
            # All at once: a writer that dies right behind the COMMIT has committed.
            self.committed = dict(self.pending)
            self.started = len(self.data)
            self.log = []

        # The COMMIT is one word, in one page: it is there or it is not.
        piece, self.piece = self.piece, 4
        yield from self._write(len(self.data), u32(COMMIT), committed)
        self.piece = piece

    def abort(self) -> Steps:
        while self.log:
            at = self.log.pop()
            if self._word(at) == ADD:
                _, before = self._find(self.key(at))
                for n in range(self.current_level):
                    if self._forward(before[n], n) != at:
                        break
                    yield from self._set(before[n], n, self._forward(at, n))
            else:
                gone = self._word(at + 4)
                _, before = self._find(self.key(gone))
                for n in range(self._level(gone)):
                    yield from self._set(before[n], n, gone)
        yield from self._truncate(self.started)
        self.pending = dict(self.committed)

    def _truncate(self, size: int) -> Steps:
        os.ftruncate(self.fd, size)
        del self.data[size:]
        yield

    def recover(self) -> Steps:
        """What the next writer does behind one that died: set all pointers again, cut the tail."""
        self.log = []
        last = [DUMMY_OFFSET] * LEVELS
        at = FIRST
        while at < self.log_start:
            for n in range(self._level(at)):
                yield from self._set(last[n], n, at)
                last[n] = at
            at = self._end(at)
        for n in range(LEVELS):
            yield from self._set(last[n], n, 0)
        while at < self.started:
            if self._word(at) == COMMIT:
                at += 4
                continue
            if self._word(at) == DELETE:
                gone = self._word(at + 4)
                _, before = self._find(self.key(gone))
                for n in range(self._level(gone)):
                    yield from self._set(before[n], n, self._forward(gone, n))
            else:
                _, before = self._find(self.key(at))
                for n in range(self._level(at)):
                    yield from self._set(at, n, self._forward(before[n], n))
                    yield from self._set(before[n], n, at)
            at = self._end(at)
        yield from self._truncate(self.started)
        self.pending = dict(self.committed)

    def checkpoint(self) -> Steps:
        """A new file of INORDER records, renamed to the old one, which is then emptied."""
        old, nodes = self.fd, []
        at = self._forward(DUMMY_OFFSET, 0)
        while at:
            nodes.append(bytes(self.data[at + 4 : self._end(at)]))
            at = self._forward(at, 0)
        new = self.path + ".NEW"
        self.fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self.data = bytearray(DUMMY_OFFSET) + u32(DUMMY) + bytes(8 + 4 * LEVELS) + ONES
        last = [DUMMY_OFFSET] * LEVELS
        for node in nodes:
            at = len(self.data)
            self.data += u32(INORDER) + node
            for n in range(self._level(at)):
                struct.pack_into(">I", self.data, self._pointers(last[n]) + 4 * n, at)
                last[n] = at
        for n in range(LEVELS):
            struct.pack_into(">I", self.data, self._pointers(last[n]) + 4 * n, 0)
        self.log_start = self.started = len(self.data)
        self.data[:DUMMY_OFFSET] = self._header()
        os.pwrite(self.fd, self.data, 0)
        yield
        os.rename(new, self.path)
        yield
        os.ftruncate(old, 0)
        os.close(old)
        yield
