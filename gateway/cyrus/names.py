"""From a recipient's address to the names that its mailbox may have.

The rules are those of mbname_from_recipient and its neighbours in
imap/mboxname.c and of verify_user in imap/smmapd.c.  Versions of Cyrus read
some addresses differently, and an address may be meant in two ways; so an
address has one or more `readings`, in the order in which they are looked up:

- The domain follows the last `@`.  It is dropped where virtdomains is
  off or where it is the default domain; where it is the default domain in
  other letters, it is kept first and dropped then.
- The folders follow the first `+`, divided by the hierarchy separator,
  empty parts skipped; in UTF-8 or in modified UTF-7 already.  Where they hold
  a `&`, either may be meant (`spellings`); Cyrus up to 3.2 takes them as they
  stand.
- User and domain are put in lower case where lmtp_downcase_rcpt says so.
- The user that `postuser` names stands for the shared folders, which have no
  domain.
- From Cyrus 3.6 on a name becomes the mailbox list's key by way of its
  internal form, in which `^` and `.` change places.  So `a^b` reaches user
  `a.b`, and `+fred`, where `postuser` is something else, reaches user `fred`.
  Up to 3.4 the internal form itself is the key, as it was formed: `user..fred`
  is then nobody's.
- Up to 2.5 the separator divides the user's name, too, and shared folders
  have the address' domain (`before_3_names`).

A NUL byte is part of no name: such an address reaches nothing.  There is no
limit of length here; a name that is longer than Cyrus allows is in no list.
"""

from __future__ import annotations

from gateway.cyrus import namepath
from gateway.cyrus.imapdconf import VIRTDOMAINS_OFF
from gateway.cyrus.namepath import DOMAIN_SEPARATOR, HIERARCHY_SEPARATOR, NamePath
from gateway.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.cyrus.imapdconf import ImapdConf

# The letter that marks a key made of a name (KEY_TYPE_NAME in imap/mboxlist.c).
NAME_KEY = b"N"

# Bytes in a user's name that mean something in the internal form or in the
# key; with them the name must be taken apart again to see what it reaches.
_AMBIGUOUS = b"!^" + DOMAIN_SEPARATOR + HIERARCHY_SEPARATOR

# What a local part that is nothing but a user's name does not hold, besides.
_NOT_ALONE = _AMBIGUOUS + b"+\0"

# `/` divides and `.` is a letter; in the internal form it is the other way
# round, with `^` for the letter (mboxname_hiersep_tointernal).
_TO_INTERNAL = bytes.maketrans(b"/.", b".^")


class MailboxName(Value):
    """One reading of an address: what it is called, and which mailbox it reaches.

    `localpart`, `domain` and `boxes` (the path of folders) are the reached
    mailbox's; `owner` is the user whose mailbox that is, as userdeny knows
    him, with the domain where there is one; None for a shared folder.
    `userid` is the user as the address has him, and None where it names a
    shared folder: then, and only then, the ACL decides who may post.
    `internal` is the reached mailbox's internal name `domain!user.name.folder`,
    `dbkey` the mailbox list's key from Cyrus 3.6 on, `oldkey` that of older
    lists, which is the internal name as it was formed.  Where only older
    versions read the address so, `dbkey` is empty; `before_3` marks what only
    those up to 2.5 do.
    """

    __slots__ = (
        "before_3",
        "boxes",
        "dbkey",
        "domain",
        "internal",
        "localpart",
        "oldkey",
        "owner",
        "userid",
    )
    before_3: bool
    boxes: tuple[bytes, ...]
    dbkey: bytes
    domain: bytes | None
    internal: bytes
    localpart: bytes | None
    oldkey: bytes
    owner: bytes | None
    userid: bytes | None

    def __init__(
        self,
        reached: NamePath,
        *,
        userid: bytes | None,
        internal: bytes,
        dbkey: bytes,
        oldkey: bytes,
        before_3: bool = False,
    ) -> None:
        self.before_3 = before_3
        self.boxes = reached.boxes
        self.dbkey = dbkey
        self.domain = reached.domain
        self.internal = internal
        self.localpart = reached.localpart
        self.oldkey = oldkey
        self.owner = reached.userid
        self.userid = userid
        self._freeze()

    @property
    def quota_names(self) -> tuple[bytes, ...]:
        """The internal names whose quota roots count, the reached mailbox's last.

        The C program knows the name as it was formed; where that is another
        user's than the one that is reached, what is the user's counts as well.
        """
        if self.owner in (None, self.userid) or self.internal == self.oldkey:
            return (self.oldkey,)
        return (self.oldkey, self.internal)

    def in_older(self) -> MailboxName:
        """The same, where only versions with older lists read the address so."""
        return MailboxName(
            NamePath(self.localpart, self.domain, self.boxes),
            userid=self.userid,
            internal=self.internal,
            dbkey=b"",
            oldkey=self.oldkey,
        )


class Naming(Value):
    """The rules of one configuration for the way from an address to its readings.

    `keeps_domains` is False where every domain is dropped; `separator`
    divides folders in an address.
    """

    __slots__ = (
        "_default_folded",
        "_plain_names",
        "default_domain",
        "deletedprefix",
        "downcase",
        "keeps_domains",
        "postuser",
        "separator",
        "skip_plus",
    )
    _default_folded: bytes
    _plain_names: bool
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
        self._default_folded = default_domain.lower()
        # Else what is deleted is where users are, and each name has to be taken apart.
        self._plain_names = deletedprefix != namepath.USER
        self.default_domain = default_domain
        self.deletedprefix = deletedprefix
        self.downcase = downcase
        self.keeps_domains = keeps_domains
        self.postuser = postuser
        self.separator = separator
        self.skip_plus = skip_plus
        self._freeze()

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
        """The first reading of `address`."""
        return self.readings(address)[0]

    def readings(self, address: bytes) -> tuple[MailboxName, ...]:
        """What `address` may mean, whether there is such a mailbox or not; never empty."""
        if b"\0" in address:
            return (self._plain(NamePath(address, None, ())),)
        local, at, after = address.rpartition(b"@")
        domains: tuple[bytes | None, ...] = (None,)
        if not at:
            local = address
        elif self.keeps_domains and after != self.default_domain:
            domains = (after, None) if after.lower() == self._default_folded else (after,)
        local, plus, detail = local.partition(b"+")
        details = spellings(detail) if plus and not self.skip_plus else ()
        if self.downcase:
            local = local.lower()
            domains = tuple(domain and domain.lower() for domain in domains)
        boxes = [namepath.split(text, self.separator) for text in details] or [()]
        found = [self._reading(local, domain, path) for domain in domains for path in boxes]
        if details and detail not in details:
            path = namepath.split(detail, self.separator)
            found += [self._reading(local, domain, path).in_older() for domain in domains]
            details = (*details, detail)
        found += self.before_3_names(local, domains[-1], details)
        return tuple(found)

    def mailbox(
        self, localpart: bytes | None, domain: bytes | None, boxes: tuple[bytes, ...] = ()
    ) -> MailboxName:
        """The mailbox that these parts of a name reach; without a local part a shared folder."""
        formed = NamePath(localpart, domain, boxes)
        if localpart is not None and self._is_plain(localpart, domain, boxes):
            return self._plain(formed)
        return self._reached(formed)

    def named(self, internal: bytes) -> MailboxName:
        """The mailbox with that internal name."""
        return self._reached(
            namepath.from_internal(internal, self.default_domain, self.deletedprefix)
        )

    def plain(self, address: bytes) -> tuple[bytes, bytes] | None:
        """The list's key and the owner of the mailbox of `address`, where it is a simple case.

        None for folders, shared folders and whatever has several readings:
        `readings` knows them all, and takes four times as long.
        """
        local, at, domain = address.rpartition(b"@")
        if not at:
            local = domain
        # Said here once more than in `_is_plain`: every unknown recipient comes this way.
        if not local or local.translate(None, _NOT_ALONE) != local or not self._plain_names:
            return None
        if self.downcase:
            local = local.lower()
        if at:
            if b"\0" in domain:
                return None
            if self.keeps_domains and (domain != self.default_domain or not domain):
                if self.downcase:
                    domain = domain.lower()
                owner = local + b"@" + domain
                if (
                    not domain
                    or domain.lower() == self._default_folded
                    or owner == self.postuser
                    or not self._is_plain(local, domain, ())
                ):
                    return None
                return NAME_KEY + domain + b"\x1duser\x1f" + local, owner
        return None if local == self.postuser else (b"Nuser\x1f" + local, local)

    def _reading(self, local: bytes, domain: bytes | None, boxes: tuple[bytes, ...]) -> MailboxName:
        """The mailbox of a user or, where `postuser` says so, a shared folder."""
        formed = NamePath(local, domain, boxes)
        if formed.userid == self.postuser:
            return self._reached(NamePath(None, None, boxes))
        if self._is_plain(local, domain, boxes):
            return self._plain(formed)
        return self._reached(formed)

    def _is_plain(self, local: bytes, domain: bytes | None, boxes: tuple[bytes, ...]) -> bool:
        """Whether the name means the same in all its forms."""
        return (
            local.translate(None, _AMBIGUOUS) == local != b""
            and (
                domain is None
                or (
                    len(domain) < namepath.MAX_DOMAIN
                    and domain != self.default_domain
                    and domain.translate(None, b"!\x1d") == domain
                )
            )
            and all(box.translate(None, _AMBIGUOUS) == box for box in boxes)
            and self._plain_names
        )

    def _plain(self, path: NamePath) -> MailboxName:
        """The mailbox of a name that means the same in all its forms."""
        local = path.localpart
        # same with is: the longer way to the same
        # same without not in place 2: the longer way to the same
        if path.domain is None and not path.boxes and local is not None and not path.deleted:
            # An INBOX, which most questions are about.
            internal = b"user." + local.replace(b".", b"^")
            dbkey = b"Nuser" + HIERARCHY_SEPARATOR + local
        else:
            internal = path.internal(self.deletedprefix)
            dbkey = NAME_KEY + path.database(self.deletedprefix)
        return MailboxName(
            path, userid=path.userid, internal=internal, dbkey=dbkey, oldkey=internal
        )

    def _reached(self, formed: NamePath) -> MailboxName:
        """What the mailbox list holds under the keys that `formed` becomes."""
        default, prefix = self.default_domain, self.deletedprefix
        oldkey = formed.internal(prefix)
        dbname = namepath.from_internal(oldkey, default, prefix).database(prefix)
        reached = namepath.from_database(dbname, default, prefix)
        return MailboxName(
            reached,
            userid=formed.userid,
            internal=reached.internal(prefix),
            dbkey=NAME_KEY + dbname,
            oldkey=oldkey,
        )

    def before_3_names(
        self, local: bytes, domain: bytes | None, details: tuple[bytes, ...]
    ) -> list[MailboxName]:
        """What Cyrus up to 2.5 makes of an address, where later ones make something else of it.

        The separator divides the local part like the folders, so `fred/Work`
        is a folder of fred's; and where the local part alone is `postuser`, the
        folder behind it is shared and in the address' domain.
        """
        shared = local == self.postuser
        if shared:
            if domain is None or not details:
                return []
        elif self.separator not in local:
            return []
        start = b"" if domain is None else domain + b"!"
        userid = None if shared else NamePath(local, domain, ()).userid
        found = []
        for detail in details or (b"",):
            parts = [detail] if shared else [b"user", local, *([detail] if detail else [])]
            oldkey = start + b".".join(self._to_internal(part) for part in parts)
            reached = namepath.from_internal(oldkey, self.default_domain, self.deletedprefix)
            found.append(
                MailboxName(
                    reached,
                    userid=userid,
                    internal=oldkey,
                    dbkey=b"",
                    oldkey=oldkey,
                    before_3=True,
                )
            )
        return found

    def _to_internal(self, part: bytes) -> bytes:
        return part.translate(_TO_INTERNAL) if self.separator == b"/" else part


def spellings(detail: bytes) -> tuple[bytes, ...]:
    """The modified UTF-7 that the folders in an address may stand for, the likeliest first.

    Cyrus from 3.4 to 3.12 encodes whatever is there, and later ones do unless
    the first `&` is followed by letters of base64 and a `-`, as in `R&D-Team`.
    What is well-formed is most likely encoded already; but `R&AOQ-` may be
    meant letter by letter, too.
    """
    from gateway.cyrus import mutf7  # noqa: PLC0415  (most addresses name no folder)

    encoded = mutf7.encode(detail)
    if not mutf7.looks_encoded(detail):
        return (encoded,)
    return (detail, encoded) if mutf7.is_encoded(detail) else (encoded, detail)
