"""How many records a database file holds, by its header or its lines.

Good for a progress bar and a gauge, not for a decision: the number is read
once, the file may be written meanwhile, and skiplist's is the one of its last
checkpoint.  Formats whose files do not say it (quotalegacy, SQL) give None.
"""

from __future__ import annotations

from gateway.cyrus.db import formats, skiplist_format, twom_format, twoskip_format
from gateway.cyrus.db.file import FileView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# How much of a flat file is read at once, in bytes.
_PIECE = 1 << 20

# In the headers of twom and skiplist: which of the fields is the number of records.
_TWOM_RECORDS = 5
_SKIPLIST_RECORDS = 5


def records(path: str, configured: str) -> int | None:
    """The number of records in what is at `path`, or None where it cannot be told.

    `configured` is imapd.conf's name for the format; the file's own decides.
    Raises `DatabaseMissing`, `DatabaseUnavailable` or `DatabaseDamaged`.
    """
    if configured == formats.QUOTALEGACY:
        return None
    view = FileView(path)
    try:
        counter = _COUNTERS.get(formats.detect_view(view))
        return None if counter is None else counter(view)
    finally:
        view.close()


def _twoskip(view: FileView) -> int:
    header = twoskip_format.TwoskipHeader(view.path, view.read(0, twoskip_format.HEADER_SIZE))
    return header.records


def _twom(view: FileView) -> int:
    block = view.read(0, twom_format.HEADER_SIZE)
    return int(twom_format.HEADER.unpack(block)[_TWOM_RECORDS])


def _skiplist(view: FileView) -> int:
    block = view.read(0, skiplist_format.HEADER.size)
    return int(skiplist_format.HEADER.unpack(block)[_SKIPLIST_RECORDS])


def _flat(view: FileView) -> int:
    found = offset = 0
    while piece := view.peek(offset, _PIECE):
        found += piece.count(b"\n")
        offset += len(piece)
    return found


_COUNTERS: dict[str, Callable[[FileView], int]] = {
    formats.TWOSKIP: _twoskip,
    formats.TWOM: _twom,
    formats.SKIPLIST: _skiplist,
    formats.FLAT: _flat,
    formats.EMPTY: _flat,
}
