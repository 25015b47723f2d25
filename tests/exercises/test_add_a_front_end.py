"""Add a front end: its codec, its session with a `FrontEnd`, its table, a row, its documents.

Everything else goes through the registry (gateway/config/frontends.py): a module that names a front
end anywhere else is in `NAMES_ONE`, with the reason why it is about that protocol and not a list.
"""

from __future__ import annotations

import ast
import inspect
import socket
import time
import typing
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from gateway import config
from gateway.cli.snippets import SNIPPETS
from gateway.config.frontends import FRONT_ENDS, NAMES, FrontEndTables, Row
from gateway.config.model import SECTIONS
from gateway.errors import UpstreamError
from gateway.explain.explainer import Explainer
from gateway.frontends.frontend import FrontEnd, Process
from gateway.frontends.inquiry import Inquiry
from gateway.supervisor import processes
from gateway.upstream.address import UnixAddress
from gateway.upstream.connection import Dialer
from gateway.verification.kinds import KINDS
from gateway.verification.model import Verdict
from gateway.wiring.engines import make_engines
from gateway.wiring.judges import make_judge, make_replies
from tests.demo.store import build
from tests.exercises.reading import displays, loaded, man, text, words
from tests.sources import SOURCES, tree

EACH = pytest.mark.parametrize("row", FRONT_ENDS, ids=NAMES)

# Where a front end's own files are; `{name}` begins the name of a module.
OWN = (
    "gateway/protocols/{name}",
    "gateway/frontends/{name}",
    "gateway/config/tables/{name}",
    "gateway/config/frontends.py",
)
# Modules that name a front end, or read its table, and are not a list of them.
NAMES_ONE = {
    "gateway/cli/checks/postfix_order.py": "what Postfix' parameters do around each protocol",
    "gateway/cli/checks/postfixconf.py": "how main.cf names a socket of each protocol",
    "gateway/cli/checks/sendmail.py": "how sendmail.cf names a socket of each protocol",
    "gateway/cli/replay.py": "judges as a policy front end that enforces",
    "gateway/config/locations.py": "stores that a smmapd answers for: an upstream, not a front end",
    "gateway/frontends/frontend.py": "the process that is called milter",
    "gateway/mta/tables.py": "a type of Postfix' tables",
    "gateway/supervisor/processes.py": "[milter] library, and session_timeout",
    "gateway/wiring/mailserver.py": "a type of Postfix' tables that is ours",
}


def _named(module: ast.Module) -> dict[str, list[int]]:
    """The front ends that a module names by a string, or whose table it reads, with the lines."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and node.value in NAMES:
            found[str(node.value)].append(node.lineno)
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in NAMES
            and getattr(node.value, "id", getattr(node.value, "attr", "")) in _SETTINGS
        ):
            found[node.attr].append(node.lineno)
    return found


_SETTINGS = ("settings", "_settings")


def _own(path: str, name: str) -> bool:
    return any(path.startswith(each.format(name=name)) for each in OWN)


def test_front_ends_are_found() -> None:
    """The tests below look at something."""
    assert {"socketmap", "policy", "milter"} <= set(NAMES)


def test_nothing_but_the_registry_lists_front_ends() -> None:
    """A module names a front end in its own files, or for a reason (`NAMES_ONE`)."""
    others = {
        path: places
        for path in SOURCES
        for name, places in _named(tree(path)).items()
        if not _own(path, name)
    }
    lists = {path: where for path, where in others.items() if path not in NAMES_ONE}
    assert lists == {}, (
        "go through FRONT_ENDS of gateway/config/frontends.py, or say why in NAMES_ONE"
    )
    assert set(NAMES_ONE) - set(others) == set(), "NAMES_ONE has modules that name none"


def test_no_tuple_set_or_table_lists_front_ends() -> None:
    """Nor does a module of `NAMES_ONE`: two names in one display are a list."""
    lists = {
        f"{path}:{line}": words(elements) & set(NAMES)
        for path in SOURCES
        for line, elements in displays(tree(path))
        if len(words(elements) & set(NAMES)) > 1
    }
    assert lists == {}


def test_every_row_has_its_table_and_every_table_its_row() -> None:
    """A table of gateway.toml with `listen` and `answers`, and the field for its values."""
    assert [row.section.name for row in FRONT_ENDS] == list(NAMES)
    tables = {each.name for each in SECTIONS if {"listen", "answers"} <= set(each.declarations)}
    assert tables == set(NAMES), "a row in FRONT_ENDS of gateway/config/frontends.py for each"
    hints = typing.get_type_hints(FrontEndTables)
    assert {name: hints[name] for name in hints} == {
        row.name: row.section.build for row in FRONT_ENDS
    }


def test_every_front_end_that_is_written_has_its_row() -> None:
    """A subclass of FrontEnd that says its name is in the registry."""

    def subclasses(of: type) -> set[type]:
        found: set[type] = set()
        below: list[type] = of.__subclasses__()
        for each in below:
            found |= {each, *subclasses(each)}
        return found

    written = {each for each in subclasses(FrontEnd) if not inspect.isabstract(each)}
    assert written == {type(row.front_end) for row in FRONT_ENDS}


@EACH
def test_it_says_what_it_is(row: Row) -> None:
    """Its own files, and each of what FrontEnd declares without a default."""
    front_end = row.front_end
    module = inspect.getfile(type(front_end))
    assert Path(module).name.startswith(f"{row.name}_")
    assert isinstance(front_end.process, Process)
    assert "{socket}" in front_end.main_cf
    assert any(path.startswith(f"gateway/protocols/{row.name}") for path in SOURCES)
    assert any(path.startswith(f"gateway/config/tables/{row.name}") for path in SOURCES)


@EACH
def test_a_process_serves_it(row: Row) -> None:
    """gateway's table of processes: whose sockets each gets."""
    kinds = [each for each in vars(processes).values() if isinstance(each, processes.ProcessKind)]
    serving = {kind.name for kind in kinds if row.name in kind.listeners}
    assert serving == {row.front_end.process.value}


@EACH
def test_its_settings_can_be_listened_on(row: Row) -> None:
    """Settings.listeners and Settings.serving."""
    text_of = f'[scope]\ndomains = ["example.org"]\n[{row.name}]\nlisten = ["unix:/run/x"]\n'
    settings = config.loads(text_of.encode(), "gateway.toml")
    assert list(settings.listeners) == [row.name, "admin"]
    assert settings.serving == (row,)


@EACH
def test_it_has_a_judge_and_says_something_for_each_kind(row: Row, tmp_path: Path) -> None:
    """What the log, the status page and explain show; the codes alone name nobody."""
    build(str(tmp_path))
    store = f'[cyrus]\nimapd_conf = "{tmp_path}/imapd.conf"\n'
    settings = loaded(f'{store}[scope]\ndomains = ["example.org"]\n')
    assert make_judge(settings, row.front_end).scope is not None
    replies = make_replies(settings)
    for kind in KINDS:
        said = row.front_end.said(replies, Verdict(kind, b""), b"fred@example.org")
        assert said
        codes = b" ".join(said.split(b" ")[: row.front_end.code_words])
        assert kind.accepts or b"fred" not in codes


@pytest.mark.processes  # Postfix is asked for its queue
@EACH
def test_print_config_says_how_mail_servers_ask_it(row: Row) -> None:
    """The pieces that its front end has, each among those of a program that print-config knows."""
    listen = f'[{row.name}]\nlisten = ["unix:/run/smmapd/its-own"]\n'
    settings = config.loads(
        f'[scope]\ndomains = ["example.org"]\n{listen}'.encode(), "gateway.toml"
    )
    snippets = row.front_end.snippets()
    assert snippets
    for program in snippets:
        assert "/run/smmapd/its-own" in SNIPPETS[program](settings)


@EACH
def test_ask_asks_it(row: Row, tmp_path: Path) -> None:
    """`ask` opens a connection and says something; a peer that leaves is an UpstreamError."""
    with socket.socket(socket.AF_UNIX) as listener:
        path = str(tmp_path / "socket")
        listener.bind(path)
        listener.listen()
        until = time.monotonic() + 60
        link = Dialer("nobody", UnixAddress(path)).open(until)
        peer, _ = listener.accept()
        peer.shutdown(socket.SHUT_WR)
        asked = Inquiry(recipient=b"fred@example.org", sender=b"anna@example.org")
        with peer, closing(link), pytest.raises(UpstreamError):
            row.front_end.ask(link, asked, until)


def test_explain_says_what_each_answers(tmp_path: Path) -> None:
    """`explain` has an answer of every front end, in the registry's order."""
    build(str(tmp_path))
    text_of = f'[cyrus]\nimapd_conf = "{tmp_path}/imapd.conf"\n[scope]\ndomains = ["example.org"]\n'
    wanted = loaded(text_of)
    told = Explainer(wanted, make_engines(wanted).engine()).explain(
        Inquiry(recipient=b"fred@example.org")
    )
    assert tuple(each.name for each in told.front_ends) == NAMES
    assert all(each.scope and each.reply for each in told.front_ends)


@EACH
def test_the_documents_have_it(row: Row) -> None:
    """README, smmapd-gateway(8), gateway.toml(5), the table of words."""
    named = {
        "README.md": row.name in text("README.md"),
        "docs/glossary.md": row.name in text("docs/glossary.md"),
        "man/smmapd-gateway.8": row.name in man("smmapd-gateway.8"),
        "man/gateway.toml.5 (make reference)": f"[{row.name}]" in man("gateway.toml.5"),
    }
    missing = [path for path, known in named.items() if not known]
    assert missing == [], f"these documents do not name {row.name}"
