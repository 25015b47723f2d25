"""Cached actions: given again only while the verdict and the scope's files stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.frontends import watched
from gateway.frontends.judge import Judge
from gateway.frontends.policy_cache import PolicyActionCache
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.replies import ReplyTable
from gateway.frontends.scope import Scope, ScopeRules
from gateway.verification.cache import QUIET_TICKS, VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict
from gateway.verification.verifier import Verifier
from tests.frontends.test_policy_session import NOBODY, request
from tests.stores import FlatStore, record

DUNNO = b"DUNNO"


class Site:
    """A policy server's memory and one session, on a flat store with fred and a file of aliases."""

    def __init__(self, root: Path, *, check_size: bool = False) -> None:
        self.aliases = root / "aliases"
        self.aliases.write_text("info: fred\n")
        self.store = FlatStore(
            str(root),
            {b"user.fred": record()},
            options={"virtdomains": "userid", "defaultdomain": "example.org"},
        )
        self.store.write()
        conf = imapdconf.load(self.store.conf_path, "smmap")
        self.cache = VerdictCache(Verifier.for_store(CyrusStore(conf, b"smmap")))
        rules = ScopeRules(
            domains=("example.org",),
            alias_files=(str(self.aliases),),
            exempt_clients=("192.0.2.0/24",),
        )
        judge = Judge(Scope(rules), ReplyTable(), check_size=check_size)
        self.actions = PolicyActionCache(self.cache, judge)
        self.session = PolicySession(self.cache, judge, actions=self.actions)

    def ask(self, recipient: bytes, **attributes: bytes) -> tuple[bytes, bool]:
        """The action for a recipient, in a tick of its own, and whether it was cached."""
        self.cache.watch.drain()
        self.cache.begin_tick()
        data = request(recipient, **attributes)
        cached = self.session.cached_reply(data)
        if cached is None:
            self.session.receive(data)
        action = cached if cached is not None else self.session.replies()
        assert action.startswith(b"action=")
        return action[len(b"action=") :].rstrip(b"\n"), cached is not None


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Files count as soon as they are changed."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("recipient", "action"),
    [
        (b"fred@example.org", DUNNO),
        (b"nobody@example.org", NOBODY),
        (b"info@example.org", DUNNO),
        (b"nobody@other.test", DUNNO),
    ],
)
def test_the_second_action_is_ready(site: Site, recipient: bytes, action: bytes) -> None:
    """Judged, refused, an alias, not ours."""
    assert site.ask(recipient) == (action, False)
    # The first look at a young file is not believed.
    assert site.ask(recipient)[0] == action
    assert (
        site.session.cached_reply(request(recipient, sender=b"", client_address=b"192.0.2.1"))
        is None
    )


@pytest.mark.parametrize("calm", [0, 3])
def test_an_alias_counts_for_the_next_question(site: Site, calm: int) -> None:
    """Added or taken away, however long nothing else has happened."""
    for _ in range(calm):
        assert site.ask(b"sales@example.org")[0] == NOBODY
    site.aliases.write_text("sales: fred\n")
    assert site.ask(b"sales@example.org") == (DUNNO, False)
    assert site.ask(b"sales@example.org") == (DUNNO, True)
    assert site.ask(b"info@example.org")[0] == NOBODY
    site.aliases.write_text("# none any more\n")
    assert site.ask(b"sales@example.org")[0] == NOBODY


def test_a_calm_store_does_not_hide_the_files(site: Site) -> None:
    """The store's calm turns are its own."""
    assert QUIET_TICKS > 20
    for _ in range(20):
        site.ask(b"fred@example.org")
        site.ask(b"sales@example.org")
    site.aliases.write_text("sales: fred\n")
    assert site.ask(b"fred@example.org")[0] == DUNNO
    assert site.ask(b"sales@example.org")[0] == DUNNO


def test_who_waited_for_another_server_is_not_remembered(site: Site) -> None:
    """The scope's files may have changed meanwhile."""
    outcome = Pending(Query(b"sales@example.org"), "far", NO_EVIDENCE)
    site.session._judging._decider = _Far(outcome)
    data = request(b"sales@example.org")
    site.session.receive(data)
    assert site.session.replies() == b""
    site.aliases.write_text("sales: fred\n")
    refused = site.session.resolved(Verdict(Kind.NONEXISTENT, b""))
    assert refused == b"action=%b\n\n" % NOBODY
    assert site.session.cached_reply(data) is None
    assert site.ask(b"sales@example.org") == (DUNNO, False)


class _Far:
    """A decider that always has to ask."""

    def __init__(self, outcome: Pending) -> None:
        self._outcome = outcome

    def decide(self, _query: Query) -> Pending:
        """Another server."""
        return self._outcome

    def expire_tick(self) -> None:
        """Nothing is remembered here."""


@pytest.mark.parametrize(
    "attributes",
    [
        {"sender": b"double-bounce@mx.example.org"},
        {"sender": b"Double-Bounce12x@mx.example.org"},
        {"protocol_state": b"DATA"},
    ],
)
def test_what_is_judged_each_time(site: Site, attributes: dict[str, bytes]) -> None:
    """A probe, and states in which nothing is judged."""
    for _ in range(3):
        assert not site.ask(b"fred@example.org", **attributes)[1]


def test_a_mail_with_a_size_is_judged_each_time_where_sizes_count(tmp_path: Path) -> None:
    """What is free changes with every delivery."""
    site = Site(tmp_path, check_size=True)
    for _ in range(3):
        assert site.ask(b"fred@example.org", size=b"1000") == (DUNNO, False)


def test_clients_make_a_difference_where_they_are_exempt(site: Site) -> None:
    """Only there, and only theirs."""
    for _ in range(3):
        assert site.ask(b"nobody@example.org", client_address=b"192.0.2.7")[0] == DUNNO
        assert site.ask(b"nobody@example.org", client_address=b"198.51.100.1")[0] == NOBODY


@pytest.mark.parametrize(
    ("recipient", "client"),
    [(b"x" * 400 + b"@other.test", b""), (b"info@example.org", b"2001:db8::1%" + b"x" * 400)],
)
def test_what_is_longer_than_any_address_is_judged_each_time(
    site: Site, recipient: bytes, client: bytes
) -> None:
    """Memory is bounded in bytes, too."""
    for _ in range(3):
        assert site.ask(recipient, client_address=client) == (DUNNO, False)
