"""`print-config settings`: what is in force, and in which file and line it was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.inforce import in_force

if TYPE_CHECKING:
    from gateway.config import Settings


def settings(settings: Settings) -> str:
    """All of them as TOML; what is not set follows a comment sign."""
    files = dict.fromkeys((settings.file, *(each.file for each in settings.places.values())))
    head = f"# In force: {', '.join(files)}."
    return "\n".join((head, *in_force(settings)))
