"""The mail server that [scope] postfix names, read once by each process that judges.

Its parameters are read at the start and at each reload, since every process of
a generation is new.  Raises ConfigurationError where Postfix cannot say what it
is; a table that cannot be asked shows later, and is a temporary failure.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.errors import ConfigurationError, MailServerError
from gateway.mta.keys import Mailbox
from gateway.mta.postfix import Postfix
from gateway.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.config import Settings
    from gateway.mta.tables import Table
    from gateway.protocols.address import Address

_log = logging.getLogger(__name__)

SOCKETMAP = "socketmap"
NOBODY_IS_JUDGED = (
    "name the domains of Cyrus in relay_domains or virtual_mailbox_domains of main.cf, or the "
    "transport that leads to Cyrus in mailers of [scope]"
)
# Characters of an address in an explanation.
_SHOWN = 320
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def make_postfix(settings: Settings) -> Postfix | None:
    """What the mail server of the settings knows; None where they name none."""
    folder = settings.scope.postfix
    if not folder:
        return None
    try:
        return Postfix.read(
            folder,
            ours=own_tables(settings),
            mailers=frozenset(settings.scope.mailers),
            remote_store=bool(settings.general.store),
            user=settings.general.user,
        )
    except MailServerError as fault:
        raise ConfigurationError(str(fault), file=settings.file, option="scope.postfix") from fault


def announce(postfix: Postfix | None, settings: Settings) -> None:
    """Tell the log what was read of the mail server."""
    if postfix is None:
        return
    text, advice = judged(postfix, settings)
    if advice:
        _log.warning("%s; nothing is refused: %s", text, advice)
    else:
        _log.info("%s", text)


def judged(postfix: Postfix, settings: Settings) -> tuple[str, str]:
    """Whose recipients are judged, for a person, and what to do where none are; else ""."""
    text, judges = postfix.summary()
    if judges or settings.scope.domains or settings.scope.domain_files:
        return text, ""
    return text, NOBODY_IS_JUDGED


def routing_rows(postfix: Postfix, recipient: Address) -> Iterator[tuple[str, str]]:
    """What the mail server does with a recipient, for a person; waits for its tables."""
    routing = postfix.routing_now(Mailbox(recipient.local, recipient.domain))
    yield "asked", f"Postfix {postfix.parameters['mail_version']} in {postfix.parameters.folder}"
    yield "outcome", routing.kind.value
    if routing.by:
        yield "by", routing.by
    if routing.targets:
        yield "becomes", ", ".join(printable(each.address, _SHOWN) for each in routing.targets)
    if routing.detail:
        yield "detail", routing.detail


def own_tables(settings: Settings) -> Callable[[Table], bool]:
    """Tells tables that are this gateway's own socketmap: it would ask itself."""
    listen = settings.listeners.get(SOCKETMAP, ())
    paths = [os.path.normpath(each.path) for each in listen if isinstance(each, UnixEndpoint)]
    ports = {
        (str(each.address), str(each.port)) for each in listen if isinstance(each, InetEndpoint)
    }

    def ours(table: Table) -> bool:
        if table.kind != SOCKETMAP:
            return False
        kind, _, place = table.name.partition(":")
        where = place.rpartition(":")[0]
        if kind == "unix":
            # Below the queue directory where smtpd is chrooted, or the path is relative.
            path = os.path.normpath(where)
            return any(own == path or own.endswith(f"/{path.lstrip('/')}") for own in paths)
        host, _, port = where.rpartition(":")
        host = host.strip("[]")
        return any(port == own and (host == address or host in _LOOPBACK) for address, own in ports)

    return ours
