"""One declaration a setting: what parses it, checks it and describes it.

A section of gateway.toml is a frozen dataclass whose fields are declared with
`setting` or `inherited`.  The same declaration drives the loader, the manual
page gateway.toml(5) and the commented example, so they cannot drift apart.
Nothing here knows a particular setting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)

_METADATA_KEY = "declaration"
# The release of the project that brought the first settings.
FIRST_RELEASE = "0.1"


class BadValue(Exception):
    """A value that a setting does not take.

    `problems` are pairs: where inside the value (`""`, or `[2]` for the third
    element of a list), and the reason with what to do.
    """

    def __init__(self, *problems: tuple[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(where + reason for where, reason in problems))


@dataclass(frozen=True, slots=True)
class SettingType(Generic[T]):
    """A type of value: `parse` makes it from what tomllib gives, `show` is its TOML text.

    `name` says for people what is expected ("a whole number from 1 to 64").
    `parse` raises BadValue.
    """

    name: str
    parse: Callable[[object], T]
    show: Callable[[T], str]


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything that is known of one setting.

    `parse` and `show` are its type's.  `default` is the TOML text of the default, None
    where the setting takes the value of the top-level setting `inherits`.  `example` is
    TOML text too.
    `sample` says that the example configuration sets it to the example
    instead of showing its default behind a comment sign.
    """

    type_name: str
    parse: Callable[[object], object]
    show: Callable[[Any], str]
    default_value: object
    default: str | None
    inherits: str | None
    units: str
    description: str
    example: str
    since: str
    sample: bool

    def with_default(self, value: object, shown: str) -> Declaration:
        """The same declaration with another default: `value`, which TOML writes as `shown`."""
        return dataclasses.replace(self, default_value=value, default=shown, example=shown)


class Values(Protocol):
    """A dataclass of settings (what `declarations_of` reads)."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]


@dataclass(frozen=True, slots=True)
class Section(Generic[S_co]):
    """One table of gateway.toml; `name` is dotted, and empty for the top of the file.

    `build` makes the section's value from one keyword a declaration.
    """

    name: str
    title: str
    description: str
    build: Callable[..., S_co]
    declarations: Mapping[str, Declaration]

    def dotted(self, key: str) -> str:
        """The full name of `key` in this section, as messages and lines call it."""
        return f"{self.name}.{key}" if self.name else key


def setting(
    kind: SettingType[T],
    *,
    default: T,
    description: str,
    example: str,
    units: str = "",
    since: str = FIRST_RELEASE,
    sample: bool = False,
) -> T:
    """Declare a field of a section's dataclass with a default of its own."""
    declaration = Declaration(
        type_name=kind.name,
        parse=kind.parse,
        show=kind.show,
        default_value=default,
        default=kind.show(default),
        inherits=None,
        units=units,
        description=description,
        example=example,
        since=since,
        sample=sample,
    )
    return field(default=default, metadata={_METADATA_KEY: declaration})


def inherited(
    kind: SettingType[T],
    *,
    inherits: str,
    description: str,
    example: str,
) -> T:
    """Declare a field that is, where it is not set, what the top-level `inherits` is."""
    declaration = Declaration(
        type_name=kind.name,
        parse=kind.parse,
        show=kind.show,
        default_value=None,
        default=None,
        inherits=inherits,
        units="",
        description=description,
        example=example,
        since=FIRST_RELEASE,
        sample=False,
    )
    result: T = field(metadata={_METADATA_KEY: declaration})
    return result


def declarations_of(values: type[Values]) -> Mapping[str, Declaration]:
    """The declarations of a section's dataclass, in the order of its fields."""
    found: dict[str, Declaration] = {}
    for name, each in values.__dataclass_fields__.items():
        declaration: object = each.metadata.get(_METADATA_KEY)
        assert isinstance(declaration, Declaration), f"{values.__name__}.{name} is not declared"
        found[name] = declaration
    return MappingProxyType(found)
