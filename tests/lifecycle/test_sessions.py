"""SMTP sessions that are longer than a reload, and mails that are in progress at a stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.rigs.gateway import Tables
from tests.rigs.managed import DEADLINE_S, ManagedGateway, refused
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.milter

FRED = b"<fred@example.org>"
NOBODY = b"<nobody@example.org>"
UNKNOWN = b"550 5.1.1 User unknown"
# Seconds, as short as a gateway can have it.
GRACEFUL = 1
# Seconds; longer than a test waits for anything.
LONG = 600


@pytest.fixture
def managed() -> Iterator[ManagedGateway]:
    """A gateway with a milter that serves."""
    tables: Tables = {"": {"graceful_timeout": GRACEFUL}, "logging": {"level": "info"}}
    with ManagedGateway(tables, milter=True) as made:
        yield made.begin()


def session(managed: ManagedGateway) -> MilterClient:
    """An MTA in the middle of a mail."""
    mta = MilterClient(managed.path("milter"))
    mta.connect()
    mta.mail()
    assert mta.rcpt(FRED) == CONTINUE
    return mta


def go_on(mta: MilterClient) -> None:
    """The rest of the mail, and another one."""
    assert mta.rcpt(NOBODY) == UNKNOWN
    assert mta.message() == CONTINUE
    mta.mail()
    assert mta.rcpt(FRED) == CONTINUE


def pass_graceful_timeout() -> None:
    """Let more time pass than a process has that is told to stop."""
    until = time.monotonic() + 2 * GRACEFUL
    wait_until(lambda: time.monotonic() > until, "the graceful timeout is over", DEADLINE_S)


def test_a_session_outlives_reloads(managed: ManagedGateway) -> None:
    """An MTA knows one milter a session: what it is about to take would be deferred."""
    old = managed.watch(managed.pid("milter"))
    with session(managed) as mta:
        for _ in range(2):
            managed.reload()
        pass_graceful_timeout()
        go_on(mta)
        assert managed.logged("takes no new SMTP sessions; 1 are left")
        with session(managed) as another:
            go_on(another)
    managed.wait_gone(old)
    assert not managed.logged("cut off")


def test_a_session_that_is_longer_than_its_limit_is_cut_off(managed: ManagedGateway) -> None:
    """And the log says how many were."""
    managed.configure({"milter": {"session_timeout": GRACEFUL}})
    before = managed.watch(managed.pid("milter"))
    managed.reload()
    managed.wait_gone(before)
    with session(managed) as first, session(managed) as second:
        managed.reload()
        managed.wait_log("2 SMTP sessions were cut off")
        for each in (first, second):
            with pytest.raises((OSError, AssertionError)):
                go_on(each)


@pytest.mark.parametrize("reloads", [0, 2])
def test_a_mail_that_is_under_way_at_a_stop_is_finished(
    managed: ManagedGateway, reloads: int
) -> None:
    """In the milter that serves, and in one that leaves already."""
    managed.configure({"": {"graceful_timeout": LONG}})
    managed.reload()
    with session(managed) as mta:
        for _ in range(reloads):
            managed.reload()
        managed.signal(signal.SIGTERM)
        managed.wait_told("STOPPING")
        wait_until(
            lambda: refused(managed.path("milter")), "no more sessions are taken", DEADLINE_S
        )
        assert mta.rcpt(NOBODY) == UNKNOWN
        assert mta.message() == CONTINUE
        # The mail is over, and the milter has gone before the session is.
        assert managed.exit_code() == os.EX_OK
        mta.close()


@pytest.mark.parametrize("reloads", [1, 3])
def test_a_restart_soon_after_a_reload_does_not_wait_for_idle_sessions(
    managed: ManagedGateway, reloads: int
) -> None:
    """The next instance finds the sockets free, however long sessions may be."""
    managed.configure({"": {"graceful_timeout": LONG}})
    managed.reload()
    with MilterClient(managed.path("milter")) as idle:
        idle.connect()
        for _ in range(reloads):
            managed.reload()
        managed.signal(signal.SIGTERM)
        assert managed.exit_code() == os.EX_OK
        managed.begin()
        with session(managed) as mta:
            go_on(mta)
        idle.close()
