"""Add a front end: every list of front ends has all of them, or says why not.

A front end is a table of gateway.toml with `listen` and `answers`.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from gateway import config
from gateway.config.model import SECTIONS
from gateway.explain.explainer import Explainer
from gateway.explain.explanation import Inquiry
from gateway.observability.admin import status
from gateway.observability.logging.verdicts import VerdictLog
from gateway.supervisor import processes
from gateway.wiring.assembly import make_verifier
from tests.demo.store import build
from tests.exercises.reading import FRONT_ENDS, displays, loaded, man, text, words
from tests.sources import SOURCES, tree

EACH = pytest.mark.parametrize("name", FRONT_ENDS)

# Lists that are meant to have only some, by what they hold; each with its reason.
PARTIAL = {
    (
        "admin",
        "policy",
        "socketmap",
    ): "the sockets of the core; the milter has a process of its own",
    ("policy", "socketmap"): "what `workers` multiplies; the milter is one process",
    ("milter", "policy"): "those that see every recipient, so that [scope] must say which are ours",
}


def test_front_ends_are_found() -> None:
    """The tests below look at something."""
    assert set(FRONT_ENDS) >= {"socketmap", "policy", "milter"}


def test_every_list_of_front_ends_has_all_of_them() -> None:
    """A tuple, set or table with two of the names has all, or is in PARTIAL with its reason."""
    short = {
        f"{path}:{line}": tuple(sorted(words(elements)))
        for path in SOURCES
        for line, elements in displays(tree(path))
        if len(words(elements) & set(FRONT_ENDS)) > 1 and not set(FRONT_ENDS) <= words(elements)
    }
    assert {place: names for place, names in short.items() if names not in PARTIAL} == {}
    assert set(PARTIAL) - set(short.values()) == set(), "PARTIAL names lists that are no more"


@EACH
def test_a_process_serves_it(name: str) -> None:
    """gateway's table of processes: whose sockets each gets."""
    kinds = [each for each in vars(processes).values() if isinstance(each, processes.ProcessKind)]
    assert any(name in kind.listeners for kind in kinds)


@EACH
def test_its_settings_can_be_listened_on_and_logged(name: str) -> None:
    """Settings.listeners, VerdictLog's method, and the status page."""
    (section,) = [section for section in SECTIONS if section.name == name]
    assert {"listen", "mode", "answers"} <= set(section.declarations)
    text_of = f'[scope]\ndomains = ["example.org"]\n[{name}]\nlisten = ["unix:/run/x"]\n'
    assert name in config.loads(text_of.encode(), "gateway.toml").listeners
    assert inspect.isfunction(getattr(VerdictLog, name))
    assert name in status.FRONT_ENDS


def test_explain_says_what_each_answers(tmp_path: Path) -> None:
    """`explain` has an answer of every front end."""
    build(str(tmp_path))
    text_of = f'[cyrus]\nimapd_conf = "{tmp_path}/imapd.conf"\n[scope]\ndomains = ["example.org"]\n'
    wanted = loaded(text_of)
    told = Explainer(wanted, make_verifier(wanted)).explain(Inquiry(recipient=b"fred@example.org"))
    assert {each.name for each in told.front_ends} == set(FRONT_ENDS)


@EACH
def test_the_documents_have_it(name: str) -> None:
    """README, smmapd-gateway(8), gateway.toml(5)."""
    assert name in text("README.md")
    assert name in man("smmapd-gateway.8")
    assert f"[{name}]" in man("gateway.toml.5")
