"""One connection to another server, with a deadline on everything.

`Dialer.open` looks the name up, tries the addresses one after the other and
agrees on TLS, all before one moment in time; `UpstreamConnection` sends and receives, each
call with such a moment.  Moments are seconds of `time.monotonic`.  Whatever
goes wrong is an UpstreamError that names the server; a connection that the
peer has ended is the one kind that may be worth another try, `Disconnected`.

Addresses are tried in the order that the system gives (getaddrinfo, RFC
6724), the two families in turns, and the one that worked last first; each
gets its share of the time that is left, so that one that is dead does not use
up the time of the others.

Limits: Python cannot interrupt a look-up of a name, so the `lookup` that is
handed in decides whether DNS keeps the deadline; `plain_lookup` does not, and
a process that serves many hands in one that does (gateway/server/resolver).
"""

from __future__ import annotations

import time

from gateway.errors import UpstreamError
from gateway.upstream.address import UnixAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as plain_socket
    import ssl
    from collections.abc import Callable, Sequence

    from gateway.upstream.address import Address, InetAddress

    # What socket.connect takes: (host, port), and two more for IPv6.
    SocketAddress = tuple[str, int] | tuple[str, int, int, int]
    Found = tuple[int, SocketAddress]
    # Host, port and the last moment; raises OSError (gaierror, TimeoutError).
    Lookup = Callable[[str, int, float], Sequence[Found]]

# Bytes taken at once: more than any honest reply.
CHUNK = 16_384  # only a bound

# Addresses of a name that are tried.
MAX_ADDRESSES = 8  # only a bound


# What the ssl module, which is not imported here, raises where the peer has ended TLS.
_TLS_ENDS = ("SSLEOFError", "SSLZeroReturnError")


# The same where there is nothing to read yet.
_TLS_WAITS = ("SSLWantReadError",)


class Disconnected(UpstreamError):
    """The peer has ended the connection, perhaps while it was not used."""


class NotTaken(UpstreamError):
    """The server is well and does not take this question; it says nothing of the next one."""


def plain_lookup(host: str, port: int, _until: float) -> list[Found]:
    """The addresses of `host` as the system's resolver gives them, however long it takes."""
    import socket  # noqa: PLC0415  (a start that asks no other server does not pay for it)

    found: list[Found] = []
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if family in (socket.AF_INET, socket.AF_INET6):
            name, number, *more = address
            # same with 1: IPv4 has neither
            flow, scope = (int(each) for each in (*more, 0, 0)[:2])
            where = (str(name), int(number))
            found.append((family, where if family == socket.AF_INET else (*where, flow, scope)))
    return found


class UpstreamConnection:
    """One open connection; used by one thread at a time.

    `features` is what the peer said of itself in the greeting, where its
    protocol has one.  `keep` is False once the connection must not be used
    for another question.
    """

    __slots__ = ("_socket", "features", "idle_since", "keep", "server")

    def __init__(self, server: str, socket: plain_socket.socket) -> None:
        self.server = server
        self.features: frozenset[bytes] = frozenset()
        self.idle_since = 0.0
        self.keep = True
        self._socket = socket

    def send(self, data: bytes, until: float) -> None:
        """Send all of `data`."""
        try:
            self._socket.settimeout(_left(self.server, until))
            self._socket.sendall(data)
        except OSError as error:
            raise _fault(self.server, error) from error

    def receive(self, until: float) -> bytes:
        """What has come, at least one byte."""
        try:
            self._socket.settimeout(_left(self.server, until))
            data = self._socket.recv(CHUNK)
        except OSError as error:
            raise _fault(self.server, error) from error
        if not data:
            raise Disconnected(self.server, "it closed the connection before a whole reply")
        return data

    def quiet(self) -> bool:
        """Whether nothing has come on an idle connection.

        Something that came is the peer's end, or a reply to no question; either
        way the connection is of no use.
        """
        return self.stray() is None

    def stray(self) -> bytes | None:
        """A byte of what has come unasked; empty: the end; None: nothing has.

        What TLS itself sends between two questions is taken in, and is none.
        """
        try:
            self._socket.settimeout(0)
            return self._socket.recv(1)  # same with 2: one byte is enough to tell
        except BlockingIOError:
            return None
        except OSError as error:
            return None if type(error).__name__ in _TLS_WAITS else b""

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close()


class Dialer:
    """Opens connections to one address, of one server that is called `server` in messages.

    `context` makes them TLS connections; the server's certificate must then
    be valid for the host's name.
    """

    __slots__ = ("_address", "_context", "_last_good", "_lookup", "server")

    def __init__(
        self,
        server: str,
        address: Address,
        *,
        lookup: Lookup = plain_lookup,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.server = server
        self._address = address
        self._lookup = lookup
        self._context = context
        self._last_good: Found | None = None

    def open(self, until: float) -> UpstreamConnection:
        """A new connection, or UpstreamError; over at `until` either way."""
        address = self._address
        try:
            if isinstance(address, UnixAddress):
                import socket  # noqa: PLC0415

                return UpstreamConnection(
                    self.server, self._connected((socket.AF_UNIX, address.path), until)
                )
            plain = self._first_that_answers(address, until)
            return UpstreamConnection(self.server, self._secured(plain, address.host, until))
        except UnicodeError as error:
            raise UpstreamError(self.server, "this is not a host name") from error
        except OSError as error:
            raise _fault(self.server, error, "cannot connect") from error

    def _first_that_answers(self, address: InetAddress, until: float) -> plain_socket.socket:
        found = _alternating(self._addresses(address, until))
        if not found:
            raise UpstreamError(self.server, f"the name {address.host} has no address")
        if self._last_good in found:
            found.remove(self._last_good)
            found.insert(0, self._last_good)
        for position, where in enumerate(found, 1):
            now = time.monotonic()
            share = now + (until - now) / (len(found) - position + 1)
            try:
                plain = self._connected(where, share)
            except OSError:
                if position == len(found):
                    raise
                continue
            self._last_good = where
            return plain
        raise AssertionError("there is a last address")

    def _addresses(self, address: InetAddress, until: float) -> Sequence[Found]:
        try:
            return self._lookup(address.host, address.port, until)
        except OSError as error:
            # The name service is at fault, and not the server.
            reason = error.strerror or str(error)
            problem = f"the name {address.host} cannot be looked up: {reason}"
            raise UpstreamError(self.server, problem) from error

    def _connected(self, where: Found | tuple[int, str], until: float) -> plain_socket.socket:
        import socket  # noqa: PLC0415

        family, address = where
        peer = socket.socket(family, socket.SOCK_STREAM)
        try:
            peer.settimeout(_left(self.server, until))
            peer.connect(address)
            if family != socket.AF_UNIX:
                # A question is one small packet; it must not wait for another one.
                # same with 2: on
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            peer.close()
            raise
        return peer

    def _secured(self, plain: plain_socket.socket, host: str, until: float) -> plain_socket.socket:
        context = self._context
        if context is None:
            return plain
        try:
            plain.settimeout(_left(self.server, until))
            return context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


def _alternating(found: Sequence[Found]) -> list[Found]:
    """The families in turns, the first one first; each in the system's order."""
    if not found:
        return []
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    mixed: list[Found] = []
    for position in range(max(len(first), len(others))):
        mixed += first[position : position + 1] + others[position : position + 1]
    return mixed[:MAX_ADDRESSES]


def _left(server: str, until: float) -> float:
    """Seconds from now to `until`; raises UpstreamError where there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise UpstreamError(server, "no reply within the deadline")
    return left


def _fault(server: str, error: OSError, doing: str = "the connection failed") -> UpstreamError:
    """`error` as the fault of the server; a peer that is gone is a Disconnected."""
    if isinstance(error, TimeoutError):
        return UpstreamError(server, "no reply within the deadline")
    gone = isinstance(error, (BrokenPipeError, ConnectionResetError))
    if gone or type(error).__name__ in _TLS_ENDS:
        return Disconnected(server, f"{doing}: {error.strerror or error}")
    # OpenSSL's errors have the reason in words of its own.
    reason = getattr(error, "verify_message", "") or error.strerror or str(error)
    return UpstreamError(server, f"{doing}: {reason}")
