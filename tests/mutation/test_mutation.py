"""The tool itself: what it changes, and that it runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.mutation.__main__ import known_modules
from tests.mutation.mutants import mutants
from tests.mutation.trials import ROOT, Chosen, _cached_lines, _Watch

# Few mutants and fast tests: this runs in a few seconds.
SMALL = "gateway/cyrus/mailboxtypes.py"

CASES = [
    ("x = a < b", [": x = a <= b"]),
    ("x = a <= b < 5", [": x = a < b < 5", ": x = a <= b <= 5", ": x = a <= b < 6"]),
    ("x = a is None", [": x = a is not None"]),
    ("x = a + b", [": x = a - b"]),
    ("x = a and b", [": x = a or b"]),
    ("x = not a", [": x = bool(a)"]),
    ("x = True", [": x = False"]),
    ("x = 'text'", []),
    ("x: Literal[1] = 2", [": x: Literal[1] = 3"]),
    ("if a:\n    x = 1\nelif b():\n    pass", [": if not a", ": x = 2", ": if not b()"]),
    ("x = a if b else c", [": x = a if not b else c"]),
    ("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    A = B | C", []),
    (
        "class C:\n    @cache\n    def f(a: 'x[1]', b=2) -> 'y[3]':\n        return lambda: 4",
        ["C: def f(a: 'x[1]', b=3) -> 'y[3]'", "C.f: return lambda: 5"],
    ),
]


@pytest.mark.parametrize(("source", "names"), CASES)
def test_what_is_changed(source: str, names: list[str]) -> None:
    """One thing at a time, named by its function and by what its statement becomes."""
    found = mutants(source)
    assert [mutant.name for mutant in found] == names
    codes = [mutant.code("file") for mutant in found]
    assert len({*codes, compile(source, "file", "exec")}) == len(names) + 1


def test_the_lines_of_a_mutant() -> None:
    """Those of its statement, up to the first statement inside it."""
    source = "if (a\n    or b):\n    x = [\n        1,\n    ]\n"
    assert [list(mutant.lines) for mutant in mutants(source)] == [[1, 2], [3, 4, 5]]


def test_a_test_that_a_change_gives_another_name_is_run() -> None:
    """It is none of those that were known, and comes behind those that are chosen."""
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in ("new", "slow", "other", "fast")]
    chosen = Chosen({"fast": 0.1, "slow": 2.0}, {"fast", "slow", "other"})
    chosen.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == ["fast", "slow", "new"]


def test_what_runs_at_an_import_belongs_to_every_test(tmp_path: Path) -> None:
    """Where the import is inside a function, the first test that comes there runs it for all."""
    path = tmp_path / "late.py"
    path.write_text(
        "N = 1\n\n\nclass C:\n    M = [n\n         for n in (1,)]\n\n\n"
        "def f(\n    a=3,\n):\n    return a\n"
    )
    spec = importlib.util.spec_from_file_location("late", path)
    assert spec is not None
    assert spec.loader is not None
    late = importlib.util.module_from_spec(spec)
    before = sys.gettrace()
    watch = _Watch(str(path))
    try:
        for name in ("first", "second"):
            item: Any = SimpleNamespace(nodeid=name)
            protocol = watch.pytest_runtest_protocol(item)
            next(protocol)
            if name == "first":
                spec.loader.exec_module(late)
            else:
                late.f()
            assert next(protocol, None) is None
    finally:
        seen = watch.seen()
        threading.settrace(None)
        sys.settrace(before)
    assert seen["always"] == [1, 4, 5, 6, 9, 10]
    assert [lines for _, lines in seen["tests"].values()] == [[], [12]]


def test_what_is_kept_belongs_to_every_test(tmp_path: Path) -> None:
    """The first test that asks goes through it, and the others have what it found."""
    path = tmp_path / "kept.py"
    path.write_text(
        "import functools\n\n\n@functools.cache\ndef f():\n    return 1\n\n\n"
        "class C:\n    @lru_cache(maxsize=3)\n    def g(self):\n        return 2\n\n"
        "    @property\n    def h(self):\n        return 3\n"
    )
    assert _cached_lines(str(path)) == {5, 6, 11, 12}


def _run(*words: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", SMALL, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_a_small_module() -> None:
    """Its tests notice everything."""
    code, lines = _run()
    assert (code, [line for line in lines if line.startswith(f"{SMALL}:")]) == (0, lines[-1:])
    assert "8 mutants, 8 tried, 8 noticed," in lines[-1]


def test_a_module_without_tests() -> None:
    """Other tests than its own notice nothing, and never come there."""
    code, lines = _run("--tests", "tests/cyrus/test_wildmat.py", "--most", "3")
    assert code == 1
    assert len([line for line in lines if line.endswith(" (never run)")]) == 3


def test_what_modules_toml_names_is_there() -> None:
    """Modules, and their tests."""
    for path, tests in known_modules().items():
        assert (ROOT / path).is_file(), path
        assert tests, path
        assert all((ROOT / test).is_file() for test in tests), path
