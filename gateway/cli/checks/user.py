"""The user that the gateway becomes: is there one of that name, and is it not root?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.checks.finding import error, warning
from gateway.supervisor import privileges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.checks.finding import Finding
    from gateway.config import Settings

_SUBJECT = "settings"


def check(settings: Settings) -> Iterator[Finding]:
    """What a start by root would do; anybody else stays who they are."""
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
        yield error(_SUBJECT, f"{settings.file}: {fault}", "create it, or correct gateway.toml")
