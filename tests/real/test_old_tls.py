"""TLS 1.1 on the wire: gateways do not speak it, neither as servers nor as clients.

Whether the test's side speaks it is shown first, between its own client and
server: some builds of OpenSSL cannot.
"""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Iterator

import pytest

from tests.rigs.certificates import Authority, Pair
from tests.rigs.folders import folder
from tests.rigs.gateway import Tables
from tests.rigs.managed import DEADLINE_S, ManagedGateway
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.require import require_command
from tests.rigs.socketmap import request
from tests.support.fakes import Fake, echo, smmapd

pytestmark = pytest.mark.real

FRED = b"fred@example.org"
YES = b"OK " + FRED
# Debian's OpenSSL has the old versions, and no cipher for them above this level.
OLD_CIPHERS = "ALL:@SECLEVEL=0"


class Certificates:
    """One authority, and the names that it vouches for."""

    def __init__(self, where: str) -> None:
        authority = Authority(where, "ca")
        self.ca = authority.pair.certificate
        self.server = authority.sign("server", f"IP:{LOOPBACK}")

    def tables(self) -> Tables:
        """The table [tls] of a gateway."""
        return {
            "tls": {"certificate": self.server.certificate, "key": self.server.key, "ca": self.ca}
        }


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    """For all tests."""
    require_command("openssl", "apt-get install openssl")
    with folder("ot") as where:
        yield Certificates(where)


def _only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.set_ciphers(OLD_CIPHERS)
    with warnings.catch_warnings():
        # That it is deprecated is why it is here.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


def client_of(version: ssl.TLSVersion, ca: str) -> ssl.SSLContext:
    """Speaks no other version."""
    return _only(ssl.create_default_context(cafile=ca), version)


def server_of(version: ssl.TLSVersion, pair: Pair) -> ssl.SSLContext:
    """Speaks no other version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return _only(context, version)


def asked(context: ssl.SSLContext, port: int) -> bytes:
    """The reply to one look-up, through TLS.  Raises ssl.SSLError."""
    with (
        socket.create_connection((LOOPBACK, port), DEADLINE_S) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as secured,
    ):
        secured.sendall(request(FRED))
        reply = b""
        while not reply.endswith(b","):
            piece = secured.recv(4096)
            assert piece, reply
            reply += piece
        return reply.partition(b":")[2][:-1]


OLD, NEWER = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2


def test_the_test_itself_speaks_it(certificates: Certificates) -> None:
    """Else what follows would show nothing."""
    with Fake(smmapd(echo), context=server_of(OLD, certificates.server)) as fake:
        port = fake.listener.getsockname()[1]
        assert asked(client_of(OLD, certificates.ca), port) == YES


def test_a_gateway_refuses_a_client(certificates: Certificates) -> None:
    """With an alert, and a line that says who and why; the next client is served."""
    (port,) = free_ports(1)
    listen = [f"inet:{LOOPBACK}:{port}?tls=yes"]
    with ManagedGateway({"socketmap": {"listen": listen}, **certificates.tables()}) as managed:
        # A client needs no certificate of its own here.
        managed.configure({"tls": {"verify_clients": False}})
        managed.begin()
        with pytest.raises(ssl.SSLError, match="alert protocol version"):
            asked(client_of(OLD, certificates.ca), port)
        (line,) = managed.wait_log(f"[{LOOPBACK}]", "TLS:", "disconnected")
        assert "UNSUPPORTED_PROTOCOL" in line
        assert asked(client_of(NEWER, certificates.ca), port) == YES


@pytest.mark.parametrize(("version", "answer"), [(OLD, b"TEMP "), (NEWER, YES)])
def test_a_gateway_asks_no_such_server(
    certificates: Certificates, version: ssl.TLSVersion, answer: bytes
) -> None:
    """It is a temporary failure, and no question is sent."""
    questions: list[bytes] = []
    talk = smmapd(echo, questions)
    with Fake(talk, context=server_of(version, certificates.server)) as fake:
        store = f"socketmap+tls://{LOOPBACK}:{fake.listener.getsockname()[1]}"
        tables: Tables = {
            "": {"store": store},
            "remote": {"deadline": 30.0},
            **certificates.tables(),
        }
        with ManagedGateway(tables) as managed:
            managed.begin()
            assert managed.ask("socketmap", FRED).startswith(answer)
            assert len(questions) == (0 if version is OLD else 1)
            if version is OLD:
                managed.wait_log("TLS")
