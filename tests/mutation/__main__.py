"""Changes one operator or constant at a time and runs the tests of that module on a copy.

    python -m tests.mutation gateway/cyrus/quota.py tests/cyrus/test_quota.py --most 40

A mutant that no test notices survives and is printed with its line.  The tests
run with `-x`; a mutant that takes longer than LIMIT_S counts as noticed: it
hangs.  `--most` takes that many mutants, evenly spread.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 120
COPIED = ("gateway", "smmapd", "tests", "pyproject.toml")

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


def _change(node: ast.AST) -> bool:
    """Change `node` itself; False where there is nothing to change."""
    if isinstance(node, ast.Compare):
        other = _COMPARISONS.get(type(node.ops[0]))
        if other is None:
            return False
        node.ops[0] = other()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        node.op = _OPERATORS[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        node.value += 1
    else:
        return False
    ast.fix_missing_locations(node)
    return True


def _unread(tree: ast.AST) -> Iterator[ast.AST]:
    """What does nothing at run time: annotations, and what only type checkers look at."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns
        elif isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TYPE_CHECKING":
            yield node


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what was changed into what, and the whole changed source."""
    tree = ast.parse(source)
    spared = {id(each) for node in _unread(tree) for each in ast.walk(node)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in spared:
            continue
        changed = copy.deepcopy(tree)
        twin = next(each for at, each in enumerate(ast.walk(changed)) if at == number)
        before = ast.unparse(node) if isinstance(node, ast.expr) else ""
        if isinstance(twin, ast.expr) and _change(twin):
            yield node.lineno, f"{before}  ->  {ast.unparse(twin)}", ast.unparse(changed)  # type: ignore[attr-defined]


def noticed(folder: str, tests: list[str]) -> bool:
    """Whether a test fails in the copy, or does not come to an end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environ = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> int:
    """Exit code 1 where mutants survive, 2 where the tests fail without one."""
    words = argparse.ArgumentParser(prog="tests.mutation", description=__doc__)
    words.add_argument("module")
    words.add_argument("tests", nargs="+")
    words.add_argument("--most", type=int, default=1 << 30)
    given = words.parse_args()
    source = (ROOT / given.module).read_text(encoding="utf-8")
    everything = list(mutants(source))
    chosen = everything[:: max(1, -(-len(everything) // given.most))]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(folder, name))
            else:
                shutil.copy(ROOT / name, folder)
        if noticed(folder, given.tests):
            print("the tests fail without a mutant", file=sys.stderr)
            return 2
        for line, what, text in chosen:
            Path(folder, given.module).write_text(text, encoding="utf-8")
            if not noticed(folder, given.tests):
                survivors += 1
                print(f"{given.module}:{line}: {what}", flush=True)
    print(f"{given.module}: {len(chosen)} of {len(everything)} mutants tried, {survivors} survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
