"""TLS around a session: a client in the same process, over memory; then over sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.frontends.socketmap_session import SocketmapSession
from gateway.protocols.socketmap import encode
from gateway.server.server import Server
from gateway.server.tlssession import TlsSession
from gateway.upstream.tls import TlsFiles, client_context, server_context
from gateway.verification.kinds import Kind
from gateway.verification.model import Verdict
from tests.support.fakes import DEADLINE_S
from tests.support.lines import Lines, dispatcher
from tests.support.tls_talk import Certificates, Everybody, Talk


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once."""
    return Certificates(str(tmp_path_factory.mktemp("certificates")))


def both(
    certificates: Certificates, *, mutual: bool = True
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server and of a client that like each other."""
    return (
        server_context(certificates.files(certificates.server), verify_clients=mutual),
        client_context(certificates.files(certificates.client if mutual else None)),
    )


@pytest.mark.parametrize("mutual", [True, False])
def test_questions_are_answered_through_tls(certificates: Certificates, mutual: bool) -> None:
    """One, many in one piece, and one after a protocol error never."""
    talk = Talk(*both(certificates, mutual=mutual))
    assert not talk.session.idle
    talk.handshake()
    assert talk.session.idle
    assert talk.say(encode(b"m fred")) == encode(b"OK fred")
    assert talk.say(encode(b"m a") * 200) == encode(b"OK a") * 200
    assert talk.say(b"6:m fr") == b""
    assert not talk.session.idle
    assert talk.say(b"ed,") == encode(b"OK fred")
    assert talk.say(b"nonsense").startswith(b"34:PERM Bad protocol")
    assert talk.session.finished


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_every_split_of_the_bytes_gives_the_same(
    certificates: Certificates, cuts: list[int]
) -> None:
    """Records come in whatever pieces."""

    def cut(data: bytes) -> list[bytes]:
        pieces, start = [], 0
        for length in cuts * (len(data) // min(cuts) + 1):
            if start >= len(data):
                break
            pieces.append(data[start : start + length])
            start += length
        return pieces

    talk = Talk(*both(certificates), cut)
    talk.handshake()
    assert talk.say(encode(b"m fred") * 3) == encode(b"OK fred") * 3


def test_a_record_that_came_with_another_is_answered_after_a_fresh_look(
    certificates: Certificates,
) -> None:
    """It may have been sent after the tick's look at the files, as a pipelined request may."""
    engine = Everybody()
    talk = Talk(*both(certificates), inner=SocketmapSession(engine))
    talk.handshake()
    talk.tls.write(encode(b"m fred"))
    assert talk.say(encode(b"m joe")) == encode(b"OK fred") + encode(b"OK joe")
    assert engine.looks == 1


def test_more_than_a_turns_worth(certificates: Certificates) -> None:
    """Whatever the session inside leaves for later is not lost."""
    lines = Lines("a", [])
    talk = Talk(*both(certificates), inner=lines)
    talk.handshake()
    assert talk.say(b"".join(b"%d\n" % n for n in range(50))) == b"".join(
        b"%d\n" % n for n in range(50)
    )
    assert talk.say(b"known\n") == b"at once\n"


def test_a_question_for_another_server(certificates: Certificates) -> None:
    """Its reply goes through TLS as well."""
    talk = Talk(*both(certificates), inner=Lines("a", []))
    talk.handshake()
    assert talk.say(b"far one\n") == b""
    assert talk.session.pending is not None
    talk._incoming.write(talk.session.resolved(Verdict(Kind.DELIVERABLE, b"found")))
    assert talk.read() == b"far one found\n"


def test_a_client_that_says_goodbye(certificates: Certificates) -> None:
    """close_notify is the end of what it sends."""
    lines = Lines("a", [])
    talk = Talk(*both(certificates), inner=lines)
    talk.handshake()
    with pytest.raises(ssl.SSLWantReadError):
        talk.tls.unwrap()
    talk.session.receive(talk._outgoing.read())
    assert lines.ended


@pytest.mark.parametrize("after", [False, True])
def test_a_client_that_goes_away(certificates: Certificates, after: bool) -> None:
    """Without a word, before the handshake or after it."""
    lines = Lines("a", [])
    talk = Talk(*both(certificates), inner=lines)
    if after:
        talk.handshake()
    talk.session.receive(b"")
    assert lines.ended is after
    assert talk.session.finished is not after


WRONG = {
    "none": "peer did not return a certificate",
    "unknown": "unable to get local issuer certificate",
    "expired": "certificate has expired",
}


@pytest.mark.parametrize("who", WRONG)
def test_a_client_with_a_wrong_certificate_is_refused(certificates: Certificates, who: str) -> None:
    """It hears why, and nothing it says is heard."""
    pair = None if who == "none" else getattr(certificates, who)
    server, _ = both(certificates)
    lines = Lines("a", [])
    talk = Talk(server, client_context(certificates.files(pair)), inner=lines)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert|certificate"):
        talk.handshake()
        talk.say(b"one\n")
    assert talk.session.finished
    assert lines.received == 0
    (complaint,) = talk.complaints
    assert complaint.lower().replace("_", " ") == f"tls: {WRONG[who]}"


@pytest.mark.parametrize("who", ["unknown", "expired", "client"])
def test_a_server_with_a_wrong_certificate_is_refused(certificates: Certificates, who: str) -> None:
    """Unknown, out of date, or valid for another host."""
    server = server_context(certificates.files(getattr(certificates, who)), verify_clients=False)
    talk = Talk(server, client_context(certificates.files(None)))
    with pytest.raises(ssl.SSLCertVerificationError):
        talk.handshake()


@pytest.mark.parametrize("junk", [b"6:m fred,", b"\0" * 600, b"\x16\x03\x01" + b"\xff" * 600])
def test_who_does_not_speak_tls_is_parted_from(certificates: Certificates, junk: bytes) -> None:
    """In plain text, or in nonsense."""
    talk = Talk(*both(certificates))
    for start in range(0, len(junk), 100):
        talk.session.receive(junk[start : start + 100])
    talk.session.replies()
    assert talk.session.finished == bool(talk.complaints)
    if not talk.session.finished:
        assert not talk.session.idle  # so that the request's time limit ends it


def test_old_versions_are_refused(certificates: Certificates) -> None:
    """TLS 1.1 always; TLS 1.2 where only 1.3 is wanted."""
    only13 = TlsFiles(
        certificate=certificates.server.certificate,
        key=certificates.server.key,
        tls13_only=True,
    )
    client = client_context(certificates.files(None))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    talk = Talk(server_context(only13, verify_clients=False), client)
    with pytest.raises(ssl.SSLError):
        talk.handshake()
    server, client = both(certificates)
    assert server.minimum_version == client.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_server_on_a_socket(certificates: Certificates) -> None:
    """The server that moves the bytes need not know of TLS."""
    import threading

    import gevent

    server_side, client_side = both(certificates)
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(
            listener,
            lambda _peer: TlsSession(server_side, SocketmapSession(Everybody()), print),
            dispatcher(),
        )
        server.start()
        address = listener.getsockname()

        def ask() -> None:
            with (
                socket.create_connection(address, DEADLINE_S) as plain,
                client_side.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
            ):
                for _ in range(3):
                    secured.sendall(encode(b"m fred"))
                    answers.append(secured.recv(100))
                secured.sendall(b"nonsense")
                answers.append(secured.recv(100))
                answers.append(secured.recv(100))

        thread = threading.Thread(target=ask)
        thread.start()
        with gevent.Timeout(DEADLINE_S):
            while thread.is_alive():
                gevent.sleep(0.001)
        server.close()
    assert answers == [encode(b"OK fred")] * 3 + [
        encode(b"PERM Bad protocol (missing length)"),
        b"",
    ]


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[str]:
    """A file that holds no certificate."""
    path = tmp_path / "broken.pem"
    path.write_text("nothing")
    yield str(path)


def test_files_that_cannot_be_used(certificates: Certificates, broken: str) -> None:
    """The message names the option, the file and what to do."""
    good = certificates.server
    cases = [
        (TlsFiles(certificate="/nonexistent"), "tls.certificate: /nonexistent cannot be read"),
        (
            TlsFiles(certificate=good.certificate, key="/nonexistent"),
            "tls.key: /nonexistent cannot",
        ),
        (TlsFiles(certificate=broken), f"tls.certificate: {broken} and the key in it cannot be"),
        (
            TlsFiles(certificate=good.certificate, key=certificates.client.key),
            "tls.certificate: .* KEY_VALUES_MISMATCH",
        ),
        (TlsFiles(ca="/nonexistent"), "tls.ca: /nonexistent cannot be read"),
        (TlsFiles(ca=broken), f"tls.ca: {broken} holds no certificate"),
    ]
    for files, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            client_context(files)
