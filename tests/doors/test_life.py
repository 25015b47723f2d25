"""Starts, restarts, reloads and violent deaths, while mail comes in."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import pytest

from tests.doors.conftest import open_house
from tests.doors.load import BAD, GOOD, SMTP_DOORS, Load
from tests.doors.model import Door
from tests.doors.players import House
from tests.doors.small import DEFAULTS, TABLES, rcpt, small_store
from tests.rigs.cyrus import Cyrus
from tests.rigs.gateway import FRONTS
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
def house(cyrus: Cyrus) -> Iterator[House]:
    """A gateway and MTAs on that store, started in this order."""
    with open_house(cyrus, TABLES) as everything:
        yield everything


def count(deferred: Mapping[Door, Counter[bytes]]) -> int:
    """How many replies there are."""
    return sum(replies.total() for replies in deferred.values())


def inodes(house: House) -> list[int]:
    """The sockets' inodes."""
    return [os.stat(house.gateway.path(front)).st_ino for front in FRONTS]


@pytest.mark.milter
def test_mtas_before_the_gateway(cyrus: Cyrus) -> None:
    """An MTA that runs before the gateway defers, and serves as soon as the gateway does."""
    with open_house(cyrus, TABLES, started=False) as house:
        assert {door: rcpt(house, door) for door in SMTP_DOORS} == DEFAULTS
        house.gateway.start()
        for door in SMTP_DOORS:
            wait_until(
                lambda door=door: rcpt(house, door).startswith(b"250"),  # type: ignore[misc]
                f"{door.value} accepts",
            )


def test_gateway_before_the_mtas(house: House) -> None:
    """An MTA that starts when the gateway runs serves at once."""
    for door in SMTP_DOORS:
        assert rcpt(house, door).startswith(b"250")


@pytest.mark.milter
def test_restart_while_mail_comes_in(house: House) -> None:
    """Twenty sessions see a restart as nothing worse than a temporary refusal."""
    with Load(house, sessions=20) as load:
        load.wait_accepted()
        house.gateway.restart()
        load.wait_accepted()
    assert not load.refused()
    assert not load.passed()
    print(f"a restart: {count(load.deferred())} temporary refusals")


@pytest.mark.milter
def test_reload_while_mail_comes_in(house: House) -> None:
    """Reloads in a row, each a new set of processes, refuse nobody, not even for the moment."""
    before = inodes(house)
    with Load(house, sessions=20) as load:
        for timeout in (31, 32, 33):
            load.wait_accepted()
            house.gateway.reload({"policy": {"request_timeout": timeout}})
        load.wait_accepted()
    assert not load.refused()
    assert not load.deferred()
    assert not load.passed()
    assert inodes(house) == before


@pytest.mark.parametrize(
    ("process", "doors"),
    [
        ("milter", (Door.POSTFIX_MILTER, Door.SENDMAIL_MILTER)),
        ("core", (Door.POSTFIX_MAPS, Door.POSTFIX_POLICY, Door.SENDMAIL_MAP)),
    ],
)
def test_killed_while_mail_comes_in(house: House, process: str, doors: Sequence[Door]) -> None:
    """A process that is killed is replaced on the same sockets; meanwhile the MTAs defer."""
    before = inodes(house)
    (pid,) = house.gateway.pids(process)
    with Load(house, sessions=10, doors=doors) as load:
        load.wait_accepted()
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        load.wait_accepted()
        print(f"{process} killed: every session served {time.monotonic() - began:.2f} s later")
    assert not load.refused()
    assert not load.passed()
    (other,) = house.gateway.pids(process)
    assert other != pid
    assert inodes(house) == before
    deferred = load.deferred()
    print(f"{process} killed: {count(deferred)} temporary refusals")
    # Meanwhile each MTA says what it says by default; Sendmail has many texts for it.
    for door, replies in deferred.items():
        assert {reply[:9] for reply in replies} == {DEFAULTS[door][:9]}


@pytest.mark.parametrize("door", [Door.POSTFIX_MILTER, Door.SENDMAIL_MILTER])
def test_a_session_whose_milter_was_killed(house: House, door: Door) -> None:
    """The MTA says what it says by default; the next session has another milter."""
    (pid,) = house.gateway.pids("milter")
    with Conversation(house.smtp(door)) as client:
        assert client.mail(b"joe@sender.test").code == 250
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in house.gateway.pids("milter"), "the milter is gone")
        assert client.rcpt(GOOD).last == DEFAULTS[door]
    wait_until(lambda: rcpt(house, door).startswith(b"250"), f"{door.value} accepts")


def test_what_the_other_process_says_meanwhile(house: House) -> None:
    """While the milter is gone, the core answers, and the other way round."""
    for process, others in (
        ("milter", (Door.POSTFIX_MAPS, Door.POSTFIX_POLICY, Door.SENDMAIL_MAP)),
        ("core", (Door.POSTFIX_MILTER, Door.SENDMAIL_MILTER)),
    ):
        (pid,) = house.gateway.pids(process)
        os.kill(pid, signal.SIGKILL)
        assert all(rcpt(house, door).startswith(b"250") for door in others)
        house.gateway.wait_log(f"{process} (pid {pid}) was ended by SIGKILL")


def test_a_session_goes_on_over_a_reload(house: House) -> None:
    """A client that was there before a reload gets the same replies after it, at every door."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Conversation(house.smtp(door))) for door in SMTP_DOORS]
        for client in clients:
            client.mail(b"joe@sender.test")
        before = [client.rcpt(BAD).last for client in clients]
        house.gateway.reload({"policy": {"request_timeout": 31}})
        assert [client.rcpt(BAD).last for client in clients] == before
        assert all(client.rcpt(GOOD).code == 250 for client in clients)


def test_the_old_milter_ends_when_its_last_session_does(house: House) -> None:
    """After a reload the old milter takes nobody new, and waits for the MTAs that it has."""
    (old,) = house.gateway.pids("milter")
    with MilterClient(house.gateway.path("milter")) as mta:
        mta.connect()
        mta.mail()
        house.gateway.reload()
        assert mta.rcpt(b"<nobody@example.org>") == UNKNOWN
        assert old in house.gateway.pids("milter")
    house.gateway.wait_log(f"milter (pid {old}) ended with exit code 0")


@pytest.mark.slow
def test_the_milter_stops_at_once(house: House) -> None:
    """At the end the milter does not wait for its MTAs, and nothing has to be killed."""
    with MilterClient(house.gateway.path("milter")) as mta:
        mta.connect()
        mta.mail()
        (pid,) = house.gateway.pids("milter")
        began = time.monotonic()
        house.gateway.stop()
        print(f"stopped with a session under way after {time.monotonic() - began:.2f} s")
        with pytest.raises((MilterError, OSError)):
            mta.rcpt(b"<fred@example.org>")
        log = "\n".join(house.gateway.log())
        assert f"milter (pid {pid}) ended with exit code 0" in log
        assert "did not stop in time" not in log


def test_many_kills_in_a_row(house: House) -> None:
    """A process that dies again and again is started again and again, on the same socket."""
    before = inodes(house)
    for _ in range(3):
        for process in ("milter", "core"):
            (pid,) = wait_until(
                lambda process=process: house.gateway.pids(process),  # type: ignore[misc]
                f"there is a {process}",
            )
            os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda pid=pid, process=process: (  # type: ignore[misc]
                    pid not in house.gateway.pids(process) and house.gateway.pids(process)
                ),
                f"there is another {process}",
            )
    for door in SMTP_DOORS:
        wait_until(
            lambda door=door: rcpt(house, door).startswith(b"250"),  # type: ignore[misc]
            f"{door.value} accepts",
        )
    assert inodes(house) == before
