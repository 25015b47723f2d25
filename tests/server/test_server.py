"""The listening socket: which clients are accepted, which wait, and how a server ends."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.server import server as server_module
from gateway.server.server import Server, peer_name
from tests.support.lines import Client, Site, dispatcher, run_loop_until, site


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the server listens."""
    return str(tmp_path / "socket")


@pytest.fixture
def lines(path: str) -> Iterator[Site]:
    """A server of Lines."""
    with site(path) as made:
        yield made


def test_who_comes_and_goes_is_counted(lines: Site) -> None:
    """`accepted` and `served`, with a call for each change."""
    first, second = lines.connect(), lines.connect()
    assert first.ask(b"one") == second.ask(b"one") == b"one"
    assert (lines.server.accepted, lines.server.served, lines.changes) == (2, 0, 2)
    first.close()
    run_loop_until(lambda: lines.server.served == 1, "the first is let go")
    assert (lines.server.accepted, lines.changes) == (2, 3)
    assert second.ask(b"two") == b"two"


def test_a_watcher_that_the_loop_has_stopped_is_started_again(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gevent stops one whose callback raises; nobody would be accepted any more."""
    monkeypatch.setattr(server_module, "SWEEP", 0.05)
    with site(path) as lines:
        lines.server._accept_watcher.stop()
        assert lines.connect().ask(b"one") == b"one"
        lines.server.stop_accepting()
        run_loop_until(lambda: not lines.server._pause.active, "it stays as it was told")
        assert not lines.server._accept_watcher.active


def test_who_is_not_admitted_is_closed(path: str) -> None:
    """Nobody else is disturbed, and it does not count."""
    verdicts = [False, True, False]
    with site(path, admit=lambda _peer: verdicts.pop(0)) as lines:
        refused, welcome, refused_too = lines.connect(), lines.connect(), lines.connect()
        assert refused.line() == refused_too.line() == b""
        assert welcome.ask(b"one") == b"one"
        assert lines.server.accepted == 1
        assert lines.changes == 1


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOTCONN, "Transport endpoint is not connected"), ValueError("a defect")],
    ids=["gone", "defect"],
)
def test_a_client_that_cannot_be_looked_at_is_the_only_one_that_suffers(
    path: str, error: Exception
) -> None:
    """gevent stops a watcher whose callback raises; the next client would wait for ever."""
    troubles = [error, error]

    def admit(_peer: socket.socket) -> bool:
        if troubles:
            raise troubles.pop()
        return True

    with site(path, admit=admit) as lines:
        unlucky, unlucky_too, welcome = lines.connect(), lines.connect(), lines.connect()
        assert unlucky.line() == unlucky_too.line() == b""
        assert welcome.ask(b"one") == b"one"
        assert (lines.server.accepted, lines.server.served) == (1, 0)
        assert lines.reported == [f"a client could not be accepted: {error!r}"] * 2


def test_a_client_whose_conversation_cannot_begin_is_the_only_one_that_suffers(
    lines: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for what makes its session."""
    with monkeypatch.context() as broken:
        broken.setattr(lines.server, "session_for", None)
        assert lines.connect().line() == b""
    assert lines.connect().ask(b"one") == b"one"
    assert lines.server.accepted == 1


def test_beyond_the_limit_clients_wait(path: str) -> None:
    """They are in the socket's queue, and have their turn when others have gone."""
    with site(path, max_connections=2) as lines:
        clients = [lines.connect() for _ in range(4)]
        for client in clients:
            client.send(b"me\n")
        assert clients[0].line() == clients[1].line() == b"me"
        assert clients[0].ask(b"again") == b"again"
        assert lines.server.accepted == 2
        clients[0].close()
        assert clients[2].line() == b"me"
        clients[1].close()
        assert clients[3].line() == b"me"


def test_when_it_accepts_no_more_it_serves_on(lines: Site) -> None:
    """New clients stay in the queue for another process that serves the socket."""
    old = lines.connect()
    assert old.ask(b"one") == b"one"
    lines.server.stop_accepting()
    new = lines.connect()
    new.send(b"me\n")
    assert [old.ask(b"%d" % number) for number in range(20)] == [b"%d" % n for n in range(20)]
    assert lines.server.accepted == 1
    lines.server.start()
    assert new.line() == b"me"


def test_drain_parts_from_who_is_idle(lines: Site) -> None:
    """Once it has been silent for a while, and never with a request or a reply in progress."""
    idle, half, unread = lines.connect(), lines.connect(), lines.connect()
    assert idle.ask(b"one") == half.ask(b"one") == b"one"
    half.send(b"hal")
    unread.send(b"big\nlast\n")
    run_loop_until(
        lambda: [s.received for s in lines.sessions] == [4, 7, 9], "everything has been read"
    )
    lines.server.drain(idle=0)
    assert idle.line() == b""
    assert len(lines.server.connections) == 2
    half.send(b"f\n")
    assert half.line() == b"half"
    assert half.line() == b""
    assert len(unread.line()) > 1_000_000
    assert unread.line() == b"last"
    assert unread.line() == b""
    run_loop_until(lambda: not lines.server.connections, "everybody has gone")


def test_drained_server_takes_nobody(lines: Site) -> None:
    """A client that comes now waits for another process."""
    old = lines.connect()
    assert old.ask(b"one") == b"one"
    lines.server.drain()
    new = lines.connect()
    new.send(b"me\n")
    assert [old.ask(b"%d" % number) for number in range(20)] == [b"%d" % n for n in range(20)]
    assert lines.server.accepted == 1


def test_retired_server_takes_the_queue_and_closes_the_socket(path: str) -> None:
    """Those who were waiting are served; later ones are refused at once."""
    with site(path) as lines:
        waiting = [lines.connect() for _ in range(5)]
        lines.server.retire()
        assert lines.server.accepted == 5
        for client in waiting:
            assert client.ask(b"me") == b"me"
        with pytest.raises(ConnectionRefusedError):
            lines.connect()


def test_close_ends_everything_at_once(lines: Site) -> None:
    """Whatever is in progress."""
    clients = [lines.connect() for _ in range(3)]
    for client in clients:
        assert client.ask(b"one") == b"one"
    clients[0].send(b"big\n")
    run_loop_until(lambda: "a big" in lines.answered, "a reply is in progress")
    lines.server.close()
    assert lines.server.connections == set()
    assert clients[1].line() == clients[2].line() == b""
    lines.server.close()  # and once more changes nothing


def test_silent_client_is_closed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between requests after `idle_timeout` seconds, within one after `request_timeout`."""
    with site(path, idle_timeout=0.0, request_timeout=1000.0) as lines:
        idle, half = lines.connect(), lines.connect()
        half.send(b"hal")
        run_loop_until(lambda: sum(s.received for s in lines.sessions) == 3, "half a line was read")
        # One that never spoke has a moment for its first word.
        monkeypatch.setattr("gateway.server.server.FIRST_WORD", 0.0)
        lines.server._close_idle()  # what a timer calls every few seconds
        assert idle.line() == b""
        half.send(b"f\n")
        assert half.line() == b"half"
    with site(path + "2", idle_timeout=1000.0, request_timeout=0.0) as lines:
        idle, half = lines.connect(), lines.connect()
        half.send(b"hal")
        run_loop_until(lambda: sum(s.received for s in lines.sessions) == 3, "half a line was read")
        lines.server._close_idle()
        assert half.line() == b""
        assert idle.ask(b"one") == b"one"


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Takes all descriptors that this process may have; called once more it gives them back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    short = False

    def give_back() -> None:
        nonlocal short
        short = False
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        while taken:
            os.close(taken.pop())

    def take() -> None:
        nonlocal short
        if short:
            give_back()
            return
        short = True
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))

    yield take
    give_back()


def test_when_no_descriptor_is_left_clients_wait(
    lines: Site, no_descriptors: Callable[[], None]
) -> None:
    """One line in the log, no busy loop, and they are accepted when there are descriptors again."""
    first = lines.connect()
    assert first.ask(b"one") == b"one"
    lines.server.stop_accepting()
    clients = [lines.connect() for _ in range(3)]
    for client in clients:
        client.send(b"me\n")
    no_descriptors()
    lines.server.start()
    run_loop_until(lambda: lines.reported, "it is reported")
    assert first.ask(b"two") == b"two"
    assert lines.server.accepted == 1
    no_descriptors()
    for client in clients:
        assert client.line() == b"me"
    (line,) = lines.reported
    assert line.startswith("cannot accept more clients: Too many open files; 1 are connected")
    assert "raise the limit of open files (ulimit -n)" in line


class Moody(socket.socket):
    """A listening socket whose accept fails in the ways that accept(2) names, one after the other."""

    errors: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        """Fail while there are errors left."""
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


@pytest.mark.parametrize(
    "number",
    [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EPERM],
    ids=lambda number: errno.errorcode[number],
)
def test_passing_troubles_of_accept_are_passed_over(path: str, number: int) -> None:
    """The client that it was about is gone; the next one is accepted."""
    with Moody(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.errors = [number, number]
        reported: list[str] = []
        with site(path + "2") as lines:
            server = Server(listener, lines._session, dispatcher(), report=reported.append)
            server.start()
            client = Client(path)
            assert client.ask(b"one") == b"one"
            client.close()
            server.close()
        assert reported == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "raise the limit of open files (ulimit -n)"),
        (errno.ENFILE, "raise the system's limit of open files (sysctl fs.file-max)"),
        (errno.ENOMEM, "the machine has too little memory left"),
        (errno.ENOBUFS, "the machine has too little memory left"),
    ],
)
def test_what_accept_has_too_little_of_is_named(path: str, number: int, advice: str) -> None:
    """More open files help only where those of this process are too few."""
    with Moody(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.errors = [number]
        reported: list[str] = []

        def report(message: str, *words: object) -> None:
            reported.append(message % words)

        with site(path + "2") as lines:
            server = Server(listener, lines._session, dispatcher(), report=report)
            server.start()
            client = Client(path)
            assert client.ask(b"one") == b"one"
            client.close()
            server.close()
    (line,) = reported
    assert line.endswith(f"0 are connected, {advice}")


def test_names_of_peers(tmp_path: Path) -> None:
    """An address in brackets, or [local]; one who has gone is named by its trouble."""
    with socket.socket(socket.AF_UNIX) as one:
        assert peer_name(one) == "[local]"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            assert peer_name(accepted) == "[127.0.0.1]"
        assert client
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        client = socket.create_connection(server.getsockname()[:2])
        with client:
            accepted, _ = server.accept()
            with accepted:
                assert peer_name(accepted) == "[::1]"
    with socket.socket() as unconnected:
        assert peer_name(unconnected) == "[Transport endpoint is not connected]"
