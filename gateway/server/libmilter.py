"""The milter on pymilter: libmilter's callbacks bring the events, and carry the decisions.

libmilter calls back on native threads of its own, a connection now on one, now
on another; what is remembered of one is in its context.  One lock is around the
conversations, and the memory of verdicts that they share; a thread that must wait for
another server gives it back meanwhile (helpers.py).  Before an answer the events of
watched folders are taken, or others have taken them since the question came:
no answer is older than its question.

A defect of ours defers: where it kills between two recipients, all that come
later on that connection until the next client.

The C module is used directly; pymilter's Python layer decodes, logs and
catches in ways of its own.  Limits: libmilter hands host names over as strict
UTF-8, and a client whose name is none is not announced; its address is then
taken from {client_addr}.
"""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gateway.frontends.milter_conversation import WANTED, Deferral
from gateway.server.affinity import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Decision
    from gateway.frontends.milter_conversation import MilterConversation
    from gateway.mta.lookups import TableAnswers
    from gateway.server.dispatcher import Dispatcher
    from gateway.verification.decider import Decider
    from gateway.verification.model import Verdict


def _nothing() -> None:
    """Batches are not counted."""


class Context(Protocol):
    """libmilter's context of one connection (milter.Context)."""

    def getsymval(self, name: str) -> str | None:
        """The value of a macro."""

    def setreply(self, code: str, enhanced: str, text: str) -> None:
        """The reply that goes with REJECT or TEMPFAIL."""

    def setsymlist(self, stage: int, macros: str) -> None:
        """Ask the MTA for macros."""

    def setpriv(self, value: object) -> None:
        """Remember something for this connection."""

    def getpriv(self) -> Any:
        """What was remembered, or None."""


class Callbacks:
    """What libmilter calls.  One object serves all connections, on any thread.

    `module` is pymilter's; `conversation` makes that of a new client.  `accepted` is
    how many MTAs have come.  `lock` is held around everything that is shared:
    everything else that uses `memory` or what the conversations count takes it, too.
    `defect` hears of an unexpected exception, `batch_ended` of every
    BATCH recipients, with the lock held.
    """

    def __init__(
        self,
        module: Any,
        conversation: Callable[[], MilterConversation],
        memory: Decider,
        lock: Any,
        defect: Callable[[Exception], None],
        *,
        batch_ended: Callable[[], None] = _nothing,
    ) -> None:
        self.accepted = 0
        self.connected: set[MilterConversation | _Broken] = set()
        self._batch_ended = batch_ended
        self._conversation = conversation
        self._defect = defect
        self._dispatcher: Dispatcher | None = None
        self._lock = lock
        self._looks = 0  # at the events; the last one has begun
        self._memory = memory
        self._module = module
        self._continue: int = module.CONTINUE
        self._no_reply: int = module.NOREPLY
        self._recipients = 0
        self._reject: int = module.REJECT
        self._tempfail: int = module.TEMPFAIL

    def register(self, name: str, dispatcher: Dispatcher) -> None:
        """Tell libmilter of these callbacks; `dispatcher`, of the same lock, ask others."""
        module = self._module
        self._dispatcher = dispatcher
        module.set_exception_policy(self._tempfail)
        module.set_flags(0)
        module.set_connect_callback(self._guarded(self.connect, self._no_reply))
        module.set_envfrom_callback(self._guarded(self.envfrom, self._no_reply))
        module.set_envrcpt_callback(self._guarded(self.envrcpt, self._tempfail))
        module.set_eom_callback(self._guarded(self.over, self._continue))
        module.set_abort_callback(self._guarded(self.over, self._continue))
        module.set_close_callback(self._guarded(self.close, self._continue))
        module.register(name, negotiate=self._guarded(self.negotiate, self._reject))

    # --- the steps --------------------------------------------------------------------------

    def negotiate(self, ctx: Context, options: list[int]) -> int:
        """`options` is [actions, steps, 0, 0]: an offer, and what is taken of it.

        libmilter does without replies whether the MTA can or not, so those of
        connect and MAIL are never waited for (engine.c, fake_pflags).
        """
        for stage, macros in WANTED:
            ctx.setsymlist(stage, macros)
        with self._lock:
            self.accepted += 1
            options[:] = [0, self._begun(ctx).negotiate(options[1]), 0, 0]
        return self._continue

    def connect(self, ctx: Context, _host: str, family: int, address: Any) -> int:
        """A client; `address` is a tuple of address and port first, a path, or None."""
        known = isinstance(address, tuple) and family in (socket.AF_INET, socket.AF_INET6)
        client, port = (address[0].encode(), address[1]) if known else (b"", None)
        with self._lock:
            self._begun(ctx).connect(client, port, partial(_value, ctx))
        return self._no_reply

    def envfrom(self, ctx: Context, argument: bytes, *parameters: bytes) -> int:
        """MAIL FROM."""
        with self._lock:
            self._begun(ctx).mail(argument, parameters, partial(_value, ctx))
        return self._no_reply

    def envrcpt(self, ctx: Context, argument: bytes, *_parameters: bytes) -> int:
        """RCPT TO."""
        looks = self._looks
        with self._lock:
            conversation = self._begun(ctx)
            origin = conversation.judging.origin
            if origin is not None:
                origin.arrived()
            if looks == self._looks:
                # Otherwise another thread has begun to look since this question came.
                self._looks += 1
                self._memory.expire_tick()
            outcome = conversation.rcpt(argument, partial(_value, ctx))
            if outcome is None:
                outcome = self._ask_dispatcher(conversation)
            self._recipients += 1
            if self._recipients % BATCH == 0:
                self._batch_ended()
        return self._carried(ctx, outcome)

    def over(self, ctx: Context) -> int:
        """The mail is complete, or ended early."""
        with self._lock:
            self._begun(ctx).over()
        return self._continue

    def close(self, ctx: Context) -> int:
        """The client is gone; another one may follow on the same connection (SMFIC_QUIT_NC)."""
        with self._lock:
            self.connected.discard(ctx.getpriv())
            ctx.setpriv(None)
        return self._continue

    # --- in between -------------------------------------------------------------------------

    def _begun(self, ctx: Context) -> MilterConversation:
        """The connection's conversation; a new one for a client that was not announced."""
        known = ctx.getpriv()
        if known is None:
            known = self._conversation()
            ctx.setpriv(known)
            self.connected.add(known)
        if isinstance(known, _Broken):
            raise _AfterDefectError
        conversation: MilterConversation = known
        return conversation

    def _ask_dispatcher(self, conversation: MilterConversation) -> Decision | Deferral:
        """The decision on what is pending; gives the lock back while others think."""
        outcome: Decision | Deferral | None = None
        while outcome is None:
            assert self._dispatcher is not None
            assert conversation.pending is not None
            answer = _Answer()
            self._dispatcher.ask(conversation.pending, answer.tell)
            self._lock.release()
            try:
                told = answer.wait()
            finally:
                self._lock.acquire()
            outcome = conversation.resolved(told)
        return outcome

    def _carried(self, ctx: Context, outcome: Decision | Deferral) -> int:
        """`outcome` as libmilter takes it."""
        if isinstance(outcome, Deferral):
            return self._tempfail
        reply = outcome.reply
        if reply is None:
            return self._continue
        # The MTA takes two percent signs for one (libmilter/docs/smfi_setreply.html).
        ctx.setreply(str(reply.code), reply.enhanced, reply.text.replace("%", "%%"))
        # libmilter takes no 4xx reply with REJECT and no 5xx one with TEMPFAIL.
        return self._tempfail if reply.temporary else self._reject

    def _guarded(self, callback: Callable[..., int], otherwise: int) -> Callable[..., int]:
        """`callback`, after whose defects the rest of the connection is deferred.

        Behind this, an exception would be printed, and the step let pass.
        """

        def guarded(ctx: Context, *arguments: Any) -> int:
            try:
                return callback(ctx, *arguments)
            except _AfterDefectError:
                return otherwise
            except Exception as error:  # noqa: BLE001  (whatever it is)
                self._defect(error)
                with self._lock:
                    self.connected.discard(ctx.getpriv())
                    broken = _Broken()
                    self.connected.add(broken)
                    ctx.setpriv(broken)
                return otherwise

        return guarded


class _Answer:
    """What one thread waits for and another one tells."""

    def __init__(self) -> None:
        self._told: list[Verdict | TableAnswers] = []
        self._done = threading.Event()

    def tell(self, told: Verdict | TableAnswers) -> None:
        """Here it is."""
        self._told.append(told)
        self._done.set()

    def wait(self) -> Verdict | TableAnswers:
        """The answer, as soon as it is there: what was asked has a deadline."""
        self._done.wait()
        return self._told[0]


class _Broken:
    """In the place of a conversation: what came before on this connection is not known."""

    under_way = False


class _AfterDefectError(Exception):
    """The connection is broken."""


def _value(ctx: Context, name: str) -> bytes:
    """A macro's value; empty where the MTA does not tell it."""
    try:
        value = ctx.getsymval(name)
    except UnicodeDecodeError as error:
        return bytes(error.object)
    return b"" if value is None else value.encode()


def new_lock() -> Any:
    """The one lock of a process."""
    return threading.Lock()
