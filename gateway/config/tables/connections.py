"""What the table of every front end has: who may connect, for how long, and whose answers they get.

A setting that is the same for all is a field of `FrontEndSettings` and nowhere else; a table
that has its own words or default for one says it again, by the functions here where only a part
differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.choices import AuthorityName, Mode
from gateway.config.declaration import inherited, setting
from gateway.config.endpoints import Endpoint
from gateway.config.types import Network, choice, integer, networks, seconds

# Linux' usual hard limit of descriptors; each connection needs one.
MAX_CONNECTIONS = 500_000

# Seconds: a day; a client that waits longer has forgotten the connection.
MAX_TIMEOUT = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndSettings:
    """The table of a front end; it is off where `listen` names no socket."""

    listen: tuple[Endpoint, ...]
    allow: tuple[Network, ...] = setting(
        networks(),
        default=(),
        description="Networks whose clients may connect to the TCP sockets; empty: any client "
        "that can reach them. Others are disconnected at once.",
        example='["127.0.0.0/8", "2001:db8::/32"]',
    )
    mode: Mode
    answers: AuthorityName = inherited(
        choice(AuthorityName),
        inherits="answers",
        description="Whose answer this front end gives.",
        example='"smmapd"',
    )
    max_connections: int
    idle_timeout: float
    request_timeout: float = setting(
        seconds(1, MAX_TIMEOUT),
        default=30.0,
        units="seconds",
        description="Once a request begins to arrive it must be complete, and a reply must be "
        "read, within this time; otherwise the connection is closed.",
        example="10",
    )


def max_connections_setting(more: str) -> int:
    """`max_connections`; `more` ends the description."""
    return setting(
        integer(1, MAX_CONNECTIONS),
        default=2000,
        units="connections",
        description=f"How many connections one process holds at once. {more}",
        example="500",
    )


def idle_timeout_setting(default: float, more: str, *, example: str) -> float:
    """`idle_timeout` in seconds; `more` ends the description."""
    return setting(
        seconds(1, MAX_TIMEOUT),
        default=default,
        units="seconds",
        description=f"A connection without a request for this long is closed. {more}",
        example=example,
    )
