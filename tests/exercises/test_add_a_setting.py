"""Add a setting: declare it, wire it, make the reference again; nothing declared has no effect.

That gateway.toml(5) is that of the declarations, and that each has a
default, an example and a description, says tests/config/test_reference.py.
"""

from __future__ import annotations

import ast

import pytest

from gateway.config.frontends import NAMES
from gateway.config.model import SECTIONS
from tests.exercises.reading import TABLES, all_settings_read, settings_read

READ = all_settings_read()
# A top-level setting may be the default of the front ends' own, and has its effect there.
INHERITED = {
    ("general", declaration.inherits)
    for section in SECTIONS
    for declaration in section.declarations.values()
    if declaration.inherits is not None
}


@pytest.mark.parametrize(
    ("table", "key"), [(table, key) for table, keys in TABLES.items() for key in sorted(keys)]
)
def test_the_program_reads_it(table: str, key: str) -> None:
    """A setting that is declared and documented, and that nothing reads, does nothing for a user."""
    where = f"settings.{table}.{key}"
    if table in NAMES:
        where += f", or in gateway/frontends/{table}_*.py table.{key} of the parts it is given"
    read = (table, key) in READ | INHERITED
    assert read, f"nothing in gateway/ reads {where}: wire it where its value has its effect"


def test_a_front_end_reads_its_own_table() -> None:
    """By `table` of its parts; nowhere else does that word mean one."""
    source = ast.parse(
        "def sessions(serving):\n  t = serving.table\n  f(t.allow, serving.table.mode)"
    )
    assert settings_read(source, ["policy"]) >= {("policy", "allow"), ("policy", "mode")}
    assert ("milter", "allow") not in settings_read(source, ["policy"])
    assert settings_read(source) == set()


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("x = settings.remote.deadline", {("remote", "deadline")}),
        ("remote = settings.remote\nx = f(remote.deadline)", {("remote", "deadline")}),
        ("a, b = settings.policy, settings.milter\nb.mode", {("milter", "mode")}),
        (
            "Front = PolicySettings | MilterSettings\ndef f(s: Front): return s.allow",
            {("policy", "allow"), ("milter", "allow")},
        ),
        ("class ScopeSettings:\n  def f(self): return self.domains", {("scope", "domains")}),
        ("class Other:\n  def f(self): return self.domains", set()),
        ("def f(s): return s.deadline", set()),
    ],
)
def test_a_reading_is_recognized(source: str, read: set[tuple[str, str]]) -> None:
    """By whatever name the table goes; a key of the same name in something else is not it."""
    found = settings_read(ast.parse(source))
    assert {each for each in found if each[1] in TABLES[each[0]]} == read
