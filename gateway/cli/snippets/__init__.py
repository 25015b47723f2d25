"""Pieces of other programs' configurations, made for the sockets of ours.

One function a program; each takes the settings and gives text that is ready
to be copied, with comments that say where it belongs.  contrib/ has the same
for sockets in the usual places.  `settings` is our own: what is in force, and
where it was set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli.snippets.exim import exim
from gateway.cli.snippets.postfix import postfix
from gateway.cli.snippets.sendmail import sendmail
from gateway.cli.snippets.services import cyrus, prometheus
from gateway.cli.snippets.settings import settings
from gateway.cli.snippets.systemd import systemd

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import Settings

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
