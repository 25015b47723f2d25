"""From a recipient's address to the name of its mailbox.

The rules are those of mbname_from_recipient and its neighbours in
imap/mboxname.c and of verify_user in imap/smmapd.c; where a name has two
spellings, the mailbox that the address reaches decides, so that no spelling
gets around a quota or a block:

- The domain stands behind the last `@`.  It is dropped where virtdomains is
  off or where it is the default domain, in any case of letters.
- The folders stand behind the first `+`, divided by the hierarchy separator,
  empty parts skipped; in UTF-8 or in modified UTF-7 already.
- User and domain are put in lower case where lmtp_downcase_rcpt says so.
- The user that `postuser` names stands for the shared folders, which have no
  domain.
- A name becomes the mailbox list's key by way of its internal form, in which
  `^` and `.` change places.  So `a^b` reaches user `a.b`, and `+fred`, where
  `postuser` is something else, reaches user `fred`.

A NUL byte is part of no name: such an address reaches nothing.  There is no
limit of length here; a name that is longer than Cyrus allows is in no list.
"""

from __future__ import annotations

from gateway.cyrus import mutf7
from gateway.cyrus.imapdconf import VIRTDOMAINS_OFF
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.cyrus.imapdconf import ImapdConf

# Separators of the mailbox list's keys (DB_DOMAINSEP and DB_HIERSEP in
# imap/mboxlist.c) and the letter that marks a key made of a name.
DOMAIN_SEPARATOR = b"\x1d"
HIERARCHY_SEPARATOR = b"\x1f"
NAME_KEY = b"N"

_USER = b"user"

# Bytes in a user's name that mean something in the internal form or in the
# key; with them the name must be taken apart again to see what it reaches.
_AMBIGUOUS = b"!^\x1d\x1f"

# A domain in a key is read into a buffer of this size (MAX_MAILBOX_NAME).
_MAX_DOMAIN = 510

_HEXADECIMAL = b"0123456789abcdef"
_ULONG_MAX = 2**64 - 1


class MailboxName(Value):
    """The mailbox that an address reaches.

    `localpart`, `domain` and `boxes` (the path of folders) are the mailbox's.
    `owner` is the user whose mailbox it is, as userdeny knows him, with the
    domain where there is one; None for a shared folder.  `userid` is the same,
    and None also where the address names a shared folder whose path leads into
    a user's mailbox: then the ACL decides who may post.  `internal` is the
    internal name `domain!user.name.folder`, `dbkey` the mailbox list's key
    from Cyrus 3.6 on.
    """

    __slots__ = ("boxes", "dbkey", "domain", "internal", "localpart", "owner", "userid")
    boxes: tuple[bytes, ...]
    dbkey: bytes
    domain: bytes | None
    internal: bytes
    localpart: bytes | None
    owner: bytes | None
    userid: bytes | None

    def __init__(
        self,
        localpart: bytes | None,
        domain: bytes | None,
        boxes: tuple[bytes, ...],
        *,
        deleted: int = 0,
        shared: bool = False,
        dbkey: bytes | None = None,
        deletedprefix: bytes = b"DELETED",
    ) -> None:
        """`deleted` is the time in the name of a deleted mailbox, 0 in others."""
        path = _Path(localpart, domain, boxes, deleted)
        owner = localpart
        if localpart is not None and domain is not None:
            owner = localpart + b"@" + domain
        self._freeze(
            boxes,
            dbkey if dbkey is not None else NAME_KEY + path.database(deletedprefix),
            domain,
            path.internal(deletedprefix),
            localpart,
            owner,
            None if shared else owner,
        )


class Naming(Value):
    """The rules of one configuration for the way from an address to a mailbox.

    `keeps_domains` is False where every domain is dropped; `separator`
    divides folders in an address.
    """

    __slots__ = (
        "_default_folded",
        "default_domain",
        "deletedprefix",
        "downcase",
        "keeps_domains",
        "postuser",
        "separator",
        "skip_plus",
    )
    _default_folded: bytes
    default_domain: bytes
    deletedprefix: bytes
    downcase: bool
    keeps_domains: bool
    postuser: bytes
    separator: bytes
    skip_plus: bool

    def __init__(
        self,
        *,
        default_domain: bytes = b"internal",
        deletedprefix: bytes = b"DELETED",
        downcase: bool = True,
        keeps_domains: bool = False,
        postuser: bytes = b"",
        separator: bytes = b"/",
        skip_plus: bool = False,
    ) -> None:
        self._freeze(
            default_domain.lower(),
            default_domain,
            deletedprefix,
            downcase,
            keeps_domains,
            postuser,
            separator,
            skip_plus,
        )

    @classmethod
    def from_conf(cls, conf: ImapdConf, *, skip_plus: bool = False) -> Naming:
        """The rules that an imapd.conf sets; `skip_plus` is smmapd's option -p."""
        return cls(
            default_domain=conf.defaultdomain,
            deletedprefix=conf.deletedprefix,
            downcase=conf.lmtp_downcase_rcpt,
            keeps_domains=conf.virtdomains != VIRTDOMAINS_OFF,
            postuser=conf.postuser,
            separator=b"/" if conf.unixhierarchysep else b".",
            skip_plus=skip_plus,
        )

    def recipient(self, address: bytes) -> MailboxName:
        """The mailbox that mail to `address` goes to, whether there is one or not."""
        if b"\0" in address:
            return MailboxName(address, None, ())
        local, at, after = address.rpartition(b"@")
        domain: bytes | None = None
        if not at:
            local = address
        elif self.keeps_domains and after.lower() != self._default_folded:
            domain = after
        local, plus, detail = local.partition(b"+")
        boxes = self._boxes(detail) if plus and not self.skip_plus else ()
        if self.downcase:
            local = local.lower()
            domain = domain.lower() if domain is not None else None
        userid = local if domain is None else local + b"@" + domain
        if userid == self.postuser:
            return self._reached(_Path(None, None, boxes, 0), shared=True)
        if self._is_plain(local, domain, boxes):
            return MailboxName(local, domain, boxes)
        return self._reached(_Path(local, domain, boxes, 0), shared=False)

    def plain(self, address: bytes) -> tuple[bytes, bytes] | None:
        """The list's key and the owner of the mailbox of `address`, where it is a simple case.

        None for folders, shared folders and names with several spellings:
        `recipient` knows them all, and takes four times as long.
        """
        local, at, after = address.rpartition(b"@")
        if not at:
            local, domain = after, b""
        else:
            domain = after if self.keeps_domains else b""
        if b"+" in local or b"\0" in address:
            return None
        if self.downcase:
            local = local.lower()
            domain = domain.lower()
        if domain:
            if domain.lower() != self._default_folded:
                owner = local + b"@" + domain
                if owner == self.postuser or not self._is_plain(local, domain, ()):
                    return None
                return NAME_KEY + domain + b"\x1duser\x1f" + local, owner
        elif at and self.keeps_domains:
            return None
        if local == self.postuser or not self._is_plain(local, None, ()):
            return None
        return b"Nuser\x1f" + local, local

    def _boxes(self, detail: bytes) -> tuple[bytes, ...]:
        """The folders that stand behind the plus."""
        if not mutf7.looks_encoded(detail):
            detail = mutf7.encode(detail)
        return _split(detail, self.separator)

    def _is_plain(self, local: bytes, domain: bytes | None, boxes: tuple[bytes, ...]) -> bool:
        """Whether the name means the same in all its forms."""
        return (
            local.translate(None, _AMBIGUOUS) == local != b""
            and (
                domain is None
                or (len(domain) < _MAX_DOMAIN and domain.translate(None, b"!\x1d") == domain)
            )
            and all(box.translate(None, _AMBIGUOUS) == box for box in boxes)
            and self.deletedprefix != _USER
        )

    def _reached(self, addressed: _Path, *, shared: bool) -> MailboxName:
        """What the mailbox list holds under the key that `addressed` becomes."""
        prefix = self.deletedprefix
        internal = self._parse(addressed.internal(prefix), b"!", b".", hats=True)
        dbname = internal.database(prefix)
        reached = self._parse(dbname, DOMAIN_SEPARATOR, HIERARCHY_SEPARATOR, hats=False)
        return MailboxName(
            reached.localpart,
            reached.domain,
            reached.boxes,
            deleted=reached.deleted,
            shared=shared,
            dbkey=NAME_KEY + dbname,
            deletedprefix=prefix,
        )

    def _parse(self, name: bytes, after_domain: bytes, separator: bytes, *, hats: bool) -> _Path:
        """Take an internal name or a key's name apart (mbname_from_intname, _from_dbname)."""
        domain: bytes | None = None
        before, found, rest = name.partition(after_domain)
        if found:
            domain = before if hats else before[: _MAX_DOMAIN - 1]
            if domain == self.default_domain:
                domain = None
        else:
            rest = name
        boxes = _split(rest, separator)
        if hats:
            boxes = tuple(box.replace(b"^", b".") for box in boxes)
        deleted = 0
        if len(boxes) > 2 and boxes[0] == self.deletedprefix:
            deleted = _hexadecimal(boxes[-1])
            boxes = boxes[1:-1]
        if len(boxes) > 1 and boxes[0] == _USER:
            return _Path(boxes[1], domain, boxes[2:], deleted)
        return _Path(None, domain, boxes, deleted)


class _Path(Value):
    """The parts of a name, whatever form it is written in."""

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
        deleted: int,
    ) -> None:
        self._freeze(boxes, deleted, domain, localpart)

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
        return self.boxes if self.localpart is None else (_USER, self.localpart, *self.boxes)

    def _framed(self, parts: Iterable[bytes], deletedprefix: bytes) -> Iterator[bytes]:
        if not self.deleted:
            yield from parts
            return
        yield deletedprefix
        yield from parts
        yield b"%X" % (self.deleted & 0xFFFFFFFF)


def _split(name: bytes, separator: bytes) -> tuple[bytes, ...]:
    """The parts between separators; empty ones do not count (strarray_split)."""
    return tuple(part for part in name.split(separator) if part)


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
