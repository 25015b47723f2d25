"""One client's socketmap conversation, without its socket.

Without a judge it answers every key with the engine's verdict, as the C
program does; with one (socketmap_judge.py), some keys are never found, and
some refusals are not carried out.

After a protocol error the session answers once with PERM and is `finished`:
what the client sent behind the error is not looked at.
"""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.frontends.session import QueuedSession
from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.protocols.socketmap import (
    MAX_LENGTH_DIGITS,
    MAX_REQUEST,
    Decoder,
    bad_protocol,
    encode,
    hops_of,
    split_request,
)
from gateway.verification.model import MAX_RECIPIENT, Pending, Query, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.socketmap_judge import SocketmapJudge
    from gateway.frontends.waiver import Waiver
    from gateway.mta.lookups import TableAnswers
    from gateway.verification.counter import OutcomeCounter
    from gateway.verification.decider import Decider, Memory

    # Called for each verdict with the key as it came, and why it is not carried out.
    Observer = Callable[[bytes, Verdict, Waiver | None], None]

# Requests answered in one call before other clients are served:
# about a tenth of a millisecond of look-ups.
BATCH = 16


# Requests in one piece that are answered from memory without the engine: what
# comes of them stays within a few hundred KiB, however long a deny message is.
MAX_CACHED_BATCH = 128

# Bytes of a request whose reply is cached: a map name and a recipient that is remembered.
MAX_CACHED_REQUEST = MAX_RECIPIENT + 64

_COMMA = 0x2C


class SocketmapReplyCache:
    """Replies that are encoded already, for all sessions of a server.

    A reply is given only while the verdict behind it is valid (Memory.is_valid).
    It stands beside the verdict with the frame that it replies to, the
    request without its comma.
    """

    __slots__ = (
        "_absent",
        "_cache",
        "_counter_of",
        "_entries",
        "_has_files",
        "_judge",
        "_tick",
        "_version",
    )

    def __init__(
        self,
        cache: Memory,
        judge: SocketmapJudge | None = None,
        counter_of: Callable[[Verdict, Waiver | None], OutcomeCounter] | None = None,
    ) -> None:
        """`counter_of` says where cached replies are counted."""
        if counter_of is None:
            # Not at the top: a process for one question has no SocketmapReplyCache.
            from gateway.verification.counter import UNCOUNTED  # noqa: PLC0415

            def counter_of(_verdict: Verdict, _waiver: Waiver | None) -> OutcomeCounter:
                return UNCOUNTED

        self._cache = cache
        self._entries = cache.entries
        self._judge = judge
        self._counter_of = counter_of
        self._absent = counter_of(cache.nonexistent, None)
        self._has_files = judge is not None and judge.has_files
        self._tick = -1
        self._version = judge.version if judge is not None else 0

    def cached_reply(self, data: bytes, observe: Observer | None) -> bytes | None:
        """The replies to `data` where it is whole requests that are all known, else None."""
        if not data or data[-1] != _COMMA:
            return None
        if self._has_files:
            self._look_at_files()
        frame = data[:-1]
        key = frame[frame.find(b" ") + 1 :]
        entry = self._entries.get(key)
        if entry is not None and entry.frame == frame:
            if not self._cache.is_valid(entry):
                return None
            counter = entry.counter
            counter.count += 1
            if counter.refusals is not None:
                counter.refused(key, entry.verdict.reason)
            if observe is not None:
                observe(key, entry.verdict, self._waiver(key, entry.verdict))
            return entry.reply
        if b"," in frame:
            return self._several(frame, observe)
        if entry is None and _is_frame(frame) and self._cache.known_absent(key):
            verdict = self._cache.nonexistent
            waiver = self._waiver(key, verdict)
            counter = self._absent if waiver is None else self._counter_of(verdict, waiver)
            counter.count += 1
            counter.refused(key, verdict.reason)
            if observe is not None:
                observe(key, verdict, waiver)
            return encode(rendered(key, verdict, waiver))
        return None

    def _several(self, frames: bytes, observe: Observer | None) -> bytes | None:
        """The replies to requests in one piece; the frames of known ones hold no comma."""
        pieces = frames.split(b",")
        if len(pieces) > MAX_CACHED_BATCH:
            return None
        cache = self._cache
        entries = self._entries
        # Some of these may have been sent after the tick's look at the files.
        cache.expire_tick()
        found = []
        for frame in pieces:
            entry = entries.get(frame[frame.find(b" ") + 1 :])
            if entry is None or entry.frame != frame or not cache.is_valid(entry):
                return None
            found.append(entry)
        for entry in found:
            counter = entry.counter
            counter.count += 1
            if counter.refusals is not None:
                counter.refused(entry.recipient, entry.verdict.reason)
        if observe is not None:
            for entry in found:
                observe(
                    entry.recipient, entry.verdict, self._waiver(entry.recipient, entry.verdict)
                )
        return b"".join([entry.reply for entry in found])

    def reply(
        self, payload: bytes, key: bytes, verdict: Verdict, waiver: Waiver | None = None
    ) -> bytes:
        """The reply to one request; cached where its verdict is remembered."""
        reply = encode(rendered(key, verdict, waiver))
        entry = self._cache.entry(key)
        if entry is None or entry.verdict.kind is not verdict.kind:
            # Not remembered, or remembered otherwise: another spelling was found.
            return reply
        if b"," not in payload and len(payload) <= MAX_CACHED_REQUEST:
            entry.frame = b"%d:%b" % (len(payload), payload)
            entry.reply = reply
            entry.counter = self._counter_of(verdict, waiver)
        return reply

    def _waiver(self, key: bytes, verdict: Verdict) -> Waiver | None:
        return self._judge.waiver(key, verdict) if self._judge is not None else None

    def _look_at_files(self) -> None:
        """Once in a turn: what is cached may be in a domain that is ours no more."""
        tick = self._cache.tick()
        judge = self._judge
        if tick == self._tick or judge is None:
            return
        self._tick = tick
        judge.refresh()
        if judge.version != self._version:
            self._version = judge.version
            for entry in self._entries.values():
                entry.frame = b""


def rendered(key: bytes, verdict: Verdict, waiver: Waiver | None) -> bytes:
    """The payload of the reply to `key`: found where the verdict is not carried out."""
    return b"OK " + key if waiver is not None else socketmap_payload(verdict, key)


def _is_frame(frame: bytes) -> bool:
    """Whether `frame` is exactly one request without its comma: nothing is taken for granted."""
    digits, colon, payload = frame.partition(b":")
    return (
        colon == b":"
        and digits.isdigit()
        and len(digits) <= MAX_LENGTH_DIGITS
        and int(digits) == len(payload)
        and b" " in payload
        and b"\0" not in payload
        and b" " not in digits
        and len(payload) <= MAX_REQUEST
    )


class SocketmapSession(QueuedSession):
    """The state between the bytes of one client and the engine."""

    batch = BATCH

    __slots__ = (
        "_count",
        "_decider",
        "_folds",
        "_judge",
        "_key",
        "_observe",
        "_observe_cached",
        "_origin",
        "_pending",
        "_replies",
    )

    def __init__(
        self,
        decider: Decider,
        observe: Observer | None = None,
        judge: SocketmapJudge | None = None,
        replies: SocketmapReplyCache | None = None,
        *,
        faults_only: bool = False,
        count: Observer | None = None,
        origin: AnswerOrigin | None = None,
    ) -> None:
        """`decider` is a Verifier or its cache; `judge` knows what is never found, and waivers.

        `replies`, with the same judge, are those of all sessions of a
        server.  With `faults_only`, `observe` need not hear of verdicts that
        were remembered: they are never faults.  `count` hears of the verdicts
        that `replies` does not count itself, those that were not cached.
        `origin`, on the same decider, is marked for whoever observes.
        """
        super().__init__(Decoder())
        self._count = count
        self._origin = origin
        self._decider = decider
        self._folds = judge is not None and judge.folds
        self._observe = observe
        self._observe_cached = None if faults_only else observe
        self._judge = judge
        self._replies = replies
        self._key = b""  # the key that `pending` is about
        self._pending: Pending | None = None

    @property
    def pending(self) -> Pending | None:
        """A question for another server."""
        return self._pending

    def cached_reply(self, data: bytes) -> bytes | None:
        """The replies to `data` if they are all cached; else None, and nothing has happened."""
        if self._between and self._replies is not None:
            if self._origin is not None:
                self._origin.looked_up()
            return self._replies.cached_reply(data, self._observe_cached)
        return None

    def _arrived(self) -> None:
        if self._origin is not None:
            self._origin.arrived()

    def _expire_tick(self) -> None:
        self._decider.expire_tick()

    def _answer(self, payload: bytes) -> bytes:
        try:
            map_name, key = split_request(payload)
        except ProtocolError as error:
            return self._refuse(error)
        unasked = self._judge.unasked(key) if self._judge is not None else None
        if unasked is not None:
            return self._reply(key, unasked)
        decide = self._decider.decide if self._origin is None else self._origin.decide
        outcome = decide(Query(key, None, hops_of(map_name), folded=self._folds))
        if isinstance(outcome, Pending):
            self._key = key
            self._pending = outcome
            return b""
        if self._replies is None:
            return self._reply(key, outcome)
        waiver = self._waiver(key, outcome)
        self._tell(key, outcome, waiver)
        return self._replies.reply(payload, key, outcome, waiver)

    def _resolve(self, told: Verdict | TableAnswers) -> bytes:
        assert isinstance(told, Verdict)
        self._pending = None
        return self._reply(self._key, told)

    def _reply(self, key: bytes, verdict: Verdict) -> bytes:
        waiver = self._waiver(key, verdict)
        self._tell(key, verdict, waiver)
        return encode(rendered(key, verdict, waiver))

    def _waiver(self, key: bytes, verdict: Verdict) -> Waiver | None:
        return self._judge.waiver(key, verdict) if self._judge is not None else None

    def _tell(self, key: bytes, verdict: Verdict, waiver: Waiver | None) -> None:
        if self._count is not None:
            self._count(key, verdict, waiver)
        if self._observe is not None:
            self._observe(key, verdict, waiver)

    def _refuse(self, error: ProtocolError) -> bytes:
        self.finished = True
        self._queue.clear()
        return encode(bad_protocol(error))
