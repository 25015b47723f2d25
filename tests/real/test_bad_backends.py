"""A whole gateway before backends that answer, hang, lie, and come back."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.rigs.folders import folder
from tests.rigs.gateway import Gateway
from tests.rigs.processes import run
from tests.rigs.program import gateway_python
from tests.rigs.require import require
from tests.rigs.socketmap import Connection, request
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, record
from tests.support.fakes import (
    DEADLINE_S,
    Fake,
    Talk,
    echo,
    hangs,
    read_netstring,
    reply,
    sends,
    smmapd,
)

pytestmark = pytest.mark.real

AWAY = b"TEMP Mailbox server is not available"


class Gate:
    """A backend that answers once it is open."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.open = threading.Event()

    def talk(self, peer: socket.socket) -> None:
        """Wait, then answer."""
        while question := read_netstring(peer):
            self.asked.append(question)
            assert self.open.wait(DEADLINE_S)
            peer.sendall(reply(echo(question.partition(b" ")[2])))


class Site:
    """A gateway whose mailboxes are on two backends, `good` and `bad`."""

    def __init__(self, stack: ExitStack) -> None:
        where = stack.enter_context(folder("bb"))
        self.good = stack.enter_context(Fake(smmapd(echo)))
        self.bad = stack.enter_context(Fake(smmapd(echo)))
        store = FlatStore(where, {b"user.here": record()})
        for number in range(200):
            for name, fake in ((b"good", self.good), (b"bad", self.bad)):
                value = b"%%(T r P default S %b A %%() I 1)" % str(fake.address).encode()
                store.mailboxes[b"user.%b%d" % (name, number)] = value
        store.write()
        self.gateway = stack.enter_context(
            Gateway(store.conf_path, {"murder": {"deadline": 15}}, front_ends=("socketmap",))
        )
        self.gateway.start()
        self._stack = stack

    def connect(self) -> Connection:
        """One more client."""
        return self._stack.enter_context(Connection.to(self.gateway.path("socketmap")))

    def behave(self, talk: Talk) -> None:
        """From now on the bad backend does that."""
        self.bad.talk = talk
        self.bad.hang_up()


@pytest.fixture
def site() -> Iterator[Site]:
    """A gateway of the test's own: backends are remembered for their faults."""
    require("cyrus")  # for its user
    with ExitStack() as stack:
        yield Site(stack)


def test_a_backend_that_hangs_holds_up_nobody_else(site: Site) -> None:
    """However many ask for its recipients."""
    site.behave(hangs)
    waiting = []
    for number in range(100):
        client = site.connect()
        client.send(request(b"bad%d" % number))
        waiting.append(client)
    wait_until(lambda: site.bad.connections, "the backend is asked")
    other = site.connect()
    for number in range(100):
        assert other.ask(b"good%d" % number) == b"OK good%d" % number
        assert other.ask(b"here") == b"OK here"
    looking = select.poll()
    for client in waiting:
        looking.register(client._link, select.POLLIN)
    assert looking.poll(0) == []
    # It is let go of; some find it hanging again, until it is given a rest.
    site.behave(sends(b""))
    assert {client.receive() for client in waiting} == {AWAY}


def test_the_same_recipient_asked_a_hundred_times_is_one_question(site: Site) -> None:
    """And all who asked are answered."""
    gate = Gate()
    site.behave(gate.talk)
    clients = [site.connect() for _ in range(100)]
    for client in clients:
        client.send(request(b"bad7"))
    wait_until(lambda: gate.asked, "the backend is asked")
    # Clients whose question was read wait for the same answer; nothing is read from them before.
    assert site.connect().ask(b"here") == b"OK here"
    gate.open.set()
    assert {client.receive() for client in clients} == {b"OK bad7"}
    assert len(gate.asked) < 10


BAD: list[Talk] = [
    sends(b""),
    sends(b"7:OK b"),
    sends(reply(b"OK good7")),
    sends(reply(b"OK " + b"x" * 1_000_000)),
    sends(b"220 mail.example.org ESMTP\r\n"),
]


@pytest.mark.parametrize("talk", BAD)
def test_a_bad_answer_is_a_temporary_failure(site: Site, talk: Talk) -> None:
    """With the reason in the log; other recipients are unharmed, and it is over by itself."""
    site.behave(talk)
    client = site.connect()
    for number in range(10):
        assert client.ask(b"bad%d" % number) == AWAY
        assert client.ask(b"good%d" % number) == b"OK good%d" % number
    site.gateway.wait_log(f"{site.bad.address}: ")
    site.behave(smmapd(echo))
    wait_until(lambda: client.ask(b"bad7") == b"OK bad7", "the backend is asked again")


def test_a_backend_that_flaps(site: Site) -> None:
    """Every answer is its own or a temporary failure, and none is about somebody else."""
    client = site.connect()
    talks: list[Talk] = [smmapd(echo), sends(b""), smmapd(echo), sends(b"6:OK"), sends(b"x")]
    for talk in talks:
        site.behave(talk)
        for number in range(20):
            assert client.ask(b"bad%d" % number) in (AWAY, b"OK bad%d" % number)
    site.behave(smmapd(echo))
    wait_until(lambda: client.ask(b"bad7") == b"OK bad7", "the backend is asked again")


def test_explain_shows_the_hop(site: Site) -> None:
    """The server that was asked, and what it said, or why it said nothing."""
    python, source = gateway_python("root")

    def explain() -> dict[str, object]:
        argv = [python, "-m", "gateway.cli.main", "explain", "--json", "bad7"]
        out = run([*argv, "-c", site.gateway.configuration], env={"PYTHONPATH": source})
        steps: list[dict[str, object]] = json.loads(out)["steps"]
        return next(step for step in steps if step["step"] == "backend")

    server = str(site.bad.address)
    assert explain() == {"step": "backend", "server": server, "answer": "OK bad7"}
    site.behave(sends(b"7:OK b"))
    assert explain() == {
        "step": "backend",
        "server": server,
        "problem": "it closed the connection before a whole reply",
    }
