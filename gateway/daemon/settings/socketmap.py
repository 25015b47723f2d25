"""The table [socketmap]: the front end for socketmap look-ups of Postfix and Sendmail."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.daemon.endpoints import Endpoint
from gateway.daemon.settings.declaration import Section, declarations_of, inherited, setting
from gateway.daemon.settings.types import Network, choice, integer, listen, networks, seconds
from gateway.daemon.settings.words import Mode

# Linux' usual hard limit of descriptors; each connection needs one.
MAX_CONNECTIONS = 500_000
MAX_TIMEOUT = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketmapSettings:
    """The socketmap front end; off while `listen` is empty."""

    listen: tuple[Endpoint, ...] = setting(
        listen(),
        default=(),
        description="Sockets to listen on; empty: no socketmap. gateway.toml(5) "
        "explains the syntax under SOCKETS.",
        example='["unix:/run/smmapd/socketmap?mode=0660&group=postfix"]',
        sample=True,
    )
    allow: tuple[Network, ...] = setting(
        networks(),
        default=(),
        description="Networks whose clients may connect to the TCP sockets; empty: everybody who "
        "reaches them. Others are disconnected at once.",
        example='["127.0.0.0/8", "2001:db8::/32"]',
    )
    mode: Mode = inherited(
        choice(Mode),
        inherits="mode",
        description="The mode of this front end. In `observe` every look-up finds its recipient.",
        example='"observe"',
    )
    max_connections: int = setting(
        integer(1, MAX_CONNECTIONS),
        default=2000,
        units="connections",
        description="How many connections one process holds at once. Further ones wait in the "
        "socket's queue.",
        example="500",
    )
    idle_timeout: float = setting(
        seconds(1, MAX_TIMEOUT),
        default=3600.0,
        units="seconds",
        description="A connection without a request for this long is closed. Postfix closes its "
        "own after 10 seconds, Sendmail when its process ends.",
        example="600",
    )
    request_timeout: float = setting(
        seconds(1, MAX_TIMEOUT),
        default=30.0,
        units="seconds",
        description="A request that began to arrive must be complete, and a reply must be taken, "
        "within this time; else the connection is closed.",
        example="10",
    )


SECTION = Section(
    name="socketmap",
    title="The socketmap front end",
    description="Answers look-ups of Postfix (socketmap_table(5)) and Sendmail (K lines of type "
    "socket). It can only say yes, no or later.",
    build=SocketmapSettings,
    declarations=declarations_of(SocketmapSettings),
)
