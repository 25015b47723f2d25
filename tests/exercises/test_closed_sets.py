"""What explains, builds and remembers knows every member of what it translates."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

import pytest

from gateway.config.choices import AuthorityName
from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.explain.explanation import AUTHORITIES, SKIPS, WAIVERS
from gateway.frontends import policy_session
from gateway.frontends.judge import Judge
from gateway.frontends.policy_cache import PolicyActionCache
from gateway.frontends.replies import ReplyTable
from gateway.frontends.scope import Scope, ScopeRules, Skip
from gateway.frontends.waiver import Waiver
from gateway.protocols.policy import RCPT, VRFY
from gateway.protocols.policy_shapes import READ
from gateway.verification.cache import VerdictCache
from gateway.verification.verifier import Verifier
from tests.sources import SOURCES, tree


@pytest.mark.parametrize(
    ("table", "members"),
    [
        (SKIPS, Skip),
        (WAIVERS, Waiver),
        (AUTHORITIES, {each.value for each in AuthorityName} | {""}),
    ],
    ids=["SKIPS", "WAIVERS", "AUTHORITIES"],
)
def test_explain_has_a_sentence_for_every_member(
    table: Collection[object], members: Collection[object]
) -> None:
    """A member without one is an internal error of `explain`."""
    assert set(table) == set(members)


@pytest.mark.parametrize("name", ["Judge", "JudgeParts", "ReplyTable", "SocketmapJudge"])
def test_one_module_puts_judges_together(name: str) -> None:
    """A command, or the demo, that builds a judge by hand forgets what the others are given.

    Ask gateway/wiring/judges.py for one: `make_judge`, `make_replies`.
    """
    builders = {
        path
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    }
    assert len(builders) == 1, f"{name} is built in {sorted(builders)}"


def test_what_a_policy_answer_heeds_is_read_of_a_ready_one_too() -> None:
    """An attribute that PolicySession looks at must be one of policy_shapes.READ.

    Else a ready answer is given whatever the attribute says.
    """
    path = str(Path(policy_session.__file__).relative_to(Path(__file__).parents[2]))
    heeded = {
        node.attr
        for part in tree(path).body
        if getattr(part, "name", "") != "_write"  # the log's line is written again each time
        for node in ast.walk(part)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "request"
    }
    assert heeded
    assert heeded <= {each.decode() for each in READ}


@pytest.mark.parametrize("attribute", READ, ids=[each.decode() for each in READ])
def test_the_key_of_a_ready_answer_tells_every_heeded_attribute_apart(
    attribute: bytes, tmp_path: Path
) -> None:
    """Two requests that differ in what the judge heeds never share a ready answer."""
    rules = ScopeRules(
        domains=("example.org",), exempt_clients=("192.0.2.0/24",), exempt_authenticated=True
    )
    judge = Judge(Scope(rules), ReplyTable(), check_size=True)
    actions = PolicyActionCache(_no_memory(tmp_path), judge)
    values = dict.fromkeys(READ, b"") | {b"protocol_state": RCPT, b"sender": b"a@b"}
    other = {b"protocol_state": VRFY, b"sender": b"", b"size": b"1"}.get(attribute, b"x")
    key = actions._key(tuple(values.values()))
    assert key is not None
    assert actions._key(tuple((values | {attribute: other}).values())) != key


def _no_memory(folder: Path) -> VerdictCache:
    """A memory that is never asked."""
    (folder / "imapd.conf").write_text(f"configdirectory: {folder}\n")
    conf = imapdconf.load(str(folder / "imapd.conf"), "smmap")
    return VerdictCache(Verifier.for_store(CyrusStore(conf, b"smmap")))
