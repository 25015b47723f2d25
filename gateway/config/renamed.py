"""Settings that had another name before: an old file is refused and told the new one.

The old name is not taken: what it said may not be what the new one says.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Old dotted key to the new one.
RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "milter.timeout": "milter.idle_timeout",
    }
)


def new_name(dotted: str) -> str:
    """What to write in the place of an old key; empty where it is none."""
    new = RENAMED.get(dotted)
    if new is None:
        return ""
    table, _, key = new.rpartition(".")
    place = f"in [{table}]" if table else "at the top of the file"
    return f"is called {key} now; write that {place}, and see gateway.toml(5) for what it means"
