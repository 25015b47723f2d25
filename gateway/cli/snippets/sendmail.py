"""What Sendmail needs to ask the gateway; contrib/sendmail/smmapd.m4 has the rules as a FEATURE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.config.choices import OnError
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.frontends.frontend import MailServerSite

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

_NAME = "sendmail"
# Behind it all lines are for sendmail.cf itself, and m4's own would be too late.
_END_OF_M4 = "LOCAL_CONFIG"


def sendmail(settings: Settings) -> str:
    """Lines for sendmail.mc."""
    pieces = [
        snippet(
            MailServerSite(
                socket=_words(settings.front_end(row.name).listen),
                domains=domains(settings.scope.domains),
                defers=settings.general.on_error is OnError.TEMPFAIL,
            )
        )
        for row in settings.serving
        if (snippet := row.front_end.snippets().get(_NAME)) is not None
    ]
    lines = [
        "dnl For sendmail.mc. The sockets' folders, and every folder above them, must be",
        "dnl writable by their owner only.",
    ]
    for piece in sorted(pieces, key=lambda piece: _END_OF_M4 in piece):
        lines += piece
    return text(lines, bool(pieces), sign="dnl")


def _words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            return f"local:{endpoint.path}"
        case InetEndpoint():
            six = endpoint.address.version == 6
            return f"inet{'6' if six else ''}:{endpoint.port}@{host(endpoint)}"
        case _:
            return UNKNOWN.replace("unix", "local")
