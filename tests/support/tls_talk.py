"""A client in memory that talks to a TlsSession, and certificates for both."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection

from gateway.frontends.socketmap_session import SocketmapSession
from gateway.server.tlssession import TlsSession
from gateway.upstream.tls import TlsFiles
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from tests.rigs.certificates import Authority, Pair
from tests.support.lines import Lines

NAME = "mx.example.org"


class Everybody:
    """An engine to which everybody is deliverable; it counts fresh looks."""

    def __init__(self) -> None:
        self.looks = 0

    def decide(self, _query: Query) -> Verdict:
        """Yes."""
        return Verdict(Kind.DELIVERABLE, b"")

    def expire_tick(self) -> None:
        """Nothing changes."""
        self.looks += 1


class Certificates:
    """Of a server, of a client, and of some who should not get in."""

    def __init__(self, folder: str) -> None:
        ours, theirs = Authority(folder, "ca"), Authority(folder, "other")
        self.ca, self.other_ca = ours.pair.certificate, theirs.pair.certificate
        self.server = ours.sign("server", f"DNS:{NAME},IP:127.0.0.1")
        self.client = ours.sign("client", "DNS:client.example.org")
        self.expired = ours.sign("expired", f"DNS:{NAME}", days=-1)
        self.unknown = theirs.sign("unknown", f"DNS:{NAME}")

    def files(self, pair: Pair | None, ca: str | None = None) -> TlsFiles:
        """What a settings' [tls] would be."""
        certificate, key = (pair.certificate, pair.key) if pair is not None else ("", "")
        return TlsFiles(certificate=certificate, key=key, ca=ca or self.ca)


class Talk:
    """A client in memory that speaks to a TlsSession; `cut` splits what it sends."""

    def __init__(
        self,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        cut: Callable[[bytes], list[bytes]] = lambda data: [data],
        *,
        inner: SocketmapSession | Lines | None = None,
        names: Collection[str] = (),
    ) -> None:
        self.complaints: list[str] = []
        inner = inner or SocketmapSession(Everybody())
        self.session = TlsSession(server, inner, self.complaints.append, names)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client.wrap_bio(self._incoming, self._outgoing, server_hostname=NAME)
        self._cut = cut

    def exchange(self) -> None:
        """Move bytes until both sides are silent."""
        while True:
            sent = self._outgoing.read()
            for piece in self._cut(sent) if sent else []:
                self.session.receive(piece)
            came = self.session.replies()
            while self.session.busy and self.session.pending is None and not came:
                came = self.session.replies()
            if came:
                self._incoming.write(came)
            if not sent and not came:
                return
            if not self._shaken():
                continue

    def _shaken(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def handshake(self) -> None:
        """Raises SSLError where the server does not want us, or we not it."""
        self._shaken()
        self.exchange()
        self.read()

    def read(self) -> bytes:
        """What has come for us."""
        found = b""
        while True:
            try:
                piece = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return found
            if not piece:
                return found
            found += piece

    def say(self, data: bytes) -> bytes:
        """Send `data`; what comes back."""
        self.tls.write(data)
        self.exchange()
        return self.read()
