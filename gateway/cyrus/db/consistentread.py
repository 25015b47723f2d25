"""Several keys, and a record under each of several prefixes, of one committed state.

A decision that rests on more than one record must not see one of them from
before a commit and another from after it.  On an SQL server `look` is one
statement, whose snapshot everything comes from, and there is no more than one
record a prefix, however many there are.  A database that can do so has the
method `look`, and says `reads_consistently`.
"""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = tuple[bytes, bytes]


class ConsistentRead(Value):
    """What was seen: `values` by key, of those that are there, and a record (or None) a prefix."""

    __slots__ = ("samples", "values")
    samples: Sequence[Record | None]
    values: Mapping[bytes, bytes]

    def __init__(self, values: Mapping[bytes, bytes], samples: Sequence[Record | None]) -> None:
        self.samples = samples
        self.values = values
        self._freeze()
