"""Starts, restarts, reloads and violent deaths, while mail comes in."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import pytest

from tests.interfaces.askcases import MailSite
from tests.interfaces.conftest import open_site
from tests.interfaces.load import BAD, GOOD, SMTP_INTERFACES, Load
from tests.interfaces.model import Interface
from tests.interfaces.small import DEFAULTS, TABLES, rcpt, small_store
from tests.rigs.cyrus import Cyrus
from tests.rigs.gateway import FRONT_ENDS
from tests.rigs.milter import MilterClient, MilterError
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

UNKNOWN = b"550 5.1.1 User unknown"


@pytest.fixture
def cyrus() -> Iterator[Cyrus]:
    """A store with one user."""
    with small_store() as store:
        yield store


@pytest.fixture
def site(cyrus: Cyrus) -> Iterator[MailSite]:
    """A gateway and MTAs on that store, started in this order."""
    with open_site(cyrus, TABLES) as everything:
        yield everything


def count(deferred: Mapping[Interface, Counter[bytes]]) -> int:
    """How many replies there are."""
    return sum(replies.total() for replies in deferred.values())


def inodes(site: MailSite) -> list[int]:
    """The sockets' inodes."""
    return [os.stat(site.gateway.path(front)).st_ino for front in FRONT_ENDS]


@pytest.mark.milter
def test_mtas_before_the_gateway(cyrus: Cyrus) -> None:
    """An MTA that runs before the gateway defers, and serves as soon as the gateway does."""
    with open_site(cyrus, TABLES, started=False) as site:
        assert {interface: rcpt(site, interface) for interface in SMTP_INTERFACES} == DEFAULTS
        site.gateway.start()
        for interface in SMTP_INTERFACES:
            wait_until(
                lambda interface=interface: rcpt(site, interface).startswith(b"250"),  # type: ignore[misc]
                f"{interface.value} accepts",
            )


def test_gateway_before_the_mtas(site: MailSite) -> None:
    """An MTA that starts when the gateway runs serves at once."""
    for interface in SMTP_INTERFACES:
        assert rcpt(site, interface).startswith(b"250")


@pytest.mark.milter
def test_restart_while_mail_comes_in(site: MailSite) -> None:
    """Twenty sessions see a restart as nothing worse than a temporary refusal."""
    with Load(site, sessions=20) as load:
        load.wait_accepted()
        site.gateway.restart()
        load.wait_accepted()
    assert not load.refused()
    assert not load.passed()
    print(f"a restart: {count(load.deferred())} temporary refusals")


@pytest.mark.milter
def test_reload_while_mail_comes_in(site: MailSite) -> None:
    """Reloads in a row, each a new set of processes, refuse nobody, not even for the moment."""
    before = inodes(site)
    with Load(site, sessions=20) as load:
        for timeout in (31, 32, 33):
            load.wait_accepted()
            site.gateway.reload({"policy": {"request_timeout": timeout}})
        load.wait_accepted()
    assert not load.refused()
    assert not load.deferred()
    assert not load.passed()
    assert inodes(site) == before


@pytest.mark.parametrize(
    ("process", "interfaces"),
    [
        ("milter", (Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER)),
        ("core", (Interface.POSTFIX_MAPS, Interface.POSTFIX_POLICY, Interface.SENDMAIL_MAP)),
    ],
)
def test_killed_while_mail_comes_in(
    site: MailSite, process: str, interfaces: Sequence[Interface]
) -> None:
    """A process that is killed is replaced on the same sockets; meanwhile the MTAs defer."""
    before = inodes(site)
    (pid,) = site.gateway.pids(process)
    with Load(site, sessions=10, interfaces=interfaces) as load:
        load.wait_accepted()
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        load.wait_accepted()
        print(f"{process} killed: every session served {time.monotonic() - began:.2f} s later")
    assert not load.refused()
    assert not load.passed()
    (other,) = site.gateway.pids(process)
    assert other != pid
    assert inodes(site) == before
    deferred = load.deferred()
    print(f"{process} killed: {count(deferred)} temporary refusals")
    # Meanwhile each MTA says what it says by default; Sendmail has many texts for it.
    for interface, replies in deferred.items():
        assert {reply[:9] for reply in replies} == {DEFAULTS[interface][:9]}


@pytest.mark.parametrize("interface", [Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER])
def test_a_session_whose_milter_was_killed(site: MailSite, interface: Interface) -> None:
    """The MTA says what it says by default; the next session has another milter."""
    (pid,) = site.gateway.pids("milter")
    with Conversation(site.smtp(interface)) as client:
        assert client.mail(b"joe@sender.test").code == 250
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in site.gateway.pids("milter"), "the milter is gone")
        assert client.rcpt(GOOD).last == DEFAULTS[interface]
    wait_until(lambda: rcpt(site, interface).startswith(b"250"), f"{interface.value} accepts")


def test_what_the_other_process_says_meanwhile(site: MailSite) -> None:
    """While the milter is gone, the core answers, and the other way round."""
    for process, others in (
        ("milter", (Interface.POSTFIX_MAPS, Interface.POSTFIX_POLICY, Interface.SENDMAIL_MAP)),
        ("core", (Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER)),
    ):
        (pid,) = site.gateway.pids(process)
        os.kill(pid, signal.SIGKILL)
        assert all(rcpt(site, interface).startswith(b"250") for interface in others)
        site.gateway.wait_log(f"{process} (pid {pid}) was ended by SIGKILL")


def test_a_session_goes_on_over_a_reload(site: MailSite) -> None:
    """A client that was there before a reload gets the same replies after it, at every interface."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(Conversation(site.smtp(interface))) for interface in SMTP_INTERFACES
        ]
        for client in clients:
            client.mail(b"joe@sender.test")
        before = [client.rcpt(BAD).last for client in clients]
        site.gateway.reload({"policy": {"request_timeout": 31}})
        assert [client.rcpt(BAD).last for client in clients] == before
        assert all(client.rcpt(GOOD).code == 250 for client in clients)


def test_the_old_milter_ends_when_its_last_session_does(site: MailSite) -> None:
    """After a reload the old milter takes nobody new, and waits for the MTAs that it has."""
    (old,) = site.gateway.pids("milter")
    with MilterClient(site.gateway.path("milter")) as mta:
        mta.connect()
        mta.mail()
        site.gateway.reload()
        assert mta.rcpt(b"<nobody@example.org>") == UNKNOWN
        assert old in site.gateway.pids("milter")
    site.gateway.wait_log(f"milter (pid {old}) ended with exit code 0")


@pytest.mark.slow
def test_the_milter_stops_at_once(site: MailSite) -> None:
    """At the end the milter does not wait for its MTAs, and nothing has to be killed."""
    with MilterClient(site.gateway.path("milter")) as mta:
        mta.connect()
        mta.mail()
        (pid,) = site.gateway.pids("milter")
        began = time.monotonic()
        site.gateway.stop()
        print(f"stopped with a session in progress after {time.monotonic() - began:.2f} s")
        with pytest.raises((MilterError, OSError)):
            mta.rcpt(b"<fred@example.org>")
        log = "\n".join(site.gateway.log())
        assert f"milter (pid {pid}) ended with exit code 0" in log
        assert "did not stop in time" not in log


def test_many_kills_in_a_row(site: MailSite) -> None:
    """A process that dies again and again is started again and again, on the same socket."""
    before = inodes(site)
    for _ in range(3):
        for process in ("milter", "core"):
            (pid,) = wait_until(
                lambda process=process: site.gateway.pids(process),  # type: ignore[misc]
                f"there is a {process}",
            )
            os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda pid=pid, process=process: (  # type: ignore[misc]
                    pid not in site.gateway.pids(process) and site.gateway.pids(process)
                ),
                f"there is another {process}",
            )
    for interface in SMTP_INTERFACES:
        wait_until(
            lambda interface=interface: rcpt(site, interface).startswith(b"250"),  # type: ignore[misc]
            f"{interface.value} accepts",
        )
    assert inodes(site) == before
