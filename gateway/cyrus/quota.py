"""Quota roots: which one a mailbox belongs to, and whether mail still fits.

A mailbox belongs to the nearest root above it: its own internal name, then
the name without its last part and so on, at last the domain's root `domain!`
(quota_findroot in imap/quota_db.c).  The nearest one decides alone, even
where it sets no limit.  With virtdomains off there are no domains, and a `!`
in a name is a letter.

Records have two forms (quota_parseval): `used limit` in bytes and KiB, with
further resources behind their names, and a dlist `%(S (used limit) M (used
limit) ...)`.  As in the C program, a dlist that is damaged limits nothing,
and a number in it that is none counts as 0.

Limits: `quota_use_conversations` is not heeded; what counts is what is in
the record.
"""

from __future__ import annotations

from gateway.cyrus import dlist
from gateway.errors import RecordDamaged
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.cyrus.db.base import Database

# A record has the limits of storage and annotations in KiB.
STORAGE_UNIT = 1024

# Cyrus cuts the name of a root here (MAX_MAILBOX_NAME); no mailbox has more.
_MAX_ROOT = 510

# Resources of a record: bytes of mail, mails, bytes of annotations, mailboxes
# (STORAGE, MESSAGE, X-ANNOTATION-STORAGE, X-NUM-FOLDERS; quota_db_names).
_STORAGE, _MESSAGES, _ANNOTATIONS, _FOLDERS = b"S", b"M", b"AS", b"NF"
_RESOURCES = frozenset((_STORAGE, _MESSAGES, _ANNOTATIONS, _FOLDERS))

# lib/imap_err.et, as the C program words these faults.
_BAD_FORMAT = b"Mailbox has an invalid format"

# Cyrus counts in signed 64-bit numbers.
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_UINT64 = 2**64
_INT64_DIGITS, _UINT64_DIGITS = len(str(_INT64_MAX)), len(str(_UINT64))

_DIGITS = b"0123456789"

# All that is not a digit becomes a blank.
_NUMBERS = bytes(byte if byte in _DIGITS else ord(b" ") for byte in range(256))
# The longest record that may be an ordinary one.
_ORDINARY_LENGTH = 160  # only a bound
# Ordinary records, by how many numbers they have: how they are written, and which of
# (0, None, numbers...) are used and limit of mails, annotations and folders used.
# Limits for mail, perhaps for mails; up to 2.5 or by other tools, then with all
# resources, then as Cyrus 3 writes it.
_ORDINARY = {
    2: (b"%%(S (%d %d))", (0, 1, 0, 0)),  # same with 1: what is not named is 0 or None alike
    # same with 1: what is not named is 0 or None alike
    4: (b"%%(S (%d %d) M (%d %d))", (4, 5, 0, 0)),
    5: (b"%%(S (%d %d) M (%d) AS (%d) NF (%d))", (4, 1, 5, 6)),
    6: (b"%%(S (%d %d) M (%d) AS (%d) NF (%d) MODSEQ %d)", (4, 1, 5, 6)),
    7: (b"%%(S (%d %d) M (%d %d) AS (%d) NF (%d) MODSEQ %d)", (4, 5, 6, 7)),
}
# What separates the fields of a record in the old form.
_BLANKS = bytes.maketrans(b"\t\r\n", b"   ")


class QuotaRecord(Value):
    """What a quota root holds and may hold.

    Storage and annotations are in bytes, messages and folders are counted.  A limit of None
    means that there is none.  `root` is an internal name.
    """

    __slots__ = (
        "annotations_limit",
        "annotations_used",
        "folders_limit",
        "folders_used",
        "messages_limit",
        "messages_used",
        "root",
        "storage_limit",
        "storage_used",
    )
    annotations_limit: int | None
    annotations_used: int
    folders_limit: int | None
    folders_used: int
    messages_limit: int | None
    messages_used: int
    root: bytes
    storage_limit: int | None
    storage_used: int

    def __init__(
        self,
        root: bytes,
        storage_used: int,
        storage_limit: int | None = None,
        messages_used: int = 0,
        messages_limit: int | None = None,
        *,
        annotations_used: int = 0,
        annotations_limit: int | None = None,
        folders_used: int = 0,
        folders_limit: int | None = None,
    ) -> None:
        self.annotations_limit = annotations_limit
        self.annotations_used = annotations_used
        self.folders_limit = folders_limit
        self.folders_used = folders_used
        self.messages_limit = messages_limit
        self.messages_used = messages_used
        self.root = root
        self.storage_limit = storage_limit
        self.storage_used = storage_used
        self._freeze()

    def exceeded(self, storage_more: int = 0, messages_more: int = 1) -> bool:
        """Whether `storage_more` bytes and `messages_more` messages are too much.

        A root is not over its quota while it is just full (quota_check), nor where the sum does
        not fit into 64 bits.
        """
        storage, messages = self.storage_limit, self.messages_limit
        if storage is not None and storage < self.storage_used + storage_more <= _INT64_MAX:
            return True
        if messages is None:
            return False
        return messages < self.messages_used + messages_more <= _INT64_MAX

    def exceeded_otherwise(self, *, folders: bool) -> bool:
        """Whether annotations, or with `folders` mailboxes, are over their limit now."""
        annotations = self.annotations_limit
        if annotations is not None and self.annotations_used > annotations:
            return True
        return folders and self.folders_limit is not None and self.folders_used > self.folders_limit


def in_bytes(limit: int | None) -> int | None:
    """A limit of storage as Cyrus writes it, in KiB, in bytes; None stays for none.

    From 8 EiB on (2**53 KiB) the product does not fit into 64 bits, and what is left of it is
    mostly nothing (quota_check): no mail at all.
    """
    if limit is None:
        return None
    product = limit * STORAGE_UNIT
    return product if product <= _INT64_MAX else (product - _INT64_MIN) % _UINT64 + _INT64_MIN


class QuotaRoots:
    """Looks quota roots up in `database`; `virtdomains` is False where no name has a domain."""

    __slots__ = ("_virtdomains", "database")

    def __init__(self, database: Database, *, virtdomains: bool = True) -> None:
        self.database = database
        self._virtdomains = virtdomains

    @property
    def path(self) -> str:
        """The database's path, for messages."""
        return self.database.path

    def candidates(self, internal: bytes) -> Iterator[bytes]:
        """The roots that the mailbox `internal` could belong to, the nearest first."""
        root = internal[:_MAX_ROOT]
        start = root.find(b"!") + 1 if self._virtdomains else 0
        if not root:
            return
        yield root
        end = root.rfind(b".", start)
        while end >= 0:
            yield root[:end]
            end = root.rfind(b".", start, end)
        if start and start < len(root):
            yield root[:start]

    def find(
        self, internal: bytes, get: Callable[[bytes], bytes | None] | None = None
    ) -> QuotaRecord | None:
        """The record of the root that `internal` belongs to; None without a root.

        `get` reads a root in the database's stead, for callers that want to know
        which ones are read.  Raises `RecordDamaged` where the record makes no
        sense, and what the database raises.
        """
        read = get if get is not None else self.database.get
        for root in self.candidates(internal):
            value = read(root)
            if value is not None:
                return self._parse(root, value)
        return None

    def nearest(
        self, names: Iterable[bytes], get: Callable[[bytes], bytes | None] | None = None
    ) -> QuotaRecord | None:
        """As `find` for a mailbox that has several names: a root that is over its limit counts.

        Where none is, it is that of the first name that has one.
        """
        found = None
        for internal in dict.fromkeys(names):
            record = self.find(internal, get)
            if record is not None and (found is None or record.exceeded() > found.exceeded()):
                found = record
        return found

    def entries(self) -> Iterator[QuotaRecord | RecordDamaged]:
        """Every root, in the file's order; a record that makes no sense comes as its fault.

        Raises what the database raises.
        """
        for root, value in self.database.items():
            try:
                yield self._parse(root, value)
            except RecordDamaged as fault:
                yield fault

    def _parse(self, root: bytes, value: bytes) -> QuotaRecord:
        try:
            return _record(root, value)
        except ValueError as error:
            problem = f"is not a quota: {error}"
            raise RecordDamaged(self.path, root, problem, text=_BAD_FORMAT) from error


def _record(root: bytes, value: bytes) -> QuotaRecord:
    if value.startswith(b"%"):
        ordinary = _ordinary(root, value)
        if ordinary is not None:
            return ordinary
        resources = _from_list(dlist.items(value) or ())
    elif value.startswith(b"\0") or not value:
        resources = {}
    else:
        resources = _from_text(value.partition(b"\0")[0])
    return _from_resources(root, resources)


def _from_resources(root: bytes, resources: dict[bytes, tuple[int, int | None]]) -> QuotaRecord:
    storage_used, storage_limit = resources.get(_STORAGE, (0, None))
    messages_used, messages_limit = resources.get(_MESSAGES, (0, None))
    annotations_used, annotations_limit = resources.get(_ANNOTATIONS, (0, None))
    folders_used, folders_limit = resources.get(_FOLDERS, (0, None))
    return QuotaRecord(
        root,
        storage_used,
        in_bytes(storage_limit),
        messages_used,
        messages_limit,
        annotations_used=annotations_used,
        annotations_limit=in_bytes(annotations_limit),
        folders_used=folders_used,
        folders_limit=folders_limit,
    )


def _ordinary(root: bytes, value: bytes) -> QuotaRecord | None:
    """A record of the ordinary shapes, which nearly every root has; None for another one.

    What its numbers are written as again is what they were read from.  The
    general parser takes ten times as long.
    """
    if len(value) > _ORDINARY_LENGTH:  # same with >=: the longer way to the same
        return None
    numbers = tuple(map(int, value.translate(_NUMBERS).split()))
    if len(numbers) not in _ORDINARY or max(numbers) > _INT64_MAX:
        return None
    written, fields = _ORDINARY[len(numbers)]
    if written % numbers != value:
        return None
    mails, limit, annotations, folders = map((0, None, *numbers).__getitem__, fields)
    return QuotaRecord(
        root,
        numbers[0],
        in_bytes(numbers[1]),
        mails or 0,
        limit,
        annotations_used=annotations or 0,
        folders_used=folders or 0,
    )


def _from_list(items: dlist.Items) -> dict[bytes, tuple[int, int | None]]:
    """used and limit of each resource of a dlist; of two the first one counts."""
    resources: dict[bytes, tuple[int, int | None]] = {}
    for name, item in items:
        if name not in resources:
            members = item if isinstance(item, tuple) else ()
            numbers = [_list_number(member) for _, member in members]
            used = numbers[0] if numbers else 0
            resources[name] = (used, _limit(numbers[1]) if len(numbers) > 1 else None)
    return resources


def _list_number(item: dlist.Item) -> int:
    """The number that is all of `item`, else 0 (dlist_num), as a signed one of 64 bits."""
    if isinstance(item, tuple) or item.strip(_DIGITS):
        return 0
    digits = item.lstrip(b"0")
    if not digits or len(digits) > _UINT64_DIGITS:
        return 0
    number = int(digits)
    if number >= _UINT64:  # same with >: 2**64 as a signed number of 64 bits is 0 too
        return 0
    return number if number <= _INT64_MAX else number - _UINT64


def _from_text(text: bytes) -> dict[bytes, tuple[int, int | None]]:
    """`used limit [more] NAME used limit [more] ...`; raises ValueError for anything else.

    The third number is what an interrupted `quota -f` left.
    """
    resources: dict[bytes, tuple[int, int | None]] = {}
    fields = [field for field in text.translate(_BLANKS).split(b" ") if field]
    name = _STORAGE
    position = 0
    while True:
        if position + 2 > len(fields):
            raise ValueError(f"no used and limit of {name.decode()}")
        resources[name] = (
            _text_number(fields[position]),
            _limit(_text_number(fields[position + 1])),
        )
        position += 2
        if position < len(fields) and _starts_number(fields[position]):
            position += 1
        if position == len(fields):
            return resources
        name = fields[position].upper()
        if name not in _RESOURCES:
            raise ValueError(f"there is no resource {fields[position]!r}")
        position += 1


def _starts_number(field: bytes) -> bool:
    digits = field.lstrip()
    return digits[1:2].isdigit() if digits[:1] in (b"+", b"-") else digits[:1].isdigit()


def _text_number(field: bytes) -> int:
    """The number that `field` begins with, cut to 64 bits (sscanf); ValueError without one."""
    if not _starts_number(field):
        raise ValueError(f"not a number: {field!r}")
    digits = field.lstrip()
    negative = digits.startswith(b"-")
    digits = digits.lstrip(b"+-")
    digits = digits[: len(digits) - len(digits.lstrip(_DIGITS))].lstrip(b"0")
    number = _UINT64 if len(digits) > _INT64_DIGITS else int(digits or b"0")
    return max(_INT64_MIN, -number) if negative else min(_INT64_MAX, number)


def _limit(number: int) -> int | None:
    return number if number >= 0 else None
