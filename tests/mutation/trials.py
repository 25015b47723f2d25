"""Runs tests on a changed module, each time in a fork, and tells whether one of them failed.

Nothing is written: an import hook gives the forks the changed code, so what a
test starts as a program of its own runs the code as it is.  Two things save
most of the time.  A fork finds what the tests import from elsewhere already
loaded.  And a first run of the tests notes which lines of the module each of
them goes through, so that a change is met only by those that go there, the
fastest first.

Hypothesis makes the same examples each time, so a result can be repeated.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).parents[2]
OURS = ("gateway", "smmapd", "tests")

# A change that makes a test wait or run for ever counts as noticed after this
# much of what the test takes without it, on a machine that may be busy.
WAIT_FACTOR, WAIT_LEAST_S = 10, 20
# One that makes it greedy, at this much memory.
MEMORY = 2 << 30

_FAILED_WITHOUT = "the tests fail without a change"


class Trials:
    """The tests of one module: `noticed` answers for one change after the other."""

    def __init__(self, module: str, tests: list[str], scratch: str) -> None:
        """`module` and `tests` are paths below the project; raises RuntimeError if `tests` fail."""
        self.file = str(ROOT / module)
        self._module = module.removesuffix(".py").replace("/", ".")
        self._scratch = scratch
        settings.register_profile(
            "mutation",
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
        )
        settings.load_profile("mutation")
        first = self._first_run(tests)
        self._always = set(first["always"]) | _cached_lines(self.file)
        self._tests: dict[str, tuple[float, set[int]]] = {
            test: (cost, set(lines)) for test, (cost, lines) in first["tests"].items()
        }
        for name in first["loaded"]:
            if name.partition(".")[0] not in OURS:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        gc.freeze()  # what every fork has need not be looked at in each

    def noticed(self, mutant: Mutant) -> bool:
        """Whether a test fails, does not end, or cannot even be imported."""
        those = self.reached(mutant)
        if not those:
            return False
        code = mutant.code(self.file)
        files = list(dict.fromkeys(test.partition("::")[0] for test in those))
        chosen = Chosen({test: self._tests[test][0] for test in those}, set(self._tests))
        return _fork(lambda: self._run(code, files, chosen), bounded=True) != 0

    def reached(self, mutant: Mutant) -> list[str]:
        """The tests that go through the changed statement, the fastest first."""
        lines = set(mutant.lines)
        everyone = bool(lines & self._always)
        those = [test for test, (_, seen) in self._tests.items() if everyone or lines & seen]
        return sorted(those, key=lambda test: self._tests[test][0])

    def _run(self, code: CodeType, files: list[str], plugin: object) -> int:
        sys.meta_path.insert(0, _Changed(self._module, self.file, code))
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={self._scratch}/tests"]
        # Hypothesis is there before pytest looks for plugins, on purpose.
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        return int(pytest.main([*options, *files], plugins=[plugin]))

    def _first_run(self, tests: list[str]) -> Any:
        kept = Path(self._scratch, "first.json")
        code = compile(Path(self.file).read_bytes(), self.file, "exec", dont_inherit=True)

        def run() -> int:
            watch = _Watch(self.file)
            status = self._run(code, tests, watch)
            loaded = sorted(sys.modules)
            kept.write_text(json.dumps({"loaded": loaded, **watch.seen()}), encoding="utf-8")
            return status

        if _fork(run, bounded=False) != 0:
            raise RuntimeError(_FAILED_WITHOUT)
        return json.loads(kept.read_text(encoding="utf-8"))


class _Changed(MetaPathFinder):
    """Gives one module other code."""

    def __init__(self, module: str, file: str, code: CodeType) -> None:
        self._module, self._file, self._code = module, file, code

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        if name != self._module:
            return None
        return spec_from_file_location(
            name, self._file, loader=_Loader(name, self._file, self._code)
        )


class _Loader(SourceFileLoader):
    def __init__(self, name: str, file: str, code: CodeType) -> None:
        super().__init__(name, file)
        self._code = code

    def get_code(self, _name: str) -> CodeType:
        return self._code


class Chosen:
    """A plugin: only these tests, in this order, and each comes to an end.

    A test that is none of `known` is one of them that the change gave another
    name, as one with a constant of the module among its parameters.
    """

    def __init__(self, costs: dict[str, float], known: set[str]) -> None:
        self._costs = costs
        self._known = known
        self._places = {test: at for at, test in enumerate(costs)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (
                item
                for item in items
                if item.nodeid in self._places or item.nodeid not in self._known
            ),
            key=lambda item: self._places.get(item.nodeid, len(self._places)),
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        signal.alarm(int(WAIT_LEAST_S + WAIT_FACTOR * self._costs.get(item.nodeid, 0)))


class _Watch:
    """A plugin: what each test costs, and the lines of the module that it goes through.

    What runs when the module is imported belongs to every test, also where the
    import is inside a function: only the first test meets it then.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._always: set[int] = set()
        self._lines = self._always
        self._tests: dict[str, tuple[float, set[int]]] = {}
        threading.settrace(self._called)
        sys.settrace(self._called)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._lines = set()
        begun = time.monotonic()
        yield
        self._tests[item.nodeid] = (time.monotonic() - begun, self._lines)
        self._lines = self._always

    def seen(self) -> dict[str, Any]:
        sys.settrace(None)
        tests = {test: (cost, sorted(lines)) for test, (cost, lines) in self._tests.items()}
        return {"always": sorted(self._always), "tests": tests}

    def _called(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        return self._at_import if _is_import(frame) or _is_import(frame.f_back) else self._at

    def _at_import(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self._always.add(frame.f_lineno)
        return self._at_import

    def _at(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self._lines.add(frame.f_lineno)
        return self._at


def _cached_lines(file: str) -> set[int]:
    """Those of functions whose result is kept: one test goes through them for all the others."""
    tree = ast.parse(Path(file).read_bytes())
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and any("cache" in ast.unparse(each) for each in node.decorator_list)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def _is_import(frame: FrameType | None) -> bool:
    """Whether it is the body of a module or of a class, not that of a function."""
    return frame is not None and not frame.f_code.co_flags & inspect.CO_OPTIMIZED


def _fork(run: Callable[[], int], *, bounded: bool) -> int:
    """What `run` returns in a fork, another number where it does not return."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _in_fork(run, bounded)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _in_fork(run: Callable[[], int], bounded: bool) -> None:
    status = 1
    try:
        if bounded:
            signal.alarm(WAIT_LEAST_S)  # for what is done before the first test
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        status = run()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)
