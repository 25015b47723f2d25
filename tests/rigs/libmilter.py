"""Our milter on pymilter, with an engine of the test's own, so that it can be compared.

    python -m tests.rigs.libmilter SOCKET

What it says is to be what the other transport says with the same conversation
(tests/real/test_two_transports.py).
"""

from __future__ import annotations

import sys
import threading

from gateway.frontends.judge import Judge
from gateway.frontends.milter_conversation import MilterConversation
from gateway.frontends.replies import ReplyTable, Template
from gateway.frontends.scope import Scope, ScopeRules
from gateway.server import pymilter
from gateway.server.dispatcher import THREADS, Dispatcher
from gateway.server.helpers import HelperThreads
from gateway.server.libmilter import Callbacks
from gateway.verification.kinds import Kind
from gateway.verification.model import NO_EVIDENCE, Pending, Query, Verdict

RULES = ScopeRules(
    domains=("example.org",),
    mailers=("lmtp", "smtp:inside.test"),
    exempt_clients=("192.0.2.9", "2001:db8::9"),
    exempt_authenticated=True,
)
TEMPLATES = {Kind.NONEXISTENT: Template(550, "5.1.1", "100% unknown: {recipient}")}
_KINDS = {
    b"fred": Kind.DELIVERABLE,
    b"over": Kind.OVER_QUOTA,
    b"broken": Kind.STORE_FAULT,
    b"closed": Kind.DENIED,
}


def verdict(query: Query) -> Verdict:
    """What is true of a recipient, here or elsewhere."""
    name = query.recipient.partition(b"@")[0].removeprefix(b"away-")
    if name == b"large":
        return Verdict(Kind.SIZE_OVER_QUOTA if (query.size or 0) > 1000 else Kind.DELIVERABLE, b"")
    if name == b"defect":
        raise ZeroDivisionError
    return Verdict(_KINDS.get(name, Kind.NONEXISTENT), b"")


class Engine:
    """Remembers nothing; recipients that begin with `away-` live on another server."""

    def decide(self, query: Query) -> Verdict | Pending:
        """Answer."""
        if query.recipient.startswith(b"away-"):
            return Pending(query, "far", NO_EVIDENCE)
        return verdict(query)

    def expire_tick(self) -> None:
        """Nothing is remembered here."""


def conversation() -> MilterConversation:
    """What an MTA's steps mean, the same at both transports."""
    judge = Judge(Scope(RULES, sees_mailers=True), ReplyTable(TEMPLATES), check_size=True)
    return MilterConversation(Engine(), judge)


def _unheard(_error: BaseException) -> None:
    """Defects are among the cases."""


def main(path: str) -> None:
    """Serve until ended."""
    module = pymilter.load()
    lock = threading.Lock()
    callbacks = Callbacks(module, conversation, Engine(), lock, _unheard)
    helpers = HelperThreads(lock, THREADS, _unheard)
    dispatcher = Dispatcher(
        lambda pending, _since: verdict(pending.query), defect=_unheard, pool=helpers
    )
    callbacks.register("compared", dispatcher)
    module.setconn(f"unix:{path}")
    module.main()


if __name__ == "__main__":
    main(sys.argv[1])
