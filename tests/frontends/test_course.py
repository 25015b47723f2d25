"""Where an answer is from, and that it took some time: what each front end marks on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.frontends.course import ASKED, HIT, MISS, NONE, Course, HeardEngine, ThreadCourse
from gateway.frontends.judge import Judge
from gateway.frontends.policy_actions import Actions
from gateway.frontends.policy_session import PolicySession
from gateway.frontends.remembering import Remembering
from gateway.frontends.replies import ReplyTable
from gateway.frontends.scope import Scope, ScopeSettings
from gateway.frontends.sharing import Sharing
from gateway.frontends.socketmap_session import Replies, Session
from gateway.protocols.socketmap import encode
from gateway.verification.cache import VerdictCache
from gateway.verification.model import NO_EVIDENCE, Kind, Query, Verdict
from gateway.verification.verifier import Pending
from tests.frontends.milter_talk import Talk
from tests.frontends.test_policy_session import request
from tests.rigs.waiting import wait_until
from tests.verification.sites import Site

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
        """The verdict, or whom to ask."""
        if query.recipient.startswith(b"away"):
            return Pending(query, "far", NO_EVIDENCE)
        return super().decide(query)


@pytest.fixture
def memory(tmp_path: Path) -> Away:
    """One with four users."""
    return Away(Site(tmp_path).verifier)


def talk(session: Session | PolicySession, data: bytes) -> None:
    """Bytes from the client, and all their answers, as the server has them."""
    if session.quick(data) is not None:
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
    course = Course(memory)
    seen: list[str] = []
    session = Session(
        memory,
        lambda _key, _verdict: seen.append(course.source),
        replies=Replies(memory),
        course=course,
    )
    for piece in pieces:
        talk(session, b"".join(encode(b"m " + key) for key in piece))
    assert seen == sources


def policy(memory: Away, seen: list[str]) -> PolicySession:
    """A conversation whose observer notes where each decision is from."""
    judge = Judge(Scope(ScopeSettings(domains=("example.org",))), ReplyTable())
    course = Course(memory)
    return PolicySession(
        memory,
        judge,
        observe=lambda _request, _decision: seen.append(course.source),
        actions=Actions(memory, judge),
        course=course,
    )


@pytest.mark.parametrize(("pieces", "sources"), ROWS)
def test_policy_requests(memory: Away, pieces: list[list[bytes]], sources: list[str]) -> None:
    """As look-ups."""
    seen: list[str] = []
    session = policy(memory, seen)
    for piece in pieces:
        talk(session, b"".join(request(key + b"@example.org") for key in piece))
    assert len(seen) == len(sources)
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
    course = Course(memory)
    course.arrived()
    first = course.microseconds
    assert first >= 0
    wait_until(lambda: course.microseconds > first, "time passes")


# --- threads ----------------------------------------------------------------------------------


class Elsewhere:
    """An engine that remembers `known` and must ask for all others."""

    def decide(self, query: Query) -> Verdict | Pending:
        """At once, or whom to ask."""
        if query.recipient == b"known":
            return Verdict(Kind.DELIVERABLE, b"")
        return Pending(query, "far", NO_EVIDENCE)

    def advance(self, _pending: Pending, _trace: object, *, since: float | None) -> Verdict:
        """The server's answer."""
        assert since is not None
        return Verdict(Kind.DELIVERABLE, b"")


def test_threads_that_share_a_memory(tmp_path: Path) -> None:
    """What one is told says nothing about the others."""
    site = Site(tmp_path)
    course = ThreadCourse(site.cache)
    memory = Remembering(site.cache, course)
    others: list[str] = []

    def ask(recipient: bytes) -> Callable[[], None]:
        def run() -> None:
            course.arrived()
            memory.decide(Query(recipient))
            others.append(course.source)

        return run

    for recipient in (b"fred", b"fred", b"anna"):
        thread = threading.Thread(target=ask(recipient))
        thread.start()
        thread.join()
    assert others == [MISS, HIT, MISS]
    assert course.source == NONE


@pytest.mark.parametrize(
    ("recipient", "at_once", "source"),
    [
        (b"known", HIT, HIT),
        (b"stranger", HIT, ASKED),
        (b"known", ASKED, ASKED),  # an SQL server was asked meanwhile
    ],
)
def test_engines_that_ask_servers(
    tmp_path: Path, recipient: bytes, at_once: str, source: str
) -> None:
    """A thread's engine asks the servers itself, or knows what they said."""
    course = ThreadCourse(Site(tmp_path).cache)
    heard = HeardEngine(Elsewhere(), course, at_once)  # type: ignore[arg-type]
    engine = Sharing(2).engine(heard)
    assert engine.verify(Query(recipient)).kind is Kind.DELIVERABLE
    assert course.source == source


def test_a_milter_begins_anew_at_each_recipient(tmp_path: Path) -> None:
    """Whatever the thread was asked before."""
    course = ThreadCourse(Site(tmp_path).cache)
    course.source = HIT
    milter = Talk(course=course)
    milter.connect()
    milter.mail()
    milter.rcpt(b"<friend@other.test>")
    assert course.source == NONE
