"""Several keys, and a record under each of several prefixes, of one committed state.

A decision that rests on more than one record must not see one of them from
before a commit and another from after it.  On an SQL server `look` is one
statement, whose snapshot everything comes from; files that are open show one
state each time they are read, so there the records are read one by one.

No more than one record is fetched for a prefix, however many there are.
"""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.cyrus.db.base import Database

    Record = tuple[bytes, bytes]


class Look(Value):
    """What was seen: `values` by key, of those that are there, and a record (or None) a prefix."""

    __slots__ = ("samples", "values")
    samples: Sequence[Record | None]
    values: Mapping[bytes, bytes]

    def __init__(self, values: Mapping[bytes, bytes], samples: Sequence[Record | None]) -> None:
        self._freeze(samples, values)


def look(database: Database, keys: Sequence[bytes], prefixes: Sequence[bytes] = ()) -> Look:
    """Look at `database`; raises what it raises.

    Samples are read first: where a file is filled meanwhile, a key that was not found
    in it was looked for after the record that shows that it is filled.
    """
    own = getattr(database, "look", None)
    if own is not None:
        found: Look = own(keys, prefixes)
        return found
    samples = [next(iter(database.items(prefix)), None) for prefix in prefixes]
    values = {}
    for key in keys:
        value = database.get(key)
        if value is not None:
            values[key] = value
    return Look(values, samples)
