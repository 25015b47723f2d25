"""The changes: one operator, condition or constant of a module at a time.

A comparison gets its neighbour (`<` and `<=`), `and` becomes `or`, `+` becomes
`-`, a whole number grows by one, `True` becomes `False`, and a condition that
is not a comparison is turned round.  Annotations and what only type checkers look
at are left alone.  Text, calls and the order of statements are not changed.

A mutant is known by its function and by what its statement becomes, not by its
line: so a justification outlives changes elsewhere in the file.  Statements of
one function that become the same text share a name.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, NamedTuple

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
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_CONDITIONAL = (ast.If, ast.While, ast.IfExp)
# Conditions that have a change of their own.
_CHANGED_THEMSELVES = (ast.Compare, ast.BoolOp, ast.Constant)


class Mutant(NamedTuple):
    """One change to a tree that all mutants of a module share; it is made only while it is looked at."""

    function: str
    statement: ast.stmt
    parent: Any  # the node above, or its list of nodes
    key: str | int
    now: ast.expr
    then: ast.expr
    tree: ast.Module

    @property
    def name(self) -> str:
        """The function, and the first line of what its statement becomes."""
        with self._made():
            return f"{self.function}: {_first_line(self.statement)}"

    @property
    def lines(self) -> range:
        """The lines of the statement, without those of statements inside it."""
        inside = getattr(self.statement, "body", [])
        end = inside[0].lineno - 1 if inside else self.statement.end_lineno or 0
        return range(self.statement.lineno, max(end, self.statement.lineno) + 1)

    def code(self, file: str) -> CodeType:
        """The changed module."""
        with self._made():
            return compile(self.tree, file, "exec", dont_inherit=True)

    @contextmanager
    def _made(self) -> Iterator[None]:
        _put(self.parent, self.key, self.then)
        try:
            yield
        finally:
            _put(self.parent, self.key, self.now)


def mutants(source: str) -> list[Mutant]:
    """Every change to `source`, in the order of its lines."""
    tree = ast.parse(source)
    spared = {id(each) for node in _unread(tree) for each in ast.walk(node)}
    found = []
    for function, statement in _statements(tree, ""):
        for parent, key, node in _expressions(statement):
            if id(node) not in spared:
                for changed in _changes(node, isinstance(parent, _CONDITIONAL) and key == "test"):
                    ast.fix_missing_locations(ast.copy_location(changed, node))
                    found.append(Mutant(function, statement, parent, key, node, changed, tree))
    return found


def _put(parent: Any, key: str | int, node: ast.expr) -> None:
    if isinstance(key, int):
        parent[key] = node
    else:
        setattr(parent, key, node)


def _first_line(statement: ast.stmt) -> str:
    bare = copy.copy(statement)
    for name, empty in (("body", [ast.Pass()]), ("orelse", []), ("decorator_list", [])):
        if hasattr(bare, name):
            setattr(bare, name, empty)
    return ast.unparse(bare).removesuffix("\n    pass").removesuffix(":")


def _statements(node: ast.AST, function: str) -> Iterator[tuple[str, ast.stmt]]:
    """Every statement below `node`, with the name of the function around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield function, child
        inside = function
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inside = f"{function}.{child.name}".removeprefix(".")
        yield from _statements(child, inside)


def _expressions(node: ast.AST) -> Iterator[tuple[Any, str | int, ast.expr]]:
    """The expressions of one statement, each with its place; not those of statements inside it."""
    for name, value in ast.iter_fields(node):
        places: list[tuple[Any, str | int, Any]]
        if isinstance(value, list):
            places = [(value, at, each) for at, each in enumerate(value)]
        else:
            places = [(node, name, value)]
        for parent, key, child in places:
            if isinstance(child, ast.expr):
                yield parent, key, child
            if isinstance(child, ast.AST) and not isinstance(
                child, (ast.stmt, ast.ExceptHandler, ast.match_case)
            ):
                yield from _expressions(child)


def _unread(tree: ast.AST) -> Iterator[ast.AST]:
    """What does nothing at run time: annotations, and what only type checkers look at."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns
        elif isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            yield node.annotation
        elif (isinstance(node, ast.Assign) and _is_for_types(node.targets[0])) or (
            isinstance(node, ast.If) and _is_for_types(node.test)
        ):
            yield node


def _is_for_types(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"


def _changes(node: ast.expr, is_condition: bool) -> Iterator[ast.expr]:
    """What may stand in the place of `node`; it shares the parts that stay."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            if other := _COMPARISONS.get(type(operator)):
                ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif is_condition and not isinstance(node, _CHANGED_THEMSELVES):
        yield ast.UnaryOp(ast.Not(), node)
