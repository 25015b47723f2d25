"""Add a verdict kind: a test for every place that must know it.

The kind itself (`gateway/verification/model.py`) says what follows from it; these say where else it
has to appear: its replies, its sentence in gateway.toml(5), docs/verdicts.md's and smmapd(8)'s lists of
answers, the demo, the tests' cases for real mail servers.  tests/verification/test_kinds.py holds the kinds themselves.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway.config.model import SECTIONS
from gateway.config.tables import replies as reply_settings
from gateway.frontends.replies import DEFAULTS
from gateway.frontends.socketmap_replies import ROWS
from gateway.verification import texts
from gateway.verification.model import KINDS, Kind, Query
from gateway.wiring.assembly import make_verifier
from tests.demo.store import NOT_SHOWN, QUESTIONS, build
from tests.exercises.reading import loaded, man, text
from tests.interfaces.cases import CASES
from tests.interfaces.replies import TABLE
from tests.sources import SOURCES, tree

EVERY = pytest.mark.parametrize("kind", KINDS, ids=str)
REFUSALS = pytest.mark.parametrize("kind", [k for k in KINDS if not k.accepts], ids=str)
_OF = {name: each for name, each in vars(Kind).items() if isinstance(each, Kind)}


@EVERY
def test_it_has_a_row_of_replies(kind: Kind) -> None:
    """gateway/frontends/socketmap_replies.py, ROWS: the word and the SMTP reply, which agree."""
    (row,) = [row for row in ROWS if row[0] is kind]
    _, status, code, enhanced, _, _ = row
    assert (status == b"OK") == kind.accepts == (code < 300)
    assert enhanced.startswith(str(code)[0])
    if not kind.accepts:
        assert (status == b"TEMP") == kind.temporary == (code < 500)


@EVERY
def test_the_table_of_verdicts_has_it(kind: Kind) -> None:
    """docs/verdicts.md; tests/test_documents.py holds the whole row."""
    assert f"| {kind.name} |" in text("docs/verdicts.md")


@REFUSALS
def test_its_reply_can_be_configured(kind: Kind) -> None:
    """gateway.toml's [replies.KIND], with the sentence that says when it is given (WHEN)."""
    assert kind in DEFAULTS
    assert reply_settings.WHEN[kind.name].endswith(".")
    assert f"replies.{kind.name}" in {section.name for section in SECTIONS}
    assert f"[replies.{kind.name}]" in text("contrib/gateway.toml")
    assert f"replies.{kind.name}" in man("gateway.toml.5")


@EVERY
def test_smmapds_manual_lists_what_smmapd_answers(kind: Kind) -> None:
    """man/smmapd.8, ANSWERS, wherever smmapd's own order of checks gives the kind."""
    given = _texts_given_as(kind, "smmapd_checks.py")
    (status,) = [row[1].decode() for row in ROWS if row[0] is kind]
    page = man("smmapd.8")
    for each in given:
        assert f"{status} {each}" in page, f"smmapd(8) does not list {status} {each}"


def test_smmapds_answers_are_found() -> None:
    """The test above looks at something."""
    assert _texts_given_as(Kind.NONEXISTENT, "smmapd_checks.py") == {"Mailbox does not exist"}


def _texts_given_as(kind: Kind, module: str) -> set[str]:
    """The texts of `Verdict(Kind.X, TEXT, ...)` in a module."""
    (path,) = [each for each in SOURCES if Path(each).name == module]
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Verdict":
            first, second = node.args[:2]
            if not isinstance(second, ast.Name):
                continue
            if second.id == "SIZE_TEXT":
                continue  # no client of smmapd announces a size
            if _OF.get(getattr(first, "attr", "")) is kind:
                value = getattr(texts, second.id)
                assert isinstance(value, bytes)
                found.add(value.decode())
    return found


def test_the_demo_shows_it_or_says_why_not(tmp_path: Path) -> None:
    """tests/demo/store.py: a question that gets it, or a line in NOT_SHOWN."""
    build(str(tmp_path))
    config = f'[cyrus]\nimapd_conf = "{tmp_path}/imapd.conf"\n'
    engine = make_verifier(loaded(config))
    shown = {
        engine.verify(Query(each.recipient.encode(), each.size)).kind.name for each in QUESTIONS
    }
    assert set(NOT_SHOWN) & shown == set(), "the demo shows these after all"
    assert shown | set(NOT_SHOWN) == {kind.name for kind in KINDS}


def test_real_mail_servers_are_asked_for_it() -> None:
    """tests/interfaces: a case (cases.py), with what each interface says (replies.py)."""
    shown = {rcpt.kind for case in CASES for rcpt in case.rcpts}
    shown |= {Kind.BAD_ADDRESS for case in CASES for rcpt in case.rcpts if rcpt.bad}
    # These need autocreate or a catch-all mailbox: tests/delivery has them.
    other_tests = {Kind.CREATED, Kind.CATCH_ALL, Kind.NOT_CREATABLE}
    assert shown == set(KINDS) - other_tests
    assert set(TABLE) == set(KINDS) - other_tests


def test_nothing_else_lists_kinds() -> None:
    """A list of kinds beside the kinds forgets the next one: make it an attribute of Kind."""
    found = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
        and len(node.elts) > 1
        and all(_is_kind(each) for each in node.elts)
    ]
    assert found == []


def _is_kind(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Kind" and node.attr in _OF
    )
