"""Where recipients are looked up: the strings that the setting `store` takes.

    cyrus                               the Cyrus installation of this machine
    socketmap://HOST:PORT               a smmapd, the C program or ours
    socketmap+tls://HOST:PORT           one of ours, with TLS
    socketmap:unix:/PATH                the same on a Unix socket
    lmtp://HOST:PORT   lmtp:unix:/PATH  an LMTP server

A host may be a name or an address, IPv6 in brackets; the port may be left
out.  Nothing is looked up here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.config.declaration import BadValue, SettingType
from gateway.config.types import list_of, toml_string
from gateway.upstream import address, lmtpclient, socketmapclient
from gateway.upstream.address import Address, UnixAddress

CYRUS = "cyrus"
_TLS = "+tls"

# A larger cluster has one name.
MAX_LOCATIONS = 64


class Protocol(Enum):
    """What another server speaks."""

    SOCKETMAP = "socketmap"
    LMTP = "lmtp"


# Where no port is given.
_PORTS = {Protocol.SOCKETMAP: socketmapclient.DEFAULT_PORT, Protocol.LMTP: lmtpclient.DEFAULT_PORT}
_FORMS = (
    '"socketmap://HOST:PORT", "socketmap+tls://HOST:PORT", "lmtp://HOST:PORT",'
    ' "socketmap:unix:/PATH" or "lmtp:unix:/PATH"'
)


@dataclass(frozen=True, slots=True)
class Location:
    """One other server."""

    protocol: Protocol
    address: Address
    tls: bool = False

    def __str__(self) -> str:
        """The string that gives this value back."""
        scheme = self.protocol.value + (_TLS if self.tls else "")
        between = ":" if isinstance(self.address, UnixAddress) else "://"
        return f"{scheme}{between}{self.address}"


def parse(text: str) -> Location:
    """The location that `text` names; raises BadValue."""
    scheme, _, rest = text.partition(":")
    word = scheme.removesuffix(_TLS)
    protocol = next((each for each in Protocol if each.value == word), None)
    if protocol is None:
        raise BadValue(
            ("", f"{toml_string(text)} is not a store; write {toml_string(CYRUS)}, {_FORMS}")
        )
    tls = scheme != word
    try:
        if rest.startswith("//"):
            where = address.parse(rest[2:], _PORTS[protocol])
            if isinstance(where, UnixAddress):
                raise ValueError(f"{rest}: a Unix socket is written without //")
        elif rest.startswith("unix:"):
            where = address.parse(rest)
        else:
            raise ValueError(f"{toml_string(text)} names no server; write {_FORMS}")
    except ValueError as error:
        raise BadValue(("", str(error))) from None
    if tls and (protocol is Protocol.LMTP or isinstance(where, UnixAddress)):
        raise BadValue(
            ("", f"{toml_string(text)}: TLS is spoken with socketmap servers over TCP only; "
             "leave +tls out")
        )  # fmt: skip
    return Location(protocol, where, tls)


def locations() -> SettingType[tuple[Location, ...]]:
    """`"cyrus"`, which is the empty tuple, or another server, or a list of them."""

    def one(value: object) -> Location:
        if not isinstance(value, str):
            raise BadValue(("", f"must be a string such as {_FORMS}"))
        if value == CYRUS:
            raise BadValue(("", 'cyrus cannot be one of several; write store = "cyrus" alone'))
        return parse(value)

    several = list_of("servers", one, lambda each: toml_string(str(each)))

    def parse_any(value: object) -> tuple[Location, ...]:
        if value == CYRUS:
            return ()
        if isinstance(value, str):
            return (one(value),)
        found = several.parse(value)
        if not found:
            raise BadValue(("", f"is an empty list; write {toml_string(CYRUS)}, or name servers"))
        if len(found) > MAX_LOCATIONS:
            raise BadValue(("", f"has {len(found)} servers, at most {MAX_LOCATIONS} are useful"))
        return found

    def show(value: tuple[Location, ...]) -> str:
        if len(value) > 1:
            return several.show(value)
        return toml_string(str(value[0]) if value else CYRUS)

    return SettingType("string, or list of servers", parse_any, show)
