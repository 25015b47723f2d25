"""From a recipient's address to mailboxes as Cyrus' lmtpd reads it.

The rules are those of parseaddr and process_recipient in imap/lmtpengine.c and
of mbname_from_recipient in imap/mboxname.c:

- The address arrives by LMTP: a local part that needs quotes has them, and
  they are part of the user's name (taken away up to Cyrus 2.5, never a mailbox
  from 3.0 on).  Eight-bit characters, and domains of anything but letters,
  digits, dots and hyphens, are not an address (501) unless `lmtp_strict_rfc2821`
  is off: then each such byte of a local part is an X.
- A source route in front is skipped.
- User and domain are put in lower case after the domain was compared with the
  default one, so that another spelling of it is another domain.  Where it
  becomes equal by that, versions differ (delivered, aborted, 550); it counts
  as the default domain here.
- The local part alone is compared with `postuser`; then it is a shared folder,
  in the domain that is left.

`Addressed` is one reading of an address.  `others` gives the readings of
versions that cannot be told apart from the one at hand, and of what a key was
before it was folded: they count only where the first one refuses permanently.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from gateway.cyrus import namepath
from gateway.cyrus.names import Naming, spellings
from gateway.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cyrus.imapdconf import ImapdConf
    from gateway.cyrus.names import MailboxName

# `@a,@b:` in front of an address (parseaddr, at-domain-list).
_HOP = rb"@(?:\[[0-9.]*\]|[A-Za-z0-9.-]*)"
_ROUTE = re.compile(_HOP + rb"(?:," + _HOP + rb")*:(?!@)")
_DOMAIN = re.compile(rb"\[[0-9.]*\]|[A-Za-z0-9.-]*")
# What an address cannot be sent with, in quotes or not.
_UNSPEAKABLE = re.compile(rb"[\0\r\n]")
# What an MTA puts into quotes (RFC 5321, 4.1.2).
_NEEDS_QUOTES = re.compile(rb'[\x00-\x20<>()\[\]\\,;:"@]')
# An address with nothing of all that.
_SIMPLE = re.compile(rb"""([^\x00-\x20<>()\[\]\\,;:"@\x80-\xff]+)(?:@([A-Za-z0-9.-]*))?""")
_EIGHT_BIT = re.compile(rb"[\x80-\xff]")
# Options with the name of a folder that lmtpd puts no mail into, nor into those below it
# (mboxname_isnondeliverymailbox in imap/mboxname.h of 3.6, in imap/mboxname.c from 3.8 on).
_NOT_FOR_MAIL = (
    "addressbookprefix",
    "calendarprefix",
    "davdriveprefix",
    "davnotificationsprefix",
    "jmappushsubscriptionfolder",
    "jmapsubmissionfolder",
    "jmapuploadfolder",
    "notesmailbox",
    "sieve_folder",
)
# The same from 3.8 on.  3.6 does not know the option and delivers, and the list does not tell which
# it is: so this one counts where imapd.conf sets it, and its default is a folder like any other.
_NOT_FOR_MAIL_WHERE_SET = ("jmapnotificationfolder",)


class Addressed(Value):
    """One reading of an address.

    `userid` is the user as lmtpd forms the name, as userdeny and autocreate
    know him, and `inbox` his INBOX; both are None for a shared folder.
    `folders` are the folder behind the plus, or the shared folder, in each of
    the ways that versions read it; empty where none is named.
    """

    __slots__ = ("folders", "inbox", "userid")
    folders: tuple[MailboxName, ...]
    inbox: MailboxName | None
    userid: bytes | None

    def __init__(
        self,
        userid: bytes | None,
        inbox: MailboxName | None,
        folders: tuple[MailboxName, ...] = (),
    ) -> None:
        self.folders = folders
        self.inbox = inbox
        self.userid = userid
        self._freeze()


class DeliveryNaming:
    """lmtpd's rules under one configuration."""

    __slots__ = ("_created", "_listed", "_naming", "_not_for_mail", "_strict")

    def __init__(self, conf: ImapdConf) -> None:
        self._naming = Naming.from_conf(conf)
        options = [
            *_NOT_FOR_MAIL,
            *(each for each in _NOT_FOR_MAIL_WHERE_SET if each in conf.given),
        ]
        self._not_for_mail = {getattr(conf, option): option for option in options}
        self._strict = conf.lmtp_strict_rfc2821
        listed = tuple(os.fsencode(each) for each in conf.autocreate_users.split())
        self._listed = tuple(each for each in listed if each != each.lower())
        # A user may be written in any letters, and made: identities are folded (username_tolower).
        self._created = frozenset(each.lower() for each in listed)

    @property
    def naming(self) -> Naming:
        """The rules of names that smmapd has in common."""
        return self._naming

    def recipient(self, address: bytes, *, folders: bool = True) -> Addressed | None:
        """What `address` means; None where it is not an address to lmtpd.

        Without `folders` those of a user are left out, which gets mail without them.
        """
        simple = _SIMPLE.fullmatch(address)
        if simple is not None:
            local, domain = simple.groups()
            return self._addressed(local, self._kept(domain), folders=folders)
        parts = self._parts(address)
        if parts is None:
            return None
        local, domain = parts
        return self._addressed(_quoted(local), self._kept(domain), folders=folders)

    def user(self, userid: bytes) -> Addressed:
        """The user `userid` as imapd.conf writes him (mbname_from_userid)."""
        local, at, domain = userid.rpartition(b"@")
        if not at:
            local = userid
        kept = domain if at and domain != self._naming.default_domain else None
        # As userdeny and autocreate know him: without the default domain.
        known = local if kept is None else userid
        return Addressed(known, self._naming.mailbox(local, kept))

    def address(self, folder: MailboxName) -> bytes:
        """The address of a shared folder that has no domain."""
        naming = self._naming
        return naming.postuser + b"+" + naming.separator.join(folder.boxes)

    def kept_by(self, folder: MailboxName, *, older: bool) -> str:
        """The option by which a folder of that name takes no mail, whatever its record says; or "".

        `delete_mode: delayed` has put it aside (mbname_isdeleted), or it is one for calendars,
        notes and the like.  Not by `older` versions, those up to 3.4.
        """
        naming = self._naming
        path = namepath.from_internal(folder.internal, naming.default_domain, naming.deletedprefix)
        if path.deleted:
            return "deletedprefix"
        return "" if older or not path.boxes else self._not_for_mail.get(path.boxes[0], "")

    def others(self, address: bytes, *, older: bool, folded: bool) -> Iterator[Addressed]:
        """Further readings: of Cyrus up to 3.4 with `older`, before folding with `folded`."""
        parts = self._parts(address)
        if parts is None:
            return
        local, domain = parts
        naming = self._naming
        kept = self._kept(domain)
        domains = [kept]
        default = naming.default_domain.lower()
        if domain is not None and kept is not None and domain.lower() == default:
            domains.append(None)  # 2.5 compares without regard to case
        quoted = _quoted(local)
        locals_ = [quoted, local] if older and local != quoted else [quoted]
        for each in locals_:
            for place in domains:
                if each is not quoted or place is not kept:
                    yield self._addressed(each, place)
                if older:
                    yield from self._by_separator(each, place)
                if folded and not naming.downcase:
                    yield from self._folded_user(each, place)

    def plain(self, address: bytes) -> tuple[bytes, bytes] | None:
        """As Naming.plain, for addresses that mean the same to lmtpd and have no other reading."""
        if _EIGHT_BIT.search(address) is not None:
            return None
        local, at, domain = address.rpartition(b"@")
        if not at:
            local, domain = address, b""
        if not local or _NEEDS_QUOTES.search(local) is not None:
            return None
        if _DOMAIN.fullmatch(domain) is None:
            return None
        naming = self._naming
        if domain and domain.lower() == naming.default_domain.lower():
            return None
        if (local.lower() if naming.downcase else local) == naming.postuser:
            return None  # the local part alone counts, in every domain
        return naming.plain(address)

    def _parts(self, address: bytes) -> tuple[bytes, bytes | None] | None:
        """Local part and domain; None where lmtpd says 501."""
        if _UNSPEAKABLE.search(address) is not None:
            return None
        if address.startswith(b"@"):
            route = _ROUTE.match(address)
            if route is None:
                return None
            address = address[route.end() :]
        local, at, domain = address.rpartition(b"@")
        if not at:
            local = address
        elif _DOMAIN.fullmatch(domain) is None:
            return None
        if _EIGHT_BIT.search(local) is not None and _NEEDS_QUOTES.search(local) is None:
            if self._strict:
                return None
            local = _EIGHT_BIT.sub(b"X", local)
        return local, domain if at else None

    def _kept(self, domain: bytes | None) -> bytes | None:
        """The domain that stays in the name."""
        naming = self._naming
        if domain is None or not naming.keeps_domains or domain == naming.default_domain:
            return None
        if naming.downcase:
            domain = domain.lower()
            if domain == naming.default_domain:
                return None
        return domain

    def _addressed(self, local: bytes, domain: bytes | None, *, folders: bool = True) -> Addressed:
        naming = self._naming
        user, plus, detail = local.partition(b"+")
        if naming.downcase:
            user = user.lower()
        if user == naming.postuser:
            return Addressed(None, None, self._folders(None, domain, detail))
        userid = user if domain is None else user + b"@" + domain
        inbox = naming.mailbox(user, domain)
        if not plus or not detail or not folders:
            return Addressed(userid, inbox)
        return Addressed(userid, inbox, self._folders(user, domain, detail))

    def _folders(
        self, user: bytes | None, domain: bytes | None, detail: bytes
    ) -> tuple[MailboxName, ...]:
        """The folder that `detail` names, in each of the ways that versions read it."""
        naming = self._naming
        found = [
            naming.mailbox(user, domain, namepath.split(each, naming.separator))
            for each in spellings(detail)
        ]
        if detail not in spellings(detail):
            path = namepath.split(detail, naming.separator)
            found.append(naming.mailbox(user, domain, path).in_older())
        return tuple(found)

    def _by_separator(self, local: bytes, domain: bytes | None) -> Iterator[Addressed]:
        """Cyrus 2.5 takes the separator in a user's name for that of folders."""
        naming = self._naming
        user, _, _ = local.partition(b"+")
        if naming.downcase:
            user = user.lower()
        if user != naming.postuser:
            for name in naming.before_3_names(user, domain, ()):
                yield Addressed(name.userid, name)

    def _folded_user(self, local: bytes, domain: bytes | None) -> Iterator[Addressed]:
        """Users whose capitals count, before they were lost.

        `postuser` written with capitals; a user called as `postuser` is but for
        them; and a user that `autocreate_users` names with capitals, or anyone.
        """
        user, _, detail = local.partition(b"+")
        postuser = self._naming.postuser
        if user != postuser and user.lower() == postuser.lower():
            yield Addressed(None, None, self._folders(None, domain, detail))
        rest = local.removeprefix(user)
        # Written in capitals throughout, this user stands for all other ways to write it.
        # same with |: a user in capitals is found by the same rules
        made = {b"anyone", user, user + b"@" + (domain or b"")} & self._created
        names = [user.upper()] if user == postuser or made else []
        names += [each for each in self._listed if each.lower() == user]
        for each in names:
            if each != user:
                yield self._addressed(each + rest, domain)


def _quoted(local: bytes) -> bytes:
    """The local part as an MTA writes it."""
    if _NEEDS_QUOTES.search(local) is None:
        return local
    return b'"' + local.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
