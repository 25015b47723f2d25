"""The repository itself: nothing of the machine that it was written on, and readable modules."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.require import require_program

ROOT = Path(__file__).parents[1]
CODE = ("gateway", "smmapd", "tests")
# What tools and installations leave in a clone.
_LEFT_BY_TOOLS = re.compile(r"\.(?!ci$).*|__pycache__|build|dist|.*\.egg-info")
# Longer ones are two modules in one file.
MAX_LINES = 400
EX_CONFIG = 78

# Home folders and checkouts of developers, and the hosts that packages come from; in pieces,
# so that this file does not match itself.
_SLASH = "/"
_FORBIDDEN = re.compile(
    "|".join(
        (
            *(
                rf"(?<![\w.{_SLASH}-]){_SLASH}{name}{_SLASH}\w"
                for name in ("home", "Users", "root")
            ),
            rf"(?<![\w.{_SLASH}-]){_SLASH}work{_SLASH}",
            *(
                re.escape(f"{name}.{top}")
                for name, top in (("pypi", "org"), ("pythonhosted", "org"))
            ),
            re.escape("deb.debian" + ".org"),
            r"index-url\s*=",
        )
    )
)


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file of the project below `folder`."""
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if not _LEFT_BY_TOOLS.fullmatch(entry.name):
                yield from files(path)
        elif entry.is_file(follow_symlinks=False) and entry.name != ".git":
            # In a second work tree of git, .git is a file that names the first one.
            yield path


def modules() -> list[str]:
    """Every module, by its path from the project's root."""
    found = (path for name in CODE for path in files(ROOT / name) if path.suffix == ".py")
    return [str(path.relative_to(ROOT)) for path in found]


def test_no_file_names_a_machine_or_a_registry() -> None:
    """A clone is the same wherever it lies and wherever packages come from."""
    found = []
    for path in files():
        data = path.read_bytes()
        if b"\0" in data:
            continue  # a database or a picture
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if _FORBIDDEN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line[:200]}")
    assert found == []


@pytest.mark.parametrize("module", modules())
def test_every_module_opens_with_a_docstring(module: str) -> None:
    """It says what it is; the empty __init__ of a folder of tests says it by its name."""
    text = (ROOT / module).read_text(encoding="utf-8")
    if module.startswith("tests/") and not text:
        return
    assert ast.get_docstring(ast.parse(text)), f"{module} has no docstring"


def test_no_module_is_too_long() -> None:
    """A reader gets to its end."""
    lengths = {each: len((ROOT / each).read_text().splitlines()) for each in modules()}
    assert {each: count for each, count in lengths.items() if count > MAX_LINES} == {}


# What tests of any folder may import: real programs, what needs none, stores, the C program's
# answers, the demo's store, and the tables of what every interface says.
SHARED = frozenset({"rigs", "support", "stores", "golden", "demo", "interfaces"})


def test_no_test_imports_from_another_folder() -> None:
    """What two folders of tests need has a place of its own: `rigs`, or `support`."""
    crossing = [
        f"{module}: {node.module}"
        for module in modules()
        if module.startswith("tests/")
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests.")
        for folder in [node.module.split(".")[1]]
        if (ROOT / "tests" / folder).is_dir() and folder not in {*SHARED, module.split("/")[1]}
    ]
    assert crossing == []


@pytest.mark.processes
def test_the_launcher_starts_smmapd_without_site() -> None:
    """`make venv` writes it: the program runs, from any folder, without Python's site module."""
    launcher = Path(sys.executable).parent / "smmapd"
    require_program(str(launcher), "run `make venv`")
    first, *_ = launcher.read_text().splitlines()
    assert first == f"#!{sys.executable} -ISXutf8"
    done = subprocess.run(
        [str(launcher), "-X", "-C", "/nonexistent/imapd.conf"],
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == EX_CONFIG
    assert "/nonexistent/imapd.conf" in done.stderr


@pytest.mark.processes
@pytest.mark.parametrize("name", ["smmapd", "smmapd-gateway"])
def test_both_programs_are_installed(name: str) -> None:
    """`make venv` puts them beside the interpreter."""
    program = require_program(str(Path(sys.executable).parent / name), "run `make venv`")
    done = subprocess.run([program, "--help"], capture_output=True, check=False, text=True)
    assert name in done.stdout + done.stderr
