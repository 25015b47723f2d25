"""Asking a smmapd elsewhere: good ones, and every kind of bad one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.upstream import pool as pools
from gateway.upstream.address import Address, InetAddress, UnixAddress
from gateway.upstream.breaker import THRESHOLD, Breaker
from gateway.upstream.connection import Dialer
from gateway.upstream.socketmapclient import (
    MAX_REPLY,
    MAX_REQUEST,
    SocketmapAnswer,
    SocketmapClient,
    parse_reply,
)
from tests.support.fakes import (
    Fake,
    Talk,
    echo,
    hangs,
    nobody,
    read_netstring,
    reply,
    sends,
    smmapd,
)

if TYPE_CHECKING:
    from gateway.upstream.connection import Found, UpstreamConnection

SHORT_S = 0.2


MADE: list[SocketmapClient] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Close what the clients of a test have kept."""
    yield
    while MADE:
        MADE.pop().pool.close()


def is_closed(breaker: Breaker) -> bool:
    """Whether it lets every question through, and not a probe alone."""
    return all(breaker.allows(time.monotonic()) for _ in range(2))


def client(address: Address, deadline: float = 10.0) -> SocketmapClient:
    """A client of the server there, which messages call `backend`."""
    made = SocketmapClient(Dialer("backend", address), deadline=deadline)
    MADE.append(made)
    return made


@pytest.mark.parametrize("where", ["unix", "127.0.0.1", "::1"])
def test_it_asks_over_every_kind_of_socket(where: str, tmp_path: Path) -> None:
    """Unix, IPv4 and IPv6; many questions need one connection."""
    path = str(tmp_path / "s") if where == "unix" else None
    asked: list[bytes] = []
    with Fake(smmapd(echo, asked), path=path, host=where) as server:
        asking = client(server.address)
        for number in range(20):
            key = b"fred%d" % number
            assert asking.ask(key) == SocketmapAnswer(b"OK", key)
        assert server.connections == 1
        assert asking.ask(b"x", hop=3).status == b"OK"
        assert (asked[0], asked[-1]) == (b"cyrus;hop=1 fred0", b"cyrus;hop=3 x")


def test_a_host_is_looked_up(tmp_path: Path) -> None:
    """All its addresses are tried, the one that worked first the next time."""
    with Fake(smmapd(echo)) as server:
        assert isinstance(server.address, InetAddress)
        good: Found = (socket.AF_INET, (server.address.host, server.address.port))
        dead = nobody()
        bad: list[Found] = [
            (socket.AF_INET6, ("::1", dead.port, 0, 0)),
            (socket.AF_INET, (dead.host, dead.port)),
        ]
        dialer = Dialer("backend", InetAddress("mail.example", 1), lookup=lambda *_: [*bad, good])
        asking = SocketmapClient(dialer)
        MADE.append(asking)
        assert asking.ask(b"fred").status == b"OK"
        asking.pool.close()
        assert asking.ask(b"fred").status == b"OK"
        assert asking.pool.opened == 2


HUGE = reply(b"OK " + b"x" * 1_000_000)
BAD: list[tuple[Talk, str]] = [
    (sends(b""), "it closed the connection before a whole reply"),
    (sends(b"7:OK fr"), "it closed the connection before a whole reply"),
    (sends(b"11"), "it closed the connection before a whole reply"),
    (sends(b"hello\r\n"), "the reply is not a netstring: b'hello"),
    (sends(b"\xb2:"), "the reply is not a netstring"),
    (sends(HUGE), f"the reply is longer than {MAX_REPLY} bytes"),
    (sends(b"0" * 70_000), f"the reply is longer than {MAX_REPLY} bytes"),
    (sends(b"7:OK fred;"), "the reply does not end where it should"),
    (sends(b"7:OK fred,7:OK fred,"), "the reply does not end where it should"),
    (sends(reply(b"YES fred")), "unknown status b'YES' in the reply"),
    (sends(reply(b"")), "unknown status b'' in the reply"),
    (sends(reply(b"OK anna")), "it answers another question: OK b'anna'"),
    (sends(reply(b"OK")), "it answers another question: OK b''"),
    (
        sends(reply(b"PERM Bad protocol (missing key)")),
        "it calls our request b'Bad protocol (missing key)'",
    ),
    (hangs, "no reply within the deadline"),
]


@pytest.mark.parametrize(("talk", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_a_bad_server_is_a_fault_that_names_it(talk: Talk, problem: str) -> None:
    """And its connection is not used again."""
    with Fake(talk) as server:
        asking = client(server.address, SHORT_S if talk is hangs else 10.0)
        with pytest.raises(UpstreamError) as caught:
            asking.ask(b"fred")
        assert str(caught.value).startswith(f"backend: {problem}")
        server.talk = smmapd(echo)
        asking.deadline = 10.0
        assert asking.ask(b"fred") == SocketmapAnswer(b"OK", b"fred")
        assert server.connections == 2


def test_a_server_that_sends_byte_by_byte_forever() -> None:
    """The deadline is that of the question, not of each byte."""

    def trickle(peer: socket.socket) -> None:
        read_netstring(peer)
        peer.sendall(b"9000:OK ")
        gate = threading.Event()
        while True:
            peer.sendall(b"x")
            gate.wait(0.01)

    with Fake(trickle) as server:
        asking = client(server.address, SHORT_S)
        with pytest.raises(UpstreamError, match="no reply within the deadline"):
            asking.ask(b"fred")


def test_the_reason_of_a_refused_connection_is_that_of_the_system() -> None:
    """The reason is the system's."""
    asking = client(nobody())
    with pytest.raises(UpstreamError, match="backend: cannot connect: Connection refused"):
        asking.ask(b"fred")
    missing = client(UnixAddress("/nonexistent/socket"))
    with pytest.raises(UpstreamError, match="backend: cannot connect: No such file"):
        missing.ask(b"fred")


@pytest.mark.parametrize("found", [[], None])
def test_a_name_that_has_no_address(found: list[Found] | None) -> None:
    """Whether the resolver says so or gives an empty list."""

    def lookup(_host: str, _port: int, _until: float) -> list[Found]:
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    dialer = Dialer("backend", InetAddress("nowhere.example", 1), lookup=lookup)
    with pytest.raises(UpstreamError, match=r"^backend: .*(no address|not known)"):
        SocketmapClient(dialer).ask(b"fred")


@pytest.mark.parametrize("host", ["a" * 300, "bad..name", "\udce9"])
def test_a_name_that_is_none(host: str) -> None:
    """It comes from a damaged mailbox list; nothing but UpstreamError comes of it."""
    with pytest.raises(UpstreamError, match=r"^backend: "):
        client(InetAddress(host, 1)).ask(b"fred")


def test_a_connection_that_the_server_has_ended_is_replaced() -> None:
    """Seen before the question, or only when it has been sent."""
    with Fake(smmapd(echo)) as server:
        asking = client(server.address)
        for _ in range(3):
            assert asking.ask(b"fred").status == b"OK"
            server.hang_up()
        assert server.connections == 3

    def one_each(peer: socket.socket) -> None:
        """Answers once; when the second question has come, it is gone."""
        peer.sendall(reply(echo(read_netstring(peer).partition(b" ")[2])))
        read_netstring(peer)

    with Fake(one_each) as server:
        asking = client(server.address)
        for _ in range(3):
            assert asking.ask(b"fred").status == b"OK"
        assert server.connections == 3
        assert is_closed(asking.pool.breaker)


def test_a_reply_that_nobody_asked_for_spoils_the_connection() -> None:
    """It is never taken for the answer to the next question."""
    sent = threading.Event()

    def chatty(peer: socket.socket) -> None:
        while question := read_netstring(peer):
            peer.sendall(reply(echo(question.partition(b" ")[2])))
            peer.sendall(reply(b"NOTFOUND Mailbox does not exist"))
            sent.set()

    with Fake(chatty) as server:
        asking = client(server.address)
        for name in (b"fred", b"anna", b"zoe"):
            sent.clear()
            # Together in one packet it is a reply that does not end where it should.
            try:
                assert asking.ask(name) == SocketmapAnswer(b"OK", name)
            except UpstreamError as fault:
                assert "does not end where it should" in fault.problem
            sent.wait(10)


@pytest.mark.parametrize("words", [b"NOTFOUND Mailbox does not exist", b"PERM not here"])
def test_a_refusal_that_belongs_to_an_earlier_question_is_not_believed(words: bytes) -> None:
    """The second answer comes just when the client has looked whether anything is there."""

    def twice(peer: socket.socket) -> None:
        first = True
        while question := read_netstring(peer):
            if not first:
                peer.sendall(reply(words))
            first = False
            peer.sendall(reply(echo(question.partition(b" ")[2])))

    with Fake(twice) as server:
        asking = client(server.address)
        for name in (b"fred", b"anna", b"zoe", b"fred"):
            try:
                assert asking.ask(name) == SocketmapAnswer(b"OK", name)
            except UpstreamError as fault:
                # Both in one packet.
                assert "does not end where it should" in fault.problem


def test_a_refusal_for_ever_is_believed_on_a_new_connection() -> None:
    """And an answer that is not one, on a kept one."""
    with Fake(smmapd(lambda key: b"NOTFOUND no" if key == b"unknown" else echo(key))) as server:
        asking = client(server.address)
        for count in (1, 2, 3):
            for _ in range(3):
                assert asking.ask(b"fred").status == b"OK"
            assert asking.ask(b"unknown").status == b"NOTFOUND"
            assert server.connections == 1 + count


def test_who_speaks_before_it_is_asked_is_at_fault() -> None:
    """Whatever it says then is not an answer."""
    spoken = threading.Event()

    def early(peer: socket.socket) -> None:
        peer.sendall(reply(b"NOTFOUND no"))
        spoken.set()
        read_netstring(peer)

    with Fake(early) as server:
        asking = client(server.address)
        open_link = asking.pool._open_link

        def opened(until: float) -> UpstreamConnection:
            link = open_link(until)
            assert spoken.wait(10)
            return link

        asking.pool._open_link = opened
        with pytest.raises(UpstreamError, match="before it is asked"):
            asking.ask(b"fred")


def test_a_server_that_keeps_failing_is_given_a_rest() -> None:
    """Then it is not asked at all, and a probe brings it back."""
    with Fake(sends(b"nonsense")) as server:
        asking = client(server.address)
        for _ in range(THRESHOLD + 5):
            with pytest.raises(UpstreamError):
                asking.ask(b"fred")
        assert server.connections == THRESHOLD
        with pytest.raises(UpstreamError, match="not asked for a while, after: the reply is no"):
            asking.ask(b"fred")
        server.talk = smmapd(echo)
        breaker = asking.pool.breaker
        breaker._until = time.monotonic()  # the pause is over
        assert asking.ask(b"fred").status == b"OK"
        assert is_closed(breaker)


def test_a_question_that_would_kill_the_c_program_is_not_asked() -> None:
    """And a client that sends such recipients does not keep others' questions back."""
    asked: list[bytes] = []
    with Fake(smmapd(echo, asked)) as server:
        asking = client(server.address)
        longest = b"x" * (MAX_REQUEST - len(b"cyrus;hop=1 "))
        for _ in range(2 * THRESHOLD):
            with pytest.raises(UpstreamError, match="backend: not asked: more than 1024 bytes"):
                asking.ask(longest + b"x")
        assert server.connections == 0
        assert asking.ask(longest).status == b"OK"
        assert [len(each) for each in asked] == [MAX_REQUEST]


def test_questions_that_a_server_calls_malformed_are_no_failure_of_the_server() -> None:
    """It has answered; the next question is asked."""

    def particular(key: bytes) -> bytes:
        return echo(key) if key == b"fred" else b"PERM Bad protocol (missing key)"

    with Fake(smmapd(particular)) as server:
        asking = client(server.address)
        for _ in range(2 * THRESHOLD):
            with pytest.raises(UpstreamError, match="it calls our request b'Bad protocol"):
                asking.ask(b"odd")
        assert asking.ask(b"fred").status == b"OK"
        assert is_closed(asking.pool.breaker)


def test_a_question_whose_time_is_over_is_not_asked() -> None:
    """It waited too long in line; that says nothing against the server."""
    with Fake(smmapd(echo)) as server:
        asking = client(server.address)
        for _ in range(2 * THRESHOLD):
            with pytest.raises(UpstreamError, match="not asked within the deadline"):
                asking.ask(b"fred", until=time.monotonic() - 1)
        assert server.connections == 0
        assert asking.ask(b"fred").status == b"OK"


def test_connections_are_few_and_grow_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most `max_idle` are kept; sweeping closes those that nobody used."""
    gate = threading.Barrier(6)

    def together(peer: socket.socket) -> None:
        while question := read_netstring(peer):
            gate.wait(10)
            peer.sendall(reply(echo(question.partition(b" ")[2])))

    with Fake(together) as server:
        asking = SocketmapClient(Dialer("backend", server.address), max_idle=4)
        MADE.append(asking)
        threads = [threading.Thread(target=asking.ask, args=(b"fred",)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(asking.pool._idle) == 4
        asking.pool.sweep(time.monotonic())
        assert len(asking.pool._idle) == 4
        asking.pool.sweep(time.monotonic() + pools.MAX_IDLE_TIME)
        assert asking.pool._idle == []
        server.talk = smmapd(echo)
        assert asking.ask(b"fred").status == b"OK"
        monkeypatch.setattr(pools, "MAX_IDLE_TIME", 0.0)
        assert asking.ask(b"fred").status == b"OK"
        assert server.connections == 8


@given(st.binary(max_size=64))
def test_a_reply_is_an_answer_a_beginning_or_a_fault(data: bytes) -> None:
    """Nothing else comes of any bytes, and every beginning of an answer is one."""
    try:
        answer = parse_reply("backend", data)
    except UpstreamError:
        return
    if answer is not None:
        for end in range(len(data)):
            assert parse_reply("backend", data[:end]) is None
