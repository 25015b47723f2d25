"""Sockets that a reload would have to make: can a gateway that has left root make them?

A start opens its sockets as root.  A reload opens those that are new as the
gateway's user, which may write in few folders and give a socket to groups of its
own alone.  To be run as that user; a socket that is there already is kept, and
not looked at.

Limits: TCP ports below 1024 are not looked at, nor who may be told apart by
security modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error
from gateway.config.endpoints import UnixEndpoint
from gateway.supervisor import unixsockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings

_SUBJECT = "reload"


def check(settings: Settings) -> Iterator[Finding]:
    """Every socket that this process could not make."""
    for name, listen in settings.listeners.items():
        for endpoint in listen:
            if isinstance(endpoint, UnixEndpoint):
                reason = unixsockets.obstacle(endpoint)
                if reason is not None:
                    what, _, fix = reason.partition("; ")
                    yield error(_SUBJECT, f"{name}: cannot listen on {endpoint}: {what}", fix)
