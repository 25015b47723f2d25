"""A gateway with several servers in `store`: which one is asked, and what one that is lost costs.

The stores are gateways themselves, on loopback ports.  Each denies the same
recipients in its own words, which tells who was asked.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.rigs.cyrus import Cyrus
from tests.rigs.managed import DEADLINE_S, ManagedGateway
from tests.rigs.ports import LOOPBACK, free_ports
from tests.rigs.require import require
from tests.rigs.waiting import wait_until
from tests.stores import FlatStore, denial, record

pytestmark = pytest.mark.real

INTERFACES = ("socketmap", "policy")
WORDS = (b"first", b"second")
# Enough for both to get some, where the recipient decides: the chance of none is 2^-39.
DENIED = [b"denied%d@example.org" % number for number in range(40)]
# Each question is a real one, and no machine is too slow to answer it.
REMOTE = {"remember_yes": 0, "remember_no": 0, "remember_over_quota": 0, "deadline": 30}


class Site:
    """Two stores, and a gateway that asks them."""

    def __init__(self, stack: ExitStack, order: str) -> None:
        self.ports = free_ports(len(WORDS))
        self.stores = [
            stack.enter_context(self._store(port, word))
            for port, word in zip(self.ports, WORDS, strict=True)
        ]
        servers = [f"socketmap://{LOOPBACK}:{port}" for port in self.ports]
        self.front = stack.enter_context(
            ManagedGateway({"": {"store": servers}, "remote": {**REMOTE, "order": order}})
        )
        for each in (*self.stores, self.front):
            each.begin()

    @contextmanager
    def _store(self, port: int, word: bytes) -> Iterator[ManagedGateway]:
        with ManagedGateway({"socketmap": {"listen": [f"inet:{LOOPBACK}:{port}"]}}) as managed:
            users = [each.partition(b"@")[0] for each in DENIED]
            FlatStore(
                managed.folder,
                mailboxes={b"user." + name: record() for name in (b"fred", *users)},
                denials={name: denial(word) for name in users},
                options={"virtdomains": "userid", "defaultdomain": "example.org"},
            ).write()
            yield managed

    def asked(self, recipient: bytes = DENIED[0]) -> bytes:
        """The word of the store that each interface has asked; both where they did not ask the same."""
        return b" and ".join(sorted({self._word(interface, recipient) for interface in INTERFACES}))

    def _word(self, interface: str, recipient: bytes) -> bytes:
        reply = self.front.ask(interface, recipient)
        return reply.rpartition(b" ")[2]

    def lose(self, number: int) -> None:
        """End a store, with the connections to it, without a word."""
        store = self.stores[number]
        store.signal(signal.SIGKILL)
        store.exit_code()

    def away(self) -> bool:
        """Whether every interface gives a temporary failure."""
        told = {interface: self.front.ask(interface, DENIED[0]) for interface in INTERFACES}
        return told["socketmap"].startswith(b"TEMP ") and b" 4." in told["policy"]


@contextmanager
def site(order: str) -> Iterator[Site]:
    """Two stores that are asked in that order."""
    with ExitStack() as stack:
        yield Site(stack, order)


class Load:
    """Clients that ask all the time; `said` is what they are told."""

    def __init__(self, front: ManagedGateway) -> None:
        self.said: set[bytes] = set()
        self._stop = threading.Event()
        self._front = front
        self._threads = [
            threading.Thread(target=self._ask, args=(interface,)) for interface in INTERFACES
        ]

    def _ask(self, interface: str) -> None:
        with self._front.open(interface) as client:
            while not self._stop.is_set():
                self.said.add(client.ask(DENIED[0]).rpartition(b" ")[2])

    def __enter__(self) -> set[bytes]:
        for thread in self._threads:
            thread.start()
        return self.said

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_failover() -> None:
    """The second is asked only while the first is lost, and nobody is told to come again."""
    with site("failover") as here:
        assert {here.asked(each) for each in DENIED} == {b"first"}
        with Load(here.front) as said:
            wait_until(lambda: said, "there is load", DEADLINE_S)
            here.lose(0)
            assert {here.asked(each) for each in DENIED} == {b"second"}
            here.stores[0].begin()
            wait_until(lambda: here.asked() == b"first", "the first is asked again", DEADLINE_S)
        assert said == {b"first", b"second"}
        assert here.front.ask("socketmap", b"fred@example.org") == b"OK fred@example.org"


def test_both_are_lost() -> None:
    """A temporary failure, until one is back by itself."""
    with site("failover") as here:
        here.lose(0)
        here.lose(1)
        assert here.away()
        here.stores[1].begin()
        wait_until(lambda: here.asked() == b"second", "the second is asked", DEADLINE_S)
        assert {here.asked(each) for each in DENIED} == {b"second"}


def test_spread() -> None:
    """Each gets its share, always the same one; while one is lost the other has all."""
    with site("spread") as here:
        shares = {each: here.asked(each) for each in DENIED}
        assert set(shares.values()) == set(WORDS)
        assert {each: here.asked(each.upper()) for each in DENIED} == shares
        here.lose(0)
        assert {here.asked(each) for each in DENIED} == {b"second"}
        here.stores[0].begin()
        wait_until(
            lambda: {each: here.asked(each) for each in DENIED} == shares,
            "each has its share again",
            DEADLINE_S,
        )


def test_lmtp_servers_over_tcp() -> None:
    """Debian's lmtpd on a port, behind one at which nobody listens; then it is lost, too."""
    require("cyrus")
    nobody, port = free_ports(2)
    options = {"virtdomains": "userid", "defaultdomain": "example.org"}
    store = [f"lmtp://{LOOPBACK}:{nobody}", f"lmtp://{LOOPBACK}:{port}"]
    with Cyrus(options) as cyrus, ManagedGateway({"": {"store": store}, "remote": REMOTE}) as front:
        cyrus.add_service("imap", "imapd")
        # Over TCP lmtpd lets in only who has a password, unless told that all are let in.
        cyrus.add_service("lmtp", "lmtpd -a", listen=f"{LOOPBACK}:{port}")
        cyrus.start()
        with cyrus.admin() as admin:
            admin.create(b"user/fred")
        front.begin()
        answers = {
            b"fred@example.org": (b"OK fred@example.org", b"DUNNO"),
            b"nobody@example.org": (b"NOTFOUND Mailbox does not exist", b"550 5.1.1 "),
        }
        for recipient, (word, action) in answers.items():
            assert front.ask("socketmap", recipient) == word
            assert front.ask("policy", recipient).startswith(action)
        cyrus.stop()
        assert front.ask("socketmap", b"fred@example.org").startswith(b"TEMP ")
        cyrus.start()
        wait_until(
            lambda: front.ask("socketmap", b"fred@example.org") == b"OK fred@example.org",
            "lmtpd is asked again",
            DEADLINE_S,
        )
