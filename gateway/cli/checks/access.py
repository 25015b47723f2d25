"""Whether a user can read files: tried as that user, or told by owners and modes.

Trying is exact (ACLs, mounts, security modules) and needs root, which becomes
the user in a child process.  What modes tell is for users of other programs,
and knows neither ACLs nor capabilities.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import stat
from typing import TYPE_CHECKING

from gateway.supervisor import privileges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.supervisor.privileges import Identity

MISSING = "does not exist"


def problems(paths: Iterable[str], identity: Identity | None) -> dict[str, str]:
    """Of the paths that cannot be read: why not; a folder must also be enterable.

    Tried as `identity`, which only root can; None tries as ourselves.  Raises
    PrivilegeError where root cannot become that user.
    """
    if identity is None:
        return {path: reason for path in paths if (reason := _problem(path))}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(writer, list(paths), identity)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    told: object = json.loads(answer) if answer else "the child process died"
    if isinstance(told, dict):
        return {str(path): str(reason) for path, reason in told.items()}
    raise privileges.PrivilegeError(str(told))


def _child(writer: int, paths: list[str], identity: Identity) -> None:
    """Become the user, try, tell; never comes back."""
    try:
        answer: object
        try:
            privileges.drop(identity)
            answer = {path: reason for path in paths if (reason := _problem(path))}
        except privileges.PrivilegeError as error:
            answer = str(error)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
    finally:
        os._exit(0)


def _problem(path: str) -> str:
    """Why this process cannot read `path`; empty if it can."""
    try:
        # Non-blocking: opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as fault:
        if fault.errno == errno.EACCES:
            return _denied(path)
        reason = os.strerror(fault.errno or 0)
        return MISSING if fault.errno == errno.ENOENT else f"cannot open it: {reason}"
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
    if is_folder and not os.access(path, os.X_OK, effective_ids=True):
        return f"may not enter {path} ({permissions(path)})"
    return ""


def _denied(path: str) -> str:
    for folder in folders(path):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return f"may not enter {folder} ({permissions(folder)})"
    return f"may not read it ({permissions(path)})"


def folders(path: str) -> Iterator[str]:
    """The folders above `path`, from the root down."""
    above = []
    folder = os.path.dirname(os.path.realpath(path))
    while folder not in above:
        above.append(folder)
        folder = os.path.dirname(folder)
    yield from reversed(above)


def permissions(path: str) -> str:
    """`drwxr-x--- cyrus:mail`, as ls shows it."""
    try:
        found = os.stat(path)
    except OSError as fault:
        return os.strerror(fault.errno or 0)
    return f"{stat.filemode(found.st_mode)} {_user(found.st_uid)}:{_group(found.st_gid)}"


def entry_barred(path: str, uid: int, groups: Iterable[int]) -> str | None:
    """The first folder above `path` that owner and mode keep the user from entering, or None."""
    known = frozenset(groups)
    for folder in folders(path):
        try:
            found = os.stat(folder)
        except OSError:
            return folder
        if not _may(found, uid, known, stat.S_IXOTH):
            return folder
    return None


def may_write(owner: int, group: int, mode: int, uid: int, groups: Iterable[int]) -> bool:
    """Whether a user may write to a file with this owner, group and mode."""
    if uid == privileges.ROOT:
        return True
    if owner == uid:
        return bool(mode & stat.S_IWUSR)
    if group in frozenset(groups):
        return bool(mode & stat.S_IWGRP)
    return bool(mode & stat.S_IWOTH)


def _may(found: os.stat_result, uid: int, groups: frozenset[int], bit: int) -> bool:
    if uid == privileges.ROOT:
        return True
    if found.st_uid == uid:
        bit <<= 6
    elif found.st_gid in groups:
        bit <<= 3
    return bool(found.st_mode & bit)


def own_user() -> str:
    """The name of the user that this process is."""
    return _user(os.geteuid())


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
