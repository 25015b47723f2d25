"""Settings that all front ends share: who may connect, how many, and for how long.

Each function makes a new field of a section, so that the tables keep the
same name, default, limits and words.
"""

from __future__ import annotations

from gateway.config.declaration import setting
from gateway.config.types import Network, integer, networks, seconds

# Linux' usual hard limit of descriptors; each connection needs one.
MAX_CONNECTIONS = 500_000

# Seconds: a day; a client that waits longer has forgotten the connection.
MAX_TIMEOUT = 86_400


def allow_setting() -> tuple[Network, ...]:
    """`allow`: the networks of clients."""
    return setting(
        networks(),
        default=(),
        description="Networks whose clients may connect to the TCP sockets; empty: any client "
        "that reaches them. Others are disconnected at once.",
        example='["127.0.0.0/8", "2001:db8::/32"]',
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


def request_timeout_setting() -> float:
    """`request_timeout` in seconds."""
    return setting(
        seconds(1, MAX_TIMEOUT),
        default=30.0,
        units="seconds",
        description="A request that began to arrive must be complete, and a reply must be taken, "
        "within this time; else the connection is closed.",
        example="10",
    )
