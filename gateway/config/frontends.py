"""The registry of front ends: a row each, and nowhere else a list of them.

A row joins a front end (`gateway.frontends.frontend` says what that is) with its table of
gateway.toml; the field of `FrontEndTables` of the same name holds that table's values.
Processes, status page, metrics, explain, check-config, print-config and ask all go through
`FRONT_ENDS`.

To add one: its codec, its session and its `FrontEnd`, its table, a row and a field here
(tests/exercises/test_add_a_front_end.py names what is still missing).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, cast

from gateway.config.declaration import Section
from gateway.config.tables import milter, policy, socketmap
from gateway.config.tables.connections import FrontEndSettings
from gateway.config.tables.milter import MilterSettings
from gateway.config.tables.policy import PolicySettings
from gateway.config.tables.socketmap import SocketmapSettings
from gateway.frontends import milter_frontend, policy_frontend, socketmap_frontend
from gateway.frontends.frontend import FrontEnd, TableT


def _no_problems(_own: object, _given: Collection[str]) -> Iterable[tuple[str, str]]:
    """Nothing can contradict itself."""
    return ()


@dataclass(frozen=True, slots=True)
class Row:
    """One front end and its table."""

    front_end: FrontEnd[Any, Any]
    section: Section[FrontEndSettings]
    # What contradicts itself in the table, by dotted key; the second argument are the keys given.
    problems: Callable[[Any, Collection[str]], Iterable[tuple[str, str]]]

    @property
    def name(self) -> str:
        """What it is called: the name of its table."""
        return self.front_end.name


def _row(
    front_end: FrontEnd[Any, TableT],
    section: Section[TableT],
    problems: Callable[[Any, Collection[str]], Iterable[tuple[str, str]]] = _no_problems,
) -> Row:
    """A row; the types say whether the table has what the front end reads of it."""
    return Row(front_end, cast("Section[FrontEndSettings]", section), problems)


# In the order of the reference, the status page and explain.
FRONT_ENDS: tuple[Row, ...] = (
    _row(socketmap_frontend.FRONT_END, socketmap.SECTION),
    _row(policy_frontend.FRONT_END, policy.SECTION),
    _row(milter_frontend.FRONT_END, milter.SECTION, milter.problems),
)
NAMES: tuple[str, ...] = tuple(row.name for row in FRONT_ENDS)
_BY_NAME: dict[str, FrontEnd[Any, Any]] = {row.name: row.front_end for row in FRONT_ENDS}


def front_end(name: str) -> FrontEnd[Any, Any]:
    """The front end of that name; KeyError where there is none."""
    return _BY_NAME[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndTables:
    """What the tables of the front ends say, by their names."""

    socketmap: SocketmapSettings
    policy: PolicySettings
    milter: MilterSettings

    def front_end(self, name: str) -> FrontEndSettings:
        """The table of the front end `name`."""
        found: FrontEndSettings = getattr(self, name)
        return found

    @property
    def serving(self) -> tuple[Row, ...]:
        """The front ends that are on."""
        return tuple(row for row in FRONT_ENDS if self.front_end(row.name).listen)
