"""Where a front end listens: the listen strings of gateway.toml as values.

One syntax for every front end:

    unix:/run/smmapd/policy?mode=0660&group=postfix     a Unix stream socket
    inet:127.0.0.1:12345    inet:[::1]:12345            a TCP socket
    inet:192.0.2.1:12346?tls=yes                        the same, with TLS
    fd:NAME                                             a socket that systemd passes

Nothing is opened or looked up here; `gateway.supervisor.listeners` does that.
Host names are refused on purpose: a resolver that answers differently at the
next start would move a listener silently.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl

from gateway.errors import ConfigurationError
from gateway.upstream.address import PORT_LIMIT

# sun_path holds 108 bytes and Linux wants the NUL among them (unix(7)).
UNIX_PATH_LIMIT = 107
# Owner and group: an MTA in the group may connect, and no other user.
DEFAULT_MODE = 0o660
_DESCRIPTOR_NAME_LIMIT = 255  # sd_listen_fds_with_names(3)
_OCTAL = re.compile(r"[0-7]{3,4}\Z")
_INET = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):(?P<port>[0-9]+)\Z")
_TLS = "?tls=yes"
_DESCRIPTOR = re.compile(r"[A-Za-z0-9_.@-]+\Z")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """A Unix stream socket at the absolute `path`, at most 107 bytes.

    `mode` are its permission bits, `user` and `group` its owners by name; None
    leaves the owner to the process that opens it.
    """

    path: str
    mode: int = DEFAULT_MODE
    user: str | None = None
    group: str | None = None

    def __str__(self) -> str:
        """The listen string that gives this value back."""
        options = [] if self.mode == DEFAULT_MODE else [f"mode={self.mode:04o}"]
        options += [f"user={self.user}"] if self.user is not None else []
        options += [f"group={self.group}"] if self.group is not None else []
        return f"unix:{self.path}" + ("?" + "&".join(options) if options else "")


@dataclass(frozen=True, slots=True)
class InetEndpoint:
    """A TCP socket on the numeric address `host`, IPv4 or IPv6; port 0 lets the kernel choose.

    `tls` tells whether clients must speak TLS.
    """

    host: str
    port: int
    tls: bool = False

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address as a number, to compare and to ask what kind it is."""
        return ipaddress.ip_address(self.host)

    @property
    def own_host(self) -> str:
        """An address of this machine at which it can be asked: `host`, if that is a single one."""
        if not self.address.is_unspecified:
            return self.host
        return "127.0.0.1" if self.address.version == 4 else "::1"

    def __str__(self) -> str:
        """The listen string that gives this value back."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"inet:{host}:{self.port}{_TLS if self.tls else ''}"


@dataclass(frozen=True, slots=True)
class DescriptorEndpoint:
    """The listening sockets that systemd passes under `name` (FileDescriptorName=)."""

    name: str

    def __str__(self) -> str:
        """The listen string that gives this value back."""
        return f"fd:{self.name}"


Endpoint: TypeAlias = UnixEndpoint | InetEndpoint | DescriptorEndpoint


class EndpointError(ConfigurationError):
    """A listen string that names no socket; `problem` says why and how to write it."""


def parse(text: str) -> Endpoint:
    """The endpoint that `text` names; raises EndpointError."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise EndpointError(
            f'"{text}" names no socket; write unix:/PATH, inet:ADDRESS:PORT or fd:NAME'
        )
    return _SCHEMES[scheme](text, rest)


def conflict(one: Endpoint, other: Endpoint) -> bool:
    """Whether the two cannot be open at once, because they are (partly) the same socket.

    A wildcard address covers every address of its family: 0.0.0.0 and
    127.0.0.1 on one port are the same socket, :: and 127.0.0.1 are not
    (listeners set IPV6_V6ONLY).
    """
    match one, other:
        case UnixEndpoint(), UnixEndpoint():
            return os.path.normpath(one.path) == os.path.normpath(other.path)
        case InetEndpoint(), InetEndpoint():
            mine, theirs = one.address, other.address
            same_family = mine.version == theirs.version
            overlap = mine == theirs or mine.is_unspecified or theirs.is_unspecified
            return one.port == other.port and same_family and overlap
        case DescriptorEndpoint(), DescriptorEndpoint():
            return one.name == other.name
        case _:
            return False


def _parse_unix(text: str, rest: str) -> UnixEndpoint:
    path, question, query = rest.partition("?")
    _check_unix_path(text, path)
    options = _unix_options(text, query) if question else {}
    mode = options.get("mode")
    if mode is not None and (not _OCTAL.match(mode) or int(mode, 8) > 0o777):
        raise EndpointError(
            f'"{text}": mode={mode} is not a permission; write octal digits, for example mode=0660'
        )
    for key in ("user", "group"):
        name = options.get(key)
        if name is not None and not _ACCOUNT.match(name):
            raise EndpointError(f'"{text}": {key}={name} is not the name of a {key}')
    return UnixEndpoint(
        path=path,
        mode=DEFAULT_MODE if mode is None else int(mode, 8),
        user=options.get("user"),
        group=options.get("group"),
    )


def _check_unix_path(text: str, path: str) -> None:
    if not path.startswith("/"):
        raise EndpointError(f'"{text}": the path is not absolute; let it begin with /')
    if "\0" in path or path.endswith("/"):
        raise EndpointError(f'"{text}": the path names no file')
    size = len(os.fsencode(path))
    if size > UNIX_PATH_LIMIT:
        raise EndpointError(
            f'"{text}": the path has {size} bytes and a Unix socket\'s path at most '
            f"{UNIX_PATH_LIMIT}; choose a shorter folder, for example below /run"
        )


def _unix_options(text: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise EndpointError(
            f'"{text}": write what follows ? as KEY=VALUE, joined by &, '
            "for example ?mode=0660&group=postfix"
        ) from None
    options: dict[str, str] = {}
    for key, value in pairs:
        if key not in ("mode", "user", "group"):
            raise EndpointError(f'"{text}": unknown option {key}; there are mode, user and group')
        if key in options:
            raise EndpointError(f'"{text}": {key} is given twice')
        options[key] = value
    return options


def _parse_inet(text: str, rest: str) -> InetEndpoint:
    tls = rest.endswith(_TLS)
    found = _INET.match(rest.removesuffix(_TLS))
    if found is None:
        raise EndpointError(
            f'"{text}": write inet:ADDRESS:PORT, and an IPv6 address in brackets, '
            "for example inet:127.0.0.1:12345 or inet:[::1]:12345"
        )
    six, four = found["six"], found["four"]
    try:
        host = str(ipaddress.IPv6Address(six) if six is not None else ipaddress.IPv4Address(four))
    except ValueError:
        raise EndpointError(
            f'"{text}": "{four if six is None else six}" is not a numeric address; write for '
            "example 127.0.0.1 or [::1], and 0.0.0.0 or [::] for every address"
        ) from None
    # int() of a long run of digits costs; five digits are enough for every port.
    digits = found["port"].lstrip("0")
    port = int(digits) if digits and len(digits) <= len(str(PORT_LIMIT)) else 0
    if not 1 <= port <= PORT_LIMIT:
        raise EndpointError(f'"{text}": the port is not between 1 and {PORT_LIMIT}')
    return InetEndpoint(host, port, tls)


def _parse_descriptor(text: str, rest: str) -> DescriptorEndpoint:
    if not _DESCRIPTOR.match(rest) or len(rest) > _DESCRIPTOR_NAME_LIMIT:
        raise EndpointError(
            f'"{text}": write fd: and the FileDescriptorName= of the systemd socket unit'
        )
    return DescriptorEndpoint(rest)


_SCHEMES: dict[str, Callable[[str, str], Endpoint]] = {
    "unix": _parse_unix,
    "inet": _parse_inet,
    "fd": _parse_descriptor,
}
