"""SIGSTOP: a process that is there and does not answer, as one that hangs.

| door             | while the core, or the milter, is stopped                     |
|------------------|---------------------------------------------------------------|
| postfix-policy   | a temporary refusal, after the service's timeout              |
| postfix-milter   | the same, after milter_command_timeout                        |
| sendmail-milter  | the same, after the X line's T=R:                             |
| postfix-maps     | smtpd waits: 100 s are built in                               |
| sendmail-map     | it waits, too                                                 |

Who goes on within thirty seconds answers those who wait; after that the
supervisor replaces it.  Postfix then asks the successor; Sendmail gives a
temporary refusal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.doors.load import BAD, GOOD, SMTP_DOORS
from tests.doors.model import Door
from tests.doors.players import House
from tests.doors.small import DEFAULTS, rcpt, small_house
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# What the MTAs wait for an answer.
TIMEOUT_S = 2
# Half a minute of silence, a new process, and a slow machine.
REPLACED_S = 120.0
MAPS = (Door.POSTFIX_MAPS, Door.SENDMAIL_MAP)
MILTERS = (Door.POSTFIX_MILTER, Door.SENDMAIL_MILTER)
# The whole silence is waited for in the long run only (`make kills`).
ENDS = ["continued", *(["replaced"] if "LIFE_SECONDS" in os.environ else [])]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A gateway, and MTAs that do not wait long."""
    with small_house(timeout=TIMEOUT_S) as everything:
        yield everything


@contextmanager
def stopped(house: House, process: str, end: str) -> Iterator[None]:
    """The process stands still, and then is continued, or replaced by the supervisor."""
    (pid,) = house.gateway.pids(process)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        if end == "replaced":
            wait_until(
                lambda: pid not in house.gateway.pids(process), f"{process} replaced", REPLACED_S
            )
    finally:
        if pid in house.gateway.pids(process):
            os.kill(pid, signal.SIGCONT)


def serves(house: House, door: Door) -> bool:
    """Both recipients have the answer that is true."""
    return rcpt(house, door).startswith(b"250") and rcpt(house, door, BAD).startswith(b"550")


def wait_served(house: House) -> None:
    """Wait until every door serves again."""
    for door in SMTP_DOORS:
        wait_until(lambda door=door: serves(house, door), f"{door.value} serves", REPLACED_S)  # type: ignore[misc]


@pytest.mark.parametrize("end", ENDS)
def test_a_core_that_is_stopped_defers_or_keeps_waiting(house: House, end: str) -> None:
    """Policy defers; tables wait, and then hear the answer; the milter is not concerned."""
    wait_served(house)
    with ThreadPoolExecutor(max_workers=6) as threads:

        def ask(doors: Sequence[Door]) -> dict[tuple[Door, bytes], Future[bytes]]:
            return {
                (door, recipient): threads.submit(rcpt, house, door, recipient)
                for door in doors
                for recipient in (GOOD, BAD)
            }

        with stopped(house, "core", end):
            waiting = ask(MAPS)
            for (door, _), deferred in ask([Door.POSTFIX_POLICY]).items():
                assert deferred.result()[:9] == DEFAULTS[door][:9]
            assert all(serves(house, door) for door in MILTERS)
        for (door, recipient), said in waiting.items():
            answer = b"250" if recipient == GOOD else b"550"
            # Its connection ended with the core that was replaced.
            may_defer = door is Door.SENDMAIL_MAP and end == "replaced"
            assert said.result()[:3] in (answer, b"451" if may_defer else answer), door
    wait_served(house)


@pytest.mark.parametrize("end", ENDS)
def test_a_milter_that_is_stopped_defers(house: House, end: str) -> None:
    """In sessions that are under way and in new ones; the core is not concerned."""
    wait_served(house)
    with ThreadPoolExecutor() as threads:
        old = {door: Conversation(house.smtp(door)) for door in MILTERS}
        for client in old.values():
            assert client.mail(b"joe@sender.test").code == 250
            assert client.rcpt(GOOD).code == 250
        with stopped(house, "milter", end):
            begun = {door: threads.submit(client.rcpt, BAD) for door, client in old.items()}
            fresh = [
                (door, threads.submit(rcpt, house, door, recipient))
                for door in MILTERS
                for recipient in (GOOD, BAD)
            ]
            for door, asked in fresh:
                assert asked.result()[:9] == DEFAULTS[door][:9]
            for door, reply in begun.items():
                assert reply.result().last[:9] == DEFAULTS[door][:9]
            assert all(serves(house, door) for door in (*MAPS, Door.POSTFIX_POLICY))
        for client in old.values():
            client.close()
    wait_served(house)
