"""Where an answer is from, and that it took some time: what each front end marks on its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.frontends.frontend import Session as AnySession
from gateway.frontends.judge import Judge
from gateway.frontends.milter_conversation import MilterConversation
from gateway.frontends.milter_session import MilterSession
from gateway.frontends.origin import ASKED, HIT, MISS, NONE, AnswerOrigin
from gateway.frontends.policy_cache import PolicyActionCache
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.replies import ReplyTable
from gateway.frontends.replycache import DecisionCache
from gateway.frontends.scope import Scope, ScopeRules
from gateway.frontends.socketmap_cache import SocketmapReplyCache
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.protocols.socketmap import encode
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict
from tests.frontends.test_policy_session import request
from tests.rigs.waiting import wait_until
from tests.rigs.witnesses import NEGOTIATION, packet
from tests.support.sites import Site

# What a client asks, in pieces, and where the answers are from.
Row = tuple[list[list[bytes]], list[str]]
ROWS: list[Row] = [
    ([[b"fred"], [b"fred"]], [MISS, HIT]),
    ([[b"fred"], [b"fred"], [b"fred"]], [MISS, HIT, HIT]),
    ([[b"nobody"], [b"nobody"]], [MISS, HIT]),
    ([[b"fred", b"anna"], [b"anna", b"fred"]], [MISS, MISS, HIT, HIT]),
    ([[b"fred", b"fred", b"away"]], [MISS, HIT, ASKED]),
    ([[b"away"], [b"fred"], [b"away"]], [ASKED, MISS, ASKED]),
]


class Away(VerdictCache):
    """A site's memory; recipients that begin with `away` live on another server."""

    def decide(self, query: Query) -> Verdict | Pending:
        """The verdict, or the question for another server."""
        if query.recipient.startswith(b"away"):
            return Pending(query, "far", NO_EVIDENCE)
        return super().decide(query)


@pytest.fixture
def memory(tmp_path: Path) -> Away:
    """One with four users."""
    return Away(Site(tmp_path).verifier)


def talk(session: AnySession, data: bytes) -> None:
    """Bytes from the client, and all their answers, as the server has them."""
    if session.cached_reply(data) is not None:
        return
    session.receive(data)
    session.replies()
    while session.busy:
        if session.pending is not None:
            session.resolved(Verdict(Kind.OVER_QUOTA, b"", cacheable=False))
        session.replies()


@pytest.mark.parametrize(("pieces", "sources"), ROWS)
def test_look_ups_in_the_socketmap(
    memory: Away, pieces: list[list[bytes]], sources: list[str]
) -> None:
    """Ready replies and those of the engine, alone and several in one piece."""
    origin = AnswerOrigin(memory)
    seen: list[str] = []
    session = SocketmapSession(
        memory,
        lambda _key, _verdict, _waiver: seen.append(origin.source),
        replies=SocketmapReplyCache(memory),
        origin=origin,
    )
    for piece in pieces:
        talk(session, b"".join(encode(b"m " + key) for key in piece))
    assert seen == sources


def policy(memory: Away, seen: list[str]) -> PolicySession:
    """A conversation whose observer notes where each decision is from."""
    judge = Judge(Scope(ScopeRules(domains=("example.org",))), ReplyTable())
    origin = AnswerOrigin(memory)
    return PolicySession(
        memory,
        judge,
        observe=lambda _request, _decision: seen.append(origin.source),
        actions=PolicyActionCache(memory, judge),
        origin=origin,
    )


@pytest.mark.parametrize(("pieces", "sources"), ROWS)
def test_policy_requests_become_look_ups(
    memory: Away, pieces: list[list[bytes]], sources: list[str]
) -> None:
    """As look-ups."""
    seen: list[str] = []
    session = policy(memory, seen)
    for piece in pieces:
        talk(session, b"".join(request(key + b"@example.org") for key in piece))
    assert len(seen) == len(sources)
    assert seen == sources


@pytest.mark.parametrize(("pieces", "sources"), ROWS)
def test_recipients_of_a_milter(
    memory: Away, pieces: list[list[bytes]], sources: list[str]
) -> None:
    """As look-ups."""
    seen: list[str] = []
    judge = Judge(Scope(ScopeRules(domains=("example.org",))), ReplyTable())
    origin = AnswerOrigin(memory)
    conversation = MilterConversation(
        memory,
        judge,
        observe=lambda _rcpt, _decision: seen.append(origin.source),
        reply_cache=DecisionCache(memory, judge),
        origin=origin,
    )
    session = MilterSession(conversation)
    talk(session, NEGOTIATION)
    for piece in pieces:
        talk(session, b"".join(packet(b"R", b"<%b@example.org>\0" % key) for key in piece))
    assert seen == sources


def test_what_needs_no_look_up(memory: Away) -> None:
    """A bad address and somebody else's recipient, behind one that was asked for elsewhere."""
    seen: list[str] = []
    session = policy(memory, seen)
    pieces = (b"away@example.org", b"@example.org", b"friend@other.test")
    talk(session, b"".join(map(request, pieces)))
    assert seen == [ASKED, NONE, NONE]


def test_time_begins_with_the_bytes_that_ask(memory: Away) -> None:
    """And grows until the line is written."""
    origin = AnswerOrigin(memory)
    origin.arrived()
    first = origin.microseconds
    assert first >= 0
    wait_until(lambda: origin.microseconds > first, "time passes")
