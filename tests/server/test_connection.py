"""The bytes of one client, moved by the server on gevent's loop."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gateway.mta.lookups import TableAnswers
from gateway.server.connection import LARGE, LINGER_BYTES
from gateway.server.server import Server
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Verdict
from tests.support.lines import (
    BATCH,
    BIG,
    DEADLINE_S,
    READ,
    Site,
    dispatcher,
    far,
    run_loop_until,
    site,
)


class Echo:
    """A session that has every reply ready, as the real one does for what it knows."""

    pending: Pending | None = None
    finished = False
    busy = False
    idle = True
    engaged = False

    def cached_reply(self, data: bytes) -> bytes | None:
        """The same bytes."""
        return data

    def receive(self, data: bytes, *, coalesced: bool = False) -> None:
        """Only the end comes here."""
        assert not data

    def replies(self) -> bytes:
        """None wait."""
        return b""

    def resolved(self, told: Verdict | TableAnswers) -> bytes:
        """Nothing was asked."""
        raise AssertionError(told)


def nobody(pending: Pending) -> Verdict:
    """There is no other server."""
    raise AssertionError(pending)


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """A client of a server of Echo sessions."""
    with socket.socket() as listener, socket.socket() as made:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = Server(listener, lambda _peer: Echo(), dispatcher(nobody))
        server.start()
        made.connect(listener.getsockname())
        made.setblocking(False)
        yield made
        server.close()


def read(client: socket.socket) -> bytes:
    """The next bytes for the client, while the loop turns."""
    with gevent.Timeout(DEADLINE_S):
        gevent.get_hub().wait(gevent.get_hub().loop.io(client.fileno(), READ))
    return client.recv(4096)


def test_a_client_that_ends_is_let_go(client: socket.socket) -> None:
    """Its end is not taken for a request that is answered at once with nothing."""
    client.send(b"request")
    assert read(client) == b"request"
    client.shutdown(socket.SHUT_WR)
    assert read(client) == b""


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Site]:
    """A server of Lines."""
    with site(str(tmp_path / "socket")) as made:
        yield made


def test_requests_in_any_pieces(lines: Site) -> None:
    """Replies come in order, however the bytes were cut."""
    client = lines.connect()
    for byte in b"one\n":
        client.send(bytes((byte,)))
    assert client.line() == b"one"
    client.send(b"two\nthree\nfo")
    assert (client.line(), client.line()) == (b"two", b"three")
    client.send(b"ur\n")
    assert client.line() == b"four"
    assert client.ask(b"known") == b"at once"


def test_who_asks_much_lets_the_others_in(lines: Site) -> None:
    """One who sends hundreds of requests at once has a turn's worth answered, then it's another's turn."""
    greedy, modest = lines.connect(), lines.connect()
    assert greedy.ask(b"hello") == modest.ask(b"hello") == b"hello"
    lines.answered.clear()
    greedy.send(b"".join(b"%d\n" % number for number in range(400)))
    modest.send(b"me too\n")
    assert modest.line() == b"me too"
    assert lines.answered.index("b me too") <= 2 * BATCH
    assert [greedy.line() for _ in range(400)] == [b"%d" % number for number in range(400)]


def test_many_who_ask_much_are_together_no_worse_than_one(lines: Site) -> None:
    """One of them has a turn between two looks at the sockets, so another's question comes soon."""
    modest, *greedy = (lines.connect() for _ in range(7))
    for client in (modest, *greedy):
        assert client.ask(b"hello") == b"hello"
    batch = b"".join(b"%d\n" % number for number in range(1000))
    for client in greedy:
        client.send(batch)
    run_loop_until(lambda: all(each.busy for each in lines.sessions[1:]), "all of them wait")
    for number in range(20):
        lines.answered.clear()
        assert modest.ask(b"me, %d" % number) == b"me, %d" % number
        assert lines.answered.index(f"a me, {number}") <= 4 * BATCH
    for client in greedy:
        assert [client.line() for _ in range(1000)] == [b"%d" % number for number in range(1000)]


def test_who_waits_in_line_is_not_idle(lines: Site) -> None:
    """A server that parts from idle clients answers first what it has read."""
    client = lines.connect()
    assert client.ask(b"hello") == b"hello"
    client.send(b"x" * (LARGE // 2) + b"\n" + b"y" * (LARGE // 2) + b"\n")
    (connection,) = lines.server.connections
    connection._readable()
    assert not lines.sessions[0].busy
    lines.server.drain(-1)
    lines.server._close_idle()
    assert client.line() == b"x" * (LARGE // 2)
    assert client.line() == b"y" * (LARGE // 2)


def test_who_does_not_read_is_not_read_from(lines: Site) -> None:
    """Until it takes its replies, nothing more of what it sends is taken."""
    client, other = lines.connect(), lines.connect()
    client.send(b"big\n")
    run_loop_until(lambda: lines.answered == ["a big"], "the first request is answered")
    client.send(b"big\n" * 10)
    assert [other.ask(b"%d" % number) for number in range(50)] == [b"%d" % n for n in range(50)]
    assert lines.sessions[0].received == len(b"big\n")
    for _ in range(11):
        assert client.line() == BIG
    assert client.ask(b"next") == b"next"


def test_who_has_ended_hears_everything(lines: Site) -> None:
    """All replies, those of other servers too, then the end."""
    client = lines.connect()
    client.send(b"big\none\nfar two\nthree\n" * 3 + b"unfinished")
    client.end()
    for _ in range(3):
        assert client.line() == BIG
        assert [client.line() for _ in range(3)] == [b"one", b"far two from far", b"three"]
    assert client.line() == b""
    run_loop_until(lambda: not lines.server.connections, "the server has let go")


def test_after_the_last_word_the_client_is_listened_to_for_a_while(lines: Site) -> None:
    """It reads why, although it went on sending; what it sends is thrown away."""
    client = lines.connect()
    client.send(b"bad\n" + b"x" * 100_000)
    assert client.line() == b"never again"
    assert client.line() == b""
    for _ in range(5):
        client.send(b"y" * 1000)
    client.close()
    run_loop_until(lambda: not lines.server.connections, "the server has let go")


def test_after_the_last_word_there_is_an_end_to_listening(lines: Site) -> None:
    """A client that sends without end is closed."""
    client = lines.connect()
    client.send(b"bad\n")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        client.send(b"x" * (LINGER_BYTES * 8))
    assert lines.server.connections == set()


def test_another_server_is_asked_on_a_thread(tmp_path: Path) -> None:
    """While it thinks, everybody else is answered, and the one who waits is not read from."""
    gate = threading.Event()
    threads: list[int] = []

    def resolve(pending: Pending) -> Verdict:
        threads.append(threading.get_ident())
        gate.wait(DEADLINE_S)
        return Verdict(Kind.DELIVERABLE, b"slowly")

    with site(str(tmp_path / "socket"), resolve=resolve) as lines:
        patient, other = lines.connect(), lines.connect()
        patient.send(b"one\nfar two\nthree\n")
        assert patient.line() == b"one"
        assert [other.ask(b"%d" % number) for number in range(20)] == [b"%d" % n for n in range(20)]
        patient.send(b"four\n")
        gate.set()
        assert [patient.line() for _ in range(3)] == [b"far two slowly", b"three", b"four"]
    assert threads
    assert threading.get_ident() not in threads


def test_question_for_another_server_behind_replies_that_are_not_taken(tmp_path: Path) -> None:
    """It is asked once, and no byte of what waits for the client is lost or out of order."""
    asked: list[bytes] = []

    def resolve(pending: Pending) -> Verdict:
        asked.append(pending.query.recipient)
        return far(pending)

    with site(str(tmp_path / "socket"), resolve=resolve) as lines:
        client, other = lines.connect(), lines.connect()
        client.send(b"big\nfar one\nbig\nfar two\nlast\n")
        run_loop_until(lambda: "a far one" in lines.answered, "the other server has answered")
        assert other.ask(b"still here") == b"still here"
        replies = [client.line() for _ in range(5)]
        assert replies == [BIG, b"far one from far", BIG, b"far two from far", b"last"]
    assert asked == [b"far one", b"far two"]


def test_who_goes_away_while_another_server_is_asked(tmp_path: Path) -> None:
    """The answer comes too late, and that is all."""
    gate = threading.Event()

    def resolve(pending: Pending) -> Verdict:
        gate.wait(DEADLINE_S)
        return far(pending)

    with site(str(tmp_path / "socket"), resolve=resolve) as lines:
        client, other = lines.connect(), lines.connect()
        client.send(b"far one\n")
        run_loop_until(lambda: lines.sessions and lines.sessions[0].busy, "the question has come")
        client.close()
        gate.set()
        run_loop_until(lambda: len(lines.server.connections) == 1, "the server has let go")
        assert other.ask(b"still here") == b"still here"


@pytest.mark.parametrize("data", [b"", b"half", b"one\nhalf", b"big\n", b"big\n" * 9, b"bad\n"])
def test_who_goes_away_at_any_time(lines: Site, data: bytes) -> None:
    """Nothing of it stays, and the others notice nothing."""
    other = lines.connect()
    client = lines.connect()
    client.send(data)
    assert other.ask(b"one") == b"one"
    # An end that is a reset, as of a process that was killed.
    client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    run_loop_until(lambda: len(lines.server.connections) == 1, "the server has let go")
    assert other.ask(b"two") == b"two"


def test_who_has_gone_when_another_server_should_be_asked(lines: Site) -> None:
    """Its first reply does not reach it any more; then nobody is asked on its behalf."""
    other = lines.connect()
    assert other.ask(b"one") == b"one"
    client = lines.connect()
    client.send(b"one\nfar two\n")
    client.close()
    run_loop_until(lambda: len(lines.server.connections) == 1, "the server has let go")
    assert other.ask(b"two") == b"two"
    assert lines.server.dispatcher.asked == 0
