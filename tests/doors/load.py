"""SMTP sessions in parallel that never stop asking, and every reply that they got.

with Load(house, sessions=20) as load:
    load.wait_accepted()          # every session has had a recipient accepted
    gateway.restart()
    load.wait_accepted()          # and once more since then
assert not load.refused()
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.doors.model import POSTFIX, SENDMAIL, Door
from tests.doors.players import House
from tests.rigs.smtp import Conversation, SmtpError
from tests.rigs.waiting import wait_until

SMTP_DOORS = (*POSTFIX, *SENDMAIL)
GOOD = b"fred@example.org"
# What a session asks before it quits and the next one begins.
MAILS_A_SESSION = 3
RCPTS_A_MAIL = 3


class Load:
    """`sessions` clients, dealt out to `doors` in turn; each asks about a good recipient."""

    def __init__(
        self, house: House, *, sessions: int = 20, doors: Sequence[Door] = SMTP_DOORS
    ) -> None:
        self._house = house
        self._doors = [doors[number % len(doors)] for number in range(sessions)]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"session {number}")
            for number in range(sessions)
        ]
        self._accepted = [0] * sessions
        self.replies: dict[Door, Counter[bytes]] = {door: Counter() for door in doors}
        self.broken: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        door = self._doors[number]
        while not self._stop.is_set():
            try:
                with Conversation(self._house.smtp(door)) as client:
                    self._session(client, number, door)
            except (OSError, SmtpError) as problem:
                self.broken.append(f"{door.value}: {problem!r}")
                return

    def _session(self, client: Conversation, number: int, door: Door) -> None:
        for _ in range(MAILS_A_SESSION):
            mail = client.mail(b"joe@sender.test")
            self._count(door, mail.last)
            if mail.code != 250:
                return
            for _ in range(RCPTS_A_MAIL):
                reply = client.rcpt(GOOD)
                self._count(door, reply.last)
                self._accepted[number] += reply.code == 250
            client.rset()

    def _count(self, door: Door, reply: bytes) -> None:
        self.replies[door][reply] += 1

    def wait_accepted(self) -> None:
        """Wait until every session has had a recipient accepted since now."""
        before = list(self._accepted)
        wait_until(
            lambda: (
                self.broken
                or all(now > then for now, then in zip(self._accepted, before, strict=True))
            ),
            "every SMTP session has a recipient accepted",
        )
        assert not self.broken

    def refused(self) -> dict[Door, list[bytes]]:
        """The permanent refusals, by door; sessions that broke off count, too."""
        assert not self.broken
        found = {
            door: [reply for reply in replies if reply.startswith(b"5")]
            for door, replies in self.replies.items()
        }
        return {door: replies for door, replies in found.items() if replies}

    def deferred(self) -> dict[Door, Counter[bytes]]:
        """The temporary refusals, counted by door and reply."""
        found = {
            door: Counter({r: n for r, n in replies.items() if r.startswith(b"4")})
            for door, replies in self.replies.items()
        }
        return {door: replies for door, replies in found.items() if replies}
