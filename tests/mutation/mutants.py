"""The changes: one operator, condition or constant of a module at a time.

A comparison gets its neighbour (`<` and `<=`), `and` becomes `or`, `+` becomes
`-`, a whole number grows by one, `True` becomes `False`, and a condition that
is not a comparison is turned round.  Annotations and what only type checkers look
at are left alone.  Text, calls and the order of statements are not changed.

What is there now and what comes in its place have no names of the module in
them: `<=`, `or`, `+`, `1`, `False`, `not`.  A mark in the source (see marks.py) says which
of them may stand in a line.
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
# How a change is called that adds `not` to a condition, or takes it away.
ADDED_NOT, NO_NOT = "not", "without not"
_WRITTEN: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.And: "and",
    ast.Or: "or",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
WORDS = frozenset({*_WRITTEN.values(), ADDED_NOT, NO_NOT, "True", "False"})
_CONDITIONAL = (ast.If, ast.While, ast.IfExp)
# Conditions that have a change of their own.
_CHANGED_THEMSELVES = (ast.Compare, ast.BoolOp, ast.Constant)


class Change(NamedTuple):
    """What may stand in the place of an expression."""

    then: ast.expr
    instead: str
    line: int


class Mutant(NamedTuple):
    """One change to a tree that all mutants of a module share; it is made only while it is looked at."""

    function: str
    statement: ast.stmt
    parent: Any  # the node above, or its list of nodes
    key: str | int
    now: ast.expr
    change: Change
    tree: ast.Module

    @property
    def instead(self) -> str:
        """What comes into the line: an operator, a constant, `not` or `without not`."""
        negative = isinstance(self.parent, ast.UnaryOp) and isinstance(self.parent.op, ast.USub)
        return f"-{self.change.instead}" if negative else self.change.instead

    @property
    def line(self) -> int:
        """Where it comes: the line of an operator's second operand, or of what is changed."""
        return self.change.line

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
        _put(self.parent, self.key, self.change.then)
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
                for change in _changes(node, isinstance(parent, _CONDITIONAL) and key == "test"):
                    ast.fix_missing_locations(ast.copy_location(change.then, node))
                    found.append(Mutant(function, statement, parent, key, node, change, tree))
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


def _changes(node: ast.expr, is_condition: bool) -> Iterator[Change]:
    """What may stand in the place of `node`; it shares the parts that stay."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            if other := _COMPARISONS.get(type(operator)):
                ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
                then: ast.expr = ast.Compare(node.left, ops, node.comparators)
                yield Change(then, _WRITTEN[other], node.comparators[at].lineno)
    elif isinstance(node, ast.BoolOp):
        word = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield Change(ast.BoolOp(word(), node.values), _WRITTEN[word], node.values[1].lineno)
    elif isinstance(node, ast.BinOp):
        if (operation := _OPERATORS.get(type(node.op))) and not _shifts_by_nothing(node):
            then = ast.BinOp(node.left, operation(), node.right)
            yield Change(then, _WRITTEN[operation], node.right.lineno)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        then = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
        yield Change(then, NO_NOT, node.lineno)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield Change(ast.Constant(value), repr(value), node.lineno)
    elif is_condition and not isinstance(node, _CHANGED_THEMSELVES):
        yield Change(ast.UnaryOp(ast.Not(), node), ADDED_NOT, node.lineno)


def _shifts_by_nothing(node: ast.BinOp) -> bool:
    """To the left and to the right it is the same."""
    return (
        isinstance(node.op, (ast.LShift, ast.RShift))
        and isinstance(node.right, ast.Constant)
        and node.right.value == 0
    )
