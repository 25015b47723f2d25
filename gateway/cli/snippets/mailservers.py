"""What Postfix, Sendmail and Exim need to ask the gateway.

The lines of each way of asking are the front ends' (`FrontEnd.snippets`); here is what a mail
server calls our sockets, and what is around the lines.  contrib/ has the same as files, with
all that belongs to a whole machine.

Postfix' own master.cf is looked at where there is one: a chrooted smtpd finds
only what is below the queue directory, and proxymap asks a table from outside.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli.checks.postfixconf import ask
from gateway.config.choices import OnError
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.errors import MailServerError
from gateway.frontends.frontend import MailServerSite

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

# A placeholder for a socket that only a systemd unit knows.
_UNKNOWN = "unix:PATH"
_EXAMPLE_DOMAIN = "example.org"
# Postfix' queue_directory unless main.cf says otherwise.
_QUEUE = "/var/spool/postfix"
# Behind it all lines are for sendmail.cf itself, and m4's own would be too late.
_END_OF_M4 = "LOCAL_CONFIG"


def postfix(settings: Settings) -> str:
    """Lines for main.cf."""
    ours = _domains(settings.scope.domains)
    queue, chrooted = _instance()
    lines = [
        "# For Postfix' main.cf; each way of asking is enough by itself. A path that does",
        f"# not begin with / is below the queue directory ({queue}), with and",
        "# without chroot.",
        f"relay_domains = {ours}",
    ]
    for row in settings.serving:
        snippet = row.front_end.snippets().get("postfix")
        if snippet is None:
            continue
        where = _postfix_words(settings.front_end(row.name).listen, queue)
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
    return _text(lines, bool(settings.serving), "[socketmap], [policy] or [milter]")


def _instance() -> tuple[str, str]:
    """The queue directory, and the first smtpd that is chrooted; empty where none is."""
    try:
        found = ask()
    except MailServerError:
        # It has no configuration yet: these lines are to become it.
        return _QUEUE, ""
    if found is None:
        return _QUEUE, ""
    chrooted = (service for service, inside in found.services.items() if inside)
    return found.queue_directory, next(chrooted, "")


def _postfix_words(listen: tuple[Endpoint, ...], queue: str) -> str:
    endpoint = _first(listen)
    match endpoint:
        case UnixEndpoint():
            path = os.path.normpath(endpoint.path)
            return f"unix:{path.removeprefix(queue + '/')}"
        case InetEndpoint():
            return f"inet:{_host(endpoint)}:{endpoint.port}"
        case _:
            return _UNKNOWN


def sendmail(settings: Settings) -> str:
    """Lines for sendmail.mc."""
    pieces = [
        snippet(
            MailServerSite(
                socket=_sendmail_words(settings.front_end(row.name).listen),
                domains=_domains(settings.scope.domains),
                defers=settings.general.on_error is OnError.TEMPFAIL,
            )
        )
        for row in settings.serving
        if (snippet := row.front_end.snippets().get("sendmail")) is not None
    ]
    lines = [
        "dnl For sendmail.mc. The sockets' folders, and every folder above them, must be",
        "dnl writable by their owner only.",
    ]
    for piece in sorted(pieces, key=lambda piece: _END_OF_M4 in piece):
        lines += piece
    return _text(lines, bool(pieces), "[socketmap] or [milter]", sign="dnl")


def _sendmail_words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = _first(listen)
    match endpoint:
        case UnixEndpoint():
            return f"local:{endpoint.path}"
        case InetEndpoint():
            six = endpoint.address.version == 6
            return f"inet{'6' if six else ''}:{endpoint.port}@{_host(endpoint)}"
        case _:
            return _UNKNOWN.replace("unix", "local")


def exim(settings: Settings) -> str:
    """Macros, routers and a transport."""
    lines = [
        "# For Exim; on Debian with a split configuration the three parts are files below",
        "# /etc/exim4/conf.d. The socket must be writable for user Debian-exim.",
    ]
    head = len(lines)
    for row in settings.serving:
        snippet = row.front_end.snippets().get("exim")
        if snippet is not None:
            lines += snippet(
                MailServerSite(
                    socket=_exim_words(settings.front_end(row.name).listen),
                    domains=_domains(settings.scope.domains).replace(" ", " : "),
                    defers=settings.general.on_error is OnError.TEMPFAIL,
                )
            )
    return _text(lines, len(lines) > head, "[socketmap]")


def _exim_words(listen: tuple[Endpoint, ...]) -> str:
    endpoint = _first(listen)
    match endpoint:
        case UnixEndpoint():
            return endpoint.path
        case InetEndpoint():
            return f"inet:{_host(endpoint)}:{endpoint.port}"
        case _:
            return _UNKNOWN.removeprefix("unix:")


def _first(listen: tuple[Endpoint, ...]) -> Endpoint:
    """The socket to name: a Unix one where there is one, as it has permissions."""
    return next((each for each in listen if isinstance(each, UnixEndpoint)), listen[0])


def _host(endpoint: InetEndpoint) -> str:
    """The address as it is written before a port."""
    return f"[{endpoint.host}]" if endpoint.address.version == 6 else endpoint.host


def _domains(named: tuple[str, ...]) -> str:
    """The domains of [scope] that are names and no suffixes; an example where there are none."""
    return " ".join(each for each in named if not each.startswith(".")) or _EXAMPLE_DOMAIN


def _text(lines: list[str], anything: bool, tables: str, *, sign: str = "#") -> str:
    """The lines; where nothing of ours can be asked, which tables could give it something."""
    if not anything:
        lines = [*lines, sign, f"{sign} Nothing listens that this program could ask: name a"]
        lines.append(f"{sign} socket in listen of {tables}.")
    return "\n".join(lines)
