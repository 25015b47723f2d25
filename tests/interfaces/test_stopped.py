"""SIGSTOP: a process that is there and does not answer, as one that hangs.

| interface             | while the core, or the milter, is stopped                     |
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

from tests.interfaces.askcases import MailSite
from tests.interfaces.load import BAD, GOOD, SMTP_INTERFACES
from tests.interfaces.model import Interface
from tests.interfaces.small import DEFAULTS, rcpt, small_site
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

# What the MTAs wait for an answer.
TIMEOUT_S = 2
# Half a minute of silence, a new process, and a slow machine.
REPLACED_S = 120.0
MAPS = (Interface.POSTFIX_MAPS, Interface.SENDMAIL_MAP)
MILTERS = (Interface.POSTFIX_MILTER, Interface.SENDMAIL_MILTER)
# The whole silence is waited for in the long run only (`make kills`).
ENDS = ["continued", *(["replaced"] if "KILLS_SECONDS" in os.environ else [])]


@pytest.fixture(scope="module")
def site() -> Iterator[MailSite]:
    """A gateway, and MTAs that do not wait long."""
    with small_site(timeout=TIMEOUT_S) as everything:
        yield everything


@contextmanager
def stopped(site: MailSite, process: str, end: str) -> Iterator[None]:
    """The process stands still, and then is continued, or replaced by the supervisor."""
    (pid,) = site.gateway.pids(process)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        if end == "replaced":
            wait_until(
                lambda: pid not in site.gateway.pids(process), f"{process} replaced", REPLACED_S
            )
    finally:
        if pid in site.gateway.pids(process):
            os.kill(pid, signal.SIGCONT)


def serves(site: MailSite, interface: Interface) -> bool:
    """Both recipients have the answer that is true."""
    return rcpt(site, interface).startswith(b"250") and rcpt(site, interface, BAD).startswith(
        b"550"
    )


def wait_served(site: MailSite) -> None:
    """Wait until every interface serves again."""
    for interface in SMTP_INTERFACES:
        wait_until(
            lambda interface=interface: serves(site, interface),  # type: ignore[misc]
            f"{interface.value} serves",
            REPLACED_S,
        )


@pytest.mark.parametrize("end", ENDS)
def test_a_core_that_is_stopped_defers_or_keeps_waiting(site: MailSite, end: str) -> None:
    """Policy defers; tables wait, and then hear the answer; the milter is not concerned."""
    wait_served(site)
    with ThreadPoolExecutor(max_workers=6) as threads:

        def ask(interfaces: Sequence[Interface]) -> dict[tuple[Interface, bytes], Future[bytes]]:
            return {
                (interface, recipient): threads.submit(rcpt, site, interface, recipient)
                for interface in interfaces
                for recipient in (GOOD, BAD)
            }

        with stopped(site, "core", end):
            waiting = ask(MAPS)
            for (interface, _), deferred in ask([Interface.POSTFIX_POLICY]).items():
                assert deferred.result()[:9] == DEFAULTS[interface][:9]
            assert all(serves(site, interface) for interface in MILTERS)
        for (interface, recipient), said in waiting.items():
            answer = b"250" if recipient == GOOD else b"550"
            # Its connection ended with the core that was replaced.
            may_defer = interface is Interface.SENDMAIL_MAP and end == "replaced"
            assert said.result()[:3] in (answer, b"451" if may_defer else answer), interface
    wait_served(site)


@pytest.mark.parametrize("end", ENDS)
def test_a_milter_that_is_stopped_defers(site: MailSite, end: str) -> None:
    """In sessions that are in progress and in new ones; the core is not concerned."""
    wait_served(site)
    with ThreadPoolExecutor() as threads:
        old = {interface: Conversation(site.smtp(interface)) for interface in MILTERS}
        for client in old.values():
            assert client.mail(b"joe@sender.test").code == 250
            assert client.rcpt(GOOD).code == 250
        with stopped(site, "milter", end):
            begun = {
                interface: threads.submit(client.rcpt, BAD) for interface, client in old.items()
            }
            fresh = [
                (interface, threads.submit(rcpt, site, interface, recipient))
                for interface in MILTERS
                for recipient in (GOOD, BAD)
            ]
            for interface, asked in fresh:
                assert asked.result()[:9] == DEFAULTS[interface][:9]
            for interface, reply in begun.items():
                assert reply.result().last[:9] == DEFAULTS[interface][:9]
            assert all(serves(site, interface) for interface in (*MAPS, Interface.POSTFIX_POLICY))
        for client in old.values():
            client.close()
    wait_served(site)
