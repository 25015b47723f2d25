"""Replies that are encoded already, by what they rest on, for all sessions of a server.

A reply is given again only while the verdict behind it is valid (Memory.is_valid)
and the files of the scope say what they said.  What else it rests on is the
key, which is the front end's matter.  Limits: MAX_REPLIES; the oldest give way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.verification.counter import UNCOUNTED
from gateway.verification.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.judge import Decision, Judge
    from gateway.verification.counter import OutcomeCounter
    from gateway.verification.decider import Memory
    from gateway.verification.entry import Entry

KeyT = TypeVar("KeyT")

MAX_REPLIES = 65_536
# The same in a process that is about to leave, and has only the clients that it still had.
FEW_REPLIES = 1024


class CachedReply:
    """A reply and its decision; `recipient` is the bare address, `counter` where it is counted."""

    __slots__ = ("counter", "decision", "entry", "recipient", "reply")

    def __init__(
        self,
        reply: bytes,
        recipient: bytes,
        decision: Decision,
        entry: Entry | None,
        counter: OutcomeCounter,
    ) -> None:
        """`entry` is the verdict in memory, None where there is no verdict."""
        self.counter = counter
        self.decision = decision
        self.entry = entry
        self.recipient = recipient
        self.reply = reply

    def count(self, sender: bytes | None, client: bytes) -> None:
        """Count that it is given again, to this sender's and client's mail."""
        counter = self.counter
        counter.count += 1
        if counter.refusals is not None and self.decision.verdict is not None:
            counter.refused(self.recipient, self.decision.verdict.reason, sender, client)


class ReplyCache(Generic[KeyT]):
    """Remembers the replies of one judge."""

    def __init__(
        self,
        memory: Memory,
        judge: Judge,
        counter_of: Callable[[Decision], OutcomeCounter] | None = None,
    ) -> None:
        """`counter_of` says where the cached replies of a decision are counted."""
        self._counter_of = counter_of if counter_of is not None else lambda _decision: UNCOUNTED
        self._memory = memory
        self._scope = judge.scope
        self._has_files = judge.scope.has_files
        self._shrunk = False
        self._tick = -1
        self._version = judge.scope.version  # what everything that is known rests on, or older
        self._known: dict[KeyT, CachedReply] = {}

    def get(self, key: KeyT) -> CachedReply | None:
        """The reply for `key` if it is known and still right."""
        if self._has_files:
            self._look_at_files()
        cached = self._known.get(key)
        if cached is None or (cached.entry is not None and not self._memory.is_valid(cached.entry)):
            return None
        return cached

    def keep(self, key: KeyT, recipient: bytes, decision: Decision, reply: bytes = b"") -> None:
        """Remember `decision`, and `reply` made of it, if anything tells later that it is valid.

        It must have been decided in this tick of the event loop.
        """
        if not decision.lasting:
            return
        entry: Entry | None = None
        if isinstance(decision.verdict, Verdict):
            entry = self._memory.entry(recipient)
            # Another spelling may have been asked for (a dot behind the
            # domain), or the verdict is one that is not remembered.
            if entry is None or entry.verdict.kind is not decision.verdict.kind:
                return
        most = FEW_REPLIES if self._shrunk else MAX_REPLIES
        if len(self._known) >= most:
            for old in list(self._known)[: most // 16]:
                del self._known[old]
        self._known[key] = CachedReply(
            reply, recipient, decision, entry, self._counter_of(decision)
        )

    def shrink(self) -> None:
        """Give back memory; only a few replies are cached from now on."""
        self._shrunk = True
        self._known.clear()

    def _look_at_files(self) -> None:
        """Once in a turn: forget what rests on what they said before."""
        tick = self._memory.tick()
        if tick == self._tick:
            return
        self._tick = tick
        scope = self._scope
        scope.refresh()
        if scope.version != self._version:
            self._version = scope.version
            self._known.clear()
