"""From root to the user that the gateway runs as, for good.

The sockets are opened first, as root.  Dropping sets the supplementary
groups, the group and the user in all their forms (real, effective, saved)
and then proves that there is no way back.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from gateway.errors import ConfigurationError

ROOT = 0


class PrivilegeError(ConfigurationError):
    """The user or group that the configuration names cannot be used, or root not be left."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group by number; `user` is the login name, which initgroups(3) needs."""

    user: str
    uid: int
    gid: int


def resolve(user: str, group: str = "") -> Identity:
    """The identity of the names; an empty `group` is the user's own.

    Raises PrivilegeError for an unknown name, and for root itself.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(
            f'there is no user "{user}"; create it (systemd-sysusers, adduser --system) '
            "or name another one",
            option="user",
        ) from None
    if account.pw_uid == ROOT:
        raise PrivilegeError(
            f'"{user}" is root; name a user without special rights that can read the '
            "databases of Cyrus",
            option="user",
        )
    return Identity(user, account.pw_uid, group_id(group) if group else account.pw_gid)


def user_id(user: str) -> int:
    """The number of `user`; raises PrivilegeError."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise PrivilegeError(f'there is no user "{user}"; create it or name another one') from None


def group_id(group: str) -> int:
    """The number of `group`; raises PrivilegeError."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise PrivilegeError(
            f'there is no group "{group}"; create it or name another one', option="group"
        ) from None


def is_root() -> bool:
    """Whether this process has root's rights now."""
    return os.geteuid() == ROOT


def drop(identity: Identity) -> None:
    """Become `identity` and prove that root cannot be had again; only root may call it.

    Raises PrivilegeError; the process must then end, since it may be half changed.
    """
    try:
        os.initgroups(identity.user, identity.gid)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise PrivilegeError(
            f"cannot become user {identity.user} (uid {identity.uid}, gid {identity.gid}): "
            f"{os.strerror(error.errno or 0)}; start the gateway as root or as that user"
        ) from None
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        raise PrivilegeError(f"the kernel did not make this process user {identity.user}")
    try:
        os.setuid(ROOT)
    except PermissionError:
        return
    raise PrivilegeError(
        f"after becoming {identity.user} this process can still become root; "
        "take CAP_SETUID from it"
    )
