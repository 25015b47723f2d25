"""SMTP sessions that are longer than a reload, and mails that are under way at a stop."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.life.running import DEADLINE_S, Life
from tests.rigs.gateway import Tables
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
def life() -> Iterator[Life]:
    """A gateway with a milter that serves."""
    tables: Tables = {"": {"graceful_timeout": GRACEFUL}, "logging": {"level": "info"}}
    with Life(tables, milter=True) as made:
        yield made.begin()


def session(life: Life) -> MilterClient:
    """An MTA in the middle of a mail."""
    mta = MilterClient(life.path("milter"))
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


def test_a_session_outlives_reloads(life: Life) -> None:
    """An MTA knows one milter a session: what it is about to take would be deferred."""
    old = life.watch(life.pid("milter"))
    with session(life) as mta:
        for _ in range(2):
            life.reload()
        pass_graceful_timeout()
        go_on(mta)
        assert life.logged("takes no new SMTP sessions; 1 are left")
        with session(life) as another:
            go_on(another)
    life.wait_gone(old)
    assert not life.logged("cut off")


def test_a_session_that_is_longer_than_its_limit_is_cut_off(life: Life) -> None:
    """And the log says how many were."""
    life.configure({"milter": {"session_timeout": GRACEFUL}})
    before = life.watch(life.pid("milter"))
    life.reload()
    life.wait_gone(before)
    with session(life) as first, session(life) as second:
        life.reload()
        life.wait_log("2 SMTP sessions were cut off")
        for each in (first, second):
            with pytest.raises((OSError, AssertionError)):
                go_on(each)


@pytest.mark.parametrize("reloads", [0, 2])
def test_a_mail_that_is_under_way_at_a_stop_is_finished(life: Life, reloads: int) -> None:
    """In the milter that serves, and in one that leaves already."""
    life.configure({"": {"graceful_timeout": LONG}})
    life.reload()
    with session(life) as mta:
        for _ in range(reloads):
            life.reload()
        life.signal(signal.SIGTERM)
        life.wait_told("STOPPING")
        wait_until(lambda: _refused(life.path("milter")), "no more sessions are taken", DEADLINE_S)
        assert mta.rcpt(NOBODY) == UNKNOWN
        assert mta.message() == CONTINUE
        # The mail is over, and the milter has gone before the session is.
        assert life.exit_code() == os.EX_OK
        mta.close()


def _refused(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) in (errno.ECONNREFUSED, errno.ENOENT)


@pytest.mark.parametrize("reloads", [1, 3])
def test_a_restart_soon_after_a_reload_does_not_wait_for_idle_sessions(
    life: Life, reloads: int
) -> None:
    """The next instance finds the sockets free, however long sessions may be."""
    life.configure({"": {"graceful_timeout": LONG}})
    life.reload()
    with MilterClient(life.path("milter")) as idle:
        idle.connect()
        for _ in range(reloads):
            life.reload()
        life.signal(signal.SIGTERM)
        assert life.exit_code() == os.EX_OK
        life.begin()
        with session(life) as mta:
            go_on(mta)
        idle.close()
