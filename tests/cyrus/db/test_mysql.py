"""PyMySQL as a driver: what goes over the wire, and that no exception of its own gets through."""

from __future__ import annotations

import hashlib
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest

from gateway.cyrus.db.sqlserver.location import (
    MAX_BYTES,
    MAX_ROWS,
    ColumnsUnfit,
    Host,
    SqlServer,
    TooManyConnections,
    hosts,
)
from gateway.errors import DatabaseMissing, DatabaseUnavailable
from gateway.upstream.address import InetAddress
from tests.rigs.require import require_module
from tests.support.fakes import DEADLINE_S, Fake, Talk

require_module("pymysql", "the extra `mysql`, which `make venv` installs")

import pymysql  # noqa: E402
from pymysql.constants import FIELD_TYPE  # noqa: E402

from gateway.cyrus.db.sqlserver import mysql  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.cyrus.db.sqlserver.location import SqlConnection

NOW = 1000.0
SALT = b"12345678abcdefghijkl"
# LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, and nothing else.
CAPABILITIES = (1 | 1 << 9 | 1 << 15 | 1 << 19).to_bytes(4, "little")
MORE, OK = b"\x01", b"\0\0\0\2\0\0\0"
FULL_AUTHENTICATION = b"\x04"


def packet(number: int, payload: bytes) -> bytes:
    """A packet of MySQL's protocol."""
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting(plugin: bytes) -> bytes:
    """What a server of version 8 says first; `plugin` is how it wants the password."""
    return packet(
        0,
        b"\x0a8.0.36\0\1\0\0\0" + SALT[:8] + b"\0" + CAPABILITIES[:2] + b"\xff\2\0"
        + CAPABILITIES[2:] + bytes([len(SALT) + 1]) + bytes(10) + SALT[8:] + b"\0" + plugin + b"\0",
    )  # fmt: skip


def read_packet(peer: socket.socket) -> bytes:
    """The payload of the client's next packet; empty at the end."""
    with peer.makefile("rb", buffering=0) as file:
        head = file.read(4) or b""
        return file.read(int.from_bytes(head[:3], "little")) or b"" if len(head) == 4 else b""


def connect(talk: Talk, password: str = "x") -> str:
    """The problem that a connection to such a server has."""
    with Fake(talk) as fake:
        assert isinstance(fake.address, InetAddress)
        host = Host(fake.address.host, fake.address.port)
        server = SqlServer("mysql", "cyrus", (host,), user="f\udce4d", password=password)
        with pytest.raises(DatabaseUnavailable) as caught:
            mysql.connect(server, host, time.monotonic() + DEADLINE_S)
    return caught.value.problem


def test_a_server_that_wants_the_package_cryptography_is_a_fault_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MySQL 8 over TCP without TLS; PyMySQL raises RuntimeError."""
    monkeypatch.setattr("pymysql._auth._have_cryptography", False)

    def talk(peer: socket.socket) -> None:
        peer.sendall(greeting(b"caching_sha2_password"))
        read_packet(peer)
        peer.sendall(packet(2, MORE + FULL_AUTHENTICATION))
        read_packet(peer)
        peer.sendall(packet(4, MORE + b"-----BEGIN PUBLIC KEY-----"))
        read_packet(peer)

    problem = connect(talk)
    assert problem.startswith("MySQL: cannot connect: 'cryptography' package is required")


BLOB = SimpleNamespace(charsetnr=63, type_code=FIELD_TYPE.BLOB)


class Driver:
    """PyMySQL as far as the module uses it: what connect() was told, and one answer to a question."""

    def __init__(
        self,
        answer: Exception | list[tuple[object, ...]] | None = None,
        fields: Sequence[SimpleNamespace] = (BLOB, BLOB),
    ) -> None:
        self.description = self._result = SimpleNamespace(fields=fields)
        self.told: dict[str, Any] = {}
        self.asked: list[tuple[str, tuple[bytes, ...], float]] = []
        self._answer = answer
        self._read_timeout = self._write_timeout = 0.0

    def connect(self, **told: Any) -> Self:
        """Itself as a connection."""
        self.told = told
        return self

    def cursor(self, _kind: object) -> Self:
        """Itself, too."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to let go of."""

    def execute(self, statement: str, parameters: tuple[bytes, ...]) -> None:
        """Notes the question with its time."""
        assert self._read_timeout == self._write_timeout
        self.asked.append((statement, parameters, self._read_timeout))
        if isinstance(self._answer, Exception):
            raise self._answer
        self._rows = iter(self._answer or ())

    def fetchone(self) -> object:
        """The next row of the answer."""
        return next(self._rows, None)

    def connected(self, server: SqlServer, until: float = NOW + 1) -> SqlConnection:
        """A connection of ours with this driver, at NOW."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pymysql.connect", self.connect)
            return mysql.connect(server, server.hosts[0], until)


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is NOW."""
    monkeypatch.setattr(mysql, "time", SimpleNamespace(monotonic=lambda: NOW))


LOCAL = "/run/mysqld/mysqld.sock"

# A server of sql_hostnames, and where PyMySQL is sent: host, port, Unix socket.
PLACES = [
    ("", "localhost", 3306, LOCAL),
    ("localhost", "localhost", 3306, LOCAL),
    ("localhost:3307", "localhost", 3307, LOCAL),
    (":3307", "localhost", 3307, LOCAL),
    ("db", "db", 3306, None),
    ("db:3307", "db", 3307, None),
    ("127.0.0.1", "127.0.0.1", 3306, None),
    ("/run/other.sock", "/run/other.sock", 3306, "/run/other.sock"),
]


@pytest.mark.parametrize(("text", "host", "port", "path"), PLACES)
@pytest.mark.usefixtures("_clock")
def test_where_a_server_is(text: str, host: str, port: int, path: str | None) -> None:
    """No name and `localhost` are the local socket, whatever the port, as for the C client."""
    driver = Driver()
    driver.connected(SqlServer("mysql", "cyrus", hosts(text)))
    told = driver.told
    assert (told["host"], told["port"], told["unix_socket"]) == (host, port, path)


@pytest.mark.usefixtures("_clock")
def test_each_statement_is_a_transaction_of_its_own() -> None:
    """Else a connection that is kept would go on seeing what it saw first."""
    driver = Driver()
    driver.connected(SqlServer("mysql", "cyrus"))
    assert driver.told["autocommit"] is True
    assert driver.told["ssl"] is None


@pytest.mark.usefixtures("_clock")
def test_tls_is_asked_for_without_a_check_of_the_certificate() -> None:
    """As the C program does."""
    driver = Driver()
    driver.connected(SqlServer("mysql", "cyrus", tls=True))
    assert driver.told["ssl"] == {"check_hostname": False}


@pytest.mark.parametrize("left", [5.0, 0.5])
@pytest.mark.usefixtures("_clock")
def test_a_question_has_what_is_left_of_the_time(left: float) -> None:
    """Each its own, on a connection that is kept."""
    driver = Driver([(b"v",)])
    connection = driver.connected(SqlServer("mysql", "cyrus"))
    assert connection.rows("SELECT", (b"k",), NOW + left) == [(b"v",)]
    assert driver.asked == [("SELECT", (b"k",), left)]


@pytest.mark.parametrize("left", [0.0, -1.0])
@pytest.mark.usefixtures("_clock")
def test_a_question_that_comes_too_late_is_not_asked(left: float) -> None:
    """At the deadline itself it is over."""
    driver = Driver([(b"v",)])
    connection = driver.connected(SqlServer("mysql", "cyrus"))
    with pytest.raises(DatabaseUnavailable, match="no answer within the deadline"):
        connection.rows("SELECT", (b"k",), NOW + left)
    assert driver.asked == []


@pytest.mark.usefixtures("_clock")
def test_an_answer_has_a_bound() -> None:
    """In rows and in bytes, whatever the server sends."""
    endless: list[tuple[object, ...]] = [(b"k", b"v")] * (MAX_ROWS + 1)
    connection = Driver(endless).connected(SqlServer("mysql", "cyrus"))
    with pytest.raises(DatabaseUnavailable, match="more than 128 rows"):
        connection.rows("SELECT", (b"k",), NOW + 1)
    assert len(list(connection.stream("SELECT", (b"k",), 1.0))) == len(endless)
    connection = Driver([(b"k", bytes(MAX_BYTES))]).connected(SqlServer("mysql", "cyrus"))
    with pytest.raises(DatabaseUnavailable, match="bytes"):
        connection.rows("SELECT", (b"k",), NOW + 1)


UTF8, VARBINARY, BINARY = (
    SimpleNamespace(charsetnr=255, type_code=FIELD_TYPE.VAR_STRING),
    SimpleNamespace(charsetnr=63, type_code=FIELD_TYPE.VAR_STRING),
    SimpleNamespace(charsetnr=63, type_code=FIELD_TYPE.STRING),
)


@pytest.mark.parametrize(
    ("key", "value", "unfit"),
    [
        (UTF8, BLOB, (0,)),
        (BLOB, UTF8, (1,)),
        (UTF8, UTF8, (0, 1)),
        (BINARY, BLOB, (0,)),
        (VARBINARY, BINARY, ()),
        (BLOB, VARBINARY, ()),
    ],
)
@pytest.mark.usefixtures("_clock")
def test_columns_must_hold_bytes(
    key: SimpleNamespace, value: SimpleNamespace, unfit: tuple[int, ...]
) -> None:
    """A character set compares otherwise, and BINARY adds bytes to keys; also where none is found."""
    connection = Driver([], (key, value)).connected(SqlServer("mysql", "cyrus"))
    if not unfit:
        assert connection.rows("SELECT", (b"k",), NOW + 1) == []
        return
    with pytest.raises(ColumnsUnfit) as caught:
        connection.rows("SELECT", (b"k",), NOW + 1)
    assert caught.value.columns == unfit


@pytest.mark.parametrize("code", [1040, 1203, 1226])
@pytest.mark.usefixtures("_clock")
def test_a_server_without_a_connection_for_us_is_told_from_one_that_is_down(code: int) -> None:
    """With what to do."""

    def connect(**_: object) -> None:
        raise pymysql.OperationalError(code, "Too many connections")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pymysql.connect", connect)
        server = SqlServer("mysql", "cyrus")
        with pytest.raises(TooManyConnections, match="lower pool_size in"):
            mysql.connect(server, server.hosts[0], NOW + 1)


@pytest.mark.usefixtures("_clock")
def test_the_server_ends_statements_itself() -> None:
    """One that waits for a lock would else keep a connection of the server's after we have left."""
    driver = Driver()
    driver.connected(SqlServer("mysql", "cyrus", seconds=2.5))
    assert driver.told["init_command"] == (
        "SET SESSION lock_wait_timeout = 3 /*M!100101 , SESSION max_statement_time = 2.5 */"
        " /*!50708 , SESSION max_execution_time = 2500 */"
    )


FAULTS: list[tuple[Exception, type[DatabaseUnavailable], str]] = [
    (
        pymysql.ProgrammingError(1146, "Table 'x'\ndoesn't exist"),
        DatabaseMissing,
        "1146 Table 'x' doesn't exist",
    ),
    (
        pymysql.OperationalError(2013, "Lost connection"),
        DatabaseUnavailable,
        "2013 Lost connection",
    ),
    (ConnectionResetError(104, "reset by peer"), DatabaseUnavailable, "104 reset by peer"),
    (pymysql.OperationalError(), DatabaseUnavailable, "OperationalError"),
    (KeyError("charset"), DatabaseUnavailable, "'charset'"),
    (AssertionError(), DatabaseUnavailable, "AssertionError"),
]


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS)
@pytest.mark.usefixtures("_clock")
def test_a_fault_in_one_line(fault: Exception, kind: type[DatabaseUnavailable], words: str) -> None:
    """Only a table that is not there is a missing database."""
    connection = Driver(fault).connected(SqlServer("mysql", "cyrus"))
    with pytest.raises(DatabaseUnavailable) as caught:
        connection.rows("SELECT", (b"k",), NOW + 1)
    assert type(caught.value) is kind
    assert caught.value.problem == f"MySQL: {words}"


NONSENSE = {
    "nothing": b"",
    "an empty packet": packet(0, b""),
    "a version alone": packet(0, b"\x0a8.0"),
    "cut off": packet(0, b"\x0a8.0\0\1\0"),
    "a version that is not a number": packet(0, b"\x0aeight\0\1\0\0\0" + bytes(40)),
    "bytes that are not text": packet(0, b"\x0a\xff\xfe\0\1\0\0\0" + bytes(40)),
    "noise": bytes(range(256)),
    "an error in no encoding": packet(0, b"\xff\x10\x04#08004\xff\xfe\xfd"),
    "another server": b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_a_server_that_is_none_is_a_fault(data: bytes) -> None:
    """Whatever PyMySQL makes of its bytes."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        read_packet(peer)

    assert connect(talk).startswith("MySQL: cannot connect: ")


def test_an_answer_that_is_none_is_a_fault() -> None:
    """A column count without columns, and rows of another length."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(greeting(b"mysql_native_password"))
        read_packet(peer)
        peer.sendall(packet(2, OK))
        while question := read_packet(peer):
            # COM_QUERY with our statement; what the driver sends before it is well.
            answer = b"\xfc\xff" if b"dbkey" in question else OK
            peer.sendall(packet(1, answer))

    with Fake(talk) as fake:
        assert isinstance(fake.address, InetAddress)
        host = Host(fake.address.host, fake.address.port)
        server = SqlServer("mysql", "cyrus", (host,), user="u")
        until = time.monotonic() + DEADLINE_S
        connection = mysql.connect(server, host, until)
        with pytest.raises(DatabaseUnavailable, match="MySQL: "):
            connection.rows("SELECT data FROM t WHERE dbkey = %s", (b"k",), until)
        connection.close()


@pytest.mark.parametrize(
    ("password", "sent"),
    [
        ("plain", b"plain"),
        ("p\udce4ss", b"p\xe4ss"),
        ("p\xe4ss", "p\xe4ss".encode()),
        ("5\u20ac", "5\u20ac".encode()),
    ],
    ids=["ascii", "latin-1", "utf-8", "euro"],
)
def test_user_and_password_are_the_bytes_of_imapd_conf(password: str, sent: bytes) -> None:
    """As the C program sends them; imapdconf gives what is not UTF-8 as surrogates."""
    heard: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        peer.sendall(greeting(b"mysql_native_password"))
        heard.append(read_packet(peer))

    connect(talk, password)
    once = hashlib.sha1(sent).digest()
    mask = hashlib.sha1(SALT + hashlib.sha1(once).digest()).digest()
    scrambled = bytes(a ^ b for a, b in zip(once, mask, strict=True))
    assert b"f\xe4d\0" + bytes([len(scrambled)]) + scrambled in heard[0]
