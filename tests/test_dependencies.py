"""What others have written: as little as can be, each piece declared, pinned by version and hash.

Whether a version has known holes only a service on the network can tell
(`pip-audit -r constraints.txt`); that is done by hand before a release.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sources import ROOT, SOURCES, imports

# Module and the distribution that has it, where they are not called alike.
DISTRIBUTIONS = {"pymysql": "PyMySQL", "milter": "pymilter"}
# Our own rooms, and a name that only mypy knows.
NOT_FOREIGN = frozenset({"gateway", "smmapd", "_typeshed"})
# What `pip install --no-build-isolation` and pymilter's build need.
BUILDERS = ("setuptools", "wheel")
PIN = re.compile(r"([A-Za-z0-9._-]+)==([0-9][0-9A-Za-z.+!-]*)((?: --hash=sha256:[0-9a-f]{64})+)")

with open(ROOT / "pyproject.toml", "rb") as _file:
    PROJECT = tomllib.load(_file)["project"]


def pins(name: str) -> Iterator[re.Match[str] | str]:
    """The entries of a constraints file; what is not a pin as it is there."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            entry = " ".join(line.split())
            yield PIN.fullmatch(entry) or entry


def declared(*extras: str) -> set[str]:
    """What pyproject.toml asks for."""
    words = [*PROJECT["dependencies"]]
    for extra in extras:
        words += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(word).name) for word in words}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-fuzz.txt"])
def test_everything_is_pinned_by_version_and_hash(name: str) -> None:
    """No range, no address, no other index."""
    assert [entry for entry in pins(name) if isinstance(entry, str)] == []
    assert list(pins(name))


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """By the program itself; tests may use more."""
    modules = {name.partition(".")[0] for path in SOURCES for _, name in imports(path)}
    foreign = modules - set(sys.stdlib_module_names) - NOT_FOREIGN
    found = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in foreign}
    assert found == declared("pgsql", "mysql", "milter")


def test_nothing_is_pinned_that_nobody_needs() -> None:
    """The pins are what is declared, and what that needs in turn; and those are installed."""
    pinned = {
        canonicalize_name(entry[1]): entry[2]
        for entry in pins("constraints.txt")
        if isinstance(entry, re.Match)
    }
    wanted: set[str] = {canonicalize_name(name) for name in BUILDERS}
    found = [*declared(*(set(PROJECT["optional-dependencies"]) - {"fuzz"}))]
    while found:
        name = found.pop()
        if name in wanted:
            continue
        wanted.add(name)
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                found.append(canonicalize_name(requirement.name))
    assert wanted == set(pinned)
    assert {name: metadata.version(name) for name in pinned} == pinned
