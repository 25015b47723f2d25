"""A clock that is set while the gateway serves: nobody notices.

libfaketime shows every process of the gateway another time of day, which the
test moves; the monotonic clock goes on as it is.  That is also what a
suspended machine looks like on Linux: CLOCK_MONOTONIC stands still meanwhile
and the time of day is later.

Limits: the kernel's own stamps on files are true, so the files' ages jump with
the clock, as they would where the files come from another machine.  That
CLOCK_MONOTONIC itself jumps cannot be shown by a namespace: its offset is
fixed before the first process.  What such a jump looks like from inside, a
gateway that stood still as a whole, is in tests/supervisor/test_supervisor.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.rigs.folders import write_text
from tests.rigs.gateway import Tables
from tests.rigs.load import FRED, NOBODY
from tests.rigs.managed import ManagedGateway
from tests.rigs.milter import CONTINUE, MilterClient
from tests.rigs.require import require, unpacked
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

DAY_S = 86_400
# Ten years: whatever compares times of day must fall for it.
YEARS_S = 3650 * DAY_S
# A client of the socketmap that is silent for so long is let go at the server's next look at
# its clients; that it is gone shows that the server has looked.
IDLE_TIMEOUT_S = 1
# libev compares its clocks when this has passed (ev.c, MIN_TIMEJUMP).
LOOK_S = 0.5

UNKNOWN = b"550 5.1.1 User unknown"


class Clock:
    """The time of day of the gateway's processes: the machine's, and some seconds."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.set(0)

    def set(self, ahead: int) -> None:
        """Let it be `ahead` seconds later than it is."""
        new = write_text(f"{self._path}.new", f"{ahead:+d}\n")
        os.rename(new, self._path)

    def environment(self) -> dict[str, str]:
        """What a program must be started with."""
        (library,) = (
            os.path.join(folder, name)
            for folder, _, names in os.walk(unpacked("faketime"))
            for name in names
            if name == "libfaketimeMT.so.1"
        )
        return {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": self._path,
            # Read the file at each look at the clock.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


def wait_noticed() -> None:
    """Wait until every event loop has looked at the time of day; libev does so twice a second."""
    until = time.monotonic() + 2 * LOOK_S
    wait_until(lambda: time.monotonic() > until, "the loops have seen the clock")


@pytest.fixture
def managed() -> Iterator[ManagedGateway]:
    """A gateway that is soon impatient with silent clients of one interface, not started."""
    require("faketime")
    tables: Tables = {
        "socketmap": {"idle_timeout": IDLE_TIMEOUT_S},
        "logging": {"level": "info"},
    }
    with ManagedGateway(tables, milter=True) as made:
        yield made


def test_the_clock_is_set_and_nobody_notices(managed: ManagedGateway) -> None:
    """Forwards and back by years: a client that is silent for too long is disconnected, and no other."""
    clock = Clock(managed.path("clock"))
    clock.set(YEARS_S)
    managed.start(env=clock.environment())
    managed.wait_told("READY")
    before = sorted(managed.daemon.members())
    assert len(before) == 3
    with managed.open("socketmap") as late, MilterClient(managed.path("milter")) as milter:
        # It says nothing; when the time is earlier, it must not have years for that.
        milter.connect()
        milter.mail()
        assert managed.ask("socketmap", FRED) == b"OK " + FRED
        clock.set(-YEARS_S)
        wait_noticed()
        with managed.open("policy") as early:
            # It says nothing either, and may; when the time is later, that was not years ago.
            assert managed.ask("policy", FRED) == b"DUNNO"
            clock.set(0)
            wait_noticed()
            # The servers look at their clients at the same moments: at the others, too.
            late.wait_closed()
            assert early.ask(NOBODY) == UNKNOWN
        assert milter.rcpt(b"<%s>" % FRED) == CONTINUE
        assert milter.rcpt(b"<%s>" % NOBODY) == UNKNOWN
        assert managed.ask("policy", FRED) == b"DUNNO"
    years = {line[:4] for line in managed.log()}
    assert len(years) == 3, "the log shows each time of day, so the gateway saw them"
    assert sorted(managed.daemon.members()) == before
