"""Asking an LMTP server elsewhere: good ones, and every kind of bad one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from gateway.errors import ProtocolError, UpstreamError
from gateway.protocols.lmtp import LmtpReply
from gateway.upstream.address import Address
from gateway.upstream.connection import Dialer, NotTaken
from gateway.upstream.lmtpclient import MAX_REPLIES, Creators, LmtpClient
from tests.support.fakes import Fake, Talk

SHORT_S = 0.2
NEVER_S = 3600.0
GREETING = b"220 mail LMTP\r\n"
LHLO = b"250-mail\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n"
PLAIN_LHLO = b"250 mail\r\n"
OK = b"250 2.1.0 ok\r\n"
UNKNOWN = b"550-There is\r\n550 5.1.1 User unknown\r\n"


MADE: list[LmtpClient] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Close what the clients of a test have kept."""
    yield
    while MADE:
        MADE.pop().pool.close()


def client(address: Address, deadline: float = 10.0) -> LmtpClient:
    """A client of the server there, which messages call `store`."""
    made = LmtpClient(Dialer("store", address), name=b"mx.example.org", deadline=deadline)
    MADE.append(made)
    return made


def lmtpd(
    *,
    greeting: bytes = GREETING,
    lhlo: bytes = LHLO,
    mail: bytes = OK,
    rcpt: bytes = OK,
    rset: bytes = OK,
    heard: list[bytes] | None = None,
) -> Talk:
    """A server that gives these replies; the recipient `unknown` is unknown to it."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(greeting)
        answers = {b"LHLO": lhlo, b"MAIL": mail, b"RCPT": rcpt, b"RSET": rset}
        with peer.makefile("rb") as lines:
            for line in lines:
                if heard is not None:
                    heard.append(line)
                word = line[:4].upper()
                peer.sendall(UNKNOWN if b"<unknown>" in line else answers[word])

    return talk


@pytest.mark.parametrize("lhlo", [LHLO, PLAIN_LHLO], ids=["pipelining", "plain"])
def test_many_recipients_on_one_connection(lhlo: bytes) -> None:
    """The reply to RCPT is the answer; RSET makes ready for the next one."""
    heard: list[bytes] = []
    with Fake(lmtpd(lhlo=lhlo, heard=heard)) as server:
        asking = client(server.address)
        for _ in range(5):
            assert asking.ask(b"fred") == LmtpReply(250, b"2.1.0", (b"ok",))
            assert asking.ask(b"anna") == LmtpReply(250, b"2.1.0", (b"ok",))
        assert server.connections == 1
    assert heard[0] == b"LHLO mx.example.org\r\n"
    assert heard[1:4] == [b"MAIL FROM:<>\r\n", b"RCPT TO:<fred>\r\n", b"RSET\r\n"]
    assert len(heard) == 1 + 10 * 3


def test_a_refusal_for_ever_is_believed_on_a_new_connection() -> None:
    """Over a kept one it might be the answer to an earlier question."""
    with Fake(lmtpd()) as server:
        asking = client(server.address)
        for count in (1, 2, 3):
            assert asking.ask(b"fred").good
            assert asking.ask(b"unknown") == LmtpReply(
                550, b"5.1.1", (b"There is", b"User unknown")
            )
            assert server.connections == 1 + count


def shifted(extra: bytes) -> Talk:
    """A server that says something more behind the replies to its first question, and later.

    A client that takes that for the first reply of the next question takes each reply
    for that of another command.
    """

    def talk(peer: socket.socket) -> None:
        peer.sendall(GREETING)
        questions = 0
        with peer.makefile("rb") as lines:
            for line in lines:
                word = line[:4].upper()
                if word == b"MAIL" and questions:
                    # Just now, when the client has looked whether anything is there.
                    peer.sendall(extra)
                reply = {b"LHLO": LHLO, b"MAIL": OK, b"RCPT": OK, b"RSET": OK}[word]
                peer.sendall(UNKNOWN if b"<unknown>" in line else reply)
                questions += word == b"RSET"

    return talk


@pytest.mark.parametrize("extra", [OK, UNKNOWN, b"451 4.3.0 later\r\n", OK + UNKNOWN])
@pytest.mark.parametrize(("recipient", "good"), [(b"anna", True), (b"unknown", False)])
def test_a_server_that_answers_once_too_often_is_never_believed(
    extra: bytes, recipient: bytes, *, good: bool
) -> None:
    """Neither a refusal nor an acceptance that belongs to another command."""
    with Fake(shifted(extra)) as server:
        asking = client(server.address)
        assert asking.ask(b"fred").good
        try:
            assert asking.ask(recipient).good == good
        except UpstreamError as fault:
            assert "it answers MAIL" in fault.problem or "do not fit" in fault.problem


def test_bytes_before_the_question_are_a_fault() -> None:
    """On a new connection, behind the greeting; the next one is asked on another."""

    def early(peer: socket.socket) -> None:
        peer.sendall(GREETING)
        peer.recv(4096)
        peer.sendall(LHLO + OK)
        peer.recv(4096)

    with Fake(early) as server, pytest.raises(UpstreamError) as caught:
        client(server.address).ask(b"fred")
    assert caught.value.problem.startswith(("it says more than", "it sends something before"))


def hangs(peer: socket.socket) -> None:
    """Says nothing."""
    while peer.recv(4096):
        pass


BAD: list[tuple[Talk, str]] = [
    (lmtpd(greeting=b"554 no service\r\n"), "it answers its greeting with 554 no service"),
    (lmtpd(greeting=b"421 busy\r\n"), "it ends the connection: 421 busy"),
    (lmtpd(greeting=b"SSH-2.0\r\n"), "it does not speak LMTP: not a line of a reply"),
    (lmtpd(greeting=b"220 x" * 20_000), "it does not speak LMTP: a line of a reply is longer"),
    (lmtpd(greeting=b"220-x\r\n" * 20_000), "it does not speak LMTP: a reply has more than"),
    (lmtpd(greeting=b"220 x\r\n" * 20_000), "it answers LHLO with 220"),
    (lmtpd(lhlo=b"500 what?\r\n"), "it answers LHLO with 500 what?"),
    (lmtpd(lhlo=LHLO + b"250 more\r\n"), "it says more than it was asked"),
    (lmtpd(mail=b"530 5.7.0 log in\r\n"), "it answers MAIL FROM:<> with 530 5.7.0 log in"),
    (lmtpd(rcpt=b"421 4.3.2 bye\r\n"), "it ends the connection: 421 4.3.2 bye"),
    (lmtpd(rcpt=b"250-x"), "no reply within the deadline"),
    (hangs, "no reply within the deadline"),
]


@pytest.mark.parametrize(("talk", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_a_bad_server_is_a_fault_that_names_it(talk: Talk, problem: str) -> None:
    """And the next question is asked on another connection."""
    with Fake(talk) as server:
        asking = client(server.address, SHORT_S if "deadline" in problem else 10.0)
        with pytest.raises(UpstreamError) as caught:
            asking.ask(b"fred")
        fault = str(caught.value)
        if "it answers LHLO with 220" in problem:
            # A flood of greetings is one of several faults, whichever is met first.
            assert fault.startswith("store: it")
        else:
            assert fault.startswith(f"store: {problem}")
        server.talk = lmtpd()
        asking.deadline = 10.0
        assert asking.ask(b"fred").good


def test_replies_without_end_are_cut() -> None:
    """Whatever they say."""
    long = b"250-" + b"x" * 4000 + b"\r\n"
    with Fake(lmtpd(mail=long * 100)) as server:
        with pytest.raises(UpstreamError) as caught:
            client(server.address).ask(b"fred")
        assert str(MAX_REPLIES) in str(caught.value) or "more than" in str(caught.value)


@pytest.mark.parametrize("rset", [b"503 no\r\n", b"550 5.1.1 no\r\n", OK + OK, OK + b"2"])
def test_replies_that_do_not_fit_the_commands_are_a_fault(rset: bytes) -> None:
    """The answer was that to another command, or will be."""
    with Fake(lmtpd(rset=rset)) as server:
        asking = client(server.address)
        for count in (1, 2):
            with pytest.raises(
                UpstreamError, match="its replies do not fit our commands"
            ) as caught:
                asking.ask(b"fred")
            more = "" if rset.startswith(b"5") else ", and something more"
            first = rset.partition(b"\r\n")[0].decode()
            assert str(caught.value).endswith(f"RSET is answered with {first}{more}")
            assert server.connections == count


@pytest.mark.parametrize("lhlo", [LHLO, PLAIN_LHLO], ids=["pipelining", "plain"])
def test_an_rset_that_nobody_answers_does_not_cost_the_deadline(
    lhlo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is there already; the connection is not used again."""
    monkeypatch.setattr("gateway.upstream.lmtpclient.RSET_SECONDS", 0.1)
    with Fake(lmtpd(lhlo=lhlo, rset=b"")) as server:
        asking = client(server.address, NEVER_S)
        for count in (1, 2):
            assert asking.ask(b"fred").good
            assert server.connections == count
        assert asking.ask(b"unknown").code == 550
        assert server.connections == 3


def test_an_answer_stands_where_the_server_ends_the_connection_behind_it() -> None:
    """Some do so after a refusal."""

    def ends(peer: socket.socket) -> None:
        peer.sendall(GREETING)
        peer.recv(4096)
        peer.sendall(PLAIN_LHLO)
        peer.recv(4096)
        peer.sendall(OK)
        peer.recv(4096)
        peer.sendall(UNKNOWN + b"421 4.3.2 enough\r\n")

    with Fake(ends) as server:
        assert client(server.address).ask(b"unknown").code == 550


def test_a_connection_that_the_server_has_ended_is_replaced() -> None:
    """lmtpd closes those that are idle for long."""
    with Fake(lmtpd()) as server:
        asking = client(server.address)
        for _ in range(3):
            assert asking.ask(b"fred").good
            server.hang_up()
        assert server.connections == 3


def test_an_address_that_no_command_can_hold_is_not_asked_for() -> None:
    """It says nothing against the server."""
    with Fake(lmtpd()) as server:
        with pytest.raises(ProtocolError):
            client(server.address).ask(b"fred\r\nQUIT")
        assert server.connections == 0


DEFERRED = b"451 4.3.0 System I/O error\r\n"


@pytest.mark.parametrize(
    ("reply", "creates"),
    [(DEFERRED, True), (UNKNOWN, False), (OK, False), (b"451 4.2.1 later\r\n", False)],
)
def test_a_server_that_makes_mailboxes_is_known_by_what_it_cannot_make(
    reply: bytes, creates: bool
) -> None:
    """It is asked once, before anybody else, and heard of once; where it is spared, nobody is."""
    for spared in (False, True):
        heard: list[bytes] = []
        reports: list[str] = []
        with Fake(lmtpd(rcpt=reply, heard=heard)) as server:
            asking = LmtpClient(
                Dialer("store", server.address),
                name=b"mx",
                creators=Creators(reports.append, are_spared=spared),
            )
            MADE.append(asking)
            asking.greet(time.monotonic() + 10.0)
            assert heard[2] == b"RCPT TO:<no&one>\r\n"
            assert asking.creates is creates
            if creates and spared:
                with pytest.raises(NotTaken, match="autocreate_post"):
                    asking.ask(b"unknown")
            else:
                assert asking.ask(b"unknown").code == 550
            assert len(reports) == creates
            assert heard.count(b"RCPT TO:<no&one>\r\n") == 1


def test_a_greeting_asks_about_nobody() -> None:
    """Where nobody wants to know what the server makes."""
    heard: list[bytes] = []
    with Fake(lmtpd(heard=heard)) as server:
        asking = client(server.address)
        asking.greet(time.monotonic() + 10.0)
        assert asking.creates is None
    assert heard == [b"LHLO mx.example.org\r\n"]
