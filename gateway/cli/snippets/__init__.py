"""Pieces of other programs' configurations, made for the sockets of ours.

One function a program; each takes the settings and gives text that is ready
to be copied, with comments that say where it belongs.  contrib/ has the same
for sockets in the usual places.  `settings` is our own: what is in force, and
where it was set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.snippets.mailservers import exim, postfix, sendmail
from gateway.cli.snippets.services import cyrus, prometheus
from gateway.cli.snippets.systemd import systemd
from gateway.config.inforce import in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import Settings


def settings(settings: Settings) -> str:
    """All settings in force as TOML, with file and line; what is not set follows a comment sign."""
    files = dict.fromkeys((settings.file, *(each.file for each in settings.places.values())))
    head = f"# In force: {', '.join(files)}."
    return "\n".join((head, *in_force(settings)))


SNIPPETS: dict[str, Callable[[Settings], str]] = {
    "postfix": postfix,
    "sendmail": sendmail,
    "exim": exim,
    "cyrus": cyrus,
    "systemd": systemd,
    "prometheus": prometheus,
    "settings": settings,
}

__all__ = ["SNIPPETS"]
