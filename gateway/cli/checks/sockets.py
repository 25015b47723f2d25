"""Where the front ends listen: do the folders exist, are they safe, and can a reload use them?

A start opens its sockets as root.  A reload opens those that are new as the
gateway's user, which may write in few folders and give a socket to groups of its
own alone; `unopened` is to be run as that user.  A socket that is there already is kept,
and not looked at then.

Limits: of TCP sockets neither ports below 1024 are looked at nor what security modules forbid.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from gateway.cli.checks import asuser
from gateway.cli.checks.finding import error, ok, warning
from gateway.config.endpoints import DescriptorEndpoint, InetEndpoint, UnixEndpoint
from gateway.config.frontends import NAMES
from gateway.supervisor import privileges, unixsockets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

_SUBJECT = "sockets"


def check(settings: Settings) -> Iterator[Finding]:
    """Every socket of every front end that is on."""
    for name, listen in settings.listeners.items():
        for endpoint in listen:
            yield from _endpoint(settings, name, endpoint)


def unopened(settings: Settings) -> Iterator[Finding]:
    """Every socket that this process could not open at a reload."""
    for name, listen in settings.listeners.items():
        for endpoint in listen:
            if isinstance(endpoint, UnixEndpoint):
                reason = unixsockets.obstacle(endpoint)
                if reason is not None:
                    what, _, fix = reason.partition("; ")
                    yield error("reload", f"{name}: cannot listen on {endpoint}: {what}", fix)


def by_place(settings: Settings) -> dict[str, tuple[str, Endpoint]]:
    """Each socket with its front end's name, by its normal path or ADDRESS:PORT."""
    found: dict[str, tuple[str, Endpoint]] = {}
    for name in NAMES:
        for endpoint in settings.front_end(name).listen:
            if isinstance(endpoint, UnixEndpoint):
                found[os.path.normpath(endpoint.path)] = (name, endpoint)
            elif isinstance(endpoint, InetEndpoint):
                found[str(endpoint).removeprefix("inet:")] = (name, endpoint)
    return found


def _endpoint(settings: Settings, name: str, endpoint: Endpoint) -> Iterator[Finding]:
    match endpoint:
        case UnixEndpoint():
            yield from _unix(settings, name, endpoint)
        case InetEndpoint():
            # [admin] has a setting of its own.
            if name in NAMES and _answers_all(settings, name, endpoint):
                yield warning(
                    _SUBJECT,
                    f"{name}: {endpoint} can be reached by other machines, and it answers them all",
                    f"set allow in [{name}] to the networks of your mail servers, listen on a "
                    "loopback address, or keep others out with a packet filter",
                )
            else:
                yield ok(_SUBJECT, f"{name}: {endpoint}")
        case DescriptorEndpoint():
            fix = f"FileDescriptorName={endpoint.name} must be in a .socket unit"
            yield ok(_SUBJECT, f"{name}: {endpoint} comes from systemd; {fix}")


def _answers_all(settings: Settings, name: str, endpoint: InetEndpoint) -> bool:
    """Whether any client of another machine that reaches it is answered."""
    by_certificate = endpoint.tls and settings.tls.verify_clients
    allow = settings.front_end(name).allow
    return not (endpoint.address.is_loopback or by_certificate or allow)


def _unix(settings: Settings, name: str, endpoint: UnixEndpoint) -> Iterator[Finding]:
    folder = os.path.dirname(endpoint.path)
    if not os.path.isdir(folder):
        yield from _no_folder(settings, name, endpoint)
        return
    wrong = False
    for finding in (*_file(name, endpoint), *_accounts(name, endpoint)):
        wrong = True
        yield finding
    for text in unixsockets.folder_warnings(endpoint):
        what, _, fix = text.partition("; ")
        yield warning(_SUBJECT, f"{name}: {what}", fix)
        wrong = True
    if not wrong:
        yield ok(_SUBJECT, f"{name}: {endpoint}")


def _no_folder(settings: Settings, name: str, endpoint: UnixEndpoint) -> Iterator[Finding]:
    """What the check of a start, which looks as the gateway's user, has not told already."""
    if asuser.seen_by(asuser.identity_of(settings), lambda: _missing(endpoint)):
        return
    # A start opens its sockets as root.
    what = f"{name}: the folder {os.path.dirname(endpoint.path)} cannot be looked at"
    yield from [*_missing(endpoint)] or [warning(_SUBJECT, what, "run check-config as root")]


def _missing(endpoint: UnixEndpoint) -> Iterator[Finding]:
    try:
        unixsockets.require_place(endpoint)
    except unixsockets.ListenError as fault:
        what, _, fix = fault.problem.partition("; ")
        yield error(_SUBJECT, what, fix)


def _file(name: str, endpoint: UnixEndpoint) -> Iterator[Finding]:
    try:
        mode = os.lstat(endpoint.path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        yield error(
            _SUBJECT,
            f"{name}: {endpoint.path} is there and is not a socket",
            "move it away, or choose another path",
        )


def _accounts(name: str, endpoint: UnixEndpoint) -> Iterator[Finding]:
    for kind, account, number in (
        ("user", endpoint.user, privileges.user_id),
        ("group", endpoint.group, privileges.group_id),
    ):
        if account is None:
            continue
        try:
            number(account)
        except privileges.PrivilegeError as fault:
            what = f"{name}: {endpoint}: {fault.problem.partition(';')[0]}"
            yield error(_SUBJECT, what, f"create it, or name another {kind}")
