"""Log files as attempts: plain or compressed with gzip, with a bar for the bytes read."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from gateway.cli.failures import InputError
from gateway.cli.maillog import Skipped, Splitter, read_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _typeshed import WriteableBuffer

    from gateway.cli.maillog import Attempt
    from gateway.cli.progress import Progress

_PIECE = 1 << 18
_GZIP_MAGIC = b"\x1f\x8b"
STANDARD_INPUT = "-"


@dataclass
class Tally:
    """What was read: lines, and of them those that tell of no recipient."""

    lines: int = 0
    skipped: Counter[Skipped] = field(default_factory=Counter)


def total_size(paths: Sequence[str]) -> int | None:
    """The bytes of all files together; None where one is no regular file or cannot be seen."""
    total = 0
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total


def attempts(path: str, tally: Tally, progress: Progress) -> Iterator[Attempt]:
    """Every attempt in one log; raises InputError, which names the file, where it cannot be read.

    What stands before the fault has been given by then.
    """
    if path == STANDARD_INPUT:
        yield from _read(sys.stdin.buffer, tally, progress)
        return
    try:
        with open(path, "rb") as file:
            yield from _read(file, tally, progress)
    except OSError as error:
        # gzip's own errors are OSErrors without a number.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(path, f"cannot be read: {reason}") from None
    except (EOFError, zlib.error) as error:
        raise InputError(path, f"is damaged or cut off: {error}") from None


def _read(file: IO[bytes], tally: Tally, progress: Progress) -> Iterator[Attempt]:
    splitter = Splitter()
    for piece in _pieces(file, progress):
        yield from _told(splitter.feed(piece), tally)
    yield from _told(splitter.end(), tally)


def _told(lines: list[bytes], tally: Tally) -> Iterator[Attempt]:
    for line in lines:
        tally.lines += 1
        told = read_line(line)
        if isinstance(told, Skipped):
            tally.skipped[told] += 1
        else:
            yield from told


def _pieces(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    """The content in pieces, inflated where it begins as gzip does.

    Progress counts the bytes as they are in the file.
    """
    with io.BufferedReader(_Counted(file, progress), _PIECE) as counted:
        if counted.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
            with gzip.GzipFile(mode="rb", fileobj=counted) as inflated:
                while piece := inflated.read(_PIECE):
                    yield piece
            return
        while piece := counted.read1(_PIECE):
            yield piece


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read; closing it leaves the file open."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        super().__init__()
        self._file = file
        self._progress = progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")
        data = self._file.read(len(target))
        target[: len(data)] = data
        self._progress.advance(len(data))
        return len(data)
