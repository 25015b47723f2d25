"""The sockets that Postfix asks: are they ours, in the right protocol, and within its reach?

Advice here never opens a folder or a socket to more than the documents do: a
socket that Postfix cannot reach is moved, not laid open.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from gateway.cli.checks import access, sockets
from gateway.cli.checks.finding import error, ok, warning
from gateway.config.choices import Mode
from gateway.config.endpoints import UnixEndpoint
from gateway.config.frontends import FRONT_ENDS, front_end
from gateway.supervisor import privileges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.cli.checks.postfixconf import PostfixInstance, SocketUse
    from gateway.config import Settings
    from gateway.config.endpoints import Endpoint

_SUBJECT = "postfix"


def check(settings: Settings, postfix: PostfixInstance) -> Iterator[Finding]:
    """Every socket of ours that is asked, that is nearly asked, and that is not asked."""
    ours = sockets.by_place(settings)
    asked = False
    told: set[tuple[str, str, str]] = set()
    for use in postfix.uses:
        key = (use.service, use.protocol, use.written)
        if key in told:
            continue
        found = _reached(postfix, use, ours)
        if found is not None:
            asked = True
            told.add(key)
            name, endpoint = found
            if name != use.protocol:
                yield _wrong_protocol(settings, use, name)
                continue
            if isinstance(endpoint, UnixEndpoint):
                yield from _may_connect(settings, postfix, use, name, endpoint)
            else:
                yield _reaches(use, name, str(endpoint))
            yield from _observing(settings, use, name)
            continue
        outside = ours.get(os.path.normpath(use.path)) if use.path.startswith("/") else None
        if outside is not None:
            asked = True
            told.add(key)
            yield _out_of_reach(postfix, use, outside[0])
        elif (near := _near(postfix, use, ours)) is not None:
            asked = True
            told.add(key)
            yield near
    if ours and not asked:
        yield warning(
            _SUBJECT,
            "no smtpd asks any of our sockets",
            "`smmapd-gateway print-config postfix` shows what main.cf needs",
        )
        yield from _unreachable(postfix, ours)


def _reached(
    postfix: PostfixInstance, use: SocketUse, ours: dict[str, tuple[str, Endpoint]]
) -> tuple[str, Endpoint] | None:
    if use.path:
        return ours.get(postfix.place(use))
    return ours.get(use.inet.replace("localhost", "127.0.0.1"))


def _reaches(use: SocketUse, name: str, where: str) -> Finding:
    return ok(_SUBJECT, f"{use.service} asks [{name}] at {where} ({use.parameter})")


def _wrong_protocol(settings: Settings, use: SocketUse, name: str) -> Finding:
    right = settings.listeners.get(use.protocol, ())
    written = front_end(name).main_cf.format(socket=use.written)
    return error(
        _SUBJECT,
        f"{use.service} asks {use.written} in {use.parameter} as a {use.protocol}, and that is "
        f"[{name}]'s socket",
        f"name a socket of [{use.protocol}] there: {right[0]}"
        if right
        else f"write {written}, or let [{use.protocol}] listen and name its socket",
    )


def _near(
    postfix: PostfixInstance, use: SocketUse, ours: dict[str, tuple[str, Endpoint]]
) -> Finding | None:
    """A Unix socket in a folder of ours, or of one of our names, which is none of ours."""
    if not use.path:
        return None
    place = postfix.place(use)
    folder, name = os.path.split(place)
    folders = {os.path.dirname(path) for path in ours if path.startswith("/")}
    names = {os.path.basename(path): path for path in ours if path.startswith("/")}
    if os.path.exists(place) or (folder not in folders and name not in names):
        return None
    meant = [path for path, (front, _) in ours.items() if front == use.protocol]
    return error(
        _SUBJECT,
        f"{use.service} asks {use.written} in {use.parameter}, which is {place}, and nothing "
        "listens there",
        f"correct the path: [{use.protocol}] listens at {meant[0]}"
        if meant
        else f"let [{use.protocol}] listen there",
    )


def _observing(settings: Settings, use: SocketUse, name: str) -> Iterator[Finding]:
    """A table that finds everybody makes Postfix accept, and bounce later."""
    own = settings.front_end(name)
    if front_end(name).accepts_when_observing and own.mode is Mode.OBSERVE:
        instead = " or ".join(
            f"[{row.name}]" for row in FRONT_ENDS if not row.front_end.accepts_when_observing
        )
        yield warning(
            _SUBJECT,
            f"{use.service} asks [{name}] ({use.parameter}), which observes: it finds every "
            "recipient, and mail to unknown ones is accepted and bounced later",
            f'observe with {instead}; or set mode = "enforce" in [{name}], and in '
            "main.cf smtpd_reject_unlisted_recipient = no and, last of "
            "smtpd_recipient_restrictions, warn_if_reject reject_unlisted_recipient",
        )


def _out_of_reach(postfix: PostfixInstance, use: SocketUse, name: str) -> Finding:
    queue = postfix.queue_directory
    asked = front_end(use.protocol)
    proxy = (
        f", or let proxymap ask from outside: proxy:{asked.main_cf.format(socket=use.written)}"
        if asked.by_proxymap
        else ""
    )
    return error(
        _SUBJECT,
        f"{use.service} is chrooted: unix:{use.path} in {use.parameter} is {postfix.place(use)} "
        f"for it, and [{name}] does not listen there",
        f"listen at {queue}/smmapd/{name} and write unix:smmapd/{name} in {use.parameter}{proxy}",
    )


def _unreachable(
    postfix: PostfixInstance, ours: dict[str, tuple[str, Endpoint]]
) -> Iterator[Finding]:
    """Sockets that chrooted services could not ask if they were told to."""
    queue = os.path.join(os.path.normpath(postfix.queue_directory), "")
    chrooted = [service for service, inside in postfix.services.items() if inside]
    for path, (name, endpoint) in ours.items():
        if chrooted and path.startswith("/") and not path.startswith(queue):
            yield warning(
                _SUBJECT,
                f"{name}: {endpoint} is outside of {queue}, where {', '.join(chrooted)} is "
                "chrooted to",
                f"listen below {queue}, for example at {queue}smmapd/{name}",
            )


def _may_connect(
    settings: Settings, postfix: PostfixInstance, use: SocketUse, name: str, endpoint: UnixEndpoint
) -> Iterator[Finding]:
    owner = postfix.parameters.get("mail_owner", "postfix")
    try:
        account = pwd.getpwnam(owner)
    except KeyError:
        yield warning(_SUBJECT, f"there is no user {owner} (mail_owner)", "reinstall Postfix")
        return
    groups = os.getgrouplist(owner, account.pw_gid)
    barred = access.entry_barred(endpoint.path, account.pw_uid, groups)
    if barred is not None:
        queue = postfix.queue_directory
        yield error(
            _SUBJECT,
            f"{use.service} asks {endpoint}, and user {owner} may not enter {barred} "
            f"({access.permissions(barred)})",
            f"listen in a folder of its own: install -d -o {settings.general.user or 'cyrus'} "
            f"-g {owner} -m 0750 {queue}/smmapd, and unix:{queue}/smmapd/{name} in [{name}]",
        )
        return
    socket_owner = _socket_owner(settings, endpoint)
    if socket_owner is None:
        return
    user_id, group_id = socket_owner
    if access.may_write(user_id, group_id, endpoint.mode, account.pw_uid, groups):
        yield _reaches(use, name, endpoint.path)
        return
    yield error(
        _SUBJECT,
        f"{use.service} asks {endpoint}, and its mode {endpoint.mode:04o} lets user {owner} not "
        "connect",
        f'listen = ["unix:{endpoint.path}?mode=0660&group={owner}"]',
    )


def _socket_owner(settings: Settings, endpoint: UnixEndpoint) -> tuple[int, int] | None:
    """Owner and group that the socket's file will have; None where a name is wrong.

    That is told by the checks of the settings and the sockets.
    """
    try:
        user_id, group_id = os.geteuid(), os.getegid()
        if settings.general.user:
            owner = privileges.resolve(settings.general.user, settings.general.group)
            user_id, group_id = owner.uid, owner.gid
        if endpoint.user is not None:
            user_id = privileges.user_id(endpoint.user)
        if endpoint.group is not None:
            group_id = privileges.group_id(endpoint.group)
    except privileges.PrivilegeError:
        return None
    return user_id, group_id
