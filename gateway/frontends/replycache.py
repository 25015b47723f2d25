"""Replies that are encoded already, by what they rest on, for all sessions of a server.

A reply is given again only while the verdict behind it is valid (Memory.is_valid)
and the files of the scope say what they said.  What else it rests on is the
key, which is the front end's matter.  Limits: as many as the front end says; the
oldest give way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from gateway.frontends.outcome import UNCOUNTED
from gateway.verification.largedict import LargeDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.frontends.judge import Decision, Judge
    from gateway.frontends.outcome import OutcomeCounter
    from gateway.frontends.scope import Scope
    from gateway.verification.decider import Memory
    from gateway.verification.entry import Entry
    from gateway.verification.model import Verdict

KeyT = TypeVar("KeyT")

MAX_REPLIES = 65_536
# The same in a process that is about to leave, and has only the clients that it still had.
FEW_REPLIES = 1024

# What a process that leaves lets go of at once, in half a millisecond.
_GIVEN_BACK = 2048


class CachedReply:
    """A reply, and what is to be told of it.

    `recipient` is the bare address, `counter` where it is counted, `decision` what a judge
    has decided, where there is one.  `entry` is the verdict in memory, None where there
    is no verdict.
    """

    __slots__ = ("counter", "decision", "entry", "recipient", "reply")

    def __init__(
        self,
        reply: bytes,
        recipient: bytes,
        entry: Entry | None,
        counter: OutcomeCounter,
        decision: Decision | None,
    ) -> None:
        self.counter = counter
        self.decision = decision
        self.entry = entry
        self.recipient = recipient
        self.reply = reply

    @property
    def reason(self) -> bytes:
        """The reason of its verdict."""
        return self.entry.verdict.reason if self.entry is not None else b""

    def count(self, sender: bytes | None = None, client: bytes = b"") -> None:
        """Count that it is given again, to this sender's and client's mail."""
        counter = self.counter
        counter.count += 1
        if counter.refusals is not None:
            counter.refused(self.recipient, self.reason, sender, client)


class ReplyCache(Generic[KeyT]):
    """Remembers the replies that rest on `memory` and on the files of `scope`, `most` of them."""

    def __init__(self, memory: Memory, scope: Scope | None, most: int) -> None:
        self._memory = memory
        self._is_valid = memory.is_valid
        self._scope = scope
        self._has_files = scope is not None and scope.has_files
        self._tick = -1
        # What everything that is known rests on, or older.
        self._version = scope.version if scope is not None else 0
        self._known: LargeDict[KeyT, CachedReply] = LargeDict(most)
        self._shrunk = False

    def get(self, key: KeyT) -> CachedReply | None:
        """The reply for `key` if it is known and still right."""
        if self._has_files:
            self._look_at_files()
        known = self._known
        cached = known.newest.get(key)
        if cached is None:
            cached = known.older(key)
            if cached is None:
                return None
        entry = cached.entry
        if entry is not None and not self._is_valid(entry):
            known.pop(key)
            return None
        return cached

    def get_all(self, keys: Iterable[KeyT]) -> list[CachedReply] | None:
        """The replies for `keys` if each is known and still right: `get` for many, in one call."""
        if self._has_files:
            self._look_at_files()
        known, is_valid = self._known, self._is_valid
        newest = known.newest
        found = []
        for key in keys:
            cached = newest.get(key) or known.older(key)
            if cached is None:
                return None
            entry = cached.entry
            if entry is not None and not is_valid(entry):
                known.pop(key)
                return None
            found.append(cached)
        return found

    def keep(
        self,
        key: KeyT,
        recipient: bytes,
        verdict: Verdict | None,
        counter: OutcomeCounter,
        *,
        reply: bytes = b"",
        decision: Decision | None = None,
    ) -> None:
        """Remember a reply, if anything tells later that it is valid.

        It must have been made in this tick of the event loop.
        """
        entry: Entry | None = None
        if verdict is not None:
            entry = self._memory.entry(recipient)
            # Another spelling may have been asked for (a dot behind the
            # domain), or the verdict is one that is not remembered.
            if entry is None or entry.verdict.kind is not verdict.kind:
                return
        self._known.put(key, CachedReply(reply, recipient, entry, counter, decision))

    def shrink(self) -> bool:
        """Forget the replies, and cache only a few from now on.

        To be called until it is False: each call gives back a piece of the memory.
        """
        if not self._shrunk:
            self._shrunk = True
            self._known.put_aside(FEW_REPLIES)
        return self._known.release(_GIVEN_BACK)

    def _look_at_files(self) -> None:
        """Once in a tick: forget what rests on what they said before."""
        tick = self._memory.tick()
        scope = self._scope
        if tick == self._tick or scope is None:
            return
        self._tick = tick
        scope.refresh()
        if scope.version != self._version:
            self._version = scope.version
            self._known.put_aside()


class DecisionCache(ReplyCache[KeyT]):
    """Remembers the decisions of one judge, and the replies made of them."""

    def __init__(
        self,
        memory: Memory,
        judge: Judge,
        counter_of: Callable[[Decision], OutcomeCounter] = lambda _decision: UNCOUNTED,
    ) -> None:
        """`counter_of` says where the cached replies of a decision are counted."""
        super().__init__(memory, judge.scope, MAX_REPLIES)
        self._counter_of = counter_of

    def decided(self, key: KeyT, recipient: bytes, decision: Decision, reply: bytes = b"") -> None:
        """Remember `decision`, and `reply` made of it, as `keep` does."""
        if decision.lasting:
            counter = self._counter_of(decision)
            self.keep(key, recipient, decision.verdict, counter, reply=reply, decision=decision)
