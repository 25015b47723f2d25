"""The state of a store's databases: can they be read, and what do they say of themselves?

Looked at afresh each time, with readers of their own, so that what is shown
is what the next question would meet.  May block as long as a disk does: an
event loop has a thread do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cyrus.db import formats
from gateway.errors import DatabaseMissing, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.db.reopening import ReopeningDatabase
    from gateway.cyrus.store import CyrusStore

# A key that no database has; looking for it reads the way to where it would be.
NO_KEY = b"user.no such mailbox"

# The databases of a store, in its order (CyrusStore.databases).
MAILBOXES, USERDENY, QUOTA = "mailboxes", "userdeny", "quota"
DATABASES = (MAILBOXES, USERDENY, QUOTA)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """One database at one moment.

    `problem` is empty where it can be read.  `size` is in bytes; what the
    format does not say is None.  `absent`: there is no such file, and
    that is not a fault: Cyrus makes user_deny.db when it is first needed.
    """

    name: str
    path: str
    format: str
    problem: str = ""
    absent: bool = False
    size: int | None = None
    generation: int | None = None
    records: int | None = None


def look(store: CyrusStore) -> Iterator[DatabaseState]:
    """The state of each database of `store`."""
    conf = store.conf
    configured = (conf.mboxlist_db, conf.userdeny_db, conf.quota_db)
    for name, database, kind in zip(DATABASES, store.databases, configured, strict=True):
        yield _look(name, database, kind)


def problems(store: CyrusStore) -> str:
    """What of the store's databases cannot be read, as one sentence; empty for nothing."""
    found = [f"{state.name} ({state.problem})" for state in look(store) if state.problem]
    return f"cannot read {', '.join(found)}" if found else ""


def _look(name: str, database: ReopeningDatabase, configured: str) -> DatabaseState:
    place = formats.location(database.path, configured)
    try:
        database.refresh()
        database.get(NO_KEY)
        found = database.describe()
    except DatabaseMissing as fault:
        absent = name == USERDENY
        return DatabaseState(name, place, configured, "" if absent else str(fault), absent)
    except StoreError as fault:
        return DatabaseState(name, place, configured, str(fault))
    return DatabaseState(
        name,
        place,
        found.format,
        size=found.size,
        generation=found.generation,
        records=found.records,
    )
