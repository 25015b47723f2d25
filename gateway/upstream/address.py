"""Where another server is: a Unix socket, or a host and a port.

The text forms are `unix:/path`, `host:port`, `192.0.2.1:port` and
`[2001:db8::1]:port`.  Nothing is opened or looked up here; a host name is
looked up when a connection is made (connection.py).
"""

from __future__ import annotations

from gateway.values import Value

# The highest port of TCP.
PORT_LIMIT = 65_535
_UNIX = "unix:"


class UnixAddress(Value):
    """A Unix stream socket at the absolute `path`."""

    __slots__ = ("path",)
    path: str

    def __init__(self, path: str) -> None:
        self.path = path
        self._freeze()

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


class InetAddress(Value):
    """TCP, at a host name or a numeric address, IPv4 or IPv6."""

    __slots__ = ("host", "port")
    host: str
    port: int

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._freeze()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


Address = UnixAddress | InetAddress


def parse(text: str, default_port: int | None = None) -> Address:
    """The address that `text` names; raises ValueError with the reason and what to write.

    Without a port, `default_port` is taken if there is one.
    """
    if text.startswith(_UNIX):
        path = text[len(_UNIX) :]
        if not path.startswith("/") or path.endswith("/") or "\0" in path:
            raise ValueError(f"{text}: write unix: and the absolute path of a socket")
        return UnixAddress(path)
    host, port = _split(text)
    if not host or any(blank in host for blank in " \t\0/@"):
        raise ValueError(f"{text}: names no host; write HOST:PORT, or [2001:db8::1]:PORT")
    if port is None:
        if default_port is None:
            raise ValueError(f"{text}: the port is missing; write {text}:PORT")
        return InetAddress(host, default_port)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= PORT_LIMIT):
        raise ValueError(f"{text}: the port is not between 1 and {PORT_LIMIT}")
    return InetAddress(host, int(port))


def _split(text: str) -> tuple[str, str | None]:
    """Host and port; an IPv6 address is in brackets, or alone without a port."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            return "", None
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None
