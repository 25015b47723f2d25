"""Add a setting: declare it, wire it, make the reference again; nothing declared has no effect.

That gateway.toml(5) is that of the declarations, and that each has a
default, an example and a description, says tests/config/test_reference.py.
"""

from __future__ import annotations

import ast
import dataclasses
import re

import pytest

from gateway.config.frontends import NAMES
from gateway.config.model import SECTIONS
from gateway.config.tables.connections import FrontEndSettings
from gateway.config.tables.milter import problems
from tests.exercises.reading import TABLES, all_settings_read, loaded, settings_read
from tests.sources import ROOT, tree

READ = all_settings_read()
TESTS = "".join(
    path.read_text()
    for path in sorted((ROOT / "tests").rglob("*.py"))
    if path.parent.name != "exercises"
)
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


@pytest.mark.parametrize("key", sorted({key for keys in TABLES.values() for key in keys}))
def test_a_test_names_it(key: str) -> None:
    """What it does is tested beside what it does it to."""
    named = re.search(rf"\b{key}\b", TESTS) is not None
    assert named, f"no test names {key}: test its effect beside the module that reads it"


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


# What a milter on libmilter is made of, in place of gateway/worker/servers.py.
_ON_PYMILTER = (
    "gateway/worker/pymilterprocess.py",
    "gateway/worker/serving.py",
    "gateway/wiring/judges.py",
    "gateway/config/model.py",
)


@pytest.mark.parametrize("key", [each.name for each in dataclasses.fields(FrontEndSettings)])
def test_a_milter_on_pymilter_honours_what_all_front_ends_have(key: str) -> None:
    """Or it is refused there: `problems` in gateway/config/tables/milter.py."""
    milter = loaded('[scope]\ndomains = ["a.org"]\n[milter]\nlisten = ["unix:/run/m"]\n').milter
    refused = {name for name, _ in problems(milter, {f"milter.{key}"})}
    read = {each for path in _ON_PYMILTER for each in settings_read(tree(path))}
    known = ("milter", key) in read or f"milter.{key}" in refused
    assert known, f"libmilter ignores {key}: honour it, or refuse it in {problems.__module__}"
