"""Memory that the supervisor and its children share: each writes its own slot, all read all.

The shared metrics are a file in memory without a name (memfd_create(2)) that the
supervisor makes and every child inherits: nothing is left behind, and no other
process can open it.  Slot 0 is the supervisor's, the others are lent to one
process each.

A slot has two halves, which are written in turn.  Each begins with the
process' number of its writer, a sequence number, length and checksum; a reader
takes the newer half that is whole.  So a writer that is killed in the middle
leaves what it wrote before, and no process waits for another.

Limits: HALF bytes a message.  Nothing is believed of what is read here but
its checksum; a parser must expect nonsense from a process gone wrong.
"""

from __future__ import annotations

import os
from struct import Struct
from zlib import crc32

from gateway import memoryfiles

# Bytes of one half, header included: the refusals of two front ends with fields of any
# characters fit in.  A file in memory takes only what is written.
HALF = 1 << 18
_SLOT = 2 * HALF
# number of the writer, sequence, length of the message, CRC-32 of the three and the message
_HEADER = Struct("<QQII")
_CHECKED = Struct("<QQI")
LIMIT = HALF - _HEADER.size

SUPERVISOR = 0


class SharedMetricsError(Exception):
    """What is in the shared metrics makes no sense: a defect of ours, or no memory left."""


class SharedMetrics:
    """The shared metrics, by their descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> SharedMetrics:
        """A new, empty one."""
        return cls(memoryfiles.create("metrics"))

    def fileno(self) -> int:
        """The descriptor, for a child to inherit."""
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)

    def write(self, slot: int, writer: int, sequence: int, message: bytes) -> None:
        """Put `message` into a slot; `sequence` is one more than the last time.

        Raises SharedMetricsError for one that is longer than LIMIT, or where the
        system has no memory left.
        """
        if len(message) > LIMIT:
            raise SharedMetricsError(f"{len(message)} bytes do not fit into a slot of {LIMIT}")
        checked = _CHECKED.pack(writer, sequence, len(message))
        header = _HEADER.pack(writer, sequence, len(message), crc32(checked + message))
        try:
            os.pwrite(self._descriptor, header + message, slot * _SLOT + sequence % 2 * HALF)
        except OSError as error:
            raise SharedMetricsError(f"cannot be written: {error.strerror}") from error

    def read(self, slot: int, writer: int) -> bytes | None:
        """What that writer last put into that slot; None where there is nothing whole."""
        halves = (self._half(slot * _SLOT), self._half(slot * _SLOT + HALF))
        found = [half for half in halves if half is not None and half[0] == writer]
        return max(found)[2] if found else None

    def _half(self, offset: int) -> tuple[int, int, bytes] | None:
        data = os.pread(self._descriptor, HALF, offset)
        if len(data) < _HEADER.size:
            return None
        writer, sequence, length, checksum = _HEADER.unpack_from(data)
        message = data[_HEADER.size : _HEADER.size + length]
        checked = _CHECKED.pack(writer, sequence, length)
        if len(message) != length or crc32(checked + message) != checksum:
            return None
        return writer, sequence, message


class MetricsSlot:
    """One process' slot in the shared metrics, for its messages.

    `writer` is the number that the supervisor gave to the process; no two
    processes have the same, so what an earlier one left is never taken for
    this one's.
    """

    def __init__(
        self, shared_metrics: SharedMetrics, index: int, writer: int, sequence: int = 0
    ) -> None:
        self.shared_metrics = shared_metrics
        self.index = index
        self.writer = writer
        self._sequence = sequence

    def publish(self, message: bytes) -> None:
        """Put `message` in place of the one before (SharedMetrics.write)."""
        self._sequence += 1
        self.shared_metrics.write(self.index, self.writer, self._sequence, message)
