"""libpq as a driver: what goes over the wire, and that no exception of its own gets through."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cyrus.db.sqlserver.location import (
    MAX_BYTES,
    MAX_ROWS,
    ColumnsUnfit,
    Host,
    SqlServer,
    TooManyConnections,
)
from gateway.errors import DatabaseMissing, DatabaseUnavailable, StoreError
from gateway.upstream.address import InetAddress
from tests.rigs.require import require_module
from tests.support.fakes import DEADLINE_S, Fake, Talk

require_module("psycopg", "the extra `pgsql`, which `make venv` installs, and libpq5")

from gateway.cyrus.db.sqlserver import pgsql  # noqa: E402

# PostgreSQL's manual, "Message Formats": requests for TLS and GSSAPI, which a server may decline.
ENCRYPTION = {80877103, 80877104}
BYTEA = 17  # SELECT oid FROM pg_type WHERE typname = 'bytea'
STATEMENT = "SELECT data FROM t WHERE dbkey = $1"
LONG = 16 << 20  # more than Linux keeps for a socket on loopback
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


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message of PostgreSQL's protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


READY = message(b"Z", b"I")
WELCOME = message(b"R", bytes(4)) + READY  # without a password
QUESTION = message(b"1") + message(b"2")  # parsed and bound
# Of a statement without rows: no description of any.
LIMITED = QUESTION + message(b"n") + message(b"C", b"SET\0") + READY
DONE = message(b"C", b"SELECT 0\0") + READY
PARSE, BIND, SYNC = b"P", b"B", b"S"


def columns(count: int) -> bytes:
    """The description of so many columns, each bytea in binary form."""
    each = b"data\0" + struct.pack("!ihihih", 0, 0, BYTEA, -1, -1, 1)
    return message(b"T", struct.pack("!h", count) + count * each)


def row(*values: bytes | None) -> bytes:
    """One row; None is NULL."""
    fields = [
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        for value in values
    ]
    return message(b"D", struct.pack("!h", len(values)) + b"".join(fields))


def error(code: bytes, words: bytes) -> bytes:
    """What a server says instead of rows."""
    return message(b"E", b"SERROR\0C" + code + b"\0M" + words + b"\0\0")


def asked(peer: socket.socket) -> dict[bytes, bytes]:
    """The messages of one question, by their kind; empty at the end."""
    found: dict[bytes, bytes] = {}
    while SYNC not in found and (kind := exactly(peer, 1)):
        (length,) = struct.unpack("!i", exactly(peer, 4))
        found[kind] = exactly(peer, length - 4)
    return found


def rows(answer: bytes, *parameters: bytes, heard: list[dict[bytes, bytes]]) -> object:
    """What the driver makes of `answer`; `heard` gets the question."""

    def talk(peer: socket.socket) -> None:
        started(peer)
        peer.sendall(WELCOME)
        limit = asked(peer)
        assert limit[PARSE] == b"\0SET statement_timeout = 5000\0" + bytes(2)
        peer.sendall(LIMITED)
        heard.append(asked(peer))
        peer.sendall(answer)
        exactly(peer, 1)

    with Fake(talk) as fake:
        assert isinstance(fake.address, InetAddress)
        host = Host(fake.address.host, fake.address.port)
        until = time.monotonic() + DEADLINE_S
        server = SqlServer("pgsql", "cyrus", (host,), user="u")
        connection = pgsql.connect(server, host, until)
        try:
            return connection.rows(STATEMENT, parameters, until)
        finally:
            connection.close()


def test_keys_and_values_are_bytes_on_the_way() -> None:
    """A parameter is a bytea in binary form, so is what comes back; NULL is None."""
    heard: list[dict[bytes, bytes]] = []
    answer = QUESTION + columns(2) + row(b"k'\0\xff", b"v") + row(b"other", None) + DONE
    assert rows(answer, b"k'\0\xff", b"w", heard=heard) == [(b"k'\0\xff", b"v"), (b"other", None)]
    (question,) = heard
    types = struct.pack("!hii", 2, BYTEA, BYTEA)
    assert question[PARSE] == b"\0" + STATEMENT.encode() + b"\0" + types
    binary = struct.pack("!hhh", 2, 1, 1)
    values = struct.pack("!hi", 2, 4) + b"k'\0\xff" + struct.pack("!i", 1) + b"w"
    assert question[BIND] == b"\0\0" + binary + values + struct.pack("!hh", 1, 1)


def test_no_rows_are_no_fault() -> None:
    """There is no such record."""
    assert rows(QUESTION + columns(1) + DONE, b"k", heard=[]) == []


def test_a_question_may_be_longer_than_what_the_system_takes_at_once() -> None:
    """It is sent as the server reads it."""
    heard: list[dict[bytes, bytes]] = []
    key = b"k" * LONG
    assert rows(QUESTION + columns(1) + row(b"v") + DONE, key, heard=heard) == [(b"v",)]
    assert key in heard[0][BIND]


REFUSALS: list[tuple[bytes, type[StoreError], str]] = [
    (
        error(b"42P01", b'relation "x"\n is not there'),
        DatabaseMissing,
        'ERROR: relation "x" is not',
    ),
    (error(b"42883", b"operator does not exist: text = bytea"), ColumnsUnfit, "ERROR: operator"),
    (error(b"42501", b"permission denied"), DatabaseUnavailable, "ERROR: permission denied"),
    (message(b"I"), DatabaseUnavailable, ""),
    (message(b"C", b"SET\0"), DatabaseUnavailable, ""),
]


@pytest.mark.parametrize(("answer", "kind", "words"), REFUSALS)
def test_anything_but_rows_is_a_fault(answer: bytes, kind: type[StoreError], words: str) -> None:
    """Only a table that is not there is a missing database, and no fault is an empty answer."""
    with pytest.raises(StoreError, match=f"PostgreSQL: {words}") as caught:
        rows(QUESTION + answer + READY, b"k", heard=[])
    assert type(caught.value) is kind


def test_an_answer_has_a_bound() -> None:
    """In rows and in bytes, whatever the server sends."""
    endless = QUESTION + columns(2) + row(b"k", b"v") * (MAX_ROWS + 1) + DONE
    large = QUESTION + columns(2) + row(b"k", bytes(MAX_BYTES)) + DONE
    for answer in (endless, large):
        with pytest.raises(DatabaseUnavailable, match="more than 128 rows"):
            rows(answer, b"k", heard=[])


TEXT = 25  # SELECT oid FROM pg_type WHERE typname = 'text'


def test_columns_must_hold_bytes() -> None:
    """Also where no row is found."""
    described = columns(2).replace(struct.pack("!i", BYTEA), struct.pack("!i", TEXT))
    for found in (b"", row(b"k", b"v")):
        with pytest.raises(ColumnsUnfit) as caught:
            rows(QUESTION + described + found + DONE, b"k", heard=[])
        assert caught.value.columns == (0, 1)


@pytest.mark.parametrize(
    "words",
    [
        b"sorry, too many clients already",
        b"too many connections for role",
        b"remaining connection slots are reserved for non-replication superuser connections",
    ],
)
def test_a_server_without_a_connection_for_us_is_told_from_one_that_is_down(words: bytes) -> None:
    """With what to do."""

    def talk(peer: socket.socket) -> None:
        started(peer)
        peer.sendall(error(b"53300", words))
        exactly(peer, 1)

    with Fake(talk) as fake:
        assert isinstance(fake.address, InetAddress)
        server = SqlServer("pgsql", "cyrus", (Host(fake.address.host, fake.address.port),))
        with pytest.raises(TooManyConnections, match="lower pool_size in"):
            pgsql.connect(server, server.hosts[0], time.monotonic() + DEADLINE_S)


@dataclass
class Poll:
    """select.poll with a socket that is ready; notes how long it was to wait."""

    waited: list[float] = field(default_factory=list)

    def __call__(self) -> Poll:
        return self

    def register(self, _descriptor: int, _events: int) -> None:
        """Any."""

    def poll(self, milliseconds: float) -> list[int]:
        """Ready at once."""
        self.waited.append(milliseconds)
        return [1]


@pytest.mark.parametrize(
    ("left", "waited"), [(4.0, [4000.0]), (0.5, [500.0]), (0.0, None), (-1.0, None)]
)
def test_each_wait_has_what_is_left_of_the_time(
    monkeypatch: pytest.MonkeyPatch, left: float, waited: list[float] | None
) -> None:
    """At the deadline itself it is over."""
    poll = Poll()
    pgconn: Any = SimpleNamespace(socket=7)
    monkeypatch.setattr(pgsql, "select", SimpleNamespace(poll=poll))
    monkeypatch.setattr(pgsql, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    if waited is None:
        with pytest.raises(DatabaseUnavailable, match="deadline"):
            pgsql._wait("server", pgconn, 1, 1000.0 + left)
    else:
        pgsql._wait("server", pgconn, 1, 1000.0 + left)
    assert poll.waited == (waited or [])


def connect(talk: Talk, user: str = "u", password: str = "x") -> str:
    """The problem that a connection to such a server has."""
    with Fake(talk) as fake:
        assert isinstance(fake.address, InetAddress)
        host = Host(fake.address.host, fake.address.port)
        server = SqlServer("pgsql", "cyrus", (host,), user=user, password=password)
        with pytest.raises(DatabaseUnavailable) as caught:
            pgsql.connect(server, host, time.monotonic() + DEADLINE_S)
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
