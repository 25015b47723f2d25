"""A Database in memory, for tests of what reads databases."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from gateway.cyrus.db.base import Database
from gateway.errors import DatabaseMissing


class MemoryDatabase(Database):
    """The records of `records`; with None the file does not exist."""

    path = "/memory.db"
    format = "memory"
    commits: int = 0  # as ReopeningDatabase tells them

    def __init__(self, records: dict[bytes, bytes] | None) -> None:
        self.records = records
        self.asked: list[bytes] = []  # keys
        self.listed: list[bytes] = []  # prefixes

    def _there(self) -> dict[bytes, bytes]:
        if self.records is None:
            raise DatabaseMissing(self.path, "no such file")
        return self.records

    def get(self, key: bytes) -> bytes | None:
        self.asked.append(key)
        return self._there().get(key)

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self.listed.append(prefix)
        for key, value in sorted(self._there().items()):
            if key.startswith(prefix):
                yield key, value

    def state(self, key: bytes | None = None) -> Hashable:
        return tuple(self._there().items())

    def close(self) -> None:
        pass


class ReplacedDatabase(MemoryDatabase):
    """A file that is replaced, as ReopeningDatabase tells it."""

    lineage: int = 1

    def replace(self, records: dict[bytes, bytes]) -> None:
        """Another file is there."""
        self.records = records
        self.lineage += 1
        self.asked.clear()
        self.listed.clear()
