"""Log files as attempts: plain or compressed, with a bar for the bytes read.

Whether a file is compressed is told by how it begins, never by its name: gzip,
xz and bzip2 by the standard library, zstd by Python 3.14's or by the package
zstandard where it is installed.  A file that ends in the middle of its
compressed data is an error that names it; what comes before it has been given
by then.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import os
import stat
import sys
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from gateway.cli.common import STANDARD_INPUT
from gateway.cli.failures import InputError
from gateway.cli.maillog import Skipped, Splitter, read_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from _typeshed import WriteableBuffer

    from gateway.cli.maillog import Attempt
    from gateway.cli.progress import Progress

_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Strange:
    """A line that was not understood: its file, its number, and its bytes."""

    path: str
    number: int
    line: bytes


@dataclass
class ReadLines:
    """What was read: lines, and of them those that tell of no recipient.

    `strange` is the first that was not understood.
    """

    lines: int = 0
    skipped: Counter[Skipped] = field(default_factory=Counter)
    strange: Strange | None = None


def total_size(paths: Sequence[str]) -> int | None:
    """The bytes of all files together; None where one is not a regular file or cannot be seen."""
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


def attempts(path: str, read_lines: ReadLines, progress: Progress) -> Iterator[Attempt]:
    """Every attempt in one log; raises InputError, which names the file, where it cannot be read.

    What comes before the fault has been given by then.
    """
    if path == STANDARD_INPUT:
        with _damage_named("standard input"):
            yield from _read(sys.stdin.buffer, "standard input", read_lines, progress)
        return
    with _damage_named(path), open(path, "rb") as file:
        yield from _read(file, path, read_lines, progress)


@contextmanager
def _damage_named(path: str) -> Iterator[None]:
    """Whatever goes wrong with reading or inflating, as an InputError."""
    try:
        yield
    except OSError as error:
        # The modules' own errors are OSErrors without a number.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(path, f"cannot be read: {reason}") from None
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(path, f"is damaged or cut off: {error}") from None


def _read(
    file: IO[bytes], path: str, read_lines: ReadLines, progress: Progress
) -> Iterator[Attempt]:
    splitter = Splitter()
    before = read_lines.lines
    for piece in _pieces(file, path, progress):
        yield from _told(splitter.feed(piece), path, before, read_lines)
    yield from _told(splitter.end(), path, before, read_lines)


def _told(lines: list[bytes], path: str, before: int, read_lines: ReadLines) -> Iterator[Attempt]:
    """What `lines` tell; `before` lines were read from other files."""
    for line in lines:
        read_lines.lines += 1
        told = read_line(line)
        if isinstance(told, Skipped):
            read_lines.skipped[told] += 1
            if told is Skipped.BROKEN and read_lines.strange is None:
                read_lines.strange = Strange(path, read_lines.lines - before, line)
        else:
            yield from told


def _pieces(file: IO[bytes], path: str, progress: Progress) -> Iterator[bytes]:
    """The content in pieces, inflated where it begins as compressed data does.

    Progress counts the bytes as they are in the file.
    """
    with io.BufferedReader(_Counted(file, progress), _PIECE) as counted:
        begin = counted.peek(_LONGEST_MAGIC)
        inflate = next((each for magic, each in _INFLATERS if begin.startswith(magic)), None)
        if inflate is None:
            while piece := counted.read1(_PIECE):
                yield piece
            return
        with inflate(cast("IO[bytes]", counted), path) as inflated:
            while piece := inflated.read(_PIECE):
                yield piece


def _zstd(file: IO[bytes], path: str) -> IO[bytes]:
    for name in _ZSTD_MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return cast("IO[bytes]", _Zstd(module.open(file), path))
    raise InputError(
        path,
        "is compressed with zstd, which takes the package zstandard (Debian: "
        f"python3-zstandard); or pass it on: zstdcat {path} | smmapd-gateway replay -",
    )


class _Zstd:
    """A zstd file of either module, whose errors have types of their own."""

    def __init__(self, inflated: IO[bytes], path: str) -> None:
        self._inflated = inflated
        self._path = path

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; raises InputError for damage."""
        try:
            return self._inflated.read(size)
        except (OSError, EOFError):
            raise
        except Exception as error:
            # Both modules have a ZstdError of their own, of no common type.
            if type(error).__name__ != "ZstdError":
                raise
            raise InputError(self._path, f"is damaged or cut off: {error}") from None

    def __enter__(self) -> _Zstd:
        return self

    def __exit__(self, *_error: object) -> None:
        self._inflated.close()


# Python 3.14's own (PEP 784), and the package for those before it.
_ZSTD_MODULES = ("compression.zstd", "zstandard")


def _gzip(file: IO[bytes], _path: str) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(mode="rb", fileobj=file))


def _xz(file: IO[bytes], _path: str) -> IO[bytes]:
    return lzma.open(file)


def _bzip2(file: IO[bytes], _path: str) -> IO[bytes]:
    return bz2.open(file)


# How compressed files begin (RFC 1952, the xz and bzip2 formats, RFC 8878), and what inflates them.
_INFLATERS: tuple[tuple[bytes, Callable[[IO[bytes], str], IO[bytes]]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"\xfd7zXZ\x00", _xz),
    (b"BZh", _bzip2),
    (b"\x28\xb5\x2f\xfd", _zstd),
)
_LONGEST_MAGIC = max(len(magic) for magic, _ in _INFLATERS)


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
