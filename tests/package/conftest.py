"""The package, built once, and clean roots with what it depends on."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.rigs.debian import Root, debian
from tests.rigs.processes import run
from tests.rigs.program import ROOT
from tests.rigs.require import require

# Where systemd is not, these do what the maintainer scripts ask of it.
SMALL_SYSTEMD = ("systemd-standalone-sysusers", "systemd-standalone-tmpfiles")


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the .deb, built from this clone."""
    require("deb", "package")
    return build(str(tmp_path_factory.mktemp("deb")))


def build(output: str) -> str:
    """Build the package of this clone in a folder; its path."""
    builder = {"DEBFULLNAME": "The tests", "DEBEMAIL": "tests@builder.example.org"}
    run([os.path.join(ROOT, "contrib", "deb.sh"), output], env=builder)
    (path,) = glob.glob(f"{output}/*.deb")
    return path


def field(package: str, name: str) -> str:
    """A field of the package's control file."""
    return run(["/usr/bin/dpkg-deb", "--field", package, name]).decode().strip()


def depends(package: str) -> tuple[str, ...]:
    """The packages that it depends on; of alternatives the smaller one."""
    names = (
        each.split("|")[-1].split("(")[0].strip() for each in field(package, "Depends").split(",")
    )
    wanted = {name.removesuffix(":any") for name in names}
    return tuple(sorted(wanted - {"systemd-sysusers"} | set(SMALL_SYSTEMD)))


def install(root: Root, package: str) -> None:
    """Install the package, whose dependencies are there."""
    target = root.path("/tmp/package.deb")
    shutil.copy(package, target)
    root.run("dpkg", "--install", "/tmp/package.deb")
    os.unlink(target)


@pytest.fixture(scope="module")
def root(package: str) -> Iterator[Root]:
    """A clean Debian with the package's dependencies, and no more."""
    with debian(*depends(package)) as made:
        yield made
