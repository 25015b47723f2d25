"""What Postfix needs to ask the gateway; contrib/postfix has all that belongs to a whole machine.

Postfix' own master.cf is looked at where there is one: a chrooted smtpd finds
only what is below the queue directory, and proxymap asks a table from outside.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks.postfixconf import PostfixError, ask
from gateway.cli.snippets.sockets import UNKNOWN, domains, first, host, text
from gateway.config.choices import OnError
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.frontends.frontend import MailServerSite

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

_NAME = "postfix"
# Postfix' queue_directory unless main.cf says otherwise.
_QUEUE = "/var/spool/postfix"


def postfix(settings: Settings) -> str:
    """Lines for main.cf."""
    ours = domains(settings.scope.domains)
    queue, chrooted = _instance()
    lines = [
        "# For Postfix' main.cf; each way of asking is enough by itself. A path that does",
        f"# not begin with / is below the queue directory ({queue}), with and",
        "# without chroot.",
        f"relay_domains = {ours}",
    ]
    for row in settings.serving:
        snippet = row.front_end.snippets().get(_NAME)
        if snippet is None:
            continue
        where = _words(settings.front_end(row.name).listen, queue)
        site = MailServerSite(
            socket=where,
            domains=ours,
            defers=settings.general.on_error is OnError.TEMPFAIL,
            chrooted=chrooted if where.startswith("unix:/") else "",
        )
        if site.chrooted and not row.front_end.by_proxymap:
            lines += [
                "",
                f"# {chrooted} is chrooted and does not find this socket. Let "
                f"[{row.name}] listen at",
                f"# {queue}/smmapd/{row.name} and write unix:smmapd/{row.name} here.",
            ]
        lines += snippet(site)
    return text(lines, bool(settings.serving))


def _instance() -> tuple[str, str]:
    """The queue directory, and the first smtpd that is chrooted; empty where none is."""
    try:
        found = ask(None)
    except PostfixError:
        # It has no configuration yet: these lines are to become it.
        return _QUEUE, ""
    if found is None:
        return _QUEUE, ""
    chrooted = (service for service, inside in found.services.items() if inside)
    return found.queue_directory, next(chrooted, "")


def _words(listen: tuple[Endpoint, ...], queue: str) -> str:
    endpoint = first(listen)
    match endpoint:
        case UnixEndpoint():
            path = os.path.normpath(endpoint.path)
            return f"unix:{path.removeprefix(queue + '/')}"
        case InetEndpoint():
            return f"inet:{host(endpoint)}:{endpoint.port}"
        case _:
            return UNKNOWN
