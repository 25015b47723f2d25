"""TLS around a session: bytes of the wire on one side, bytes of the protocol on the other.

A TlsSession is a session like any other, so the server that moves its bytes
need not know of TLS, and a handshake holds up no other client: OpenSSL works on memory
(ssl.MemoryBIO) and never sees the socket.  A client that breaks TLS, or whose
certificate is refused, gets the alert that says so and is disconnected; the
session inside never hears of it.

Limits: a handshake's arithmetic, about a millisecond, is done on the event
loop.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gateway.frontends.frontend import Session
    from gateway.mta.lookups import Lookups, TableAnswers
    from gateway.verification.model import Pending, Verdict

_NAMES = "subjectAltName"

# Bytes of plaintext taken at once; a TLS record holds 16 KiB (RFC 8446, 5.1).
_CHUNK = 65_536


class TlsSession:
    """`inner`, spoken to through TLS; `complain` hears why a client is disconnected.

    Where there are `names`, the client's certificate must have one of them
    (subjectAltName, in lower case).
    """

    __slots__ = (
        "_complain",
        "_failed",
        "_incoming",
        "_inner",
        "_names",
        "_outgoing",
        "_ready",
        "_said_goodbye",
        "_shaken",
        "_tls",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        inner: Session,
        complain: Callable[[str], None],
        names: Collection[str] = (),
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._inner = inner
        self._complain = complain
        self._names = names
        self._shaken = False  # hands
        self._failed = False
        self._said_goodbye = False
        self._ready = b""  # replies that the inner session had at once

    @property
    def pending(self) -> Pending | Lookups | None:
        """That of the session inside."""
        return self._inner.pending

    @property
    def finished(self) -> bool:
        """The last word has been said, or the client is gone."""
        return self._failed or self._inner.finished

    @property
    def busy(self) -> bool:
        """Requests wait for `replies`, or one for `resolved`."""
        return not self._failed and (bool(self._ready) or self._inner.busy)

    @property
    def idle(self) -> bool:
        """Between requests; never before the handshake is over."""
        return self._failed or (self._shaken and not self._ready and self._inner.idle)

    @property
    def engaged(self) -> bool:
        """That of the session inside."""
        return self._inner.engaged

    def cached_reply(self, _data: bytes) -> None:
        """Nothing is cached: the bytes must be decrypted first."""

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Take bytes of the wire; empty bytes are the client's end."""
        if self._failed:
            return
        if not data:
            self._incoming.write_eof()
            if self._shaken:
                self._inner.receive(b"")
            else:
                self._failed = True
            return
        self._incoming.write(data)
        try:
            if not self._shaken:
                self._tls.do_handshake()
                if self._names and self._has_other_name():
                    return
                self._shaken = True
            self._decrypt()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self._failed = True
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            self._complain(f"TLS: {reason}")

    def _has_other_name(self) -> bool:
        """Whether the client's certificate has none of the names; then it is disconnected."""
        found = cast("Sequence[tuple[str, str]]", (self._tls.getpeercert() or {}).get(_NAMES, ()))
        theirs = [value.lower() for kind, value in found if kind == "DNS"]
        self._failed = not any(name in self._names for name in theirs)
        if self._failed:
            self._complain(
                f"TLS: its certificate is for {', '.join(theirs) or 'no name'}, and client_names"
                " of [tls] has none of that"
            )
        return self._failed

    def replies(self) -> bytes:
        """A batch of replies, and whatever TLS has to say."""
        if not self._failed:
            plain = self._ready
            self._ready = b""
            if self._shaken and not plain:
                plain = self._inner.replies()
            self._encrypt(plain)
            if self._inner.finished:
                self._say_goodbye()
        return self._outgoing.read()

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """The reply to the pending request."""
        self._encrypt(self._inner.resolved(told))
        return self._outgoing.read()

    def _decrypt(self) -> None:
        """Hand on what has come; raises SSLWantReadError at its end."""
        coalesced = bool(self._ready)
        while True:
            try:
                plain = self._tls.read(_CHUNK)
            except ssl.SSLZeroReturnError:
                plain = b""
            if not plain:
                self._inner.receive(b"")
                return
            # A piece of the wire may hold several records, the last of which came after the
            # tick's look at the files.
            reply = None if coalesced else self._inner.cached_reply(plain)
            if reply is None:
                self._inner.receive(plain, coalesced=coalesced)
            else:
                self._ready = reply
            coalesced = True

    def _encrypt(self, plain: bytes) -> None:
        # Into memory all of it goes at once.
        if plain:
            self._tls.write(plain)

    def _say_goodbye(self) -> None:
        if self._said_goodbye or not self._shaken:
            return
        self._said_goodbye = True
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # The client's goodbye has not come, and need not.
            return
