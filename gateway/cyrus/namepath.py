"""The parts of a mailbox's name, and its two written forms.

The internal form is `domain!user.name.folder`, with `^` for a dot inside of a
part; the form in the mailbox list's keys from Cyrus 3.6 on has 0x1d behind the
domain and 0x1f between the parts (imap/mboxname.c, mbname_intname and
mbname_from_intname; imap/mboxlist.c, mbname_dbname and mbname_from_dbname).
Any bytes are a name here; whether a list has it is not decided in this module.
"""

from __future__ import annotations

from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Separators of the mailbox list's keys (DB_DOMAINSEP and DB_HIERSEP in
# imap/mboxlist.c).
DOMAIN_SEPARATOR = b"\x1d"
HIERARCHY_SEPARATOR = b"\x1f"

# The first part of a user's mailbox.
USER = b"user"

# A domain in a key is read into a buffer of this size (MAX_MAILBOX_NAME).
MAX_DOMAIN = 510

_HEXADECIMAL = b"0123456789abcdef"
_ULONG_MAX = 2**64 - 1


class NamePath(Value):
    """The parts of a name, whatever form it is written in.

    `localpart` is the user, None for a shared folder; an empty one is a part.
    `deleted` is the time in the name of a deleted mailbox, 0 in others.
    """

    __slots__ = ("boxes", "deleted", "domain", "localpart")
    boxes: tuple[bytes, ...]
    deleted: int
    domain: bytes | None
    localpart: bytes | None

    def __init__(
        self,
        localpart: bytes | None,
        domain: bytes | None,
        boxes: tuple[bytes, ...],
        deleted: int = 0,
    ) -> None:
        self.boxes = boxes
        self.deleted = deleted
        self.domain = domain
        self.localpart = localpart
        self._freeze()

    @property
    def userid(self) -> bytes | None:
        """The user with the domain where there is one; None for a shared folder."""
        if self.localpart is None or self.domain is None:
            return self.localpart
        return self.localpart + b"@" + self.domain

    def internal(self, deletedprefix: bytes) -> bytes:
        """The internal name: a dot between the parts, `^` for a dot inside of one."""
        start = b"" if self.domain is None else self.domain + b"!"
        hatted = (part.replace(b".", b"^") for part in self._parts())
        return start + b".".join(self._framed(hatted, deletedprefix))

    def database(self, deletedprefix: bytes) -> bytes:
        """The name inside of the mailbox list's key."""
        start = b"" if self.domain is None else self.domain + DOMAIN_SEPARATOR
        return start + HIERARCHY_SEPARATOR.join(self._framed(self._parts(), deletedprefix))

    def _parts(self) -> tuple[bytes, ...]:
        return self.boxes if self.localpart is None else (USER, self.localpart, *self.boxes)

    def _framed(self, parts: Iterable[bytes], deletedprefix: bytes) -> Iterator[bytes]:
        if not self.deleted:
            yield from parts
            return
        yield deletedprefix
        yield from parts
        yield b"%X" % (self.deleted & 0xFFFFFFFF)


def from_internal(name: bytes, default_domain: bytes, deletedprefix: bytes) -> NamePath:
    """An internal name, taken apart (mbname_from_intname): the default domain is none."""
    domain, found, rest = name.partition(b"!")
    if not found:
        return _path(None, name.split(b"."), deletedprefix, hats=True)
    kept = None if domain == default_domain else domain
    return _path(kept, rest.split(b"."), deletedprefix, hats=True)


def from_database(name: bytes, default_domain: bytes, deletedprefix: bytes) -> NamePath:
    """The name inside of a key, taken apart (mbname_from_dbname)."""
    domain, found, rest = name.partition(DOMAIN_SEPARATOR)
    if not found:
        # same with True: an internal name has no ^
        return _path(None, name.split(HIERARCHY_SEPARATOR), deletedprefix, hats=False)
    domain = domain[: MAX_DOMAIN - 1]
    kept = None if domain == default_domain else domain
    # same with True: an internal name has no ^
    return _path(kept, rest.split(HIERARCHY_SEPARATOR), deletedprefix, hats=False)


def split(name: bytes, separator: bytes) -> tuple[bytes, ...]:
    """The parts between separators; empty ones do not count (strarray_split)."""
    return tuple(part for part in name.split(separator) if part)


def _path(
    domain: bytes | None, parts: list[bytes], deletedprefix: bytes, *, hats: bool
) -> NamePath:
    boxes = tuple(part.replace(b"^", b".") if hats else part for part in parts if part)
    deleted = 0
    if len(boxes) > 2 and boxes[0] == deletedprefix:
        deleted = _hexadecimal(boxes[-1])
        boxes = boxes[1:-1]
    if len(boxes) > 1 and boxes[0] == USER:
        return NamePath(boxes[1], domain, boxes[2:], deleted)
    return NamePath(None, domain, boxes, deleted)


def _hexadecimal(digits: bytes) -> int:
    """As much of `digits` as is a hexadecimal number, 0 without any (strtoul)."""
    text = digits.lstrip()
    negative = text.startswith(b"-")
    if text[:1] in (b"-", b"+"):
        text = text[1:]
    if text[:2].lower() == b"0x":
        text = text[2:]
    number = text[: len(text) - len(text.lower().lstrip(_HEXADECIMAL))]
    value = int(number, 16) if number else 0
    if value > _ULONG_MAX:
        return _ULONG_MAX
    return (-value if negative else value) & _ULONG_MAX
