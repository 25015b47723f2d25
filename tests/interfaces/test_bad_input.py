"""What no MTA would send, at the policy and the milter socket of a running gateway.

Each time the protocol's own way of failing, a line in the log, and nobody
else is affected: a client that was there before is answered as ever.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.observability.logging.handlers import LINES_OF_A_KIND
from tests.interfaces.askcases import ask_policy
from tests.interfaces.conftest import DOMAINS
from tests.interfaces.kinds import SETTINGS
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.require import require
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

TIMEOUT_S = 60.0
ASKED = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\n"
    b"sender=joe@sender.test\nrecipient=nobody@example.org\n\n"
)
UNKNOWN = b"550 5.1.1 User unknown"
# Far more than the sockets' buffers hold.
MANY = 100_000
# Seconds for a request: far more than one takes here, and little where a test waits for the end.
PATIENT = 60
HASTY = 1
# Of one kind the log has ten lines in half a minute (LINES_OF_A_KIND); a gateway gets fewer cases.
CASES_A_GATEWAY = LINES_OF_A_KIND // 2


@pytest.fixture(scope="module")
def store() -> Iterator[Cyrus]:
    """A store with one user."""
    require("cyrus")
    with Cyrus(SETTINGS) as cyrus:
        cyrus.tools.load_mailboxes([Mailbox("user.fred")])
        yield cyrus


@pytest.fixture(scope="module", params=[(PATIENT, 0)], ids=["patient"])
def gateway(request: pytest.FixtureRequest, store: Cyrus) -> Iterator[Gateway]:
    """A gateway that gives a client so many seconds for a request; another number, another one."""
    seconds, _ = request.param
    settings: Tables = {
        "scope": {"domains": list(DOMAINS)},
        "policy": {"request_timeout": seconds},
    }
    with Gateway(store.imapd_conf, settings) as served:
        served.start()
        yield served


hasty = pytest.mark.parametrize("gateway", [(HASTY, 0)], ids=["hasty"], indirect=True)


@pytest.fixture
def pids(gateway: Gateway) -> Iterator[None]:
    """Clients that were there before, and processes that are the same afterwards."""
    before = gateway.pids("core"), gateway.pids("milter")
    with ExitStack() as stack:
        link = stack.enter_context(policy(gateway))
        mta = stack.enter_context(MilterClient(gateway.path("milter")))
        mta.connect()
        mta.mail()
        yield
        assert ask_policy(link, ASKED) == UNKNOWN
        assert mta.rcpt(b"<nobody@example.org>") == UNKNOWN
    assert (gateway.pids("core"), gateway.pids("milter")) == before
    assert not [line for line in gateway.log() if "Traceback" in line]


def policy(gateway: Gateway) -> socket.socket:
    """A connection to the policy server."""
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(TIMEOUT_S)
    link.connect(gateway.path("policy"))
    return link


def rest(link: socket.socket) -> bytes:
    """Everything until the server closes."""
    out = b""
    while True:
        try:
            data = link.recv(65536)
        except ConnectionResetError:
            return out
        if not data:
            return out
        out += data


# --- policy -----------------------------------------------------------------------------------

FLAWED = {
    "no equals sign": (b"request=smtpd_access_policy\nrecipient\n\n", "without '='"),
    "a line that is too long": (b"recipient=" + b"x" * 9000 + b"\n\n", "8192"),
    "a line without an end": (b"x" * 70_000, "8192"),
    "too many attributes": (b"a=b\n" * 1000, "attributes"),
    "a request without an end": (
        b"".join(b"%d=%s\n" % (n, b"x" * 8000) for n in range(9)),
        "65536",
    ),
    "another kind of request": (b"request=junk\n\n", "request"),
    "an attribute twice": (b"recipient=a\nrecipient=b\n\n", "recipient"),
    "a size that is not a number": (b"request=smtpd_access_policy\nsize=1e3\n\n", "size"),
    "a line of another protocol": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "without '='"),
    "a NUL byte in an address": (ASKED.replace(b"nobody@", b"no\0body@"), "NUL byte"),
    "a NUL byte in a name of no interest": (b"helo_name=\0\n" + ASKED, "NUL byte"),
    "NUL bytes instead of lines": (b"\0" * 100 + b"\n\n", "NUL byte"),
}


@pytest.mark.usefixtures("pids")
@pytest.mark.parametrize(
    ("gateway", "flaw"),
    [
        pytest.param((PATIENT, number // CASES_A_GATEWAY), flaw, id=flaw)
        for number, flaw in enumerate(FLAWED)
    ],
    indirect=["gateway"],
)
def test_policy_says_nothing_and_closes(gateway: Gateway, flaw: str) -> None:
    """What breaks the protocol gets no action: smtpd would take it for one to another question.

    Each has its line in the log, and the line says why.
    """
    data, word = FLAWED[flaw]
    before = len(gateway.log())
    with policy(gateway) as link:
        assert ask_policy(link, ASKED) == UNKNOWN
        link.sendall(data)
        assert rest(link) == b""

    def complaints() -> list[str]:
        lines = gateway.log()[before:]
        return [line for line in lines if "policy client" in line and "disconnected" in line]

    (line,) = wait_until(complaints, "the log says why the client was disconnected")
    assert word in line


@pytest.mark.usefixtures("pids")
def test_policy_takes_a_byte_at_a_time(gateway: Gateway) -> None:
    """A request may come in as many pieces as it has bytes."""
    with policy(gateway) as link:
        for position in range(len(ASKED)):
            link.sendall(ASKED[position : position + 1])
        assert ask_policy(link, b"") == UNKNOWN


@hasty
@pytest.mark.usefixtures("pids")
def test_policy_does_not_wait_for_ever(gateway: Gateway) -> None:
    """A request that never ends is given up after request_timeout."""
    with policy(gateway) as link:
        link.sendall(ASKED[:50])
        assert rest(link) == b""


@pytest.mark.usefixtures("pids")
def test_policy_and_a_client_that_leaves(gateway: Gateway) -> None:
    """A client that is gone in the middle of a request, or before it takes its action, is let go."""
    for _ in range(50):
        with policy(gateway) as link:
            link.sendall(ASKED + ASKED[:20])


@hasty
@pytest.mark.usefixtures("pids")
def test_policy_and_a_client_that_never_reads(gateway: Gateway) -> None:
    """Nothing more is read from a client that does not take its actions, and at last it is closed."""
    with policy(gateway) as link:
        link.setblocking(False)
        sent = 0
        data = memoryview(ASKED * MANY)
        with policy(gateway) as other:
            try:
                while sent < len(data):
                    sent += link.send(data[sent : sent + 65536])
                    assert ask_policy(other, ASKED) == UNKNOWN
            except BlockingIOError:
                pass
        assert sent < len(data)
        link.settimeout(TIMEOUT_S)
        with pytest.raises(ConnectionError):
            link.sendall(data[sent:])


# --- milter -----------------------------------------------------------------------------------

PACKETS = {
    "a length of 0": struct.pack("!I", 0),
    "a length beyond all": struct.pack("!I", 0xFFFFFFFF) + b"R",
    "a step that nobody knows": struct.pack("!I", 1) + b"\xff",
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "no arguments": struct.pack("!I", 1) + b"R",
    "an argument without its end": struct.pack("!I", 5) + b"Rfred",
    "macros without values": struct.pack("!I", 8) + b"DR{x}\0y\0",
    "an address of no family": struct.pack("!I", 8) + b"Chost\0Z\0",
    "half a packet": struct.pack("!I", 100) + b"R<fred",
}


@pytest.mark.usefixtures("pids")
@pytest.mark.parametrize("packet", PACKETS)
def test_milter_and_broken_packets(gateway: Gateway, packet: str) -> None:
    """A packet that cannot be read ends its connection, and no other one."""
    mta = MilterClient(gateway.path("milter"))
    mta.connect()
    mta.mail()
    assert mta.rcpt(b"<fred@example.org>") == CONTINUE
    mta.send_raw(PACKETS[packet])
    mta.close()


@pytest.mark.usefixtures("pids")
@pytest.mark.parametrize(
    "argument",
    [b"", b"<>", b"\xff\xfe", b"<no\xffbody@example.org>", b"<nobody@example.org", b"x" * 60_000],
    ids=["empty", "null", "not UTF-8", "not UTF-8 at ours", "no bracket", "long"],
)
def test_milter_and_odd_arguments(gateway: Gateway, argument: bytes) -> None:
    """Whatever stands in RCPT has a reply, and the next recipient has its own."""
    with MilterClient(gateway.path("milter")) as mta:
        mta.connect()
        mta.mail(b"<joe\xff@sender.test>", b"SIZE=\xff", b"", b"=")
        assert mta.rcpt(argument, b"NOTIFY=\xff") != b""
        assert mta.rcpt(b"<nobody@example.org>") == UNKNOWN


@pytest.mark.usefixtures("pids")
def test_milter_and_odd_clients(gateway: Gateway) -> None:
    """A client of any family, or with a name that is not UTF-8, has its recipients judged."""
    clients = (
        (b"client.test", b"192.0.2.1", b"4"),
        (b"client.test", b"IPv6:2001:db8::1", b"6"),
        (b"localhost", b"/run/client", b"L"),
        (b"unknown", None, b"U"),
        (b"\xff\xfe", b"192.0.2.1", b"4"),
    )
    for host, address, family in clients:
        with MilterClient(gateway.path("milter")) as mta:
            mta.connect(host, address, family=family)
            mta.mail(macros={b"{auth_authen}": b"\xff", b"i": b"\xff"})
            assert mta.rcpt(b"<nobody@example.org>") == UNKNOWN


@pytest.mark.usefixtures("pids")
def test_milter_and_steps_out_of_order(gateway: Gateway) -> None:
    """RCPT before MAIL, MAIL twice, an abort of nothing: no reply is owed, and nothing is broken."""
    mta = MilterClient(gateway.path("milter"))
    mta.abort()
    mta.connect()
    mta.abort()
    mta.mail()
    mta.mail()
    mta.close()
    mta = MilterClient(gateway.path("milter"))
    mta.send(b"R", b"<fred@example.org>\0")
    mta.close()


@pytest.mark.usefixtures("pids")
def test_milter_clients_follow_each_other(gateway: Gateway) -> None:
    """One connection serves clients one after the other, as Sendmail may do."""
    with MilterClient(gateway.path("milter")) as mta:
        for number in range(3):
            mta.connect(address=b"192.0.2.%d" % number)
            mta.mail()
            assert mta.rcpt(b"<nobody@example.org>") == UNKNOWN
            assert mta.rcpt(b"<fred@example.org>") == CONTINUE
            mta.abort()
            mta.next_client()
    gateway.wait_log("client=192.0.2.2", "verdict=nonexistent")


@pytest.mark.usefixtures("pids")
def test_milter_and_mtas_that_leave(gateway: Gateway) -> None:
    """An MTA may be gone at any step."""
    for steps in range(4):
        mta = MilterClient(gateway.path("milter"))
        for step in (mta.connect, mta.mail, lambda mta=mta: mta.rcpt(b"<x@example.org>"))[:steps]:
            step()
        mta.close()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(gateway.path("milter"))
