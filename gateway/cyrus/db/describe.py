"""What a database file says of itself: its format, size, generation and number of records.

For a status page and for gauges, never for a decision: everything is read
once, and the file may be written meanwhile.  What a format does not say is
None; a flat file, whose records would have to be counted, says it up to
MAX_COUNTED bytes.
"""

from __future__ import annotations

from gateway.cyrus.db import count, formats, twom_format, twoskip_format
from gateway.cyrus.db.file import FileView
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Bytes of a flat file that are read to count its lines: a few milliseconds.
MAX_COUNTED = 4 * 1024 * 1024


class Description(Value):
    """One database file at one moment; `size` is in bytes, and None where there are many files.

    `generation` grows with each repack.
    """

    __slots__ = ("format", "generation", "records", "size")
    format: str
    generation: int | None
    records: int | None
    size: int | None

    def __init__(
        self, format_: str, size: int | None, generation: int | None, records: int | None
    ) -> None:
        self.format = format_
        self.generation = generation
        self.records = records
        self.size = size
        self._freeze()


def describe(path: str, configured: str) -> Description:
    """The file that is at `path` now; `configured` is imapd.conf's name for its format.

    Raises `DatabaseMissing`, `DatabaseUnavailable` or `DatabaseDamaged`.
    """
    if configured == formats.QUOTALEGACY:
        return Description(configured, None, None, None)
    view = FileView(path)
    try:
        found = formats.detect_view(view)
        if configured == formats.FLAT and found in (formats.EMPTY, formats.UNKNOWN):
            found = formats.FLAT
        size = view.size()
        generation = _GENERATIONS.get(found)
        counted = found != formats.FLAT or size <= MAX_COUNTED
        return Description(
            found,
            size,
            generation(view) if generation is not None else None,
            count.records(path, configured) if counted else None,
        )
    finally:
        view.close()


def _twoskip(view: FileView) -> int:
    raw = view.read(0, twoskip_format.HEADER_SIZE)
    return twoskip_format.TwoskipHeader(view.path, raw).generation


def _twom(view: FileView) -> int:
    # magic, uuid, version, flags, generation
    fields = twom_format.HEADER.unpack(view.read(0, twom_format.HEADER_SIZE))
    return int(fields[_TWOM_GENERATION])


_TWOM_GENERATION = 4

_GENERATIONS: dict[str, Callable[[FileView], int]] = {
    formats.TWOSKIP: _twoskip,
    formats.TWOM: _twom,
}
