"""Whether lmtpd makes the mailbox of a user that has none, and what its quota is then.

The rules are those of autocreate_inbox (imap/lmtpd.c), autocreate_user
(imap/autocreate.c), mboxlist_create_namecheck and mboxname_policycheck
(imap/mboxlist.c, imap/mboxname.c): `autocreate_post`, an `autocreate_quota`
that is not negative, a user that is neither an admin nor a proxyserver and one of
`autocreate_users`, and a name that Cyrus allows.

Limits: which users are in a `group:`, or known to `auth_mech: pts` under which name,
is not asked; such a user counts as one whose mailbox is made, because a
refusal might lose his mail.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.cyrus import mutf7
from gateway.cyrus.quota import QuotaRecord, in_bytes

if TYPE_CHECKING:
    from gateway.cyrus.imapdconf import ImapdConf

# Outcomes of `Autocreate.outcome`: nothing is made, it is made, making it
# fails each time, and whether it is made is not known here.
NO = "no"
MADE = "made"
FAILS = "fails"
UNSURE = "unsure"

_ANONYMOUS = b"anonymous"
_ANYONE = "anyone"
_GROUP = "group:"

# What a name may be made of (GOODCHARS in imap/mboxname.c), `&` in modified UTF-7
# aside; behind a domain `!`, too.  Without one lmtpd dies of a `!` with virtdomains.
_GOOD = re.compile(rb"[ #$'()*+,\-.0-9:=?@A-Z\[\]^_a-z~&]*")
_GOOD_IN_DOMAIN = re.compile(rb"[ !#$'()*+,\-.0-9:=?@A-Z\[\]^_a-z~&]*")
# Users whose INBOX nobody may make, in any domain.
_RESERVED = (b"anyone", b"anonymous")
# The longest user and local part whose files' names are not too long (255 bytes with what Cyrus
# adds: nine to the local part, eight to the user), in 3.6.1 and 3.10.2.
_MAX_USER, _MAX_LOCAL = 247, 246
# What auth_unix takes for a user; others are in no list (allowedchars in lib/auth_unix.c).
_IDENTIFIER = re.compile(rb"[ !\"#$%'()+,\-.0-9;<=>@A-Z\[\\\]^_`a-z{|}~]{1,80}")
_NOT_IDENTIFIER = re.compile(rb"[%]")


class Autocreate:
    """The rules under one configuration; `active` tells whether any mailbox is made at delivery."""

    __slots__ = ("_admins", "_conf", "_users", "active")

    def __init__(self, conf: ImapdConf) -> None:
        self._conf = conf
        self.active = conf.autocreate_post and conf.autocreate_quota >= 0
        self._admins = (*conf.admins.split(), *(conf.proxyservers or "").split())
        self._users = tuple(conf.autocreate_users.split())

    @property
    def unsure(self) -> tuple[str, ...]:
        """What of the options cannot be honoured: groups, and ptloader's users."""
        if not self.active:
            return ()
        groups = [each for each in (*self._admins, *self._users) if each.startswith(_GROUP)]
        if self._conf.auth_mech != "unix" and self._users != (_ANYONE,):
            groups.append(f"auth_mech: {self._conf.auth_mech}")
        return tuple(dict.fromkeys(groups))

    def outcome(self, userid: bytes, localpart: bytes) -> tuple[str, str]:
        """What happens to a user without INBOX, and why, for people.

        `userid` is the user as lmtpd knows him, `localpart` without his domain.
        """
        conf = self._conf
        if not conf.autocreate_post:
            return NO, "autocreate_post is off"
        if conf.autocreate_quota < 0:
            return NO, f"autocreate_quota is {conf.autocreate_quota}"
        if userid == _ANONYMOUS:
            return NO, "Cyrus creates no mailbox for anonymous"
        doubts = []
        identity = self._identity(userid)
        admin = _member(identity, self._admins)
        if admin:
            return NO, "an admin or a proxyserver"
        allowed = _member(identity, self._users)
        if allowed is False:
            return NO, "none of autocreate_users"
        if not _creatable(localpart, userid):
            return FAILS, "Cyrus creates no mailbox of such a name"
        if admin is None:
            doubts.append("whether one of the groups of admins or proxyservers")
        if allowed is None:
            doubts.append("whether one of the groups of autocreate_users")
        if doubts:
            return UNSURE, f"not known here: {' and '.join(doubts)}"
        return MADE, "autocreate_post"

    def quota(self, root: bytes, before: QuotaRecord | None) -> QuotaRecord:
        """The quota root of the new INBOX; `before` is what was there under its name."""
        conf = self._conf
        storage, messages = conf.autocreate_quota, conf.autocreate_quota_messages
        return QuotaRecord(
            root,
            before.storage_used if before is not None else 0,
            in_bytes(storage) if storage > 0 else None,
            before.messages_used if before is not None else 0,
            messages if messages > 0 else None,
        )

    def _identity(self, userid: bytes) -> str:
        """Who the user is to the lists; anonymous where auth_unix takes the user for nobody."""
        if _IDENTIFIER.fullmatch(userid) is None or _NOT_IDENTIFIER.search(userid) is not None:
            return _ANONYMOUS.decode()
        text = userid.decode("ascii")
        return text.lower() if self._conf.username_tolower else text


def _member(identity: str, listed: tuple[str, ...]) -> bool | None:
    """Whether a user is in a list; None where a group might have the user."""
    if _ANYONE in listed or identity in listed:
        return True
    return None if any(each.startswith(_GROUP) for each in listed) else False


def _creatable(localpart: bytes, userid: bytes) -> bool:
    """Whether Cyrus makes an INBOX for a user of that name (mboxname_policycheck).

    With `*` or `?` in it the first delivery makes it and fails with its quota,
    and the next one succeeds.
    """
    if not localpart or localpart in _RESERVED:
        return False
    if len(localpart) > _MAX_LOCAL or len(userid) > _MAX_USER:
        return False
    if (_GOOD_IN_DOMAIN if userid != localpart else _GOOD).fullmatch(localpart) is None:
        return False
    if b"&" not in localpart:
        return True
    try:
        return mutf7.encode(mutf7.decode(localpart).encode("utf-8")) == localpart
    except ValueError:
        return False
