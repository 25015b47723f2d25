"""An index in memory that processes share: made by one, mapped by many, changed by none.

It is a file in memory without a name (memfd_create(2)), sealed: the kernel lets
no process write to it, shrink it or take the seals off (fcntl(2), F_ADD_SEALS), so that what was
checked once stays as it was, and no access to it can end in SIGBUS.  Its
descriptor goes from process to process.

What proves to its user that it is of the file that it has open, and of its present past:

- owner and seals of the descriptor, the format's version, sizes, and a CRC-32 over everything;
- the file's device and inode, its generation and its size at the last repack;
- the end of the log as its maker saw it (history.py): it must be in the same place of the
  file now, as for a process that has not looked for a while.  What was appended since is
  read from the file.

Anything that is not proved is not used, and who wanted it makes one of its own.  A file
that a repack has put in the old one's place needs another index: it has another inode and
generation, its records are in other places, and nothing in it names the file that it was made of.

Limits: those of history.py, but that the supervisor may keep an index for days in which nobody
looks at the log for it.  A backup that is put over the file, after it another change of the same
length, and then more than 64 KiB of the very same deletions in the same order, which hold nothing
drawn at random, would be taken for the same past.

    header      see _HEADER, in the machine's own byte order: it does not leave the machine
    entries     8 bytes each
    suspects    8 bytes each
    starts      4 bytes each, padded to 8
    tail        the end of the log
"""

from __future__ import annotations

import fcntl
import mmap
import os
from array import array
from contextlib import ExitStack
from struct import Struct
from zlib import crc32

from gateway import memoryfiles
from gateway.cyrus.db.history import Tail
from gateway.cyrus.db.twoskip.format import HEADER_SIZE, STEP, TwoskipHeader, measure
from gateway.cyrus.db.twoskip.index import KeyIndex
from gateway.cyrus.db.twoskip.keyrun import KeyRun, bucket_count
from gateway.errors import SharedIndexRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.file import FileView

# Another one whenever what follows means something else: before and after an upgrade, processes
# of both programs serve side by side.
_VERSION = 1  # only a bound
_MAGIC = b"smmapd key index"

# magic, version, bits that choose no bucket, device, inode, generation, size at the last repack,
# end, beginning of the tail, its length, numbers of entries and of suspects, CRC-32 of all that is
# before it and of all that is behind the header.
_HEADER = Struct("=16sIIQQQQQQQQQQ")
_CHECKED = _HEADER.size - 8

# The kernel's word that nothing changes any more.
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

# Bytes that are checked in one step, in some 2 ms.
_PIECE = 1 << 20  # only a bound


def export(index: KeyIndex, view: FileView, raw: bytes, tail: Tail) -> int | None:
    """The descriptor of a sealed copy of `index`; None where it has no run, or nothing proves it.

    `raw` is the file's header as it is now, `tail` what the history knew when it was proved with
    that.  What was appended since the index' run was made is not in the copy: its user reads it.
    Raises `DatabaseDamaged` where the header is not sound, and OSError where the system gives no
    memory.
    """
    run = index.run
    header = TwoskipHeader(view.path, raw)
    start, kept = tail.kept()
    if not (kept and run.end and run.end <= tail.end <= header.end):
        return None
    if header.generation != index.generation:
        return None
    suspects = array("Q", sorted(index.suspects.union(run.suspects)))
    body = (run.entries.cast("B"), suspects.tobytes(), _padded(run.starts.tobytes()), kept)
    head = _HEADER.pack(
        _MAGIC,
        _VERSION,
        run.shift,
        *view.identity,
        header.generation,
        header.repack_size,
        run.end,
        start,
        len(kept),
        len(run.entries),
        len(suspects),
        0,  # same with 1: what is behind the checked part is cut off
    )[:_CHECKED]
    checksum = crc32(head)
    for part in body:
        checksum = crc32(part, checksum)
    with ExitStack() as on_error:
        descriptor = memoryfiles.create("index")
        on_error.callback(os.close, descriptor)
        for part in (head + Struct("=Q").pack(checksum), *body):
            _write(descriptor, part)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        on_error.pop_all()
    return descriptor


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _write(descriptor: int, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


class SharedIndex:
    """What another process has made, mapped; nothing of it is believed until `sound` is true.

    `check` finds that out, a piece a call.  `identity` is the device and inode of the file that
    it is of, `end` how much of its log.
    """

    __slots__ = (
        "_at",
        "_checksum",
        "_counts",
        "_file",
        "_memory",
        "_seen",
        "_shift",
        "_start",
        "end",
        "identity",
        "sound",
    )

    def __init__(self, memory: memoryview) -> None:
        """Raises `SharedIndexRefused` where this is nothing of what `export` writes."""
        if len(memory) < _HEADER.size:
            raise SharedIndexRefused("it is too short")
        magic, version, *fields = _HEADER.unpack_from(memory)
        if (magic, version) != (_MAGIC, _VERSION):
            raise SharedIndexRefused("it is of another program, or of another version of this one")
        shift, device, inode, generation, repack_size, end, start, *counts, checksum = fields
        self._memory = memory
        self._shift: int = shift
        self.identity: tuple[int, int] = (device, inode)
        self._file: tuple[int, int] = (generation, repack_size)
        self.end: int = end
        self._start: int = start
        self._counts: tuple[int, ...] = tuple(counts)  # bytes of tail, entries, suspects
        self._checksum: int = checksum
        self._seen = crc32(memory[:_CHECKED])
        self._at = _HEADER.size
        self.sound = False

    @classmethod
    def of(cls, descriptor: int) -> SharedIndex:
        """What the descriptor is of, which may be closed then.  Raises as the constructor does."""
        try:
            status = os.fstat(descriptor)
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            if status.st_uid != os.geteuid():
                raise SharedIndexRefused(f"it is user {status.st_uid}'s")
            if seals & SEALS != SEALS:
                raise SharedIndexRefused("it could still be changed")
            # Nothing is copied, since nothing is written.  Before Linux 6.7 what is sealed against
            # writing cannot be mapped as MAP_SHARED, not even for reading.
            memory = mmap.mmap(
                descriptor, status.st_size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ
            )
        except (OSError, ValueError) as error:  # ValueError: it has no size
            raise SharedIndexRefused(f"it cannot be mapped: {error}") from error
        return cls(memoryview(memory))

    def check(self) -> bool:
        """Do a piece of what tells whether it is `sound`; False when nothing is left of it.

        Raises `SharedIndexRefused` where it is not.
        """
        if self.sound:
            return False
        piece = self._memory[self._at : self._at + _PIECE]
        self._seen = crc32(piece, self._seen)
        self._at += len(piece)
        if self._at < len(self._memory):
            return True
        if self._seen != self._checksum:
            raise SharedIndexRefused("its checksum is wrong")
        if len(self._memory) != self._places()[-1]:
            raise SharedIndexRefused("its parts are not as long as it says")
        self.sound = True
        return False

    def index(self, view: FileView, raw: bytes) -> KeyIndex | None:
        """The index of the file that is open, whose header is `raw`; None where it is of another.

        Only of what is `sound`.  Raises `DatabaseUnavailable`, and `DatabaseDamaged` where the
        header or what was appended is not sound.
        """
        header = TwoskipHeader(view.path, raw)
        if (
            not self.sound
            or self.identity != view.identity
            or self._file != (header.generation, header.repack_size)
        ):
            return None
        entries, suspects, starts, kept, end = self._places()
        tail = Tail(measure, HEADER_SIZE, STEP)
        if not tail.take(self._start, self._memory[kept:end].tobytes()):
            return None
        if not tail.follow(view, header.end):
            return None
        memory = self._memory
        run = KeyRun(
            memory[entries:suspects].cast("Q"),
            memory[starts : starts + 4 * (bucket_count(self._shift) + 1)].cast("I"),
            memory[suspects:starts].cast("Q"),
            end=self.end,
            shift=self._shift,
        )
        index = KeyIndex(view, raw, run)
        return index if index.follow(raw) else None

    def _places(self) -> tuple[int, int, int, int, int]:
        """Where entries, suspects, starts and tail begin, and where the tail ends."""
        kept, entries, suspects = self._counts
        first = _HEADER.size
        second = first + 8 * entries
        third = second + 8 * suspects
        # same with 8: rounded up it is the same
        fourth = third + (4 * (bucket_count(self._shift) + 1) + 7) // 8 * 8
        return first, second, third, fourth, fourth + kept
