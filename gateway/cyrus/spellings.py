"""Keys of a database that differ from a given one in capitals only.

Keys are searched from the front: at each letter both cases are tried, and a
beginning that no key has is given up.  So the work is in proportion to the
length of the key, not to the size of the database.  Limits: ASCII letters;
MAX_SPELLINGS are found, and MAX_LOOKS beginnings tried.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.db.base import Database

# No user has more mailboxes that differ in capitals only.
MAX_SPELLINGS = 8  # only a bound
# A key has at most 510 bytes (MAX_MAILBOX_NAME), and each letter needs two looks.
MAX_LOOKS = 2048  # only a bound

# What Cyrus 2.5 takes for blanks in a fuzzy match (WSP_CHARS in imap/lmtpd.c).
_BLANKS = b"- _"


def spellings(
    database: Database, key: bytes, *, fixed: int = 0, blanks: bool = False
) -> list[bytes]:
    """The keys that are `key` but for capitals, without `key` itself; its `fixed` first bytes stay.

    With `blanks` a blank, a hyphen and an underscore are alike, too.  Raises
    what the database raises.
    """
    found: list[bytes] = []
    looks = 0
    waiting = [key[:fixed]]
    while waiting and looks < MAX_LOOKS and len(found) < MAX_SPELLINGS:
        prefix = waiting.pop()
        looks += 1
        first = _first(database, prefix)
        if first is None:
            continue
        if len(prefix) == len(key):
            if first == prefix != key:
                found.append(prefix)
            continue
        # Up to the next byte that may be another there is only one way.
        end = len(prefix)
        while end < len(key) and len(_choices(key[end], blanks=blanks)) == 1:
            end += 1
        if end > len(prefix):
            waiting.append(prefix + key[len(prefix) : end])
        else:
            waiting += [prefix + choice for choice in _choices(key[end], blanks=blanks)]
    return found


def _choices(byte: int, *, blanks: bool) -> tuple[bytes, ...]:
    """What may be in the place of a byte."""
    letter = bytes((byte,))
    if letter.isalpha():
        return letter.lower(), letter.upper()
    if blanks and letter in _BLANKS:
        return tuple(bytes((each,)) for each in _BLANKS)
    return (letter,)


def _first(database: Database, prefix: bytes) -> bytes | None:
    for key, _value in database.items(prefix):
        return key
    return None
