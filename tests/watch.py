"""`make watch`: on each change, the tests that mirror what has changed.

A changed module `gateway/ROOM/NAME.py` runs `tests/ROOM/test_NAME*.py`, and its whole folder of
tests where it has no file of that name; a changed test runs itself.  TESTS names others.

Limits: files are looked at once a LOOK_S; what a change breaks elsewhere is for `make unit`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.demo.development import LOOK_S, stamps

ROOT = Path(__file__).parents[1]


def main(always: list[str]) -> int:
    """Look until ctrl-C; 0."""
    print("Waiting for a change in gateway/, smmapd/ or tests/; ctrl-C ends.")
    known = stamps(list(watched()))
    try:
        while True:
            time.sleep(LOOK_S)
            now = stamps(list(watched()))
            changed = [path for path, stamp in now.items() if known.get(path) != stamp]
            known = now
            if changed:
                run(always or mirrored(changed))
    except KeyboardInterrupt:
        print()
        return 0


def run(tests: list[str]) -> None:
    """pytest on `tests`; what it says is on the terminal."""
    if tests:
        print("---", *tests)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not real", *tests]
        subprocess.run(command, cwd=ROOT, check=False)


def watched() -> Iterable[Path]:
    """The program and its tests."""
    for room in ("gateway", "smmapd", "tests"):
        yield from (ROOT / room).rglob("*.py")


def mirrored(changed: Iterable[Path]) -> list[str]:
    """The files or folders of tests that mirror the changed ones."""
    found: set[Path] = set()
    for path in changed:
        inside = path.relative_to(ROOT)
        if inside.parts[0] == "tests":
            found |= {inside} if path.name.startswith("test_") else set()
            continue
        rooms = inside.parts[1:-1] if inside.parts[0] == "gateway" else inside.parts[:-1]
        folder = ROOT.joinpath("tests", *rooms)
        while not folder.is_dir():
            folder = folder.parent
        own = {each.relative_to(ROOT) for each in folder.glob(f"test_{path.stem}*.py")}
        found |= own or {folder.relative_to(ROOT)}
    return sorted(str(each) for each in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
