"""A real Murder: the gateway on a frontend, the C smmapd on one backend and ours on the other."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.interfaces.askcases import ask_policy, policy_request
from tests.interfaces.model import Case, Rcpt
from tests.rigs.cyrus import Cyrus
from tests.rigs.gateway import Gateway, Tables
from tests.rigs.imap import ALL_RIGHTS
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.murder import DOMAIN, Murder
from tests.rigs.program import smmapd_program
from tests.rigs.require import require
from tests.rigs.socketmap import Connection, ask, request
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# Of a question for a backend: enough on a busy machine; short where no answer can come, so that
# a backend that hangs costs the test little; and long where others are to be answered meanwhile.
DEADLINE_S = 10.0
SHORT_S = 1.0
LONG_S = 60.0

# Asked while another question hangs: a few dozen milliseconds of work.
QUESTIONS = 20

# What the interfaces say: socketmap (the key follows OK), policy, milter.
OVER_QUOTA = (b"TEMP Over quota", b"DEFER_IF_PERMIT 4.2.2", b"452 4.2.2")
UNKNOWN = (b"NOTFOUND Mailbox does not exist", b"550 5.1.1", b"550 5.1.1")
AWAY = (
    b"TEMP Mailbox server is not available",
    b"DEFER_IF_PERMIT 4.4.3",
    b"451 4.4.3",
)


@dataclass(frozen=True)
class Site:
    """The Murder and the gateway on its frontend."""

    murder: Murder
    gateway: Gateway

    def replies(self, user: bytes) -> tuple[bytes, bytes, bytes]:
        """What socketmap, policy and milter say of a recipient."""
        address = user + b"@" + DOMAIN.encode()
        (mapped,) = ask(self.gateway.path("socketmap"), address)
        rcpt = Rcpt(address)
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(30)
            link.connect(self.gateway.path("policy"))
            action = ask_policy(link, policy_request(Case("murder", (rcpt,)), rcpt))
        with MilterClient(self.gateway.path("milter")) as mta:
            mta.connect()
            mta.mail()
            return mapped, action, mta.rcpt(b"<%s>" % address)

    def says(self, user: bytes, expected: tuple[bytes, bytes, bytes]) -> bool:
        """Whether all three interfaces do, by the beginnings of their replies."""
        replies = self.replies(user)
        return all(map(bytes.startswith, replies, expected))

    def wait_for(self, user: bytes) -> None:
        """Wait until the recipient's backend is asked again, by both processes."""
        wait_until(lambda: self.replies(user) == ok(user), "the backend is asked again")

    def move(self, user: bytes, source: int, target: int) -> None:
        """Move a mailbox between the backends, by number."""
        with self.murder.backends[source].admin() as admin:
            admin.command("XFER", b'"user/%s"' % user, self.murder.addresses[target].encode())


def ok(user: bytes) -> tuple[bytes, bytes, bytes]:
    """What the interfaces say of a recipient that gets its mail."""
    return b"OK %s@%s" % (user, DOMAIN.encode()), b"DUNNO", CONTINUE


def create(backend: Cyrus, user: bytes, *, full: bool = False) -> None:
    """A mailbox, over quota if so wanted."""
    with backend.admin() as admin:
        admin.create(b"user/" + user)
        if full:
            admin.setacl(b"user/" + user, b"admin", ALL_RIGHTS)
            admin.append(b"user/" + user, 5000)
            admin.setquota(b"user/" + user, storage_kib=4)


@contextmanager
def hanging(backend: Cyrus) -> Iterator[None]:
    """All its processes stand still, and its sockets take connections."""
    members = backend.master.members()
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in members:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """fred and a full mailbox on the first backend (C), joe and another one on the second (ours)."""
    require("cyrus", "murder")
    with Murder(smmapd=smmapd_program()) as murder:
        murder.start()
        for backend, user, full in zip(
            murder.backends, (b"fred", b"joe"), (b"full1", b"full2"), strict=True
        ):
            create(backend, user)
            create(backend, full, full=True)
        tables: Tables = {"scope": {"domains": [DOMAIN]}, "murder": {"deadline": DEADLINE_S}}
        with Gateway(murder.frontend.imapd_conf, tables) as gateway:
            gateway.start()
            yield Site(murder, gateway)


def test_mailboxes_on_either_backend_are_answered_at_every_interface(site: Site) -> None:
    """The backend's quota counts, and who is nowhere is unknown."""
    for user in (b"fred", b"joe"):
        assert site.replies(user) == ok(user)
    for user in (b"full1", b"full2"):
        assert site.says(user, OVER_QUOTA), site.replies(user)
    assert site.says(b"nobody", UNKNOWN), site.replies(b"nobody")


def test_a_mailbox_is_known_as_soon_as_it_is_created(site: Site) -> None:
    """mupdate tells frontends every few seconds; the kick does not wait for that."""
    for number, backend in enumerate(site.murder.backends):
        user = b"new%d" % number
        assert site.says(user, UNKNOWN)
        create(backend, user)
        assert site.replies(user) == ok(user)


def test_a_moved_mailbox_is_followed_at_once(site: Site) -> None:
    """There and back: never unknown, and the quota moves with it."""
    create(site.murder.backends[0], b"mover")
    assert site.replies(b"mover") == ok(b"mover")
    site.move(b"mover", 0, 1)
    assert site.replies(b"mover") == ok(b"mover")
    site.move(b"mover", 1, 0)
    assert site.replies(b"mover") == ok(b"mover")


def test_a_deleted_mailbox_is_unknown_at_once(site: Site) -> None:
    """The backend says so before the frontend's list does."""
    create(site.murder.backends[1], b"leaver")
    assert site.replies(b"leaver") == ok(b"leaver")
    with site.murder.backends[1].admin() as admin:
        admin.delete(b"user/leaver")
    assert site.says(b"leaver", UNKNOWN), site.replies(b"leaver")


@pytest.mark.parametrize("number", [0, 1], ids=["c", "ours"])
def test_a_backend_that_is_stopped_costs_only_its_own_recipients(site: Site, number: int) -> None:
    """A temporary failure for them, and it comes back by itself."""
    theirs, others = (b"fred", b"joe") if number == 0 else (b"joe", b"fred")
    site.murder.stop_backend(number)
    try:
        assert site.says(theirs, AWAY), site.replies(theirs)
        assert site.replies(others) == ok(others)
        assert site.says(b"nobody", UNKNOWN)
    finally:
        site.murder.start_backend(number)
    site.wait_for(theirs)


def test_while_one_backend_hangs_the_recipients_of_the_other_do_not_wait(site: Site) -> None:
    """Many of them are answered while one question hangs; what it costs is printed."""
    interface = site.gateway.path("socketmap")

    def latencies() -> list[float]:
        taken = []
        for _ in range(QUESTIONS):
            start = time.monotonic()
            assert ask(interface, b"joe@" + DOMAIN.encode()) == [b"OK joe@" + DOMAIN.encode()]
            taken.append((time.monotonic() - start) * 1000)
        return sorted(taken)

    site.gateway.reload({"murder": {"deadline": LONG_S}})
    before = latencies()
    with Connection.to(interface) as waiting:
        with hanging(site.murder.backends[0]):
            waiting.send(request(b"fred@" + DOMAIN.encode()))
            meanwhile = latencies()
            assert not waiting.has_reply()
        assert waiting.receive() == ok(b"fred")[0]
    site.gateway.reload({"murder": {"deadline": DEADLINE_S}})
    middle, last = QUESTIONS // 2, -1
    print(
        f"joe's answers, ms: median {before[middle]:.1f}, most {before[last]:.1f};"
        f" while fred's backend hangs {meanwhile[middle]:.1f}, {meanwhile[last]:.1f}"
    )


def test_a_backend_that_hangs_is_given_up_at_the_deadline(site: Site) -> None:
    """Its recipients get a temporary failure, or OK where that is wanted; the others get theirs."""
    with hanging(site.murder.backends[0]):
        site.gateway.reload({"murder": {"deadline": SHORT_S}})
        assert site.says(b"fred", AWAY), site.replies(b"fred")
        site.gateway.reload({"murder": {"unreachable": "ok"}})
        assert site.replies(b"fred") == ok(b"fred")
        site.gateway.reload({"murder": {"deadline": DEADLINE_S, "unreachable": "tempfail"}})
        assert site.replies(b"joe") == ok(b"joe")
    site.wait_for(b"fred")
    assert site.says(b"full1", OVER_QUOTA), site.replies(b"full1")
