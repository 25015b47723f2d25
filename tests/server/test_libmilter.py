"""The callbacks of pymilter, called as libmilter calls them; what it makes of them is in tests/real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.frontends.judge import Judge
from gateway.frontends.milter_conversation import MilterConversation
from gateway.frontends.replies import ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeRules
from gateway.server import pymilter
from gateway.server.affinity import BATCH
from gateway.server.dispatcher import THREADS, Dispatcher
from gateway.server.helpers import HelperThreads
from gateway.server.libmilter import Callbacks, new_lock
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from tests.support.milter_talk import Engine

TIMEOUT_S = 30.0
AF_INET = 2
CLIENT = ("192.0.2.1", 4711)


class Context:
    """libmilter's side of one connection."""

    def __init__(self, **macros: str) -> None:
        self.macros = macros
        self.reply: tuple[str, str, str] | None = None
        self.wanted: dict[int, str] = {}
        self._kept: object = None

    def getsymval(self, name: str) -> str | None:
        """A macro; `wild` has bytes that are not UTF-8."""
        value = self.macros.get(name.strip("{}"))
        if value == "wild":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return value

    def setreply(self, code: str, enhanced: str, text: str) -> None:
        """Remember it."""
        self.reply = (code, enhanced, text)

    def setsymlist(self, stage: int, macros: str) -> None:
        """Remember it."""
        self.wanted[stage] = macros

    def setpriv(self, value: object) -> None:
        """Remember it."""
        self._kept = value

    def getpriv(self) -> Any:
        """What was remembered."""
        return self._kept


class Module:
    """pymilter's, which keeps the callbacks to itself."""

    def __init__(self) -> None:
        real = pymilter.load()
        self.called: dict[str, Callable[..., int]] = {}
        self.CONTINUE: int = real.CONTINUE
        self.NOREPLY: int = real.NOREPLY
        self.REJECT: int = real.REJECT
        self.TEMPFAIL: int = real.TEMPFAIL

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.called.update({name: arguments[0]})

    def register(self, _name: str, negotiate: Callable[..., int]) -> None:
        """The last word."""
        self.called["negotiate"] = negotiate


class Milter:
    """The callbacks on an engine of the test's own."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Engine()
        self.looks = 0
        self.batches = 0
        self.engine.expire_tick = self._look  # type: ignore[method-assign]
        self.defects: list[Exception] = []
        self.module = Module()
        self.lock = new_lock()
        scope = Scope(ScopeRules(domains=("example.org",), **settings), sees_mailers=True)
        template = Template(550, "5.1.1", "100% unknown")
        judge = Judge(scope, ReplyTable({Kind.NONEXISTENT: template}))
        self.callbacks = Callbacks(
            self.module,
            lambda: MilterConversation(self.engine, judge, defect=self.defects.append),
            self.engine,
            self.lock,
            self.defects.append,
            batch_ended=self._batch_ended,
        )
        self.asked = threading.Event()
        self.answer = threading.Event()
        helpers = HelperThreads(self.lock, THREADS, self.defects.append)
        dispatcher = Dispatcher(self._advance, defect=self.defects.append, pool=helpers)  # type: ignore[arg-type]
        self.callbacks.register("test", dispatcher)
        self.does = self.module.called

    def _look(self) -> None:
        assert self.lock.locked()
        self.looks += 1

    def _batch_ended(self) -> None:
        assert self.lock.locked()
        self.batches += 1

    def _advance(self, _pending: Pending, _since: float) -> Verdict | Pending:
        self.asked.set()
        assert self.answer.wait(TIMEOUT_S)
        return Verdict(Kind.OVER_QUOTA, b"")

    def client(self, ctx: Context, address: Any = CLIENT) -> Context:
        """A connection in the middle of a mail."""
        assert self.does["negotiate"](ctx, [0x1FF, 0x1FFFFF, 0, 0]) == self.module.CONTINUE
        self.does["set_connect_callback"](ctx, "client.test", AF_INET, address)
        self.does["set_envfrom_callback"](ctx, b"<joe@sender.test>", b"SIZE=1")
        return ctx

    def rcpt(self, ctx: Context, argument: bytes) -> int:
        """RCPT TO."""
        return self.does["set_envrcpt_callback"](ctx, argument)


@pytest.fixture
def milter() -> Milter:
    """One process' callbacks."""
    return Milter()


def test_what_is_negotiated(milter: Milter) -> None:
    """What is needed, and no changes; macros are asked for."""
    ctx = Context()
    options = [0x1FF, 0x1FFFFF, 0, 0]
    milter.does["negotiate"](ctx, options)
    assert options == [0, 0x5372, 0, 0]
    assert ctx.wanted[3] == "i {rcpt_mailer} {rcpt_host} {rcpt_addr}"


@pytest.mark.parametrize(
    ("name", "word", "reply"),
    [
        (b"fred", "CONTINUE", None),
        (b"nobody", "REJECT", ("550", "5.1.1", "100%% unknown")),
        (b"over", "TEMPFAIL", ("452", "4.2.2", "Over quota")),
        (b"broken", "TEMPFAIL", ("451", "4.3.0", "System I/O error")),
    ],
)
def test_a_decision_in_libmilters_words(
    milter: Milter, name: bytes, word: str, reply: tuple[str, str, str] | None
) -> None:
    """It ignores a reply whose class is not that of the word."""
    ctx = milter.client(Context())
    assert milter.rcpt(ctx, b"<%b@example.org>" % name) == getattr(milter.module, word)
    assert ctx.reply == reply


def test_there_is_a_look_before_each_answer(milter: Milter) -> None:
    """At what has happened until the question came."""
    ctx = milter.client(Context())
    for looks in range(1, 4):
        milter.rcpt(ctx, b"<fred@example.org>")
        assert milter.looks == looks


def test_batches_of_recipients_are_counted_over_all_connections(milter: Milter) -> None:
    """With the lock held: what they are reported to moves threads."""
    contexts = [milter.client(Context()) for _ in range(2)]
    for number in range(2 * BATCH - 1):
        milter.rcpt(contexts[number % 2], b"<fred@example.org>")
    assert milter.batches == 1
    milter.rcpt(contexts[0], b"<fred@example.org>")
    assert milter.batches == 2


def test_who_waits_for_the_lock_shares_the_next_look(milter: Milter) -> None:
    """It begins after all of their questions have come; never one that had begun before."""
    contexts = [milter.client(Context()) for _ in range(5)]
    threads = [
        threading.Thread(target=milter.rcpt, args=(ctx, b"<fred@example.org>")) for ctx in contexts
    ]
    with milter.lock:
        for thread in threads:
            thread.start()
        while not all(thread.is_alive() for thread in threads):
            pass
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert len(milter.engine.asked) == 5
    assert 1 <= milter.looks <= 5


def test_macros_of_any_bytes(milter: Milter) -> None:
    """What is not UTF-8 is a value all the same."""
    milter = Milter(exempt_authenticated=True)
    ctx = milter.client(Context(auth_authen="wild"))
    assert milter.rcpt(ctx, b"<nobody@example.org>") == milter.module.CONTINUE


@pytest.mark.parametrize("address", [None, "/run/client", ("2001:db8::1", 1, 0, 0)])
def test_clients_of_any_family(milter: Milter, address: Any) -> None:
    """One without an address is a client, too."""
    ctx = milter.client(Context(), address)
    assert milter.rcpt(ctx, b"<nobody@example.org>") == milter.module.REJECT


def test_a_client_that_was_not_announced(milter: Milter) -> None:
    """Its address is what the macro says."""
    milter = Milter(exempt_clients=("192.0.2.9",))
    ctx = Context(client_addr="192.0.2.9")
    milter.does["negotiate"](ctx, [0x1FF, 0x1FFFFF, 0, 0])
    milter.does["set_close_callback"](ctx)
    milter.does["set_envfrom_callback"](ctx, b"<joe@sender.test>")
    assert milter.rcpt(ctx, b"<nobody@example.org>") == milter.module.CONTINUE


def test_who_is_connected(milter: Milter) -> None:
    """Clients that follow each other on one connection are one that has come."""
    first, second = (milter.client(Context()) for _ in range(2))
    callbacks = milter.callbacks
    assert (callbacks.accepted, len(callbacks.connected)) == (2, 2)
    assert all(each.under_way for each in callbacks.connected)
    milter.does["set_abort_callback"](first)
    milter.does["set_eom_callback"](second)
    assert not any(each.under_way for each in callbacks.connected)
    milter.does["set_close_callback"](first)
    milter.does["set_connect_callback"](first, "other.test", AF_INET, CLIENT)
    assert (callbacks.accepted, len(callbacks.connected)) == (2, 2)
    for ctx in (first, second):
        milter.does["set_close_callback"](ctx)
    assert not callbacks.connected


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        ("set_connect_callback", ("host", AF_INET, ("not an address",))),
        ("set_envfrom_callback", (None,)),
    ],
)
def test_after_a_defect_the_connection_is_deferred(
    milter: Milter, step: str, arguments: tuple[Any, ...]
) -> None:
    """Until the next client: what came before is not known, and nobody is let in for it."""
    ctx = milter.client(Context())
    milter.does[step](ctx, *arguments)
    assert milter.defects
    milter.does["set_envfrom_callback"](ctx, b"<joe@sender.test>")
    for name in (b"fred", b"nobody"):
        assert milter.rcpt(ctx, b"<%b@example.org>" % name) == milter.module.TEMPFAIL
    milter.does["set_close_callback"](ctx)
    milter.does["set_connect_callback"](ctx, "host", AF_INET, CLIENT)
    milter.does["set_envfrom_callback"](ctx, b"<joe@sender.test>")
    assert milter.rcpt(ctx, b"<nobody@example.org>") == milter.module.REJECT
    assert not milter.lock.locked()


def test_a_defect_at_a_recipient_costs_nobody_else_anything(milter: Milter) -> None:
    """It is deferred, and the next one has its own answer."""
    ctx = milter.client(Context())
    assert milter.does["set_envrcpt_callback"](ctx, None) == milter.module.TEMPFAIL
    assert len(milter.defects) == 1
    assert milter.rcpt(ctx, b"<fred@example.org>") == milter.module.CONTINUE


def test_who_waits_for_another_server_holds_up_nobody(milter: Milter) -> None:
    """The lock is given back meanwhile."""
    away, here = (milter.client(Context()) for _ in range(2))
    said: list[int] = []
    thread = threading.Thread(target=lambda: said.append(milter.rcpt(away, b"<away@example.org>")))
    thread.start()
    assert milter.asked.wait(TIMEOUT_S)
    assert milter.rcpt(here, b"<nobody@example.org>") == milter.module.REJECT
    assert not said
    milter.answer.set()
    thread.join(TIMEOUT_S)
    assert said == [milter.module.TEMPFAIL]
    assert away.reply is not None
    assert away.reply[0] == "452"


def test_without_memory_the_process_ends(milter: Milter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What defects are reported to ends it."""

    def exhausted(_query: Query) -> Verdict:
        raise MemoryError

    monkeypatch.setattr(milter.engine, "decide", exhausted)
    ctx = milter.client(Context())
    assert milter.rcpt(ctx, b"<fred@example.org>") == milter.module.TEMPFAIL
    assert [type(each) for each in milter.defects] == [MemoryError]
