"""libpq as a driver: what goes over the wire, and that no exception of its own gets through."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from gateway.cyrus.db import sql_server
from gateway.cyrus.db.sql_address import Host, SqlServer
from gateway.errors import DatabaseUnavailable
from gateway.upstream.address import InetAddress
from tests.rigs.require import require_module
from tests.upstream.fakes import DEADLINE_S, Fake, Talk

require_module("psycopg", "the extra `pgsql`, which `make venv` installs, and libpq5")

# PostgreSQL's manual, "Message Formats": requests for TLS and GSSAPI, which a server may decline.
ENCRYPTION = {80877103, 80877104}
CLEARTEXT_PASSWORD = b"R" + struct.pack("!ii", 8, 3)


def exactly(peer: socket.socket, count: int) -> bytes:
    """So many bytes from the client, or fewer at the end."""
    data = b""
    while len(data) < count and (piece := peer.recv(count - len(data))):
        data += piece
    return data


def started(peer: socket.socket) -> bytes:
    """The client's startup message, with the version; encryption is declined."""
    while True:
        (length,) = struct.unpack("!i", exactly(peer, 4))
        body = exactly(peer, length - 4)
        if struct.unpack("!i", body[:4])[0] not in ENCRYPTION:
            return body
        peer.sendall(b"N")


def connect(talk: Talk, user: str = "u", password: str = "x") -> str:
    """The problem that a connection to such a server has."""
    with Fake(talk) as fake:
        assert isinstance(fake.address, InetAddress)
        host = Host(fake.address.host, fake.address.port)
        server = SqlServer("pgsql", "cyrus", (host,), user=user, password=password)
        with pytest.raises(DatabaseUnavailable) as caught:
            sql_server.driver("pgsql")(server, host, time.monotonic() + DEADLINE_S)
    return caught.value.problem


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", b"plain"),
        ("p\udce4ss", b"p\xe4ss"),
        ("5\u20ac", "5\u20ac".encode()),
        ("it's \\ one", b"it's \\ one"),
        ("' host=elsewhere", b"' host=elsewhere"),
        ("\\", b"\\"),
    ],
    ids=["ascii", "latin-1", "utf-8", "quotes", "another setting", "backslash"],
)
def test_user_and_password_are_the_bytes_of_imapd_conf(text: str, sent: bytes) -> None:
    """As the C program sends them; imapdconf gives what is not UTF-8 as surrogates."""
    heard: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        heard.append(started(peer))
        peer.sendall(CLEARTEXT_PASSWORD)
        kind, length = struct.unpack("!ci", exactly(peer, 5))
        heard.append(kind + exactly(peer, length - 4))

    connect(talk, user=text, password=text)
    start, answer = heard
    assert b"\0user\0" + sent + b"\0database\0cyrus\0" in b"\0" + start[4:]
    assert answer == b"p" + sent + b"\0"


NONSENSE = {
    "nothing": b"",
    "noise": bytes(range(256)),
    "an error in no encoding": b"E" + struct.pack("!i", 10) + b"M\xff\xfe\xfd\0\0",
    "another server": b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_a_server_that_is_none_is_a_fault(data: bytes) -> None:
    """Whatever libpq makes of its bytes."""

    def talk(peer: socket.socket) -> None:
        started(peer)
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)

    assert connect(talk).startswith("PostgreSQL: cannot connect: ")
