"""A store on an SQL server: the loop asks for it, a thread answers, nothing is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.db.sqlserver import location as sql_address
from gateway.cyrus.db.sqlserver.connections import SqlPool, SqlSession
from gateway.cyrus.db.sqlserver.location import SqlServer
from gateway.cyrus.store import CyrusStore
from gateway.verification.entry import Entry
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.questions import StoreQuestions
from gateway.verification.steps import Step
from gateway.verification.verifier import Verifier
from tests.stores import FlatStore, record

SERVER = "pgsql://db/cyrus"


def no_connection(*_: object) -> sql_address.SqlConnection:
    """The records are in files."""
    raise AssertionError("nobody asks the server")


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    """A store that knows fred, and passes for one on the server."""
    flat = FlatStore(str(tmp_path), mailboxes={b"user.fred": record(b"fred\tlrs")})
    flat.write()
    store = CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap")
    store.server = SERVER
    server = SqlServer("pgsql", "cyrus")
    store.sql = SqlSession(SqlPool(server, no_connection))
    return Verifier.for_store(store)


def test_every_query_is_a_question_for_the_server(verifier: Verifier) -> None:
    """The same one twice, too; the thread's engine has the verdict."""
    memory = StoreQuestions(SERVER)
    for _ in range(2):
        pending = memory.decide(Query(b"fred"))
        assert pending.server == SERVER
        outcome = verifier.advance(pending)
        assert isinstance(outcome, Verdict)
        assert outcome.kind is Kind.DELIVERABLE
    assert (memory.hits, memory.misses, dict(memory.entries)) == (0, 2, {})


def test_a_trace_shows_the_steps(verifier: Verifier) -> None:
    """As for any other store."""
    trace: list[Step] = []
    pending = StoreQuestions(SERVER).decide(Query(b"nobody"))
    outcome = verifier.advance(pending, trace)
    assert isinstance(outcome, Verdict)
    assert outcome.kind is Kind.NONEXISTENT
    assert trace


def test_who_has_waited_too_long_in_line_is_told_so(verifier: Verifier) -> None:
    """A temporary fault, without asking; a question that comes at once is answered."""
    pending = StoreQuestions(SERVER).decide(Query(b"fred"))
    outcome = verifier.advance(pending, since=time.monotonic())
    assert isinstance(outcome, Verdict)
    assert outcome.kind is Kind.DELIVERABLE
    outcome = verifier.advance(pending, since=time.monotonic() - 60)
    assert isinstance(outcome, Verdict)
    assert outcome.kind is Kind.STORE_FAULT
    assert outcome.evidence.fault is not None
    assert SERVER in outcome.evidence.fault
    assert not outcome.cacheable


def test_a_mailbox_may_still_be_elsewhere(verifier: Verifier) -> None:
    """The server's answer may be that a backend has to be asked."""
    verifier.kicks_mupdate = True
    outcome = verifier.advance(StoreQuestions(SERVER).decide(Query(b"nobody")))
    assert isinstance(outcome, Pending)
    assert outcome.server is None


class Untils(SqlPool):
    """Notes until when it is waited for each statement."""

    def __init__(self) -> None:
        super().__init__(SqlServer("pgsql", "cyrus"), no_connection, clock=lambda: 1e9)
        self.noted: list[float] = []

    def rows(
        self, statement: str, parameters: tuple[bytes, ...], until: float
    ) -> list[tuple[object, ...]]:
        """There are none."""
        self.noted.append(until)
        return []


def asked(verifier: Verifier) -> Verdict | Pending:
    """A backend was asked, by the caller that holds the question itself."""
    verifier.kicks_mupdate = True
    pending = verifier.decide(Query(b"nobody"))
    assert isinstance(pending, Pending)
    return verifier.advance(pending)


@pytest.mark.parametrize(
    "ask",
    [
        asked,
        lambda verifier: verifier.verify(Query(b"fred")),
        lambda verifier: verifier.advance(StoreQuestions(SERVER).decide(Query(b"fred"))),
    ],
    ids=["backend", "verify", "question"],
)
def test_the_time_of_a_question_is_over_with_it(
    verifier: Verifier, ask: Callable[[Verifier], object]
) -> None:
    """A process that decides later has its own: smmapd on standard input lives for days with one engine."""
    pool = Untils()
    verifier.store.sql = SqlSession(pool)
    ask(verifier)
    verifier.store.sql.rows("SELECT", ())
    assert pool.noted[-1] == 1e9 + pool.deadline


def test_nothing_is_remembered() -> None:
    """What a Memory offers beyond decisions is empty."""
    memory = StoreQuestions(SERVER)
    before = memory.tick()
    memory.begin_tick()
    assert memory.tick() > before
    turned = memory.tick()
    memory.expire_tick()
    assert memory.tick() > turned
    assert memory.invalidations == 0
    entry = Entry(b"fred", memory.nonexistent, 1, 1, ())
    assert memory.entry(b"fred") is None
    assert (memory.is_valid(entry), memory.known_absent(b"fred")) == (False, False)
    assert memory.indexed is None
