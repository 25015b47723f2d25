"""Mailboxes on the backends of a Murder, through the engine: their answers, and their troubles."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.protocols.socketmap import hops_of
from gateway.upstream.mupdate import DEFAULT_DEADLINE, SOCKET, Kicker
from gateway.upstream.socketmapclient import MAX_HOPS
from gateway.verification.backends import Backends
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query
from gateway.verification.murder import MurderUpstreams
from gateway.verification.steps import Step
from gateway.verification.verifier import Verifier
from tests.stores import FlatStore, record
from tests.support.fakes import Fake, Talk, echo, hangs, nobody, says_done, sends, smmapd

SHORT_S = 0.2


class Murder:
    """A frontend, its mupdate, and backends."""

    def __init__(self, stack: ExitStack, root: Path) -> None:
        self._stack = stack
        self.files = FlatStore(str(root), {b"user.here": record()}, options={"mupdate_server": "m"})
        self.files.write()
        os.makedirs(root / "conf" / "socket")
        self.mupdate = stack.enter_context(Fake(says_done, path=str(root / "conf" / SOCKET)))
        self.upstreams = self.servers()

    def servers(
        self, *, ok: bool = False, deadline: float = 10.0, kick: float = DEFAULT_DEADLINE
    ) -> MurderUpstreams:
        """The other servers, as a frontend reaches them."""
        made = MurderUpstreams(
            Backends(unreachable_is_ok=ok, deadline=deadline),
            Kicker(self.files.configdirectory, kick),
        )
        self._stack.callback(_close, made)
        return made

    def backend(self, talk: Talk) -> Fake:
        """One more."""
        return self._stack.enter_context(Fake(talk))

    def put(self, user: bytes, server: object) -> None:
        """A mailbox that is on `server`."""
        where = str(server).encode()
        self.files.mailboxes[b"user." + user] = b"%%(T r P default S %b A %%() I 1)" % where
        self.files.write()

    def engine(self) -> Verifier:
        """An engine for one thread."""
        conf = imapdconf.load(self.files.conf_path, "smmap")
        return Verifier.for_store(CyrusStore(conf, b"smmap"), self.upstreams)


def _close(upstreams: MurderUpstreams) -> None:
    for server in upstreams.backends.servers:
        server.pool.close()


@pytest.fixture
def murder(tmp_path: Path) -> Iterator[Murder]:
    """A Murder."""
    with ExitStack() as stack:
        yield Murder(stack, tmp_path)


ANSWERS = [
    (b"OK fred", Kind.DELIVERABLE, b""),
    (b"NOTFOUND Mailbox does not exist", Kind.NONEXISTENT, b"Mailbox does not exist"),
    (b"NOTFOUND Go away", Kind.DENIED, b"Go away"),
    (b"TEMP Over quota", Kind.OVER_QUOTA, b"Over quota"),
    (b"PERM Over quota", Kind.OVER_QUOTA_PERMANENT, b"Over quota"),
    (b"PERM System I/O error", Kind.STORE_FAULT, b"System I/O error"),
]


@pytest.mark.parametrize(("answer", "kind", "reason"), ANSWERS)
def test_the_backend_decides(murder: Murder, answer: bytes, kind: Kind, reason: bytes) -> None:
    """Its quota and deny state; the steps show the hop, and nothing is remembered."""
    backend = murder.backend(smmapd(lambda _key: answer))
    murder.put(b"fred", backend.address)
    trace: list[Step] = []
    verdict = murder.engine().verify(Query(b"fred"), trace)
    assert (verdict.kind, verdict.reason, verdict.cacheable) == (kind, reason, False)
    assert verdict.evidence.server == str(backend.address)
    (hop,) = (step for step in trace if step.name == "backend")
    assert dict(hop.facts) == {"server": str(backend.address), "answer": answer}


BAD: list[Talk] = [
    sends(b""),
    sends(b"7:OK f"),
    sends(b"7:OK anna,"),
    sends(b"9:OK " + b"x" * 1_000_000),
    sends(b"nonsense"),
    hangs,
]


@pytest.mark.parametrize("talk", BAD)
@pytest.mark.parametrize("ok", [True, False])
def test_what_becomes_of_a_recipient_whose_backend_is_no_use(
    murder: Murder, talk: Talk, ok: bool
) -> None:
    """As configured; the reason is told, and the recipients of others are unharmed."""
    murder.upstreams = murder.servers(ok=ok, deadline=SHORT_S if talk is hangs else 10.0)
    bad, good = murder.backend(talk), murder.backend(smmapd(echo))
    murder.put(b"fred", bad.address)
    murder.put(b"anna", good.address)
    murder.put(b"gone", nobody())
    murder.put(b"odd", "bad..name")
    engine = murder.engine()
    for user in (b"fred", b"gone", b"odd"):
        trace: list[Step] = []
        verdict = engine.verify(Query(user), trace)
        assert verdict.kind is (Kind.DELIVERABLE if ok else Kind.UPSTREAM_FAULT)
        assert verdict.reason == (b"" if ok else b"Mailbox server is not available")
        assert not verdict.cacheable
        assert verdict.evidence.fault is not None
        assert "problem" in dict(trace[-1].facts)
    assert engine.verify(Query(b"anna")).kind is Kind.DELIVERABLE
    bad.talk = smmapd(echo)
    murder.upstreams.backends.deadline = 10.0
    assert engine.verify(Query(b"fred")).evidence.fault is None or talk is hangs


def test_a_mailbox_that_moves_is_followed(murder: Murder) -> None:
    """As soon as the list says so."""
    one = murder.backend(smmapd(lambda _key: b"TEMP Over quota"))
    other = murder.backend(smmapd(echo))
    engine = murder.engine()
    murder.put(b"fred", one.address)
    assert engine.verify(Query(b"fred")).kind is Kind.OVER_QUOTA
    murder.put(b"fred", other.address)
    assert engine.verify(Query(b"fred")).kind is Kind.DELIVERABLE


def test_a_backend_that_knows_nothing_of_a_listed_mailbox_is_a_reason_to_look_again(
    murder: Murder,
) -> None:
    """The list is brought up to date first: the mailbox may have moved a moment ago."""
    one = murder.backend(smmapd(lambda _key: b"NOTFOUND Mailbox does not exist"))
    other = murder.backend(smmapd(echo))
    for user in (b"fred", b"anna"):
        murder.put(user, one.address)
    create_when_kicked(murder, lambda: murder.put(b"fred", other.address))
    engine = murder.engine()
    assert engine.verify(Query(b"fred")).kind is Kind.DELIVERABLE
    # Where the list has no news the backend knows.
    assert engine.verify(Query(b"anna")).kind is Kind.NONEXISTENT
    assert murder.mupdate.connections == 2


def test_a_list_that_cannot_be_brought_up_to_date_refuses_nobody(murder: Murder) -> None:
    """Without mupdate nobody knows whether the mailbox has moved."""
    one = murder.backend(smmapd(lambda _key: b"NOTFOUND Mailbox does not exist"))
    murder.put(b"fred", one.address)
    murder.mupdate.talk = sends(b"")
    murder.upstreams = murder.servers(kick=0.2)
    verdict = murder.engine().verify(Query(b"fred"))
    assert verdict.kind is Kind.UPSTREAM_FAULT
    assert verdict.evidence.fault is not None


def test_servers_that_point_at_each_other(murder: Murder) -> None:
    """They count, and even where an unreachable backend is as good as OK it is a failure."""
    murder.upstreams = murder.servers(ok=True)
    hops: list[int] = []

    def ask_us_again(question: bytes) -> bytes:
        hops.append(hops_of(question.partition(b" ")[0]))
        verdict = murder.engine().verify(Query(b"fred", None, hops[-1]))
        return b"OK fred" if verdict.kind is Kind.DELIVERABLE else b"TEMP " + verdict.reason

    asked: list[bytes] = []
    backend = murder.backend(smmapd(lambda _key: ask_us_again(asked[-1]), asked))
    murder.put(b"fred", backend.address)
    verdict = murder.engine().verify(Query(b"fred"))
    assert (verdict.kind, verdict.cacheable) == (Kind.UPSTREAM_FAULT, False)
    assert verdict.reason == b"Mailbox servers point at each other"
    assert hops == list(range(1, MAX_HOPS + 1))
    last = murder.engine().verify(Query(b"fred", None, MAX_HOPS))
    assert (last.kind, last.cacheable) == (Kind.UPSTREAM_FAULT, False)


def test_threads_share_connections(murder: Murder) -> None:
    """Many engines need no more of them than questions were in progress at once."""
    backend = murder.backend(smmapd(echo))
    murder.put(b"fred", backend.address)
    kinds: list[Kind] = []

    def ask() -> None:
        engine = murder.engine()
        kinds.extend(engine.verify(Query(b"fred")).kind for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds == [Kind.DELIVERABLE] * 80
    assert backend.connections <= 4


def create_when_kicked(murder: Murder, create: Callable[[], None]) -> None:
    """mupdate brings news when it is kicked."""

    def news(peer: object) -> None:
        create()
        says_done(peer)  # type: ignore[arg-type]

    murder.mupdate.talk = news


def test_mupdate_is_kicked_for_who_is_not_in_the_list(murder: Murder) -> None:
    """A mailbox that was created a moment ago is found, here or on a backend."""
    backend = murder.backend(smmapd(echo))
    create_when_kicked(murder, lambda: murder.put(b"newton", backend.address))
    engine = murder.engine()
    assert engine.verify(Query(b"here")).kind is Kind.DELIVERABLE
    assert murder.mupdate.connections == 0
    trace: list[Step] = []
    assert engine.verify(Query(b"newton"), trace).kind is Kind.DELIVERABLE
    assert [step.name for step in trace if step.name in ("mupdate", "backend")] == [
        "mupdate",
        "backend",
    ]
    assert engine.verify(Query(b"nobody")).kind is Kind.NONEXISTENT
    assert murder.mupdate.connections == 2


def test_one_kick_serves_all_who_were_there(murder: Murder) -> None:
    """Each of them looks again, and none kicks again."""
    engine = murder.engine()
    asked = []
    for number in range(50):
        pending = engine.decide(Query(b"nobody%d" % number))
        assert isinstance(pending, Pending)
        asked.append(pending)
    since = time.monotonic()
    for pending in asked:
        outcome = engine.advance(pending, since=since)
        assert not isinstance(outcome, Pending)
        assert outcome.kind is Kind.NONEXISTENT
    assert murder.mupdate.connections == 1


def test_who_is_not_in_a_list_that_cannot_be_brought_up_to_date(murder: Murder) -> None:
    """May exist all the same: a temporary failure, and mupdate's own recipients are unharmed."""
    murder.mupdate.stop()
    engine = murder.engine()
    verdict = engine.verify(Query(b"nobody"))
    assert verdict.kind is Kind.UPSTREAM_FAULT
    assert verdict.evidence.fault is not None
    assert "cannot reach mupdate" in verdict.evidence.fault
    assert engine.verify(Query(b"here")).kind is Kind.DELIVERABLE


def test_a_smmapd_reads_its_settings_from_imapd_conf(tmp_path: Path) -> None:
    """Port, timeout, and what an unreachable backend means."""
    path = tmp_path / "imapd.conf"
    path.write_text("configdirectory: /x\n")
    backends = MurderUpstreams.for_conf(imapdconf.load(str(path))).backends
    assert (backends.port, backends.deadline, backends.unreachable_is_ok) == (12345, 5, True)
    path.write_text(
        "configdirectory: /x\nsmmapd_backend_port: 2345\nsmmapd_backend_timeout: 1m\n"
        "smmapd_backend_unreachable: temp\n"
    )
    backends = MurderUpstreams.for_conf(imapdconf.load(str(path))).backends
    assert (backends.port, backends.deadline, backends.unreachable_is_ok) == (2345, 60, False)
