"""Writes twoskip files for tests, byte by byte as lib/cyrusdb_twoskip.c says.

A `Writer` keeps the file in memory as nodes and notes every write that Cyrus
would make as a `Step`, in Cyrus' order, with the records that are committed once the
step is on disk.  A test applies as many of the steps as it likes, stops in
the middle of one, or lets a reader run between any two.
"""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAGIC = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"
HEADER_SIZE = 64
MAX_LEVEL = 31
MIN_LONG_KEY = 0xFFFF
MIN_LONG_VALUE = 0xFFFFFFFF
BLANK = b" BLANK\x07\xa0"


@dataclass(frozen=True)
class Step:
    """One write to the file, or a truncation to `offset` where `data` is None."""

    offset: int
    data: bytes | None
    committed: Mapping[bytes, bytes]

    def apply(self, fd: int, part: int | None = None) -> None:
        """Do it, or only its first `part` bytes."""
        if self.data is None:
            os.ftruncate(fd, self.offset)
        else:
            os.pwrite(fd, self.data if part is None else self.data[:part], self.offset)


@dataclass
class Node:
    """A record as it lies in the file."""

    type: bytes
    pointers: list[int]
    key: bytes = b""
    value: bytes = b""
    offset: int = 0
    long_lengths: bool = False

    @property
    def level(self) -> int:
        return len(self.pointers) - 1

    def head(self) -> bytes:
        """The bytes that are rewritten when a pointer changes: up to the second CRC."""
        long = self.long_lengths
        short_key = MIN_LONG_KEY if long else min(len(self.key), MIN_LONG_KEY)
        short_value = MIN_LONG_VALUE if long else min(len(self.value), MIN_LONG_VALUE)
        head = struct.pack(">cBHI", self.type, self.level, short_key, short_value)
        if short_key == MIN_LONG_KEY:
            head += struct.pack(">Q", len(self.key))
        if short_value == MIN_LONG_VALUE:
            head += struct.pack(">Q", len(self.value))
        head += struct.pack(f">{len(self.pointers)}Q", *self.pointers)
        return head + struct.pack(">II", zlib.crc32(head), zlib.crc32(self.tail()))

    def tail(self) -> bytes:
        body = self.key + self.value
        return body + bytes(-len(body) % 8)


@dataclass
class Writer:
    """A twoskip database under construction.

    `table` is the sort order as a `bytes.translate` table (None: plain).
    `long_lengths` writes every length in its 64-bit form.
    """

    seed: int = 0
    table: bytes | None = None
    generation: int = 1
    long_lengths: bool = False
    steps: list[Step] = field(default_factory=list)
    committed: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._nodes: dict[int, Node] = {}
        self._open: dict[bytes, bytes] = {}
        self._end = HEADER_SIZE
        self._size = HEADER_SIZE
        self._repack_size = 0
        self._dirty = False
        self._append(Node(b"=", [0] * (MAX_LEVEL + 1)))
        self._size = self._repack_size = self._end
        self._write_header()

    # What a test does with it.

    def image(self) -> bytes:
        """The file's bytes after all steps."""
        image = bytearray()
        for step in self.steps:
            if step.data is None:
                del image[step.offset :]
            else:
                image.extend(bytes(max(0, step.offset - len(image))))
                image[step.offset : step.offset + len(step.data)] = step.data
        return bytes(image)

    def store(self, key: bytes, value: bytes) -> None:
        """Add or replace a record within the open transaction."""
        backs, forwards, found = self._locate(key)
        level = self._random_level()
        pointers = [0, forwards[0], *forwards[1:level]]
        self._begin()
        self._open[key] = value
        node = Node(b"+", pointers, key, value, long_lengths=self.long_lengths)
        self._append(node)
        for i in range(level):
            forwards[i] = node.offset
        self._stitch(backs, forwards, max(level, found.level if found else 0))

    def delete(self, key: bytes) -> None:
        """Delete a record within the open transaction; nothing where there is none."""
        backs, forwards, found = self._locate(key)
        if found is None:
            return
        self._begin()
        del self._open[key]
        following = self._skip_delete(forwards[0])
        node = Node(b"-", [following.offset if following else 0])
        self._append(node)
        forwards[0] = node.offset
        self._stitch(backs, forwards, found.level)

    def commit(self) -> None:
        if self._dirty:
            self._append(Node(b"$", [self._size]))
            self._size = self._end
            self._dirty = False
            self.committed = dict(self._open)
            self._write_header()

    def crash(self) -> None:
        """The writer dies: what it wrote so far stays, DIRTY too; only `recover` may follow."""

    def recover(self) -> None:
        """What the next writer does first, and what an abort does: repair, truncate, clear DIRTY."""
        if not self._dirty:
            return
        previous: list[Node] = [self._nodes[HEADER_SIZE]] * (MAX_LEVEL + 1)
        following = list(previous[0].pointers)
        self._zero_uncommitted(previous[0])
        node = self._lowest(previous[0], self._size)
        while node:
            record = self._nodes[node]
            if record.type == b"-":
                node = record.pointers[0]
                continue
            for i in range(2, record.level + 1):
                if following[i] != record.offset:
                    previous[i].pointers[i] = record.offset
                    self._rewrite(previous[i])
                previous[i] = record
                following[i] = record.pointers[i]
            self._zero_uncommitted(record)
            node = self._lowest(record, self._size)
        for i in range(2, MAX_LEVEL + 1):
            if following[i]:
                previous[i].pointers[i] = 0
                self._rewrite(previous[i])
        self._note(self._size, None)
        self._nodes = {o: n for o, n in self._nodes.items() if o < self._size}
        self._end = self._size
        self._open = dict(self.committed)
        self._dirty = False
        self._write_header()

    def repacked(self) -> Writer:
        """A new file with the same records and the next generation."""
        new = Writer(self.seed + 1, self.table, self.generation + 1, self.long_lengths)
        new.fill(self.committed.items())
        new._repack_size = new._end
        new._write_header()
        return new

    def fill(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Store `records` in one transaction and commit it."""
        for key, value in records:
            self.store(key, value)
        self.commit()

    # How it is done.

    def _rank(self, key: bytes) -> bytes:
        return key.translate(self.table)

    def _random_level(self) -> int:
        level = 1
        while level < MAX_LEVEL and self._random.random() < 0.5:
            level += 1
        return level

    def _begin(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._write_header()

    def _note(self, offset: int, data: bytes | None) -> None:
        self.steps.append(Step(offset, data, self.committed))

    def _write_header(self) -> None:
        raw = MAGIC + struct.pack(
            ">IQQQQI",
            1,
            self.generation,
            len(self._open),
            self._repack_size,
            self._size,
            int(self._dirty),
        )
        self._note(0, raw + struct.pack(">I", zlib.crc32(raw)))

    def _append(self, node: Node) -> None:
        head = node.head()
        while len(head) <= 504 and (self._end + 8) % 512 > (self._end - 8 + len(head)) % 512:
            self._note(self._end, BLANK)
            self._end += 8
        node.offset = self._end
        data = head + node.tail()
        self._note(node.offset, data)
        self._nodes[node.offset] = node
        self._end += len(data)

    def _rewrite(self, node: Node) -> None:
        self._note(node.offset, node.head())

    def _lowest(self, node: Node, end: int) -> int:
        first, second = node.pointers[:2]
        if first >= end:
            return second
        if second >= end:
            return first
        return max(first, second)

    def _next(self, node: Node, level: int) -> int:
        return node.pointers[level + 1] if level else self._lowest(node, self._end)

    def _skip_delete(self, offset: int) -> Node | None:
        if not offset:
            return None
        node = self._nodes[offset]
        if node.type == b"-":
            return self._nodes[node.pointers[0]] if node.pointers[0] else None
        return node

    def _locate(self, key: bytes) -> tuple[list[Node], list[int], Node | None]:
        """At each level the node before `key` and what follows it, or what follows a match."""
        node = self._nodes[HEADER_SIZE]
        backs = [node] * MAX_LEVEL
        forwards = [0] * MAX_LEVEL
        wanted = self._rank(key)
        found: Node | None = None
        for level in range(MAX_LEVEL - 1, -1, -1):
            while True:
                offset = self._next(node, level)
                candidate = self._skip_delete(offset)
                if candidate is None or self._rank(candidate.key) >= wanted:
                    break
                node = candidate
            backs[level] = node
            forwards[level] = offset
            if candidate is not None and candidate.key == key:
                found = candidate
        if found is not None:
            for level in range(found.level):
                forwards[level] = self._next(found, level)
        return backs, forwards, found

    def _stitch(self, backs: list[Node], forwards: list[int], levels: int) -> None:
        level = 0
        while level < levels:
            node = backs[level]
            for i in range(level, min(node.level, levels)):
                self._set(node, i, forwards[i])
            self._rewrite(node)
            level = node.level

    def _set(self, node: Node, level: int, offset: int) -> None:
        if level:
            node.pointers[level + 1] = offset
            return
        first, second = node.pointers[:2]
        if first >= self._size:
            node.pointers[0] = offset
        elif second >= self._size:
            node.pointers[1] = offset
        else:
            node.pointers[0 if second > first else 1] = offset

    def _zero_uncommitted(self, node: Node) -> None:
        for i in range(2):
            if node.pointers[i] >= self._size:
                node.pointers[i] = 0
                self._rewrite(node)
