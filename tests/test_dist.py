"""What a release is made of: one version, and an sdist and a wheel with all that belongs in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]

# Setuptools builds as `python -m build` has it build, without the network.
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and a wheel of the files that git knows, or would."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    names = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in names.split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder


def _modules() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for package in ("gateway", "smmapd")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_what_runs(made: Path) -> None:
    """Every module and every file beside them, manual pages and units; and no test."""
    with zipfile.ZipFile(made / f"smmapd-{VERSION}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"smmapd-{VERSION}.dist-info/METADATA").decode()
    assert _modules() <= names
    shared = {name.partition(".data/data/")[2] for name in names}
    assert {
        "share/man/man5/gateway.toml.5",
        "share/man/man8/smmapd.8",
        "share/man/man8/smmapd-gateway.8",
        "share/smmapd/systemd/smmapd-gateway.service",
        "share/smmapd/examples/mx-postfix.toml",
        "share/smmapd/examples/postfix/policy.cf",
    } <= shared
    assert not [name for name in names if name.startswith(("tests/", "contrib/", "docs/"))]
    for wanted in ("Author: the smmapd developers", "Keywords: ", "Requires-Python: >=3.11"):
        assert f"\n{wanted}" in metadata


def test_the_sdist_is_the_clone(made: Path) -> None:
    """It is enough to build, test and package."""
    with tarfile.open(made / f"smmapd-{VERSION}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = ("README.md", "LICENSE", "Makefile", "constraints.txt", "tests/test_dist.py")
    assert {*wanted, *_modules()} <= names
    for folder in ("contrib/debian/rules", "docs/index.md", "man/smmapd.8", "tests/golden"):
        assert any(name.startswith(folder) for name in names), folder
    assert not [name for name in names if "__pycache__" in name or name.startswith(".venv")]


@pytest.mark.parametrize("page", ["smmapd.8", "smmapd-gateway.8", "gateway.toml.5"])
def test_manual_pages_name_no_version(page: str) -> None:
    """It stands in pyproject.toml alone."""
    head = re.search(r"^\.TH .*$", (ROOT / "man" / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert head is not None
    assert not re.search(r"\d+\.\d+\.\d+", head[0])


def test_change_logs_are_of_this_version() -> None:
    """Debian's newest entry has it; ours has it, or what is not released yet."""
    debian = (ROOT / "contrib/debian/changelog").read_text(encoding="utf-8")
    assert debian.startswith(f"smmapd ({VERSION}-")
    ours = re.search(r"^## \[(.*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert ours is not None
    assert ours[1] in (VERSION, "Unreleased")


@pytest.mark.clean
@pytest.mark.slow
def test_make_dist() -> None:
    """As RELEASING.md has it: `build` makes both, and `twine check --strict` has nothing to say."""
    done = subprocess.run(
        ["make", "dist"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2, done.stdout
    assert sorted(os.listdir(ROOT / "dist")) == [
        f"smmapd-{VERSION}-py3-none-any.whl",
        f"smmapd-{VERSION}.tar.gz",
    ]
