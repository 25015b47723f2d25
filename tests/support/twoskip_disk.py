"""A twoskip file on the disk for tests, written step by step, and a reader that is interrupted."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.support.twoskip_writer import Step, Writer

# Few keys, so that they are replaced and deleted often; some sort differently in the two orders.
KEYS = [b"a", b"a.b", b"a-b", b"a b", b"ab", b"b\x1fc", b"b\tc", b"user.fred", b"user.fred-x", b"z"]
ABSENT = [b"", b"A", b"a.", b"a.c", b"user.fre", b"user.fred.x", b"zz", b"\xff"]


class Interrupted(FileView):
    """A view that lets a writer do some of its steps before each read."""

    def __init__(self, path: str, steps: list[Step], pauses: list[int]) -> None:
        super().__init__(path)
        self._writer = os.open(path, os.O_WRONLY)
        self._steps = steps
        self._pauses = pauses
        self.reads = 0
        self.seen: list[Mapping[bytes, bytes]] = []

    def peek(self, offset: int, length: int) -> bytes:
        self.reads += 1
        for _ in range(self._pauses.pop() if self._pauses else 0):
            if self._steps:
                step = self._steps.pop(0)
                step.apply(self._writer)
                self.seen.append(step.committed)
        return super().peek(offset, length)

    def close(self) -> None:
        super().close()
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    _writer = -1


class Disk:
    """A file that takes a writer's steps."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def put(self, image: bytes) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, image, 0)

    def image(self) -> bytes:
        return os.pread(self.fd, os.fstat(self.fd).st_size, 0)

    def begin(self, steps: Iterable[Step]) -> None:
        """Begin the file again with these steps."""
        os.ftruncate(self.fd, 0)
        for step in steps:
            step.apply(self.fd)

    def apply(self, writer: Writer) -> None:
        self.put(writer.image())

    def reader(self, *, mboxsort: bool = False) -> Twoskip:
        return Twoskip(FileView(self.path), mboxsort=mboxsort)


def crc(data: bytes | bytearray) -> bytes:
    """A checksum as the file has it."""
    return zlib.crc32(data).to_bytes(4, "big")
