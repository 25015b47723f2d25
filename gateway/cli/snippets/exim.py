"""What Exim needs to ask the gateway, and to deliver to Cyrus.

contrib/exim has the same as files for Debian's split configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.config.choices import OnError
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.frontends.frontend import MailServerSite

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

_NAME = "exim"


def exim(settings: Settings) -> str:
    """Macros, routers and a transport."""
    lines = [
        "# For Exim; on Debian with a split configuration the three parts are files below",
        "# /etc/exim4/conf.d. The socket must be writable for user Debian-exim.",
    ]
    head = len(lines)
    for row in settings.serving:
        snippet = row.front_end.snippets().get(_NAME)
        if snippet is not None:
            lines += snippet(
                MailServerSite(
                    socket=_words(settings.front_end(row.name).listen),
                    domains=domains(settings.scope.domains).replace(" ", " : "),
                    defers=settings.general.on_error is OnError.TEMPFAIL,
                )
            )
    return text(lines, len(lines) > head)


def _words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            return endpoint.path
        case InetEndpoint():
            return f"inet:{host(endpoint)}:{endpoint.port}"
        case _:
            return UNKNOWN.removeprefix("unix:")
