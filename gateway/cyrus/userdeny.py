"""userdeny: users that are blocked for a service, with a text for them.

A record of user_deny.db is `version TAB patterns` or, in version 2, `version
TAB patterns TAB text`.  The patterns are separated by commas; the first one
from the left that matches the service's name decides, with `!` in front for
"not blocked" (userdeny in imap/userdeny_db.c; Cyrus 2.4 still began from the
right, as the comment there goes on to say).  Blanks belong to a pattern.
A record of another version, or one that is none, blocks nobody, and so does
a database that does not exist.  One that was there and is missing is another
matter: it is being restored, or was lost, and which users are blocked is not known.
"""

from __future__ import annotations

from gateway.errors import DatabaseMissing, DatabaseUnavailable
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.db.base import Database

DEFAULT_MESSAGE = b"Access to this service has been blocked"

# The C program's buffer has MAX_MAILBOX_PATH + 1 bytes, the last one a NUL.
MAX_MESSAGE = 4096

# Control bytes in a message would break the line that it is sent in.
_PRINTABLE = b" " * 32 + bytes(range(32, 256))


class Denial(Value):
    """`pattern` is the one that matched, `message` is for the client, without control bytes."""

    __slots__ = ("message", "pattern")
    message: bytes
    pattern: bytes

    def __init__(self, pattern: bytes, message: bytes) -> None:
        self.message = message
        self.pattern = pattern
        self._freeze()


class UserDeny:
    """Looks users up in `database`."""

    __slots__ = ("database",)

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def path(self) -> str:
        """The database's path, for messages."""
        return self.database.path

    def check(self, userid: bytes, service: bytes) -> Denial | None:
        """The denial for `userid` at `service`; None where he may use it.

        Raises what the database raises, except that it has never existed.
        """
        if self.blocks_nobody or not userid or b"\0" in userid:
            return None
        try:
            value = self.database.get(userid)
        except DatabaseMissing as fault:
            self._excuse(fault)
            return None
        return _denial(value, service) if value else None

    def entries(self, service: bytes) -> Iterator[tuple[bytes, Denial | None]]:
        """Every user with a record, and the denial at `service` if it is one.

        Raises what the database raises, except that it has never existed.
        """
        try:
            for userid, value in self.database.items():
                yield userid, _denial(value, service)
        except DatabaseMissing as fault:
            self._excuse(fault)

    @property
    def blocks_nobody(self) -> bool:
        """Whether the last look has found no database, and it has never existed."""
        return self.database.missing and not self._was_there

    @property
    def _was_there(self) -> bool:
        return self.database.was_there

    def _excuse(self, fault: DatabaseMissing) -> None:
        """Raise DatabaseUnavailable unless the database has never been seen."""
        if self._was_there:
            raise DatabaseUnavailable(
                fault.path,
                f"was there and is missing: put it back, or reload the gateway if nobody is to be"
                f" blocked any more ({fault.problem})",
            ) from fault


def _denial(value: bytes, service: bytes) -> Denial | None:
    record = _parse(value.partition(b"\0")[0])
    if record is None:
        return None
    from gateway.cyrus.wildmat import wildmat  # noqa: PLC0415  (few users have a record)

    patterns, message = record
    for pattern in patterns.split(b","):
        negated = pattern.startswith(b"!")
        if pattern and wildmat(service, pattern[1:] if negated else pattern):
            return None if negated else Denial(pattern, message)
    return None


def _parse(record: bytes) -> tuple[bytes, bytes] | None:
    """The patterns and the message; None for a record that does not count."""
    # strtoul takes white space and a plus sign before the number.
    number, tab, rest = record.lstrip().partition(b"\t")
    number = number[1:] if number.startswith(b"+") else number
    number = number.lstrip(b"0") if number.isdigit() else b""
    if not tab or number not in (b"1", b"2"):
        return None
    patterns, message = rest, b""
    if number == b"2":
        patterns, _, message = rest.partition(b"\t")
    return patterns, (message or DEFAULT_MESSAGE)[:MAX_MESSAGE].translate(_PRINTABLE)
