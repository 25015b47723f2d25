"""The settings in force as TOML, each with the place where it was set.

What is not set follows a comment sign with its default, so that the text, read as
a gateway.toml, is the same configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.config.model import SECTIONS
from gateway.config.tables.replies import KINDS, PREFIX

if TYPE_CHECKING:
    from gateway.config.model import Settings
    from gateway.config.sources import SourceLocation

# The column of the places, where the setting is no longer.
_COLUMN = 44


def in_force(settings: Settings) -> Iterator[str]:
    """The lines; those of a table begin with an empty one."""
    for section in SECTIONS:
        if section.name:
            yield ""
            yield f"[{section.name}]"
        values = _values(settings, section.name)
        for key, declaration in section.declarations.items():
            value = getattr(values, key)
            shown = f"{key} = {declaration.show('' if value is None else value)}"
            dotted = section.dotted(key)
            if dotted in settings.given:
                yield _beside(shown, _written(settings.places.get(dotted)))
            elif declaration.inherits is not None:
                yield _beside(f"#{shown}", f"as {declaration.inherits} at the top")
            else:
                yield _beside(f"#{shown}", "default")


def _values(settings: Settings, name: str) -> object:
    if name.startswith(PREFIX):
        return settings.replies[KINDS[name.removeprefix(PREFIX)]]
    return getattr(settings, name or "general")


def _written(place: SourceLocation | None) -> str:
    """`FILE:LINE`; the scan for lines misses a key of an inline table, whose table has one."""
    return "set" if place is None else f"{place.file}:{place.line}"


def _beside(setting: str, place: str) -> str:
    return f"{setting.ljust(_COLUMN)}  # {place}"
