"""One client's socketmap conversation, without its socket.

A Session takes the client's bytes and gives the replies' bytes back, in the
order of the requests, whoever moves them: standard input and output, or an
event loop.  It promises that one call answers at most `limit` requests, so
that a client that sends without end cannot keep the others waiting, and that
it stops at a question for another server (`pending`), which the caller
resolves where it may block.

After a protocol error the session answers once with PERM and is `finished`:
what the client sent behind the error is not looked at.
"""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.frontends.socketmap_replies import socketmap_payload
from gateway.protocols.socketmap import Decoder, bad_protocol, encode, split_request
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import Pending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.verification.verifier import Verifier

    # Called for each verdict with the key as it came.
    Observer = Callable[[bytes, Verdict], None]

# Requests answered in one call before the other clients have their turn:
# about a third of a millisecond of look-ups.
TURN = 64


class Session:
    """The state between the bytes of one client and the engine."""

    __slots__ = (
        "_decoder",
        "_key",
        "_observe",
        "_queue",
        "_render",
        "_verifier",
        "finished",
        "pending",
    )

    def __init__(
        self,
        verifier: Verifier,
        observe: Observer | None = None,
        render: Callable[[Verdict, bytes], bytes] = socketmap_payload,
    ) -> None:
        """`render` makes a reply's payload of a verdict and the key."""
        self._verifier = verifier
        self._observe = observe
        self._render = render
        self._decoder = Decoder()
        self._queue: list[bytes] = []  # request payloads, the next one last
        self._key = b""  # the key that `pending` is about
        self.pending: Pending | None = None
        self.finished = False

    @property
    def busy(self) -> bool:
        """True while requests wait for `replies`, or one for another server."""
        return bool(self._queue) or self.pending is not None

    @property
    def idle(self) -> bool:
        """True between requests: nothing waits, and no part of one is held."""
        return not self.busy and self._decoder.idle

    def receive(self, data: bytes) -> None:
        """Take bytes from the client; empty bytes are the end of what it sends."""
        if self.finished:
            return
        if data:
            payloads = self._decoder.feed(data)
            if payloads:
                payloads.reverse()
                self._queue[:0] = payloads
        else:
            self._decoder.end()

    def replies(self, limit: int = TURN) -> bytes:
        """Answer up to `limit` waiting requests; the replies as they go to the client."""
        out: list[bytes] = []
        queue = self._queue
        while queue and limit and self.pending is None:
            limit -= 1
            try:
                _, key = split_request(queue.pop())
            except ProtocolError as error:
                out.append(self._refuse(error))
                return b"".join(out)
            outcome = self._verifier.decide(Query(key))
            if isinstance(outcome, Pending):
                self._key = key
                self.pending = outcome
            else:
                out.append(self._reply(key, outcome))
        if self._decoder.error is not None and not self.busy and not self.finished:
            out.append(self._refuse(self._decoder.error))
        return b"".join(out)

    def resolved(self, verdict: Verdict) -> bytes:
        """The reply to the request that was pending, now that its verdict is known."""
        self.pending = None
        return self._reply(self._key, verdict)

    def _reply(self, key: bytes, verdict: Verdict) -> bytes:
        if self._observe is not None:
            self._observe(key, verdict)
        return encode(self._render(verdict, key))

    def _refuse(self, error: ProtocolError) -> bytes:
        self.finished = True
        self._queue.clear()
        return encode(bad_protocol(error))
