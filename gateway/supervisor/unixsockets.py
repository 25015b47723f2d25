"""A listening Unix socket, opened without removing other files or letting others connect early.

- A socket file is replaced only after a connect proved that no process accepts on
  it, and any other file never.  A lock on the folder (flock(2), it leaves no
  file behind) keeps two instances from doing so at the same moment.
- The file is made with mode 0600 and gets its owner and mode before the socket
  listens, through a descriptor that was checked to be a socket.

Linux only: it needs O_PATH and /proc.  The umask is changed for the moment of
the bind, so the process must have no other thread that creates files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config.endpoints import UnixEndpoint
from gateway.errors import ConfigurationError
from gateway.supervisor import privileges

# The kernel cuts it to net.core.somaxconn (4096 since Linux 5.4).
BACKLOG = 4096
# Another instance holds the folder's lock for some system calls; this is a stuck one.
_LOCK_SECONDS = 2.0
_LOCK_PAUSE = 0.01
_PRIVATE_UMASK = 0o177

# A reload is done by the user that the start has become.
_ROOT_MAY = (
    "restart the gateway, whose start opens sockets as root (without User= in the unit, and with "
    "the capabilities of ours)"
)

Inode = tuple[int, int]


class ListenError(ConfigurationError):
    """A socket cannot be listened on; the message names it, the reason and what to do."""

    def __init__(self, endpoint: object, reason: str) -> None:
        super().__init__(f"cannot listen on {endpoint}: {reason}")


class TakenError(ListenError):
    """Another process listens there."""


def listen(
    endpoint: UnixEndpoint, owner: privileges.Identity | None = None
) -> tuple[socket.socket, Inode]:
    """A listening socket at the endpoint's path, and the device and inode of its file.

    `owner` owns the file where the endpoint names no user or group itself.
    Raises ListenError.
    """
    ids = _ids(endpoint, owner)
    with _locked_folder(endpoint):
        _make_way(endpoint)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound = False
        try:
            _bind_private(listener, endpoint.path)
            bound = True
            inode = _set_permissions(endpoint, ids)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            if bound:
                os.unlink(endpoint.path)
            raise ListenError(endpoint, _mended(error, endpoint)) from None
    return listener, inode


def require_place(endpoint: UnixEndpoint) -> None:
    """Raise ListenError where the socket's folder is not there, or its user or group; open nothing.

    Whether the folder may be used is told by `listen`: a socket that is open
    already may be kept after that has changed.
    """
    _ids(endpoint, None)
    try:
        os.stat(os.path.join(os.path.dirname(endpoint.path), ""))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ListenError(endpoint, _mended(error, endpoint)) from None
    except OSError:
        return


def obstacle(endpoint: UnixEndpoint) -> str | None:
    """Why this process could not make the endpoint's socket; None: it could, or it is served.

    Nothing is made: the folder, and the owner and group that the file would get,
    are looked at with the rights that this process has.
    """
    try:
        uid, gid = _ids(endpoint, None)
    except ListenError:
        return None  # `require_place` tells
    path, folder = endpoint.path, os.path.dirname(endpoint.path)
    if inode_of(path) is not None and _why_alive(path) is not None:
        return None
    try:
        # A folder that is mounted read-only says so (EROFS) only where it is written to.
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            code = errno.EROFS if read_only else errno.EACCES
            raise OSError(code, os.strerror(code))
        foreign = uid not in (-1, os.geteuid()) or gid not in (-1, os.getegid(), *os.getgroups())
        if foreign and not privileges.is_root():
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    except OSError as error:
        return _mended(error, endpoint)
    return None


def apply_permissions(endpoint: UnixEndpoint, owner: privileges.Identity | None = None) -> None:
    """Give the file of a socket that is already open the endpoint's owner and mode.

    Raises ListenError.
    """
    try:
        _set_permissions(endpoint, _ids(endpoint, owner))
    except OSError as error:
        raise ListenError(endpoint, _mended(error, endpoint)) from None


def inode_of(path: str) -> Inode | None:
    """Device and inode of the socket file at `path`, or None where there is no such."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def unlink_if(path: str, inode: Inode) -> bool:
    """Remove the socket file at `path` if it is still the one of `inode`; tell whether."""
    if inode_of(path) != inode:
        return False
    try:
        os.unlink(path)
    except OSError:
        # After the drop from root the folder may not be ours; the next start replaces the file.
        return False
    return True


def folder_warnings(endpoint: UnixEndpoint) -> Iterator[str]:
    """One warning for each folder above the socket that Sendmail will not trust.

    Sendmail refuses a socket below a folder that its group or others may write
    (doc/op/op.me, DontBlameSendmail: GroupWritableDirPathSafe); so may anybody
    put another socket in the place of ours.
    """
    folder = os.path.realpath(os.path.dirname(endpoint.path))
    while True:
        try:
            mode = os.stat(folder).st_mode
        except OSError:
            return
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            who = "others" if mode & stat.S_IWOTH else "its group"
            yield (
                f"{endpoint}: the folder {folder} may be written by {who}, and Sendmail refuses "
                "a socket below it; use a folder of its own: install -d -m 0755 /run/smmapd"
            )
        if folder == "/":
            return
        folder = os.path.dirname(folder)


@contextmanager
def _locked_folder(endpoint: UnixEndpoint) -> Iterator[None]:
    folder = os.path.dirname(endpoint.path)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ListenError(endpoint, _mended(error, endpoint)) from None
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        # flock(2) knows no deadline.  Only the supervisor comes here, at a start or a reload;
        # clients that are served are served by other processes.
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise ListenError(
                    endpoint,
                    f"another process keeps the folder {folder} locked; "
                    f"find it with fuser {folder}",
                )
            time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_way(endpoint: UnixEndpoint) -> None:
    """Remove a stale socket at the path; raises ListenError where something else is there."""
    path = endpoint.path
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(endpoint, _mended(error, endpoint)) from None
    if not stat.S_ISSOCK(mode):
        raise ListenError(endpoint, f"{path} is not a socket; it is left alone, so move it away")
    before = inode_of(path)
    reason = _why_alive(path)
    if reason is not None:
        raise TakenError(endpoint, reason)
    if before is not None and not unlink_if(path, before) and os.path.lexists(path):
        folder = os.path.dirname(path)
        raise ListenError(
            endpoint, f"the stale socket cannot be removed; let the gateway write to {folder}"
        )


def _why_alive(path: str) -> str | None:
    """None if a connect proves that no process accepts on the file, else what it showed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    if code in (errno.ECONNREFUSED, errno.ENOENT):
        return None
    if code in (0, errno.EAGAIN, errno.EINPROGRESS):
        return (
            "another process accepts connections there, perhaps a second instance; "
            f"stop it (fuser {path} shows it) or choose another path"
        )
    return (
        f"a socket is there, and whether a process serves it is unknown: {os.strerror(code)}; "
        "remove it by hand if it is not in use"
    )


def _bind_private(listener: socket.socket, path: str) -> None:
    before = os.umask(_PRIVATE_UMASK)
    try:
        listener.bind(path)
    finally:
        os.umask(before)


def _ids(endpoint: UnixEndpoint, owner: privileges.Identity | None) -> tuple[int, int]:
    """The user's and group's number for chown(2); -1 leaves as it is."""
    uid, gid = (owner.uid, owner.gid) if owner is not None else (-1, -1)
    try:
        if endpoint.user is not None:
            uid = privileges.user_id(endpoint.user)
        if endpoint.group is not None:
            gid = privileges.group_id(endpoint.group)
    except privileges.PrivilegeError as error:
        raise ListenError(endpoint, error.problem) from None
    return uid, gid


def _set_permissions(endpoint: UnixEndpoint, ids: tuple[int, int]) -> Inode:
    descriptor = os.open(endpoint.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        name = f"/proc/self/fd/{descriptor}"
        if ids != (-1, -1):
            os.chown(name, *ids)
        os.chmod(name, endpoint.mode)
        return found.st_dev, found.st_ino
    finally:
        os.close(descriptor)


def command(endpoint: UnixEndpoint) -> str:
    """What makes the socket's folder, as the documents have it: its group may enter it."""
    folder = os.path.dirname(endpoint.path)
    if folder == "/run" or folder.startswith("/run/"):
        return f"install -d -m 0755 {folder} (and by tmpfiles.d: /run is empty at each boot)"
    group = f" -g {endpoint.group} -m 0750" if endpoint.group else " -m 0755"
    return f"install -d -o cyrus{group} {folder}"


def _mended(error: OSError, endpoint: UnixEndpoint) -> str:
    folder = os.path.dirname(endpoint.path)
    fixes = {
        errno.ENOENT: f"create the folder: {command(endpoint)}",
        errno.ENOTDIR: f"{folder} must be a folder",
        errno.EACCES: f"{_ROOT_MAY}, or let the gateway's user read and write the folder {folder}",
        errno.EPERM: f"{_ROOT_MAY}, or put the gateway's user into that group (adduser USER GROUP) "
        "and restart once",
        errno.EROFS: "choose a folder that can be written, for example below /run",
        errno.ELOOP: "the path holds a loop of symbolic links",
        errno.ENOSPC: f"make room for files in {folder} (df and df -i show what there is)",
        errno.EDQUOT: f"the quota of the gateway's user for files in {folder} is used up",
        errno.EADDRINUSE: "another program made a socket there at this moment; start again",
    }
    code = error.errno or 0
    return "; ".join(filter(None, (os.strerror(code), fixes.get(code))))
