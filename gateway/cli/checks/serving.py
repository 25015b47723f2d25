"""The running gateway: does a process accept connections at our sockets, and may Postfix connect?

A connection is made and closed again; nothing is asked.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import socket
from typing import TYPE_CHECKING

from gateway.cli.checks import asuser
from gateway.cli.checks.finding import error, ok, warning
from gateway.config.endpoints import InetEndpoint, UnixEndpoint
from gateway.supervisor import privileges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

_SUBJECT = "serving"
_PATIENCE = 5.0
_POSTFIX = "postfix"


def check(settings: Settings) -> Iterator[Finding]:
    """Each socket of each front end."""
    for row in settings.serving:
        for endpoint in settings.front_end(row.name).listen:
            yield from _endpoint(row.name, endpoint)


def _endpoint(name: str, endpoint: Endpoint) -> Iterator[Finding]:
    refused = _refused(endpoint)
    if refused is None:
        return
    if refused:
        yield warning(
            _SUBJECT,
            f"[{name}]: no process serves {endpoint}: {os.strerror(refused)}",
            "start the gateway (systemctl start smmapd-gateway); if it does not start, its log "
            "says why (journalctl -u smmapd-gateway)",
        )
        return
    yield ok(_SUBJECT, f"[{name}]: {endpoint} is served")
    if isinstance(endpoint, UnixEndpoint):
        yield from _by_postfix(name, endpoint)


def _by_postfix(name: str, endpoint: UnixEndpoint) -> Iterator[Finding]:
    """Tried as Postfix' user, where Postfix is installed and we are root."""
    if shutil.which("postconf") is None:
        return  # its user may be left of one that was removed
    try:
        account = pwd.getpwnam(_POSTFIX)
    except KeyError:
        return
    if not privileges.is_root():
        return
    identity = privileges.Identity(_POSTFIX, account.pw_uid, account.pw_gid)

    def look() -> Iterator[Finding]:
        refused = _refused(endpoint)
        if refused == errno.EACCES:
            yield error(
                _SUBJECT,
                f"[{name}]: user {_POSTFIX} may not connect to {endpoint}",
                f'listen = ["unix:{endpoint.path}?mode=0660&group={_POSTFIX}"], in a folder that '
                f"group {_POSTFIX} may enter (mode 0750); not where another mail server asks",
            )

    for found in asuser.seen_by(identity, look):
        # Where Postfix does not ask this socket, it need not be able to.
        yield warning(found.subject, found.what, found.fix)


def _refused(endpoint: Endpoint) -> int | None:
    """0 where a process accepts, else the number of the error; None for what cannot be tried."""
    match endpoint:
        case UnixEndpoint():
            return _connect(socket.AF_UNIX, endpoint.path)
        case InetEndpoint():
            family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
            return _connect(family, (endpoint.own_host, endpoint.port))
        case _:
            return None


def _connect(family: socket.AddressFamily, address: str | tuple[str, int]) -> int:
    with socket.socket(family) as link:
        link.settimeout(_PATIENCE)
        try:
            link.connect(address)
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as fault:
            return fault.errno or errno.EIO
    return 0
