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
from gateway.frontends.socketmap_replies import rendered
from gateway.protocols.socketmap import (
    Decoder,
    bad_protocol,
    encode,
    hops_of,
    split_request,
)
from gateway.verification.model import Pending, Query, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.frontends.origin import AnswerOrigin
    from gateway.frontends.socketmap_cache import SocketmapReplyCache
    from gateway.frontends.socketmap_judge import SocketmapJudge
    from gateway.frontends.socketmap_replies import Observer
    from gateway.frontends.waiver import Waiver
    from gateway.mta.lookups import TableAnswers
    from gateway.verification.decider import Decider


# Requests answered in one call before other clients are served:
# about a tenth of a millisecond of look-ups.
BATCH = 16


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
        `origin`, on the same decider, is marked for the observer.
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
