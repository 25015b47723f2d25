"""The program's own source as tests look at it: its modules, and what each calls and imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    str(path.relative_to(ROOT))
    for room in ("gateway", "smmapd")
    for path in (ROOT / room).rglob("*.py")
)


@cache
def tree(path: str) -> ast.Module:
    """The syntax of one of SOURCES."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    """A name with its dots; what is not a plain name in front of a dot is left out."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def imports(path: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import in one of SOURCES."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def uses(path: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each call and import in one of SOURCES."""
    yield from imports(path)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def prefixes(name: str) -> Iterator[str]:
    """Its beginnings: for `os.path.join` also `os` and `os.path`."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
