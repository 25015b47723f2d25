"""docs/log.md and docs/verdicts.md have an entry for whatever the programs say.

The program's own text is read: each warning and error that it writes to a log,
with … for what is put in.  Those that are put together elsewhere and written as
they are stand in ASSEMBLED, by a part that the source has.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from gateway import errors
from gateway.frontends.waiver import Waiver
from gateway.verification.kinds import KINDS
from tests.sources import SOURCES, dotted, tree
from tests.support.blocks import text

LOG = text("docs/log.md")
VERDICTS = text("docs/verdicts.md")
_HOLE = "…"
_PLACEHOLDER = r"%[-.0-9]*[a-z]"
# Letters of a beginning that is nobody else's.
_ENOUGH = 40
# Methods that write a line at warning or above, and callables that are handed one.
_LOGGING = frozenset({"warning", "error", "critical", "exception", "answer"})
_REPORTING = frozenset({"report", "_report", "complain", "_complain"})
# What is not a log: findings and usage on a terminal, mistakes in gateway.toml.
_NO_LOG = re.compile(r"^gateway/cli/|^gateway/config/")
# Parts of lines that are made in one place and written in another.
ASSEMBLED = (
    "new configuration refused, the old one stays in force",
    "the new configuration waits for",
    "the old one stays in force",
    "cannot be read: ",
    "; is this the right file?",
    "more lines are wrong and skipped",
    "raise max_loss in [scope] and reload",
    "may be written by",
    "has the keys of Cyrus up to 3.4",
    "is asked for more unknown recipients than it can answer in time; they are deferred",
    "has not answered within",
    "it defers a name that no mailbox can have",
    "gateways point at",
    "ended with exit code",
    "was ended by",
    "no longer: ",
    "log lines were lost",
    "cannot listen on",
)


def _template(node: ast.AST, constants: Mapping[str, ast.expr]) -> str:
    """A text with holes; nothing but a hole where it is not known."""
    match node:
        case ast.Constant(value=str(value)):
            return re.sub(_PLACEHOLDER, _HOLE, value)
        case ast.JoinedStr(values=values):
            return "".join(_template(each, constants) for each in values)
        case ast.FormattedValue(value=ast.Name() as value):
            return _template(value, constants)
        case ast.Name(id=name) if name in constants:
            return _template(constants[name], constants)
        case _:
            return _HOLE


def _calls(path: str) -> Iterator[str]:
    """The texts that a module hands to a log."""
    module = tree(path)
    constants = {
        each.targets[0].id: each.value
        for each in module.body
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
    }
    for call in ast.walk(module):
        if not isinstance(call, ast.Call):
            continue
        *before, name = dotted(call.func).split(".")
        writes = name in _LOGGING and "log" in ".".join(before)
        if not writes and name not in _REPORTING:
            continue
        if name == "answer" and "INFO" in ast.dump(call):
            continue
        found = [_template(each, constants) for each in call.args]
        yield from [each for each in found if re.search(r"\w{3}", each)][:1]


def lines() -> list[str]:
    """Every line that the programs' text shows."""
    paths = [path for path in SOURCES if not _NO_LOG.search(path)]
    return sorted({line for path in paths for line in _calls(path)})


def entries() -> set[str]:
    """The first column of docs/log.md's tables."""
    return set(re.findall(r"^\| `([^`]+)`", LOG, re.MULTILINE))


@cache
def source() -> str:
    """Every text in the programs, without what is put in."""
    texts = "".join(
        node.value
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return re.sub(r"\s+", " ", re.sub(_PLACEHOLDER, "", texts))


@pytest.mark.parametrize("line", lines())
def test_a_line_of_the_log_has_an_entry(line: str) -> None:
    """With holes where the program puts something in; line or entry may go on behind the other."""
    assert any(each.startswith(line) or line.startswith(_begun(each)) for each in entries()), line


def _begun(entry: str) -> str:
    """An entry without the hole at its end, if enough comes before it."""
    begun = entry.removesuffix(_HOLE)
    return begun if len(begun) > _ENOUGH else entry


@pytest.mark.parametrize("part", ASSEMBLED)
def test_a_line_that_is_put_together_has_an_entry(part: str) -> None:
    """And the source still has that part."""
    assert part in source()
    assert any(part.strip() in each for each in entries())


def test_an_entry_is_of_a_line_that_there_is() -> None:
    """No entry is left behind: its longest run of words stands in the source."""
    pieces = {max(each.split(_HOLE), key=len).strip(" :;,") for each in entries()}
    general = {"PATH", "SERVER", "SUBJECT", "PATH: record KEY", "postconf"}
    assert [piece for piece in pieces - general if piece not in source()] == []


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.GatewayError)
    ],
    ids=lambda kind: kind.__name__,
)
def test_a_kind_of_fault_has_an_entry(kind: type[errors.GatewayError]) -> None:
    """But for the root, for what a client sends, and for mistakes in a configuration."""
    others = {
        errors.GatewayError: "",
        errors.ProtocolError: "; disconnected",
        errors.ConfigurationError: "new configuration refused",
        errors.ConfigurationErrors: "new configuration refused",
    }
    assert others.get(kind, f"<!-- {kind.__name__} -->") in LOG


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_verdict_has_an_entry(kind: object) -> None:
    """A heading of its own."""
    name = getattr(kind, "name", "")
    found = re.search(rf"^### {name}$", VERDICTS, re.MULTILINE) is not None
    assert found, f"docs/verdicts.md: a section `### {name}`"


def test_no_entry_is_of_a_verdict_that_there_is_not() -> None:
    """In the order of the code."""
    assert re.findall(r"^### (.*)$", VERDICTS, re.MULTILINE) == [kind.name for kind in KINDS]


@pytest.mark.parametrize("waiver", Waiver)
def test_a_waiver_has_an_entry(waiver: Waiver) -> None:
    """The words of not_enforced."""
    assert f"| `{waiver.value}` |" in VERDICTS
