"""What the source itself shows of a new kind, setting, table, front end or metric.

Everything here reads syntax, so that a place is found wherever it moves to.  Limits: names that
are built from strings at run time are not seen.
"""

from __future__ import annotations

import ast
import dataclasses
import typing
from collections.abc import Iterable, Iterator

from gateway import config
from gateway.config.frontends import NAMES, FrontEndTables
from gateway.config.model import Settings
from gateway.config.tables.connections import FrontEndSettings
from tests.sources import ROOT, SOURCES, tree

# The tables of gateway.toml by the names of the fields of Settings; [replies.KIND] has its own shape.
_HINTS = typing.get_type_hints(Settings)
TABLES: dict[str, frozenset[str]] = {
    each.name: frozenset(field.name for field in dataclasses.fields(_HINTS[each.name]))
    for each in dataclasses.fields(Settings)
    if dataclasses.is_dataclass(_HINTS[each.name])
}
_CLASSES = {_HINTS[name].__name__: name for name in TABLES}

# What every front end's table has is read by way of `settings.front_end(NAME)`, and by a front end
# as `table` of its parts (gateway.frontends.frontend).
_CLASSES_OF_ALL = {FrontEndSettings.__name__: frozenset(NAMES)}
_OWN_TABLE = ("table", "_table")


def text(path: str) -> str:
    """A file of the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def loaded(more: str = "") -> Settings:
    """A gateway.toml with one front end and whatever else is given."""
    listen = '[socketmap]\nlisten = ["unix:/run/smmapd/socketmap"]\n'
    return config.loads((listen + more).encode(), "gateway.toml")


def man(name: str) -> str:
    """A manual page as it reads, roughly: without fonts, quotes of roff and escapes."""
    words = text(f"man/{name}").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    lines = []
    for line in words.splitlines():
        macro, _, rest = line.partition(" ")
        lines.append(rest.replace('"', "") if macro in (".B", ".BI", ".BR", ".I", ".IR") else line)
    return "\n".join(lines)


class _Reads(ast.NodeVisitor):
    """Finds `config.TABLE.KEY`, also by way of a local name or a typed parameter."""

    def __init__(self, own: frozenset[str]) -> None:
        self._own = own
        self.found: set[tuple[str, str]] = set()
        self._names: list[dict[str, frozenset[str]]] = [{}]
        self._aliases: dict[str, frozenset[str]] = {}

    def _tables(self, node: ast.AST) -> frozenset[str]:
        if isinstance(node, ast.Attribute) and node.attr in TABLES:
            return frozenset({node.attr})
        if isinstance(node, ast.Attribute) and node.attr in _OWN_TABLE:
            return self._own
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", "")
            return frozenset(NAMES) if called == FrontEndTables.front_end.__name__ else frozenset()
        if isinstance(node, ast.IfExp):
            return self._tables(node.body) | self._tables(node.orelse)
        if isinstance(node, ast.Name):
            for names in reversed(self._names):
                if node.id in names:
                    return names[node.id]
        return frozenset()

    def _annotated(self, node: ast.AST) -> frozenset[str]:
        """The tables whose classes a type names."""
        found: frozenset[str] = frozenset()
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                known = {_CLASSES[each.id]} if each.id in _CLASSES else set()
                found |= known | self._aliases.get(each.id, frozenset())
                found |= _CLASSES_OF_ALL.get(each.id, frozenset())
        return found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        parameters = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        self._names.append(
            {each.arg: self._annotated(each.annotation) for each in parameters if each.annotation}
        )
        self.generic_visit(node)
        self._names.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        own = _CLASSES.get(node.name)
        self._names.append({"self": frozenset({own})} if own else {})
        self.generic_visit(node)
        self._names.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        values = [node.value]
        targets = list(node.targets)
        if isinstance(node.value, ast.Tuple) and isinstance(targets[0], ast.Tuple):
            targets, values = targets[0].elts, node.value.elts
        for target, value in zip(targets, values * len(targets), strict=False):
            if isinstance(target, ast.Name):
                self._names[-1][target.id] = self._tables(value)
                self._aliases[target.id] = self._annotated(value)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.found |= {(table, node.attr) for table in self._tables(node.value)}
        self.generic_visit(node)


def settings_read(module: ast.Module, own: Iterable[str] = ()) -> set[tuple[str, str]]:
    """Table and key of each setting that the module, of the front ends `own`, reads."""
    reads = _Reads(frozenset(own))
    reads.visit(module)
    return reads.found


def all_settings_read() -> set[tuple[str, str]]:
    """The same of the whole program."""
    return {each for path in SOURCES for each in settings_read(tree(path), _front_ends(path))}


def _front_ends(path: str) -> tuple[str, ...]:
    """The front ends whose tables `table` may be in a module; those that share it are all."""
    folder, _, name = path.rpartition("/")
    if folder != "gateway/frontends":
        return ()
    named = tuple(each for each in NAMES if name.startswith(each))
    return named or NAMES


def displays(module: ast.AST) -> Iterator[tuple[int, list[ast.expr]]]:
    """Line and elements of each tuple, list, set and dict that is written out; a dict's keys."""
    for node in ast.walk(module):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            yield node.lineno, node.elts
        elif isinstance(node, ast.Dict):
            yield node.lineno, [key for key in node.keys if key is not None]


def words(elements: list[ast.expr]) -> set[str]:
    """The strings among `elements`, and those that begin a tuple among them."""
    first = [e.elts[0] if isinstance(e, ast.Tuple) and e.elts else e for e in elements]
    return {e.value for e in first if isinstance(e, ast.Constant) and isinstance(e.value, str)}
