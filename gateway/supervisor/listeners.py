"""The listening sockets of all front ends: opened, kept over a reload, and given back.

Every problem is collected, so that one start tells all of them.  TCP sockets
are IPv4 or IPv6, never both in one (IPV6_V6ONLY), so that what a listen string
says is all that it does.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.config.endpoints import (
    DescriptorEndpoint,
    Endpoint,
    InetEndpoint,
    UnixEndpoint,
)
from gateway.config.lines import line_of
from gateway.config.sources import NO_PLACES, SourceLocation
from gateway.errors import ConfigurationError, ConfigurationErrors
from gateway.supervisor import unixsockets
from gateway.supervisor.privileges import Identity
from gateway.supervisor.unixsockets import BACKLOG, Inode, ListenError, TakenError

_FIRST_FREE_PORT = 1024

Activated = Mapping[str, Sequence[socket.socket]]


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening, non-blocking socket; `inode` is that of the socket file that we made."""

    endpoint: Endpoint
    socket: socket.socket
    inode: Inode | None = None

    def close(self) -> None:
        """Close the socket, and remove its file if that is still ours."""
        if isinstance(self.endpoint, UnixEndpoint) and self.inode is not None:
            unixsockets.unlink_if(self.endpoint.path, self.inode)
        self.socket.close()


@dataclass(frozen=True, slots=True)
class Change:
    """Sockets for a new configuration, not in force yet: `groups` as it wants them.

    `opened` are those among them that were opened for it.
    """

    groups: Mapping[str, tuple[Listener, ...]]
    opened: tuple[Listener, ...]


class Listeners:
    """The sockets that are open, by the name of the front end.

    `activated` are the sockets that systemd passed (gateway.supervisor.activation),
    `owner` owns Unix sockets that name no owner themselves.
    """

    def __init__(self, activated: Activated, owner: Identity | None = None) -> None:
        self._activated = activated
        self._owner = owner
        self._open: dict[str, tuple[Listener, ...]] = {}

    def groups(self) -> Mapping[str, tuple[Listener, ...]]:
        """The open sockets by the name of the front end."""
        return dict(self._open)

    def change(
        self,
        wanted: Mapping[str, Sequence[Endpoint]],
        file: str | None = None,
        places: Mapping[str, SourceLocation] = NO_PLACES,
    ) -> Change:
        """Open what `wanted` has and is not open yet; nothing is closed before `commit`.

        Raises ConfigurationErrors with every socket that cannot be had, each
        with the key that names it, its line where `places` has it, and else
        `file`; what was open stays, with the
        owner and mode that the new endpoints give.
        """
        errors: list[ConfigurationError] = []
        opened: list[Listener] = []
        groups: dict[str, tuple[Listener, ...]] = {}
        for name, endpoints in wanted.items():
            group: list[Listener] = []
            for index, endpoint in enumerate(endpoints):
                try:
                    kept = self._kept(endpoint)
                    fresh = () if kept else self._opened(endpoint)
                except ListenError as error:
                    error.file, error.option = file, f"{name}.listen[{index}]"
                    place = line_of(places, f"{name}.listen")
                    if place is not None:
                        error.file, error.line = place.file, place.line
                    errors.append(error)
                    continue
                opened += fresh
                group += kept or fresh
            groups[name] = tuple(group)
        if errors:
            self._close(opened)
            raise ConfigurationErrors(errors)
        return Change(groups, tuple(opened))

    def commit(self, change: Change) -> None:
        """Put the sockets of `change` in force and close what is in them no longer."""
        staying = {each.socket for group in change.groups.values() for each in group}
        before = [each for group in self._open.values() for each in group]
        self._open = dict(change.groups)
        self._close(each for each in before if each.socket not in staying)

    def cancel(self, change: Change) -> None:
        """Close what was opened for `change`; the old sockets stay."""
        self._close(change.opened)

    def close(self) -> None:
        """Close every socket; files that are still ours go."""
        self._close(each for group in self._open.values() for each in group)
        self._open = {}

    def unused(self) -> tuple[str, ...]:
        """Names under which systemd passed sockets that no front end uses."""
        used = {
            each.endpoint.name
            for group in self._open.values()
            for each in group
            if isinstance(each.endpoint, DescriptorEndpoint)
        }
        return tuple(name for name in self._activated if name not in used)

    def unreachable(self) -> tuple[str, ...]:
        """Unix sockets of which the file is gone or another one's, a sentence each."""
        found: list[str] = []
        for each in (one for group in self._open.values() for one in group):
            if not isinstance(each.endpoint, UnixEndpoint) or each.inode is None:
                continue
            there = unixsockets.inode_of(each.endpoint.path)
            if there != each.inode:
                gone = not os.path.lexists(each.endpoint.path)
                what = "has gone" if gone else "is another program's"
                found.append(
                    f"no client reaches {each.endpoint}: the file {what}; "
                    "SIGHUP (systemctl reload) creates it again"
                )
        return tuple(found)

    def warnings(self) -> tuple[str, ...]:
        """What works and is not wise, one sentence each."""
        return tuple(
            warning
            for group in self._open.values()
            for each in group
            if isinstance(each.endpoint, UnixEndpoint)
            for warning in unixsockets.folder_warnings(each.endpoint)
        )

    def _kept(self, endpoint: Endpoint) -> tuple[Listener, ...]:
        """The open sockets that serve `endpoint` already, with its owner and mode put right."""
        kept: list[Listener] = []
        for each in (one for group in self._open.values() for one in group):
            mine = each.endpoint
            if isinstance(endpoint, UnixEndpoint) and isinstance(mine, UnixEndpoint):
                ours = each.inode is not None and unixsockets.inode_of(mine.path) == each.inode
                if mine.path == endpoint.path and ours:
                    if mine != endpoint:
                        unixsockets.apply_permissions(endpoint, self._owner)
                    kept.append(Listener(endpoint, each.socket, each.inode))
            elif isinstance(endpoint, InetEndpoint) and isinstance(mine, InetEndpoint):
                # Whether TLS is spoken makes no difference to the socket.
                if (mine.host, mine.port) == (endpoint.host, endpoint.port):
                    kept.append(Listener(endpoint, each.socket))
            elif mine == endpoint:
                kept.append(each)
        return tuple(kept)

    def _opened(self, endpoint: Endpoint) -> tuple[Listener, ...]:
        match endpoint:
            case UnixEndpoint():
                listener, inode = unixsockets.listen(endpoint, self._owner)
                return (Listener(endpoint, listener, inode),)
            case InetEndpoint():
                return (Listener(endpoint, listen_inet(endpoint)),)
            case DescriptorEndpoint():
                return self._from_systemd(endpoint)

    def _from_systemd(self, endpoint: DescriptorEndpoint) -> tuple[Listener, ...]:
        sockets = self._activated.get(endpoint.name, ())
        if not sockets:
            names = ", ".join(self._activated) or "none"
            raise ListenError(
                endpoint,
                f"systemd passed no socket of that name (it passed: {names}); "
                f"set FileDescriptorName={endpoint.name} in the socket unit and start by it",
            )
        return tuple(Listener(endpoint, each) for each in sockets)

    def _close(self, listeners: Iterable[Listener]) -> None:
        for each in listeners:
            # systemd's sockets stay open: a later reload may want them again.
            if not isinstance(each.endpoint, DescriptorEndpoint):
                each.close()


def listen_inet(endpoint: InetEndpoint) -> socket.socket:
    """A listening TCP socket; raises ListenError."""
    family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((endpoint.host, endpoint.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        kind = TakenError if error.errno == errno.EADDRINUSE else ListenError
        raise kind(endpoint, _inet_reason(error, endpoint)) from None
    return listener


def _inet_reason(error: OSError, endpoint: InetEndpoint) -> str:
    code = error.errno or 0
    fixes = {
        errno.EADDRINUSE: f"stop the program that listens there (ss -ltnp sport = :{endpoint.port} "
        "shows it) or choose another port",
        errno.EADDRNOTAVAIL: "no interface of this machine has that address; see ip address",
        errno.EAFNOSUPPORT: "this machine has no IPv6; remove the line",
    }
    if endpoint.port < _FIRST_FREE_PORT:
        fixes[errno.EACCES] = "ports below 1024 need root or CAP_NET_BIND_SERVICE"
    return "; ".join(filter(None, (os.strerror(code), fixes.get(code))))
