"""What every database format offers: the Database protocol.

A Database reads one file (or one SQL table) that Cyrus writes, without ever
writing, creating, repairing or locking it, and shows exactly the committed
state.  It holds no thread, no global and no gevent; one object is used by one
thread at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Protocol


class Database(Protocol):
    """One open database, read only.

    All methods raise `DatabaseUnavailable`, `DatabaseMissing` or
    `DatabaseDamaged` (gateway.errors) when no trustworthy answer can be given.
    """

    @property
    def path(self) -> str:
        """The file's path as the configuration gives it."""

    @property
    def format(self) -> str:
        """The format's name as imapd.conf spells it: twoskip, skiplist, flat, ..."""

    def get(self, key: bytes) -> bytes | None:
        """The committed value of `key`, or None where there is no such record."""

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All committed records whose key starts with `prefix`, in the file's key order."""

    def state(self, key: bytes | None = None) -> Hashable:
        """A token of the committed state, read afresh from the file.

        While two tokens are equal, no commit came between them that could
        change what `get` says: of `key` where it is given (formats that keep
        a file a record look at that record only), else of any key.  At most
        one or two system calls.
        """

    def close(self) -> None:
        """Give the descriptors back; the object is not used again."""
