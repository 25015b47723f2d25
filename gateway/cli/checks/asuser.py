"""The user that the gateway becomes, and findings made as that user: it cannot read all files.

`check` looks whether there is one of that name, and not root.  `seen_by` runs a check
in a child process that has become the user for good, as the gateway does after its start
and at each reload, and hands its findings back.  Owners, groups, access lists, mounts and
security modules are then those that count, without a model of any of them.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from gateway.cli.checks.finding import Finding, Level, error, warning
from gateway.supervisor import privileges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.config import Settings
    from gateway.supervisor.privileges import Identity

_SUBJECT = "settings"


def check(settings: Settings) -> Iterator[Finding]:
    """What a start by root would do; a start by another user keeps that user."""
    user, group = settings.general.user, settings.general.group
    if not privileges.is_root():
        return
    if not user:
        what = "user is empty, so that a gateway started as root stays root"
        yield warning(_SUBJECT, what, 'set user = "cyrus" in gateway.toml')
        return
    try:
        privileges.resolve(user, group)
    except privileges.PrivilegeError as fault:
        yield error(
            _SUBJECT,
            f"{settings.file}: {fault}",
            "correct gateway.toml, or create the account that is missing",
        )


def identity_of(settings: Settings) -> Identity | None:
    """The gateway's user, to check as, if we are root and there is one, else None."""
    user = settings.general.user
    if not privileges.is_root() or not user:
        return None
    try:
        return privileges.resolve(user, settings.general.group)
    except privileges.PrivilegeError:  # `check` tells
        return None


def seen_by(identity: Identity | None, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What `look` finds as `identity`; None looks as ourselves, in this process."""
    if identity is None:
        return list(look())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(writer, identity, look)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        return [error(_SUBJECT, f"the look as user {identity.user} ended early", "see above")]
    return [Finding(Level(level), *words) for level, *words in json.loads(answer)]


def _child(writer: int, identity: Identity, look: Callable[[], Iterable[Finding]]) -> None:
    """Become the user, look, tell; never comes back."""
    try:
        try:
            privileges.drop(identity)
            found = list(look())
        except privileges.PrivilegeError as fault:
            found = [error(_SUBJECT, str(fault), "run check-config as root")]
        rows = [(each.level.value, each.subject, each.what, each.fix) for each in found]
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(rows).encode())
    finally:
        os._exit(0)
