"""Replies of the socketmap that are encoded already, for all sessions of a server.

A reply is found by the whole request, byte for byte.  Beside those there are the refusals of
recipients that are known to be absent at no cost (Memory.known_absent), which are not cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.frontends.outcome import UNCOUNTED
from gateway.frontends.replycache import ReplyCache
from gateway.frontends.socketmap_replies import rendered
from gateway.protocols.socketmap import encode
from gateway.verification.cache import MAX_ENTRIES
from gateway.verification.model import MAX_RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.outcome import OutcomeCounter
    from gateway.frontends.socketmap_judge import SocketmapJudge
    from gateway.frontends.socketmap_replies import Observer
    from gateway.frontends.waiver import Waiver
    from gateway.verification.decider import Memory
    from gateway.verification.model import Verdict

    CounterOf = Callable[[Verdict, Waiver | None], OutcomeCounter]

# Requests in one piece that are answered from memory without the engine: what
# comes of them stays within a few hundred KiB, however long a deny message is.
MAX_CACHED_BATCH = 128

# Bytes of a request whose reply is cached: a map name and a recipient that is remembered.
MAX_CACHED_REQUEST = MAX_RECIPIENT + 64

_COMMA = 0x2C


def _heads() -> tuple[bytes, ...]:
    """What one whole request of so many bytes begins with: a netstring's length and colon.

    A length with zeros before it is none of these, and a number of bytes that no netstring
    has gets what begins none.
    """
    heads = [b","] * (MAX_CACHED_REQUEST + len(b"%d:," % MAX_CACHED_REQUEST) + 1)
    for length in range(MAX_CACHED_REQUEST + 1):
        head = b"%d:" % length
        heads[len(head) + length + 1] = head
    return tuple(heads)


_HEADS = _heads()


class SocketmapReplyCache:
    """Remembers the replies of one judge; as many as there are verdicts in memory."""

    __slots__ = (
        "_absent",
        "_absent_reply",
        "_counter_of",
        "_get",
        "_judge",
        "_known_absent",
        "_memory",
        "_reply_cache",
        "_waives_absent",
    )

    def __init__(
        self,
        memory: Memory,
        judge: SocketmapJudge | None = None,
        counter_of: CounterOf = lambda _verdict, _waiver: UNCOUNTED,
    ) -> None:
        """`counter_of` says where cached replies are counted."""
        self._memory = memory
        self._judge = judge
        self._counter_of = counter_of
        self._known_absent = memory.known_absent
        self._absent = counter_of(memory.nonexistent, None)
        self._absent_reply = encode(rendered(b"", memory.nonexistent, None))
        self._waives_absent = judge is not None and judge.waives(memory.nonexistent.kind)
        scope = judge.scope if judge is not None else None
        self._reply_cache: ReplyCache[bytes] = ReplyCache(memory, scope, MAX_ENTRIES)
        self._get = self._reply_cache.get

    def cached_reply(self, data: bytes, observe: Observer | None) -> bytes | None:
        """The replies to `data` where it is whole requests that are all known, else None."""
        if not data or data[-1] != _COMMA:
            return None
        cached = self._get(data)
        if cached is not None:
            counter = cached.counter
            counter.count += 1
            if counter.refusals is not None:
                counter.refused(cached.recipient, cached.reason)
            if observe is not None and cached.entry is not None:
                verdict = cached.entry.verdict
                observe(cached.recipient, verdict, self._waiver(cached.recipient, verdict))
            return cached.reply
        size = len(data)
        if size >= len(_HEADS) or not data.startswith(_HEADS[size]):
            return self._several(data[:-1], observe) if data.find(b",") < size - 1 else None
        name, blank, key = data.partition(b" ")
        key = key[:-1]
        if not blank or b"\0" in name or not self._known_absent(key):
            return None
        verdict = self._memory.nonexistent
        counter, reply = self._absent, self._absent_reply
        waiver = self._waiver(key, verdict) if self._waives_absent else None
        if waiver is not None:
            counter = self._counter_of(verdict, waiver)
            reply = encode(rendered(key, verdict, waiver))
        counter.count += 1
        if counter.refusals is not None:
            counter.refused(key, verdict.reason)
        if observe is not None:
            observe(key, verdict, waiver)
        return reply

    def reply(
        self, payload: bytes, key: bytes, verdict: Verdict, waiver: Waiver | None = None
    ) -> bytes:
        """The reply to one request; cached where its verdict is remembered."""
        reply = encode(rendered(key, verdict, waiver))
        if b"," not in payload and len(payload) <= MAX_CACHED_REQUEST:
            counter = self._counter_of(verdict, waiver)
            self._reply_cache.keep(encode(payload), key, verdict, counter, reply=reply)
        return reply

    def shrink(self) -> bool:
        """Give back memory in pieces, until it is False; few replies are cached from now on."""
        return self._reply_cache.shrink()

    def _several(self, frames: bytes, observe: Observer | None) -> bytes | None:
        """The replies to requests in one piece; those that are cached hold no comma inside."""
        pieces = frames.split(b",")
        if len(pieces) > MAX_CACHED_BATCH:
            return None
        # Some of these may have been sent after the tick's look at the files.
        self._memory.expire_tick()
        found = self._reply_cache.get_all([frame + b"," for frame in pieces])
        if found is None:
            return None
        for cached in found:
            counter = cached.counter
            counter.count += 1
            if counter.refusals is not None:
                counter.refused(cached.recipient, cached.reason)
        if observe is not None:
            for cached in found:
                if cached.entry is not None:
                    verdict = cached.entry.verdict
                    observe(cached.recipient, verdict, self._waiver(cached.recipient, verdict))
        return b"".join([cached.reply for cached in found])

    def _waiver(self, key: bytes, verdict: Verdict) -> Waiver | None:
        return self._judge.waiver(key, verdict) if self._judge is not None else None
