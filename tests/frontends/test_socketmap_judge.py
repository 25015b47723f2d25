"""Which keys a socketmap may find, and which refusals it does not carry out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.frontends.scope import Scope, ScopeRules
from gateway.frontends.socketmap_cache import SocketmapReplyCache
from gateway.frontends.socketmap_judge import SocketmapJudge
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.frontends.waiver import Mode, OnError, Waiver, Waivers
from gateway.mta.postconf import Parameters
from gateway.mta.postfix import Postfix
from gateway.protocols.socketmap import encode
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Verdict
from tests.rigs.waiting import wait_until
from tests.support.admin_stores import verifier

SCOPE = Scope(ScopeRules(domains=("example.org", ".sub.example")))
OBSERVE = Waivers(Mode.OBSERVE)
LAX = Waivers(on_error=OnError.ACCEPT)
FOUND = Verdict(Kind.DELIVERABLE, b"")
UNKNOWN = Verdict(Kind.NONEXISTENT, b"no")
FAULT = Verdict(Kind.STORE_FAULT, b"no")

# Keys that Postfix' tables are asked for beside recipients, and what they are not.
NEVER = (b"", b"@gmail.example", b"@example.org", b"@")
NOT_OURS = (b"fred@gmail.example", b"fred@sub.example", b"fred@", b"fred@example.org.evil.example")
OURS = (b"fred@example.org", b"fred@EXAMPLE.ORG.", b"a@b@a.sub.example", b'"a b"@example.org')
BARE = (b"gmail.example", b"*", b"fred")


@pytest.mark.parametrize("waivers", [OBSERVE, LAX, Waivers()])
@pytest.mark.parametrize("scope", [None, SCOPE])
@pytest.mark.parametrize("key", NEVER)
def test_keys_without_a_local_part_are_never_found(
    waivers: Waivers, scope: Scope | None, key: bytes
) -> None:
    """In any mode, and whatever the engine would say."""
    judge = SocketmapJudge(waivers, scope)
    said = judge.unasked(key)
    assert said is not None
    assert said.kind is Kind.BAD_ADDRESS
    assert judge.waiver(key, said) is None
    assert judge.waiver(key, FAULT) is None


@pytest.mark.parametrize("waivers", [OBSERVE, LAX, Waivers()])
@pytest.mark.parametrize("key", NOT_OURS)
def test_keys_of_other_domains(waivers: Waivers, key: bytes) -> None:
    """Never found where [scope] knows which are ours."""
    judge = SocketmapJudge(waivers, SCOPE)
    said = judge.unasked(key)
    assert said is not None
    assert said.kind is Kind.NONEXISTENT
    assert judge.waiver(key, said) is None
    assert SocketmapJudge(waivers).unasked(key) is None


@pytest.mark.parametrize("key", OURS)
def test_recipients_of_ours(key: bytes) -> None:
    """Are judged, and their refusals waived where that is asked for."""
    judge = SocketmapJudge(OBSERVE, SCOPE)
    assert judge.unasked(key) is None
    assert judge.waiver(key, FOUND) is None
    assert judge.waiver(key, UNKNOWN) is Waiver.OBSERVED
    lax = SocketmapJudge(LAX, SCOPE)
    assert lax.waiver(key, UNKNOWN) is None
    assert lax.waiver(key, FAULT) is Waiver.ACCEPTED_ON_ERROR
    assert SocketmapJudge(Waivers(), SCOPE).waiver(key, FAULT) is None


@pytest.mark.parametrize("key", BARE)
def test_keys_without_a_domain(key: bytes) -> None:
    """Are answered truthfully: no waiver finds a bare domain."""
    for waivers in (OBSERVE, LAX):
        judge = SocketmapJudge(waivers, SCOPE)
        assert judge.unasked(key) is None
        assert judge.waiver(key, UNKNOWN) is None
        assert judge.waiver(key, FAULT) is None


@pytest.mark.parametrize("key", BARE)
def test_an_lmtp_server_is_not_asked_for_a_bare_domain(key: bytes) -> None:
    """One with a catch-all would find it."""
    said = SocketmapJudge(Waivers(), needs_domain=True).unasked(key)
    assert said is not None
    assert said.kind is Kind.NONEXISTENT


def test_ready_replies_forget_domains_that_are_ours_no_more(tmp_path: Path) -> None:
    """A reply that is kept ready is given only while its domain is one of [scope]'s."""
    listed = tmp_path / "domains"
    listed.write_text("example.org\n")
    cache = VerdictCache(verifier(str(tmp_path)))
    judge = SocketmapJudge(Waivers(), Scope(ScopeRules(domain_files=(str(listed),)), report=print))
    replies = SocketmapReplyCache(cache, judge)
    session = SocketmapSession(cache, judge=judge, replies=replies)
    request = encode(b"m fred@example.org")

    def ask() -> bytes:
        cache.begin_tick()
        said = session.cached_reply(request)
        if said is None:
            session.receive(request)
            said = session.replies()
        return said

    assert [ask() for _ in range(3)] == [encode(b"OK fred@example.org")] * 3
    assert session.cached_reply(request) is not None
    listed.write_text("example.net\n")
    long_ago = time.time() - 3600
    os.utime(listed, (long_ago, long_ago))
    gone = encode(b"NOTFOUND the domain is none of [scope]'s")
    wait_until(lambda: ask() == gone, "the domain is ours no more")


def test_a_domain_that_main_cf_has_now_is_not_refused(tmp_path: Path) -> None:
    """Postfix was told of a new domain: until we have read it, its recipients are deferred."""
    main = tmp_path / "main.cf"
    main.write_text("relay_domains = example.org\n")
    known = {"mail_version": "3.7.11", "relay_domains": "example.org"}
    postfix = Postfix(Parameters(str(tmp_path), known), ours=lambda _table: False)
    scope = Scope(ScopeRules(postfix=str(tmp_path)), postfix=postfix)
    judge = SocketmapJudge(Waivers(), scope)
    scope.refresh()
    said, version = judge.unasked(b"fred@example.net"), scope.version
    assert said is not None
    assert said.kind is Kind.NONEXISTENT
    main.write_text("relay_domains = example.org example.net\n")
    scope.refresh()
    said = judge.unasked(b"fred@example.net")
    assert said is not None
    assert said.kind.temporary
    assert scope.version > version
    assert judge.unasked(b"fred@example.org") is None
