"""Writes twom files for the tests, step by step, as lib/twom.c does in its mapping.

Every method that changes the file is a generator that yields after each store,
so that a test may stop it anywhere.  `committed` is what a reader must see.
`TwomWriter.opened` is the writer that comes after one that ended or died.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from typing import Self

import xxhash

MAGIC = b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0"
HEADER = struct.Struct("<16s16sIIQQQQQQI")
DUMMY_OFFSET, DUMMY_SIZE, LEVELS = 96, 272, 31
DUMMY, ADD, FATADD, REPLACE, FATREPLACE, DELETE, COMMIT = range(1, 8)
POINTERS = (0, 8, 8, 24, 16, 32, 8, 8)
DIRTY, CSUM_NULL, CSUM_XXH64 = 1, 1 << 27, 1 << 28
GROWTH = 1 << 14
Steps = Iterator[None]


def u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def finish(steps: Steps) -> None:
    for _ in steps:
        pass


class TwomWriter:
    """One writer with the lock.  `fat` writes the 64-bit forms, `checksums` chooses the engine."""

    def __init__(
        self, path: str, seed: int = 0, *, fat: bool = False, checksums: bool = True
    ) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.fat = fat
        self.flags = CSUM_XXH64 if checksums else CSUM_NULL
        self.uuid = bytes(range(16))
        self.committed: dict[bytes, bytes] = {}
        self.pending: dict[bytes, bytes] = {}
        self._create(path)

    def _create(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self.data = bytearray()
        self.flags &= ~DIRTY
        self.generation, self.commits = 1, 0
        self.end = self.written = DUMMY_OFFSET + DUMMY_SIZE
        head = bytes((DUMMY, LEVELS)) + bytes(DUMMY_SIZE - 10)
        self._put(0, self._header())
        self._put(DUMMY_OFFSET, head + struct.pack("<II", self._sum(head), 0))

    @classmethod
    def opened(cls, path: str, seed: int = 0) -> Self:
        """A writer of the file that is there, which first does what it must behind a dead one."""
        writer = cls.__new__(cls)
        writer.path, writer.random, writer.fat = path, random.Random(seed), False
        writer.fd = os.open(path, os.O_RDWR)
        writer.data = bytearray(os.pread(writer.fd, os.fstat(writer.fd).st_size, 0))
        fields = HEADER.unpack_from(writer.data)
        _, writer.uuid, _, writer.flags, writer.generation, _, writer.commits, *_ = fields
        writer.end = writer.written = fields[9]
        writer.committed = writer._records()
        if writer.flags & DIRTY:
            finish(writer.abort())
        writer.pending = dict(writer.committed)
        return writer

    def _records(self) -> dict[bytes, bytes]:
        """What is committed, along the pointers of level 0."""
        found, at = {}, DUMMY_OFFSET
        while there := self._next0(at, self.end):
            at = there
            if self.data[there] == DELETE:
                at = self._ancestor(there)
            else:
                found[self._key(there)] = self._value(there)
        return found

    def close(self) -> None:
        os.close(self.fd)

    # The parts of the file.

    def _sum(self, data: bytes | bytearray) -> int:
        return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF if self.flags & CSUM_XXH64 else 0

    def _put(self, at: int, data: bytes) -> None:
        if at + len(data) > len(self.data):
            size = (at + len(data) + GROWTH - 1) // GROWTH * GROWTH if at else at + len(data)
            self.data.extend(bytes(size - len(self.data)))
            os.ftruncate(self.fd, size)
        self.data[at : at + len(data)] = data
        os.pwrite(self.fd, data, at)

    def _header(self) -> bytes:
        block = HEADER.pack(
            MAGIC, self.uuid, 1, self.flags, self.generation, len(self.pending), self.commits,
            0, DUMMY_OFFSET + DUMMY_SIZE, self.end, LEVELS,
        )  # fmt: skip
        return block + struct.pack("<I", self._sum(block))

    def _u64(self, at: int) -> int:
        return int(struct.unpack_from("<Q", self.data, at)[0])

    def _head(self, at: int) -> int:
        return POINTERS[self.data[at]] + 8 * (1 + self.data[at + 1])

    def _key(self, at: int) -> bytes:
        start = at + self._head(at) + 8
        fat = self.data[at] in {FATADD, FATREPLACE}
        length = self._u64(at + 8) if fat else struct.unpack_from("<H", self.data, at + 2)[0]
        return bytes(self.data[start : start + length])

    def _value(self, at: int) -> bytes:
        start = at + self._head(at) + 8 + len(self._key(at)) + 1
        fat = self.data[at] in {FATADD, FATREPLACE}
        length = self._u64(at + 16) if fat else struct.unpack_from("<I", self.data, at + 4)[0]
        return bytes(self.data[start : start + length])

    def _ancestor(self, at: int) -> int:
        offset = {REPLACE: 8, FATREPLACE: 24, DELETE: 8}.get(self.data[at])
        return self._u64(at + offset) if offset else 0

    def _slot(self, at: int, level: int) -> int:
        """Where the pointer of `level` stands; level 0 has another one 8 bytes before."""
        return at + POINTERS[self.data[at]] + 8 * (level + 1)

    def _next0(self, at: int, end: int) -> int:
        low, high = self._u64(self._slot(at, -1)), self._u64(self._slot(at, 0))
        return max(offset for offset in (low, high, 0) if offset < end)

    def _resum(self, at: int) -> Steps:
        head = self._head(at)
        self._put(at + head, struct.pack("<I", self._sum(self.data[at : at + head])))
        yield

    def _set0(self, at: int, target: int) -> Steps:
        low, high = self._u64(self._slot(at, -1)), self._u64(self._slot(at, 0))
        second = low < self.end and (high >= self.end or low > high)
        self._put(self._slot(at, 0 if second else -1), u64(target))
        yield

    def _set(self, at: int, level: int, target: int) -> Steps:
        self._put(self._slot(at, level), u64(target))
        yield

    def _find(self, key: bytes) -> tuple[int, int, list[int]]:
        """The record of `key` (0: none), the DELETE in front of it, the last ones before it."""
        at, before = DUMMY_OFFSET, [DUMMY_OFFSET] * LEVELS
        for level in range(LEVELS - 1, 0, -1):
            while (there := self._u64(self._slot(at, level))) and self._key(there) < key:
                at = there
            before[level] = at
        while there := self._next0(at, self.written):
            record = self._ancestor(there) if self.data[there] == DELETE else there
            if self._key(record) >= key:
                before[0] = at
                found = self._key(record) == key
                return (record if found else 0), (there if found and there != record else 0), before
            at = record
        before[0] = at
        return 0, 0, before

    # What a writer does.

    def _dirty(self) -> Steps:
        if not self.flags & DIRTY:
            self.flags |= DIRTY
            self._put(0, self._header())
            yield

    def store(self, key: bytes, value: bytes) -> Steps:
        found, deleted, before = self._find(key)
        yield from self._dirty()
        at = self.written
        type_ = (REPLACE if found else ADD) + self.fat
        level = self.data[found + 1] if found else min(LEVELS, 1 + self._run_of_luck())
        if self.fat:
            head = bytes((type_, level)) + bytes(6) + u64(len(key)) + u64(len(value))
        else:
            head = struct.pack("<BBHI", type_, level, len(key), len(value))
        if found:
            head += u64(deleted or found)
        after = self._next0(found or before[0], self.written)
        head += u64(0) + u64(after)
        head += b"".join(
            self.data[(slot := self._slot(found or before[n], n)) : slot + 8]
            for n in range(1, level)
        )
        tail = key + b"\0" + value + b"\0"
        tail += bytes(-len(tail) % 8)
        yield from self._set0(before[0], at)
        for n in range(1, level):
            if before[n] != before[n - 1]:
                yield from self._resum(before[n - 1])
            yield from self._set(before[n], n, at)
        yield from self._resum(before[level - 1])
        record = head + struct.pack("<II", self._sum(head), self._sum(tail)) + tail
        for start in range(0, len(record), 32):
            self._put(at + start, record[start : start + 32])
            yield
        self.written += len(record)
        self.pending[key] = value

    def _run_of_luck(self) -> int:
        run = 0
        while self.random.random() < 0.5:
            run += 1
        return run

    def delete(self, key: bytes) -> Steps:
        found, deleted, before = self._find(key)
        if not found or deleted:
            return
        yield from self._dirty()
        yield from self._set0(before[0], self.written)
        yield from self._resum(before[0])
        head = bytes((DELETE,)) + bytes(7) + u64(found)
        self._put(self.written, head + struct.pack("<II", self._sum(head), 0))
        yield
        self.written += 24
        del self.pending[key]

    def commit(self, then: Callable[[], None] | None = None) -> Steps:
        if not self.flags & DIRTY:
            return
        head = bytes((COMMIT,)) + bytes(7) + u64(self.end)
        self._put(self.written, head + struct.pack("<II", self._sum(head), 0))
        yield
        self.written += 24
        self.end = self.written
        self.commits += 1
        self.flags &= ~DIRTY
        self._put(0, self._header())
        self.committed = dict(self.pending)
        yield

    def abort(self) -> Steps:
        """Also what the next writer does behind one that died (recovery1)."""
        self.written = self.end
        last, here = [DUMMY_OFFSET] * LEVELS, DUMMY_OFFSET
        while True:
            for slot in (self._slot(here, -1), self._slot(here, 0)):
                if self._u64(slot) >= self.end:
                    self._put(slot, u64(0))
                    yield
                    yield from self._resum(here)
            there = self._next0(here, self.end)
            if there and self.data[there] == DELETE:
                there = self._ancestor(there)
            for n in range(1, self.data[there + 1] if there else LEVELS):
                if self._u64(self._slot(last[n], n)) != there:
                    yield from self._set(last[n], n, there)
                    yield from self._resum(last[n])
                last[n] = there
            if not there:
                break
            here = there
        self.pending = dict(self.committed)
        self.flags &= ~DIRTY
        self._put(0, self._header())
        yield

    def repack(self) -> Steps:
        """A new file with the same records, renamed to the old one, which keeps its content."""
        old, generation = self.fd, self.generation
        records = sorted(self.committed.items())
        self.pending = {}
        self._create(self.path + ".NEW")
        for key, value in records:
            finish(self.store(key, value))
        self.generation = generation + 1
        finish(self.commit())
        yield
        os.rename(self.path + ".NEW", self.path)
        os.close(old)
        yield
