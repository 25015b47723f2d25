"""The server behind the gate, with real sockets in one process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator

import gevent
import pytest
from gevent import socket as waiting

from gateway.observability.admin import server
from gateway.observability.admin.request import MAX_HEAD
from gateway.observability.admin.server import SAFETY, AdminServer, _is_local

# Only a failure waits so long.
DEADLINE = 60
BODY = b"a page\n"
SANE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def application(
    environ: dict[str, str], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Says where it was called; /defect raises, /long is more than a socket takes."""
    path = environ["PATH_INFO"]
    if path == "/defect":
        raise ZeroDivisionError
    body = b"x" * 20_000_000 if path == "/long" else BODY
    start_response("200 OK", [("Content-Length", str(len(body))), *SAFETY])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class Served:
    """A server on a free port of the loopback interface."""

    def __init__(self, *, hosts: Iterable[str] = (), allow_remote: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address = self._listener.getsockname()
        self.server = AdminServer(
            [self._listener], application, hosts=frozenset(hosts), allow_remote=allow_remote
        )
        self.server.start()

    def connect(self) -> waiting.socket:
        """A client."""
        return waiting.create_connection(self.address, timeout=DEADLINE)

    def ask(self, data: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        with self.connect() as client:
            client.sendall(data)
            return read(client)


def read(client: waiting.socket) -> bytes:
    """Until the end."""
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received


def run_loop_until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is the case."""
    with gevent.Timeout(DEADLINE):
        while not condition():
            gevent.sleep(0)


@pytest.fixture
def served() -> Iterator[Served]:
    """A server."""
    made = Served()
    yield made
    made.server.close()


def test_a_page_is_served_and_the_connection_closed(served: Served) -> None:
    """One request a connection; what follows it is not looked at."""
    reply = served.ask(SANE + SANE)
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert reply.endswith(b"\r\n\r\n" + BODY)
    assert reply.count(b"HTTP/1.1") == 1
    assert b"Server:" not in reply


def test_head_has_no_body(served: Served) -> None:
    """Only its length."""
    reply = served.ask(SANE.replace(b"GET", b"HEAD"))
    assert b"Content-Length: %d\r\n" % len(BODY) in reply
    assert reply.endswith(b"\r\n\r\n")


def test_a_request_may_come_in_pieces(served: Served) -> None:
    """Byte by byte."""
    with served.connect() as client:
        for at in range(len(SANE)):
            client.sendall(SANE[at : at + 1])
        assert read(client).endswith(BODY)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", b"405 Method"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421 Misdirected"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400 Bad"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n", b"431 Request"),
        (b"y" * (4 * MAX_HEAD), b"431 Request"),
    ],
)
def test_nonsense_is_told_so(served: Served, data: bytes, status: bytes) -> None:
    """In one line, with a policy that lets nothing run; and the server goes on."""
    reply = served.ask(data)
    assert reply.startswith(b"HTTP/1.1 " + status)
    assert b"Content-Security-Policy: default-src 'none'" in reply
    assert served.ask(SANE).endswith(BODY)


def test_a_request_that_never_ends_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it stops or dribbles; others are served meanwhile."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with served.connect() as silent, served.connect() as dribbling:
        dribbling.sendall(b"GET / HTTP/1.1\r\n")

        def dribble() -> None:
            try:
                while True:
                    dribbling.sendall(b"X: y\r\n")
                    gevent.sleep(0.02)  # the client's own pace
            except OSError:
                return

        task = gevent.spawn(dribble)
        assert served.ask(SANE).endswith(BODY)
        assert silent.recv(1) == b""
        task.join(timeout=DEADLINE)
        assert task.ready()


def test_a_client_that_does_not_read_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds its place for some seconds only."""
    monkeypatch.setattr(server, "REPLY_SECONDS", 0.3)
    with served.connect() as client:
        client.sendall(SANE.replace(b"/ ", b"/long "))
        run_loop_until(lambda: not len(served.server._pool))
    assert served.ask(SANE).endswith(BODY)


def test_only_so_many_are_served_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait, and come next."""
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    served = Served()
    idle = [served.connect() for _ in range(2)]
    run_loop_until(lambda: len(served.server._pool) == 2)
    late = served.connect()
    late.sendall(SANE)
    gevent.sleep(0)
    assert len(served.server._pool) == 2
    for client in idle:
        client.close()
    assert read(late).endswith(BODY)
    late.close()
    served.server.close()


def test_a_defect_is_logged_and_is_500(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """No traceback goes to the client."""
    reply = served.ask(SANE.replace(b"/ ", b"/defect "))
    assert reply.startswith(b"HTTP/1.1 500 ")
    assert b"ZeroDivision" not in reply
    assert "defect while answering /defect: ZeroDivisionError" in caplog.text
    assert served.ask(SANE).endswith(BODY)


def test_replies_that_are_under_way_go_out_at_the_end() -> None:
    """A server that stops accepts nobody, and finishes what it has begun."""
    served = Served()
    with served.connect() as client:
        run_loop_until(lambda: len(served.server._pool) == 1)
        served.server.stop_accepting()
        with pytest.raises(ConnectionRefusedError):
            served.connect()
        client.sendall(SANE)
        assert read(client).endswith(BODY)
    served.server.close()


def test_names_of_the_setting_are_served() -> None:
    """And no others."""
    served = Served(hosts=["mx1.example.org"])
    assert served.ask(SANE.replace(b"localhost", b"mx1.example.org")).endswith(BODY)
    assert b"421 " in served.ask(SANE.replace(b"localhost", b"mx2.example.org"))
    served.server.close()


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("", True),
        (b"\0abstract", True),
        (("127.0.0.1", 1), True),
        (("127.8.9.1", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("::ffff:192.0.2.1", 1, 0, 0), False),
        (("192.0.2.1", 1), False),
        (("fe80::1%eth0", 1, 0, 2), False),
    ],
)
def test_who_is_on_this_machine(address: object, local: bool) -> None:
    """A socket that systemd passes may listen anywhere; others are refused all the same."""
    assert _is_local(address) == local
