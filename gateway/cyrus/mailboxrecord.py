"""One record of the mailbox list, in any of the forms that Cyrus has given it.

Records have had three forms (mboxlist_parse_entry in imap/mboxlist.c):
`type partition acl`, the same with `(name value ...)` in front, and a dlist.

Numeric types in old records mean what they meant when such a list was
written: remote is 1 in a list of the older kind, 16 in a newer one.
"""

from __future__ import annotations

from gateway.cyrus import dlist
from gateway.values import Value

# A mailbox's type: the low four bits are its kind, the others are flags
# (imap/mboxlist.h).
MBTYPE_KIND = 0xF
MBTYPE_EMAIL = 0x0
MBTYPE_NETNEWS = 0x1
MBTYPE_JMAPSUBMIT = 0x2
MBTYPE_JMAPPUSHSUB = 0x3
MBTYPE_JMAPNOTIFY = 0x4
MBTYPE_SIEVE = 0x5
MBTYPE_COLLECTION = 0x8
MBTYPE_CALENDAR = 0x9
MBTYPE_ADDRESSBOOK = 0xA
MBTYPE_REMOTE = 1 << 4
MBTYPE_RESERVE = 1 << 5
MBTYPE_MOVING = 1 << 6
MBTYPE_DELETED = 1 << 7
MBTYPE_INTERMEDIATE = 1 << 8
MBTYPE_LEGACY_DIRS = 1 << 9

# Letter, bits and words for people of each type: first the kinds, then the flags.
TYPES = (
    ("e", MBTYPE_EMAIL, "e-mail"),
    ("n", MBTYPE_NETNEWS, "news"),
    ("s", MBTYPE_JMAPSUBMIT, "JMAP submission"),
    ("p", MBTYPE_JMAPPUSHSUB, "JMAP push subscriptions"),
    ("j", MBTYPE_JMAPNOTIFY, "JMAP notifications"),
    ("f", MBTYPE_SIEVE, "Sieve scripts"),
    ("b", MBTYPE_COLLECTION, "collection"),
    ("c", MBTYPE_CALENDAR, "calendar"),
    ("a", MBTYPE_ADDRESSBOOK, "address book"),
    ("r", MBTYPE_REMOTE, "remote"),
    ("z", MBTYPE_RESERVE, "reserved"),
    ("m", MBTYPE_MOVING, "moving"),
    ("d", MBTYPE_DELETED, "deleted"),
    ("i", MBTYPE_INTERMEDIATE, "intermediate"),
    ("l", MBTYPE_LEGACY_DIRS, "legacy folders"),
)
_LETTERS = {ord(letter): mbtype for letter, mbtype, _ in TYPES}

# The bits of numeric types up to Cyrus 3.4.
_OLD_BITS = {
    1 << 0: MBTYPE_REMOTE,
    1 << 1: MBTYPE_RESERVE,
    1 << 2: MBTYPE_NETNEWS,
    1 << 3: MBTYPE_MOVING,
    1 << 4: MBTYPE_DELETED,
    1 << 5: MBTYPE_CALENDAR,
    1 << 6: MBTYPE_ADDRESSBOOK,
    1 << 7: MBTYPE_COLLECTION,
    1 << 8: MBTYPE_INTERMEDIATE,
    1 << 9: MBTYPE_JMAPSUBMIT,
    1 << 10: MBTYPE_JMAPPUSHSUB,
}

# Bytes that have a meaning in a dlist, how an ordinary record ends behind its ACL's last
# member, and how many of these bytes it has then.
_MEANING = b'()%"{\\'
_SIMPLE_ENDS = {b"))": len(b"%(%())"), b") H ())": len(b"%(%()())")}
# In a record that has any of these an atom may be empty, or nothing.
_NOT_SIMPLE = (b"  ", b"( ", b" )", b"NIL")


class MailboxEntry(Value):
    """One mailbox: `mbtype` is made of the MBTYPE_ constants, the rest is as stored.

    `name` is its internal name; `server` is the backend of a remote mailbox,
    empty for others.  `before_3`: the record, in a list with older
    keys, is as Cyrus up to 2.5 wrote it: a text, or a dlist without the
    folder's modification sequence.
    """

    __slots__ = ("acl", "before_3", "mbtype", "name", "partition", "server", "uniqueid")
    acl: bytes
    before_3: bool
    mbtype: int
    name: bytes
    partition: bytes
    server: bytes
    uniqueid: bytes

    def __init__(
        self,
        name: bytes,
        mbtype: int = MBTYPE_EMAIL,
        *,
        partition: bytes = b"",
        server: bytes = b"",
        acl: bytes = b"",
        uniqueid: bytes = b"",
        before_3: bool = False,
    ) -> None:
        self.acl = acl
        self.before_3 = before_3
        self.mbtype = mbtype
        self.name = name
        self.partition = partition
        self.server = server
        self.uniqueid = uniqueid
        self._freeze()


def list_entry(name: bytes, value: bytes, *, old: bool) -> MailboxEntry:
    """A dlist record; raises ValueError for a type that there is not."""
    simple = _simple_fields(value)
    if simple is not None:
        fields, rights = simple
        return _entry_of(name, fields, rights, old=old)
    fields = {}
    acl = bytearray()
    in_acl = in_history = False
    for event, key, string in dlist.events(value):
        if event == dlist.STRING:
            if in_acl:
                acl += b"%b\t%b\t" % (key, string or b"")
            elif not in_history:
                fields[key] = string or b""
        elif event == dlist.KVLIST_START:
            in_acl = in_acl or key == b"A"
        elif event == dlist.KVLIST_END:
            in_acl = False
        elif event == dlist.LIST_START:
            in_history = in_history or key == b"H"
        else:
            in_history = False
    return _entry_of(name, fields, bytes(acl), old=old)


def _simple_fields(value: bytes) -> tuple[dict[bytes, bytes], bytes] | None:
    """The fields and the ACL of a record of the ordinary shape: atoms, one ACL, an empty history.

    Nearly every record has it, and the general parser takes fifteen times as
    long.  None for anything else.
    """
    head, mark, rest = value.partition(b" A %(")
    end = rest.find(b")")
    special = _SIMPLE_ENDS.get(rest[end:])
    # same with and: the count misses what is not there
    if not mark or special is None or not head.startswith(b"%("):
        return None
    # Those that the shape itself has are all that there are.
    if len(value) - len(value.translate(None, _MEANING)) != special:
        return None
    for each in _NOT_SIMPLE:
        if each in value:
            return None
    words = head[2:].split(b" ")
    members = rest[:end]
    if len(words) % 2 or (members and not members.count(b" ") % 2):
        return None
    pairs = iter(words)
    rights = members.replace(b" ", b"\t") + b"\t" if members else b""
    # same with False: the number of words is even
    return dict(zip(pairs, pairs, strict=True)), rights


def _entry_of(name: bytes, fields: dict[bytes, bytes], acl: bytes, *, old: bool) -> MailboxEntry:
    return MailboxEntry(
        name,
        _letters(fields.get(b"T", b""), old=old),
        partition=fields.get(b"P", b""),
        server=fields.get(b"S", b""),
        acl=acl,
        uniqueid=fields.get(b"I", b""),
        before_3=old and b"F" not in fields,
    )


def _letters(letters: bytes, *, old: bool) -> int:
    """A type; up to Cyrus 3.4 a letter that there is not is not a flag, later it is damage."""
    if letters == b"e":
        return MBTYPE_EMAIL
    mbtype = 0
    for letter in letters:
        if letter not in _LETTERS and not old:
            raise ValueError(f"there is no mailbox type {letters!r}")
        mbtype |= _LETTERS.get(letter, 0)
    return mbtype


def text_entry(name: bytes, value: bytes, *, old: bool) -> MailboxEntry:
    """`[(name value ...) ]type [server!]partition acl`; Cyrus takes every text for one."""
    text = value.partition(b"\0")[0]
    uniqueid = b""
    if text.startswith(b"("):
        text, uniqueid = _extension(text[1:])
        text = text.removeprefix(b" ")
    number, text = _number(text)
    text = text.removeprefix(b" ")
    server = b""
    where, _, acl = text.partition(b" ")
    before, found, after = where.partition(b"!")
    if found:
        server, where = before, after
    mbtype = number
    if old:
        mbtype = sum(flag for bit, flag in _OLD_BITS.items() if number & bit)
        if mbtype & MBTYPE_REMOTE and not found:
            # The oldest ones hold nothing but the server there.
            server = where
    return MailboxEntry(
        name,
        mbtype,
        partition=where,
        server=server,
        acl=acl,
        uniqueid=uniqueid,
        before_3=old,
    )


def _extension(text: bytes) -> tuple[bytes, bytes]:
    """What follows behind `name value ... )`, and the value of `uniqueid`."""
    uniqueid = b""
    while True:
        end = _until_end(text)
        if text[end : end + 1] != b" ":
            return text, uniqueid
        key, text = text[:end], text[end + 1 :]
        end = _until_end(text)
        if key == b"uniqueid":
            uniqueid = text[:end]
        last = text[end : end + 1] != b" "
        text = text[end + 1 :]
        if last:
            return text, uniqueid


def _until_end(text: bytes) -> int:
    ends = [end for end in (text.find(b" "), text.find(b")")) if end >= 0]
    return min(ends, default=len(text))


def _number(text: bytes) -> tuple[int, bytes]:
    """The decimal number that `text` begins with, 0 without one, and the rest (strtol)."""
    digits = text.lstrip()
    sign = digits[:1] if digits[:1] in (b"+", b"-") else b""
    digits = digits[len(sign) :]
    rest = digits.lstrip(b"0123456789")
    if len(rest) == len(digits):
        return 0, text
    # Types are 32 bits wide; more digits than that are not a type at all.
    # same with 21: 21 digits are no type, nor are 20
    number = int(digits[: len(digits) - len(rest)][:20])
    return (-number if sign == b"-" else number) & 0xFFFFFFFF, rest
