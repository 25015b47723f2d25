"""Add a verdict kind: a test for every place that must know it, which names the place where it fails.

The kind itself (`gateway/verification/kinds.py`) says what follows from it; these say where else it
has to appear: its replies, a check that gives it, the manuals and docs/verdicts.md, the tests' own
table (tests/interfaces/kinds.py), the demo.  tests/verification/test_kinds.py holds the kinds themselves.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gateway.config.model import SECTIONS
from gateway.cyrus.mailboxrecord import TYPES, MailboxEntry
from gateway.frontends.replies import DEFAULTS, WHEN
from gateway.frontends.socketmap_replies import ROWS
from gateway.frontends.socketmap_snippets import ROUTERS
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import Query
from gateway.verification.records import unfit
from gateway.wiring.engines import make_engines
from tests.demo.store import QUESTIONS, build
from tests.exercises.reading import loaded, man, text
from tests.interfaces.cases import CASES
from tests.interfaces.kinds import NOT_ASKED_FOR, NOT_IN_THE_DEMO, VERDICTS, expected
from tests.sources import ROOT, SOURCES, tree

EVERY = pytest.mark.parametrize("kind", KINDS, ids=str)
REFUSALS = pytest.mark.parametrize("kind", [k for k in KINDS if not k.accepts], ids=str)
_OF = {name: each for name, each in vars(Kind).items() if isinstance(each, Kind)}
_ATTRIBUTE = {each: f"Kind.{name}" for name, each in _OF.items()}

DECLARED = ("gateway/verification/kinds.py", "gateway/frontends/socketmap_replies.py")
# What smmapd's authority, and both, find.
SMMAPDS = ("smmapd_checks.py", "records.py")
CHECKS = "unfit of gateway/verification/records.py, or a check in a module beside it"
DEMO = "a question in tests/demo/store.py, or NOT_IN_THE_DEMO in tests/interfaces/kinds.py"
ROUTERS_FILE = "contrib/exim/450_smmapd_routers"
AGAIN = "make it again: make reference"
# Modules of the program that ask whether a verdict is of one kind, and why it cannot be a rule for kinds.
ASKS_FOR_ONE = {
    "gateway/config/tables/replies.py": "the setting size_check is about size-over-quota",
    "gateway/frontends/socketmap_replies.py": "what may be a domain is found only if it has a mailbox",
    "gateway/verification/delivery_checks.py": "what has a mailbox rests on that one's records only",
    "gateway/verification/upstreamanswers.py": "what another server's codes mean",
}


def test_every_kind_that_is_declared_is_made() -> None:
    """In the order in which the documents have them."""
    declared = [name for name in Kind.__annotations__ if name.isupper()]
    missing = {name for name in declared if not isinstance(vars(Kind).get(name), Kind)}
    assert missing == set(), f"{DECLARED[0]}: declared, and not made"
    assert list(_OF) == declared, f"{DECLARED[0]}: declared in one order, made in another"


@EVERY
def test_it_has_a_row_of_replies(kind: Kind) -> None:
    """The SMTP reply agrees with what the kind says of itself."""
    found = [row for row in ROWS if row[0] is kind]
    assert len(found) == 1, f"ROWS in {DECLARED[1]} needs one row for {kind.name}"
    _, code, enhanced, *_ = found[0]
    assert (kind.status == b"OK") == kind.accepts == (code < 300)
    assert enhanced.startswith(str(code)[0])
    if not kind.accepts:
        assert (kind.status == b"TEMP") == kind.temporary == (code < 500)


@EVERY
def test_something_gives_it(kind: Kind) -> None:
    """A kind that no check gives is never heard of."""
    name = _ATTRIBUTE[kind]
    users = {
        path
        for path in SOURCES
        if path not in DECLARED
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == name
    }
    assert users, f"nothing in gateway/ gives {name}: see {CHECKS}"


@EVERY
def test_the_engines_tests_get_it(kind: Kind) -> None:
    """VERDICTS has the recipient whose verdict it is (test_every_verdict.py), or a test beside it."""
    name = _ATTRIBUTE[kind]
    tests = "".join(path.read_text() for path in (ROOT / "tests/verification").glob("test_*.py"))
    known = name in tests or kind in {rcpt.kind for rcpt in VERDICTS.values()}
    assert known, f"VERDICTS in tests/interfaces/kinds.py has no recipient whose verdict is {name}"


@EVERY
def test_the_document_of_verdicts_has_it(kind: Kind) -> None:
    """A row in the table (tests/test_documents.py says which) and a section."""
    page = text("docs/verdicts.md")
    row, section = f"| {kind.name} |" in page, f"\n### {kind.name}\n" in page
    assert row, f"docs/verdicts.md, table: a row for {kind.name}"
    assert section, f"docs/verdicts.md: a section `### {kind.name}`, in the order of KINDS"


@REFUSALS
def test_its_reply_can_be_configured(kind: Kind) -> None:
    """gateway.toml's [replies.KIND], with the sentence that says when it is given."""
    assert kind in DEFAULTS
    sentence = f"the sentence of {kind.name} in ROWS of {DECLARED[1]} ends with a full stop"
    assert WHEN[kind].endswith("."), sentence
    assert f"replies.{kind.name}" in {section.name for section in SECTIONS}
    documented = f"replies.{kind.name}" in man("gateway.toml.5")
    assert documented, f"man/gateway.toml.5: {AGAIN}"


def test_exims_routers_are_made_of_the_replies() -> None:
    """What Exim says to each kind (tests/contrib asks the routers about every kind)."""
    made = ROUTERS in text(ROUTERS_FILE)
    assert made, f"{ROUTERS_FILE}: {AGAIN}"


@EVERY
def test_the_changelog_names_it(kind: Kind) -> None:
    """Its users' logs, metrics and settings get a new word."""
    named = f"`{kind.name}`" in text("CHANGELOG.md")
    assert named, f"CHANGELOG.md: a line that names `{kind.name}`"


@EVERY
def test_smmapds_manual_lists_what_smmapd_answers(kind: Kind) -> None:
    """man/smmapd.8, ANSWERS, wherever smmapd's own order of checks gives the kind."""
    if any(_gives_its_text(kind, module) for module in SMMAPDS):
        answer = f"{kind.status.decode()} {kind.text.decode()}"
        documented = answer in man("smmapd.8")
        assert documented, f"man/smmapd.8, ANSWERS: an entry for {answer}"


def test_smmapds_answers_are_found() -> None:
    """The test above looks at something."""
    assert _gives_its_text(Kind.NONEXISTENT, SMMAPDS[0])
    assert _gives_its_text(Kind.RESERVED, SMMAPDS[1])
    assert not any(_gives_its_text(Kind.DISABLED, module) for module in SMMAPDS)


def _gives_its_text(kind: Kind, module: str) -> bool:
    """Whether a module has `Verdict(Kind.X, Kind.X.text, ...)`, or a mailbox's type means it."""
    if kind is Kind.SIZE_OVER_QUOTA:
        return False  # no client of smmapd announces a size
    if module == "records.py":
        entries = (MailboxEntry(b"user.fred", mbtype) for _, mbtype, _ in TYPES)
        return kind in {unfit(each, delivery=False) for each in entries}
    (path,) = [each for each in SOURCES if Path(each).name == module]
    name = _ATTRIBUTE[kind]
    return any(
        [ast.unparse(each) for each in node.args[:2]] == [name, f"{name}.text"]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Verdict"
    )


def test_what_makes_a_mailbox_unfit_is_said_in_one_place() -> None:
    """A type that is looked at in another is forgotten for folders, the catch-all mailbox or explain."""
    lookers = {
        path
        for path in SOURCES
        if path.startswith(("gateway/verification/", "gateway/cli/", "gateway/explain/"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name) and node.id[:7] == "MBTYPE_" and node.id != "MBTYPE_REMOTE"
    }
    assert lookers == {"gateway/verification/records.py"}, "ask unfit of records.py"


@EVERY
def test_the_tests_know_what_it_says(kind: Kind) -> None:
    """Written down apart from the project's own table."""
    assert expected(kind)


def test_the_demo_shows_it_or_says_why_not(tmp_path: Path) -> None:
    """A question that gets it, or the reason."""
    build(str(tmp_path))
    config = f'[cyrus]\nimapd_conf = "{tmp_path}/imapd.conf"\n'
    engine = make_engines(loaded(config)).engine()
    shown = {engine.verify(Query(each.recipient.encode(), each.size)).kind for each in QUESTIONS}
    assert set(NOT_IN_THE_DEMO) & shown == set(), "the demo shows these after all"
    missing = {kind.name for kind in KINDS} - {k.name for k in (*shown, *NOT_IN_THE_DEMO)}
    assert missing == set(), f"{missing}: {DEMO}"


def test_real_mail_servers_are_asked_for_it() -> None:
    """A recipient in VERDICTS, or the reason."""
    shown = {rcpt.kind for case in CASES for rcpt in case.rcpts}
    shown |= {Kind.BAD_ADDRESS for case in CASES for rcpt in case.rcpts if rcpt.bad}
    assert set(NOT_ASKED_FOR) & shown == set(), "the cases have these after all"
    missing = {kind.name for kind in KINDS} - {k.name for k in (*shown, *NOT_ASKED_FOR)}
    assert missing == set(), f"{missing}: VERDICTS or NOT_ASKED_FOR in tests/interfaces/kinds.py"


@pytest.mark.parametrize("path", ["contrib/prometheus/rules.yml", "contrib/grafana/dashboard.json"])
def test_what_is_accepted_is_not_counted_as_undeliverable(path: str) -> None:
    """An alert and a panel divide by the verdicts that are not these; refusals need nothing there."""
    accepted = "|".join(kind.name for kind in KINDS if kind.accepts)
    known = f'verdict!~"{accepted}"' in text(path).replace("\\", "")
    assert known, f'{path}: verdict!~"{accepted}"'


@EVERY
def test_the_status_page_knows_no_kind_by_name(kind: Kind) -> None:
    """It goes by what the kind says of itself (`accepts`, `temporary`), and so knows the next one."""
    assert f'"{kind.name}"' not in text("gateway/observability/admin/page/page.js")


def test_nothing_asks_whether_it_is_one_kind() -> None:
    """A rule for one kind is forgotten for the next one like it: make it an attribute of Kind."""
    asking = {
        path
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare) and any(map(_is_kind, (node.left, *node.comparators)))
    }
    assert asking == set(ASKS_FOR_ONE), "make it an attribute of Kind, or say why in ASKS_FOR_ONE"


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
