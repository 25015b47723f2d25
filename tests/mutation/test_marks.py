"""Marks: what they cover, that a rename does not lose them, and that none in the source is stale."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

from tests.mutation.__main__ import faults, known_modules
from tests.mutation.marks import Explained, explained, marks, shown
from tests.mutation.mutants import mutants
from tests.mutation.trials import ROOT

MODULE = """
LIMIT = 64 * 1024  # only a bound: so much is read at once


def find(data, limit, quiet=False):
    at = 0  # same with 1: nothing stands in front of the second byte
    # same with <=: the loop looks once more,
    # and finds nothing
    # same without not in place 2: nothing is ever done
    while not quiet and not data.done and at < limit:
        at += 2
    # same with not: there is always one
    if data.rest:
        at = -1  # same with -2: any number below 0
    return at
"""
# The lines of MODULE that mutants survive in, and what survives there.
SAME = [(6, "1"), (10, "without not"), (10, "<="), (13, "not"), (14, "-2")]


def _explained(source: str) -> Explained:
    return explained(source, mutants(source))


def _same(source: str) -> list[tuple[int, str]]:
    found = mutants(source)
    return [(found[at].line, found[at].instead) for at in sorted(explained(source, found).same)]


def _renamed(source: str) -> str:
    """The same module, in which everything that it names has another name."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name)} - {"TYPE_CHECKING"}
    lines = source.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
        if token.type == tokenize.NAME and token.string in names:
            (line, begin), (_, end) = token.start, token.end
            lines[line - 1] = lines[line - 1][:begin] + "the_new_name" + lines[line - 1][end:]
    return "".join(lines)


def test_what_marks_cover() -> None:
    """A line, or the statement below; one operator of several; a whole statement that is a bound."""
    assert _same(MODULE) == SAME
    found = mutants(MODULE)
    untried = explained(MODULE, found).untried
    assert {found[at].line for at in untried} == {2}
    assert len(untried) == len([mutant for mutant in found if mutant.line == 2])
    assert _explained(MODULE).stale == []


def test_a_rename_does_not_lose_a_mark() -> None:
    """Whatever the functions and the variables are called, the same mutants are marked."""
    assert "the_new_name" in _renamed(MODULE)
    assert "limit" not in _renamed(MODULE).replace("LIMIT", "")
    assert _same(_renamed(MODULE)) == SAME
    assert _explained(_renamed(MODULE)) == _explained(MODULE)


def test_a_mark_goes_where_its_line_goes() -> None:
    """Into another function, further down."""
    moved = "def other():\n    pass\n" + MODULE.replace("def find", "class C:\n  pass\ndef find")
    assert [(line - 4, instead) for line, instead in _same(moved)] == SAME


@pytest.mark.parametrize(
    ("now", "then", "line", "gone"),
    [
        ("at < limit", "at <= limit", 7, "<="),
        ("not quiet and not data.done", "not data.done", 9, "without not"),
        ("if data.rest:", "if data.rest > 2:", 12, "not"),
        ("    at = 0  #", "    at = start()  #", 6, "1"),
        ("64 * 1024", "read_size()", 2, "only a bound"),
    ],
)
def test_a_stale_mark_is_an_error(now: str, then: str, line: int, gone: str) -> None:
    """What it was about has gone."""
    assert now in MODULE
    assert _explained(MODULE.replace(now, then)).stale == [
        f"{line}: the mark is stale: nothing here becomes {gone}"
    ]


@pytest.mark.parametrize(
    "comment",
    [
        "# same with <=",
        "# same with <= in place two: why",
        "# same without: why",
        "# same with : why",
    ],
)
def test_a_mark_without_a_reason_is_an_error(comment: str) -> None:
    """It names its line."""
    with pytest.raises(ValueError, match=r"^3: not a mark: "):
        list(marks(f"x = 1\n\nif a < b:  {comment}\n    pass\n"))


def test_numbers_are_written_as_in_the_line() -> None:
    """0x2001 is 8193, in whichever way it is reported."""
    assert _same("EVENT = 0x2000  # same with 0x2001: nobody asks for it\n") == [(1, "8193")]


def test_what_is_printed_of_a_survivor_is_its_mark() -> None:
    """With the place where there are several in the line."""
    source = "def f(a, b):\n    return (0, not a, 0)\n"
    found = mutants(source)
    printed = [shown(found, at) for at in range(len(found))]
    assert printed == [
        "2: same with 1 in place 1? f: return (1, not a, 0)",
        "2: same without not? f: return (0, bool(a), 0)",
        "2: same with 1 in place 2? f: return (0, not a, 1)",
    ]
    for at, line in enumerate(printed):
        mark = line.removeprefix("2: ").partition("?")[0]
        assert explained(source.rstrip() + f"  # {mark}: why\n", found).same == {at}


def test_the_tool_tells_of_a_mark_that_is_stale_or_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is a fault, beside a survivor without a mark; --again is needed for what is noticed."""

    class Trials:
        def __init__(self, *_args: object) -> None:
            pass

        def noticed(self, mutant: object) -> bool:
            return getattr(mutant, "line", 0) != 1

        def reached(self, _mutant: object) -> list[str]:
            return ["a test"]

    monkeypatch.setattr("tests.mutation.__main__.Trials", Trials)
    monkeypatch.setattr("tests.mutation.__main__.ROOT", tmp_path)
    (tmp_path / "m.py").write_text("a = 1\nb = 1  # same with 2, 3: why\n")
    assert faults("m.py", [], 9, again=False) == 2
    assert faults("m.py", [], 9, again=True) == 3
    stale = "m.py:2: the mark is stale: nothing here becomes 3"
    survivor = "m.py:1: same with 2? : a = 2"
    noticed = "m.py:2: same with 2? : b = 2 (marked, but noticed)"
    lines = [line for line in capsys.readouterr().out.splitlines() if " tried, " not in line]
    assert lines == [stale, survivor, stale, survivor, noticed]


def _marked() -> list[str]:
    return [
        str(path.relative_to(ROOT))
        for room in ("gateway", "smmapd")
        for path in sorted((ROOT / room).rglob("*.py"))
        if any(
            word in path.read_text(encoding="utf-8") for word in ("# same with", "# only a bound")
        )
    ]


@pytest.mark.parametrize("path", _marked())
def test_marks_of_the_source(path: str) -> None:
    """None is stale, and the tool knows the module."""
    source = (ROOT / path).read_text(encoding="utf-8")
    assert _explained(source).stale == []
    assert path in known_modules(), "modules.toml: which tests have to notice its mutants?"


@pytest.mark.parametrize("path", _marked()[::8])
def test_a_rename_of_everything_in_a_module(path: str) -> None:
    """Its marks cover what they covered."""
    source = (ROOT / path).read_text(encoding="utf-8")
    assert _explained(_renamed(source)) == _explained(source)
