"""The engine that asks other servers: memory, failover, spread, staleness."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from gateway.errors import UpstreamError
from gateway.protocols.socketmap import hops_of
from gateway.upstream.connection import Dialer
from gateway.upstream.socketmapclient import MAX_HOPS, SocketmapClient
from gateway.verification.expiringcache import ExpiringCache, Lifetimes
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.remote import RemoteVerifier
from gateway.verification.servers import SocketmapServer
from gateway.verification.steps import Step
from tests.support.fakes import Fake, echo, hangs, nobody, sends, smmapd

MISSING = b"NOTFOUND Mailbox does not exist"


class Site:
    """Servers, and an engine that asks them; `time` is its clock, which a test puts forward."""

    def __init__(self, stack: ExitStack, count: int, *, spread: bool, stale: float) -> None:
        # Deadlines are moments of time.monotonic, so that is where the clock begins.
        self.time = time.monotonic()
        self.asked: list[list[bytes]] = [[] for _ in range(count)]
        self.fakes = [stack.enter_context(Fake(smmapd(self.answer, asked))) for asked in self.asked]
        self.answers: dict[bytes, bytes] = {}
        servers = [
            SocketmapServer(SocketmapClient(Dialer("abcdefgh"[index], fake.address)))
            for index, fake in enumerate(self.fakes)
        ]
        for server in servers:
            stack.callback(server.pool.close)
        self.engine = RemoteVerifier(
            servers,
            ExpiringCache(Lifetimes(yes=60.0, no=10.0, over_quota=5.0, stale=stale), 1000),
            deadline=10.0,
            spread=spread,
            clock=lambda: self.time,
        )

    def answer(self, key: bytes) -> bytes:
        """What all servers say of `key`."""
        return self.answers.get(key, echo(key))

    def ask(self, key: bytes) -> Kind:
        """The kind of the verdict."""
        return self.engine.verify(Query(key)).kind

    @property
    def questions(self) -> int:
        """How many questions have come to servers."""
        return sum(map(len, self.asked))


Make = Callable[..., Site]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes sites that are closed at the end."""
    with ExitStack() as stack:

        def made(count: int = 1, *, spread: bool = False, stale: float = 0.0) -> Site:
            return Site(stack, count, spread=spread, stale=stale)

        yield made


def test_an_answer_holds_for_its_time(make: Make) -> None:
    """Yes, no and over quota each for its own; then the servers are asked again."""
    site = make()
    site.answers = {b"nobody": MISSING, b"full": b"TEMP Over quota"}
    for _ in range(3):
        assert site.ask(b"fred") is Kind.DELIVERABLE
        assert site.ask(b"nobody") is Kind.NONEXISTENT
        assert site.ask(b"full") is Kind.OVER_QUOTA
    assert site.questions == 4  # a permanent refusal is asked again on a new connection
    assert (site.engine.hits, site.engine.misses) == (6, 3)
    held = site.engine.entry(b"full")
    assert held is not None
    assert site.engine.is_valid(held)
    site.time += 5.0
    assert not site.engine.is_valid(held)
    assert [site.ask(key) for key in (b"fred", b"nobody", b"full")] == [
        Kind.DELIVERABLE,
        Kind.NONEXISTENT,
        Kind.OVER_QUOTA,
    ]
    assert site.questions == 5


def test_a_temporary_failure_is_never_remembered(make: Make) -> None:
    """Nor taken for the last word, where there is another server."""
    site = make(2)
    site.fakes[0].talk = smmapd(lambda _key: b"TEMP System I/O error")
    assert site.ask(b"fred") is Kind.DELIVERABLE
    site.fakes[1].stop()
    verdict = site.engine.verify(Query(b"anna"))
    assert verdict.kind is Kind.STORE_FAULT
    assert verdict.evidence.fault is not None
    assert "a: it answers TEMP System I/O error; b: cannot connect" in verdict.evidence.fault
    site.fakes[0].talk = smmapd(echo)
    site.fakes[0].hang_up()
    assert site.ask(b"anna") is Kind.DELIVERABLE


@pytest.mark.parametrize("talk", [sends(b""), sends(b"7:OK"), sends(b"7:OK anna,"), sends(b"no")])
def test_the_next_server_is_asked_where_one_fails(
    make: Make, talk: Callable[[object], None]
) -> None:
    """Whatever it does; the reason is in the steps."""
    site = make(3)
    site.fakes[0].talk = talk
    site.fakes[1].stop()
    trace: list[Step] = []
    assert site.engine.verify(Query(b"fred"), trace).kind is Kind.DELIVERABLE
    assert [dict(step.facts)["server"] for step in trace] == ["a", "b", "c"]
    assert ["problem" in dict(step.facts) for step in trace] == [True, True, False]


@pytest.mark.slow
def test_a_server_that_hangs_uses_up_its_share_only(make: Make) -> None:
    """The next one has time left."""
    site = make(2)
    # Half of it for each: enough for the other one on a busy machine.
    site.engine.deadline = 8.0
    site.fakes[0].talk = hangs
    assert site.ask(b"fred") is Kind.DELIVERABLE


class Busy(SocketmapServer):
    """Notes until when it is to answer, and fails."""

    def __init__(self, until: list[float]) -> None:
        super().__init__(SocketmapClient(Dialer("busy", nobody())))
        self._until = until

    def ask(self, _recipient: bytes, _hop: int, until: float) -> NoReturn:
        self._until.append(until)
        raise UpstreamError("busy", "later")


def test_each_server_has_its_share_of_the_time_that_is_left() -> None:
    """The deadline runs from the question, or from the moment that the caller names."""
    until: list[float] = []
    server = Busy(until)
    memory = ExpiringCache(Lifetimes(yes=60.0, no=10.0, over_quota=5.0), 10)
    engine = RemoteVerifier([server] * 4, memory, deadline=12.0, spread=False, clock=lambda: 1000.0)
    pending = engine.decide(Query(b"fred"))
    assert isinstance(pending, Pending)
    engine.advance(pending)
    engine.advance(pending, since=996.0)
    assert until == [1003.0, 1004.0, 1006.0, 1012.0, 1002.0, 1000.0 + 8 / 3, 1004.0, 1008.0]


def test_no_server_answers(make: Make) -> None:
    """A temporary failure, with every reason."""
    site = make(2)
    for fake in site.fakes:
        fake.stop()
    verdict = site.engine.verify(Query(b"fred"))
    assert verdict.kind is Kind.UPSTREAM_FAULT
    assert not verdict.cacheable
    assert verdict.evidence.fault == (
        "a: cannot connect: Connection refused; b: cannot connect: Connection refused"
    )


def test_stale_answers_are_given_while_no_server_answers(make: Make) -> None:
    """Where that is wanted, for as long as is wanted, and with the fault for the log.

    Whom a server has called unknown may have been created since.
    """
    site = make(stale=100.0)
    site.answers = {b"nobody": MISSING}
    site.ask(b"fred")
    site.ask(b"nobody")
    site.fakes[0].stop()
    site.time += 65.0
    trace: list[Step] = []
    verdict = site.engine.verify(Query(b"fred"), trace)
    assert (verdict.kind, verdict.cacheable) == (Kind.DELIVERABLE, False)
    assert verdict.evidence.fault == "a: cannot connect: Connection refused"
    assert [step.name for step in trace] == ["backend", "stale"]
    assert site.ask(b"nobody") is Kind.UPSTREAM_FAULT
    assert site.ask(b"anna") is Kind.UPSTREAM_FAULT
    site.time += 100.0
    assert site.ask(b"fred") is Kind.UPSTREAM_FAULT


def test_the_recipient_decides_which_server_is_asked(make: Make) -> None:
    """Each has its share; the same recipient goes to the same one, in whatever case."""
    site = make(4, spread=True)
    for number in range(200):
        site.ask(b"user%d@example.org" % number)
        site.ask(b"User%d@example.org" % number)
    assert all(len(asked) > 50 for asked in site.asked)
    for asked in site.asked:
        keys = [question.partition(b" ")[2].lower() for question in asked]
        assert all(keys.count(key) == 2 for key in keys)
    site.fakes[2].stop()
    site.time += 60.0
    assert all(site.ask(b"user%d@example.org" % number) is Kind.DELIVERABLE for number in range(50))


def test_questions_that_go_in_circles_come_to_an_end(make: Make) -> None:
    """Gateways that point at each other count."""
    site = make()
    hops: list[int] = []

    def next_gateway(question: bytes) -> Kind:
        name, _, key = question.partition(b" ")
        hops.append(hops_of(name))
        return site.engine.verify(Query(key, None, hops_of(name))).kind

    def answer(key: bytes) -> bytes:
        del key
        kind = next_gateway(site.asked[0][-1])
        return b"OK fred" if kind is Kind.DELIVERABLE else b"TEMP " + kind.name.encode()

    site.answers = {}
    site.fakes[0].talk = smmapd(answer, site.asked[0])
    verdict = site.engine.verify(Query(b"fred"))
    assert (verdict.kind, verdict.cacheable) == (Kind.UPSTREAM_FAULT, False)
    assert hops == list(range(1, MAX_HOPS + 1))
    last = site.engine.verify(Query(b"fred", None, MAX_HOPS))
    assert (last.kind, last.cacheable) == (Kind.UPSTREAM_FAULT, False)


def test_with_a_trace_servers_are_asked_anew(make: Make) -> None:
    """`explain` shows what is, not what was."""
    site = make()
    site.ask(b"fred")
    trace: list[Step] = []
    site.engine.verify(Query(b"fred"), trace)
    assert [dict(step.facts) for step in trace] == [{"server": "a", "answer": b"OK fred"}]
    assert site.questions == 2


def test_an_event_loop_is_told_who_is_to_be_asked(make: Make) -> None:
    """It never waits."""
    site = make(2)
    pending = site.engine.decide(Query(b"fred"))
    assert isinstance(pending, Pending)
    assert pending.server == "a, b"
    assert isinstance(site.engine.advance(pending), Verdict)
    decided = site.engine.decide(Query(b"fred"))
    assert isinstance(decided, Verdict)
    assert (decided.kind, decided.cacheable) == (Kind.DELIVERABLE, False)


def test_nothing_is_known_at_no_cost(make: Make) -> None:
    """What a Memory offers beyond decisions is empty, but for the turns that it counts."""
    engine = make().engine
    before = engine.tick()
    engine.begin_tick()
    turned = engine.tick()
    engine.expire_tick()
    assert before < turned < engine.tick()
    assert (engine.known_absent(b"nobody"), engine.indexed, engine.invalidations) == (
        False,
        None,
        0,
    )


@pytest.mark.parametrize(("spread", "both"), [(True, True), (False, False)])
def test_the_second_is_asked_on_failure(make: Make, spread: bool, both: bool) -> None:
    """Without `spread` the second is asked only where the first fails."""
    site = make(2, spread=spread)
    for number in range(50):
        site.ask(b"user%d" % number)
    assert all(site.asked) is both
