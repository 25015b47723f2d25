"""Reloads under long SMTP sessions, through Postfix and Sendmail, with both libraries of the milter.

A session holds one mail open for some time, asks about recipients now and
then, sends the mail, and another one.  Every reply must be one that a gateway
without reloads would have given: the good recipient is accepted, the unknown
one refused for good, and each mail taken.

    make reloads MINUTES=10      a reload every 20 s, 50 sessions of 1 s to 3 minutes
"""

from __future__ import annotations

import os
import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import pytest

from tests.interfaces.askcases import MailSite, without_id
from tests.interfaces.load import BAD, GOOD
from tests.interfaces.model import Interface
from tests.interfaces.small import small_site
from tests.rigs.smtp import Conversation, SmtpError
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# Of `make reloads`; else what CI has time for.
SECONDS = float(os.environ.get("RELOADS_SECONDS", "0"))
LONG = SECONDS > 0
DURATION_S = SECONDS if LONG else 7.0
EVERY_S = 20.0 if LONG else 2.0
SESSIONS = 50 if LONG else 10
# Seconds that a session lasts: the shortest, and the longest of all but a few.
SHORTEST_S, LONGEST_S = (1.0, 180.0) if LONG else (0.5, 6.0)
# Seconds between two recipients of one mail.
PAUSE_S = 2.0 if LONG else 0.5
INTERFACES = (Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER)
# Seconds, far above what anything here takes on a machine that has nothing else to do: a busy one
# must not look like a gateway that has lost a session.
DEADLINE_S = 300.0
MTA_PATIENCE_S = 100


def pause(seconds: float) -> None:
    """Let time pass."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= over, "a pause is over", seconds + DEADLINE_S)


class Sessions:
    """SMTP sessions of all lengths at both interfaces, until the `with` ends; then they finish."""

    def __init__(self, site: MailSite) -> None:
        self._site = site
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"session {number}")
            for number in range(SESSIONS)
        ]
        self.replies: Counter[tuple[str, bytes]] = Counter()
        self.wrong: list[str] = []
        self.finished = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        interface = INTERFACES[number % len(INTERFACES)]
        while not self._stop.is_set():
            seconds = chance.uniform(SHORTEST_S, LONGEST_S) if chance.random() < 0.7 else SHORTEST_S
            try:
                with Conversation(self._site.smtp(interface), timeout_s=DEADLINE_S) as client:
                    self._session(client, interface, seconds)
            except (OSError, SmtpError) as problem:
                self.wrong.append(f"{interface.value}: {problem!r}")
                return
            self.finished += 1

    def _session(self, client: Conversation, interface: Interface, seconds: float) -> None:
        until = time.monotonic() + seconds
        for last in (False, True):
            self._hear(interface, "mail", client.mail(b"joe@sender.test").last, b"250")
            self._hear(interface, "good", client.rcpt(GOOD).last, b"250")
            while not last and time.monotonic() < until:
                self._hear(interface, "unknown", client.rcpt(BAD).last, b"550")
                pause(min(PAUSE_S, max(0.0, until - time.monotonic())))
            self._hear(interface, "message", without_id(client.data().last), b"250")

    def _hear(self, interface: Interface, what: str, reply: bytes, wanted: bytes) -> None:
        self.replies[f"{interface.value} {what}", reply] += 1
        if not reply.startswith(wanted):
            self.wrong.append(f"{interface.value}: {what} heard {reply!r}")


@pytest.fixture(scope="module")
def site() -> Iterator[MailSite]:
    """One for both libraries: a reload exchanges them."""
    with small_site(timeout=MTA_PATIENCE_S) as everything:
        yield everything


@pytest.mark.parametrize("library", ["pymilter", "builtin"])
def test_nobody_hears_of_reloads(site: MailSite, library: str) -> None:
    """However long the session, and however many reloads fall into it."""
    gateway = site.gateway
    gateway.reload({"milter": {"library": library}}, DEADLINE_S)
    _wait_one_left(site)
    reloads, memory = 0, [_memory(site)]
    end = time.monotonic() + DURATION_S
    with Sessions(site) as sessions:
        while time.monotonic() < end and not sessions.wrong:
            pause(EVERY_S)
            gateway.reload(deadline_s=DEADLINE_S)
            reloads += 1
            memory.append(_memory(site))
    print(
        f"{library}: {reloads} reloads, {sessions.finished} sessions,"
        f" {sessions.replies.total()} replies, {len(sessions.wrong)} wrong; memory of all"
        f" milters {memory[0]} KiB at the start, at most {max(memory)} KiB"
    )
    assert sessions.wrong == []
    assert reloads >= 2
    _wait_one_left(site)
    assert not [line for line in gateway.log() if "cut off" in line]


def _wait_one_left(site: MailSite) -> None:
    """A process without sessions goes."""
    wait_until(lambda: len(site.gateway.pids("milter")) == 1, "old milters have gone", DEADLINE_S)


def _memory(site: MailSite) -> int:
    """KiB that the milter processes have for themselves; one that has just ended has none."""
    total = 0
    for pid in site.gateway.pids("milter"):
        with suppress(OSError), open(f"/proc/{pid}/statm", encoding="ascii") as file:
            _, resident, shared, *_ = (int(word) for word in file.read().split())
            total += (resident - shared) * resource.getpagesize() // 1024
    return total
