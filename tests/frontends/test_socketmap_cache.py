"""Replies of the socketmap without a conversation: whole requests only, and the same replies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frontends.counters import OutcomeCounters
from gateway.frontends.socketmap_cache import MAX_CACHED_REQUEST, SocketmapReplyCache
from gateway.frontends.socketmap_judge import SocketmapJudge
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.frontends.waiver import Mode, OnError, Waiver, Waivers
from gateway.protocols.socketmap import encode
from gateway.verification.model import Verdict
from tests.support.sites import Site

if TYPE_CHECKING:
    from gateway.frontends.outcome import Refused

NOT_FOUND = encode(b"NOTFOUND Mailbox does not exist")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with an index, so that it is known who is absent."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.ask(b"fred")
    while site.cache.build_index_step():
        pass
    return site


@pytest.mark.parametrize(
    "data",
    [
        b"12:cyrus nobody,",
        b"9:cyrus n,b,",
        b"7: nobody,",
        b"18:cyrus;hop=2 nobody,",
        encode(b"cyrus nobody@nowhere.example"),
        encode(b"cyrus " + b"n" * (MAX_CACHED_REQUEST - 6)),
    ],
)
def test_one_whole_request_of_somebody_absent(site: Site, data: bytes) -> None:
    """Is answered without a conversation, and by nothing that was cached."""
    cache = SocketmapReplyCache(site.cache)
    assert cache.cached_reply(data, None) == NOT_FOUND
    session = SocketmapSession(site.cache)
    session.receive(data)
    assert session.replies() == NOT_FOUND


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b",",
        b"0:,",
        b"6:nobody,",
        b"012:cyrus nobody,",
        b"11:cyrus nobody,",
        b"13:cyrus nobody,",
        b"12:cyrus nobody",
        b"12:cyrus nobody,12:cyrus nobody,",
        b"12:cyrus nobody,,",
        b"12,cyrus nobody,",
        b"+2:cyrus nobody,",
        b"12:cyr\0s nobody,",
        b"12:cyrus nobo\0y,",
        b"10:cyrus fred,",
        encode(b"cyrus " + b"n" * (MAX_CACHED_REQUEST - 5)),
        encode(b"cyrus " + b"n" * 5000),
    ],
)
def test_everything_else_is_for_the_conversation(site: Site, data: bytes) -> None:
    """A length that is not the shortest, several requests, parts, and those who may be there."""
    assert SocketmapReplyCache(site.cache).cached_reply(data, None) is None


@given(
    data=st.lists(
        st.sampled_from([b"1", b"2", b"8", b"12", b"0", b":", b",", b" ", b"\0", b"cyrus nobody"])
    ).map(b"".join)
)
def test_it_says_what_the_conversation_says(site: Site, data: bytes) -> None:
    """Whatever it answers is one or more whole requests, and they have these answers."""
    reply = SocketmapReplyCache(site.cache).cached_reply(data, None)
    if reply is not None:
        session = SocketmapSession(site.cache)
        session.receive(data)
        assert session.replies() == reply
        assert session.idle


def test_refusals_are_counted_and_observed(site: Site) -> None:
    """Each of them, with the recipient."""
    refusals: deque[Refused] = deque()
    counters = OutcomeCounters(refusals)
    cache = SocketmapReplyCache(site.cache, SocketmapJudge(Waivers()), counters.cached_verdict)
    seen: list[tuple[bytes, Verdict, Waiver | None]] = []
    for number in range(3):
        data = encode(b"cyrus nobody%d" % number)
        assert cache.cached_reply(data, lambda *told: seen.append(told)) == NOT_FOUND
    assert dict(counters.outcomes()) == {("nonexistent", "", ""): 3}
    assert [each[2] for each in refusals] == [b"nobody0", b"nobody1", b"nobody2"]
    assert seen == [(b"nobody%d" % number, site.cache.nonexistent, None) for number in range(3)]


@pytest.mark.parametrize(
    ("waivers", "found"),
    [
        (Waivers(), False),
        (Waivers(on_error=OnError.ACCEPT), False),
        (Waivers(mode=Mode.OBSERVE), True),
    ],
)
def test_a_waiver_counts_where_there_is_one(site: Site, waivers: Waivers, found: bool) -> None:
    """Of recipients with an @; a bare word is not found in any mode."""
    counters = OutcomeCounters(deque())
    cache = SocketmapReplyCache(site.cache, SocketmapJudge(waivers), counters.cached_verdict)
    wanted = encode(b"OK no@where.example") if found else NOT_FOUND
    assert cache.cached_reply(encode(b"cyrus no@where.example"), None) == wanted
    assert cache.cached_reply(encode(b"cyrus nobody"), None) == NOT_FOUND
    waived = {("nonexistent", "", Waiver.OBSERVED.value): 1} if found else {}
    carried_out = 1 if found else 2
    assert {key: count for key, count in counters.outcomes() if count} == {
        ("nonexistent", "", ""): carried_out,
        **waived,
    }
