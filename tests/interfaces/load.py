"""SMTP sessions in parallel that never stop asking, and every reply that they got.

with Load(site, sessions=20) as load:
    load.wait_accepted()          # every session has had a recipient accepted
    gateway.restart()
    load.wait_accepted()          # and once more since then
assert not load.refused()         # no good recipient heard a 5xx
assert not load.passed()          # no unknown one heard a 250

Each mail goes to a good recipient and to one that does not exist; with
`deliver` it is sent, too.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from tests.interfaces.askcases import MailSite, without_id
from tests.interfaces.model import POSTFIX, SENDMAIL, Interface
from tests.rigs.smtp import Conversation, SmtpError
from tests.rigs.waiting import wait_until

SMTP_INTERFACES = (*POSTFIX, *SENDMAIL)
GOOD = b"fred@example.org"
BAD = b"nobody@example.org"
# What a session asks before it quits and the next one begins.
MAILS_A_SESSION = 3
RCPTS_A_MAIL = 3
# The server says this and hangs up (RFC 5321, 3.8).
CLOSING = 421
# A process that is killed at its start, again and again, comes back later and later.
DEADLINE_S = 60.0


class Load:
    """`sessions` clients, dealt out to `interfaces` in turn."""

    def __init__(
        self,
        site: MailSite,
        *,
        sessions: int = 20,
        interfaces: Sequence[Interface] = SMTP_INTERFACES,
        deliver: bool = False,
    ) -> None:
        self._site = site
        self._deliver = deliver
        self._interfaces = [interfaces[number % len(interfaces)] for number in range(sessions)]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"session {number}")
            for number in range(sessions)
        ]
        self._accepted = [0] * sessions
        # About mails and their good recipients, and about the unknown ones.
        self.replies: dict[Interface, Counter[bytes]] = {
            interface: Counter() for interface in interfaces
        }
        self.unknown: dict[Interface, Counter[bytes]] = {
            interface: Counter() for interface in interfaces
        }
        self.broken: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        interface = self._interfaces[number]
        while not self._stop.is_set():
            try:
                with Conversation(self._site.smtp(interface)) as client:
                    self._session(client, number, interface)
            except (OSError, SmtpError) as problem:
                self.broken.append(f"{interface.value}: {problem!r}")
                return

    def _session(self, client: Conversation, number: int, interface: Interface) -> None:
        about = self.replies[interface]
        for _ in range(MAILS_A_SESSION):
            mail = client.mail(b"joe@sender.test")
            about[mail.last] += 1
            if mail.code != 250:
                return
            good = 0
            for _ in range(RCPTS_A_MAIL):
                reply = client.rcpt(GOOD)
                about[reply.last] += 1
                if reply.code == CLOSING:
                    return
                good += reply.code == 250
            bad = client.rcpt(BAD)
            self.unknown[interface][bad.last] += 1
            if bad.code == CLOSING:
                return
            if self._deliver and good:
                sent = client.data()
                about[without_id(sent.last)] += 1
                if sent.code == CLOSING:
                    return
                good *= sent.code == 250
            client.rset()
            self._accepted[number] += good

    def wait_accepted(self) -> None:
        """Wait until every session has had a recipient accepted, and its mail, since now."""
        before = list(self._accepted)
        wait_until(
            lambda: (
                self.broken
                or all(now > then for now, then in zip(self._accepted, before, strict=True))
            ),
            "every SMTP session has a recipient accepted",
            DEADLINE_S,
        )
        assert not self.broken

    def refused(self) -> dict[Interface, list[bytes]]:
        """The permanent refusals, by interface; sessions that broke off count, too."""
        assert not self.broken
        return _beginning(b"5", self.replies)

    def passed(self) -> dict[Interface, list[bytes]]:
        """The replies that let an unknown recipient through, by interface."""
        assert not self.broken
        return _beginning(b"2", self.unknown)

    def deferred(self) -> dict[Interface, Counter[bytes]]:
        """The temporary refusals, counted by interface and reply."""
        found = {
            interface: Counter({r: n for r, n in replies.items() if r.startswith(b"4")})
            for interface, replies in self.replies.items()
        }
        return {interface: replies for interface, replies in found.items() if replies}


def _beginning(
    digit: bytes, replies: Mapping[Interface, Counter[bytes]]
) -> dict[Interface, list[bytes]]:
    found = {
        interface: [reply for reply in counted if reply.startswith(digit)]
        for interface, counted in replies.items()
    }
    return {interface: said for interface, said in found.items() if said}
