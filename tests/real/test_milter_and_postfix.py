"""What a real Postfix tells the milter of a recipient, and what it makes of its answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.interfaces.kinds import SETTINGS
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox
from tests.rigs.gateway import Gateway
from tests.rigs.postfix import RELAY_DOMAIN, Postfix
from tests.rigs.require import require
from tests.rigs.smtp import Conversation
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.real

CODES, TEXT = b"550 5.1.1", b"User unknown"
UNKNOWN = CODES + b" " + TEXT


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway, and an MTA that asks it at policy and milter, for mail of its own, too."""

    gateway: Gateway
    mta: Postfix

    def maildrop(self) -> list[str]:
        """What sendmail(1) has taken and pickup(8) has not got rid of."""
        return os.listdir(os.path.join(self.mta.folder, "queue", "maildrop"))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A store with the user fred."""
    require("cyrus", "postfix")
    with ExitStack() as stack:
        cyrus = stack.enter_context(Cyrus(SETTINGS))
        cyrus.tools.load_mailboxes([Mailbox("user.fred")])
        settings = {"scope": {"domains": [RELAY_DOMAIN]}}
        gateway = stack.enter_context(Gateway(cyrus.imapd_conf, settings))
        gateway.start()
        main = {"relay_domains": RELAY_DOMAIN, "non_smtpd_milters": gateway.unix("milter")}
        mta = stack.enter_context(
            Postfix(policy=gateway.unix("policy"), milter=gateway.unix("milter"), main=main)
        )
        mta.start()
        yield Site(gateway, mta)


@pytest.mark.parametrize("interface", ["policy", "milter"])
@pytest.mark.parametrize(
    "shape",
    [b"<%b(c)@example.org>", b"<%b\t@example.org>", b"<%b @ example.org>", b"<%b@example.org>"],
)
def test_what_is_no_plain_address_is_judged_as_postfix_reads_it(
    site: Site, interface: str, shape: bytes
) -> None:
    """Comments and blanks: the same answer at every interface."""
    with Conversation(site.mta.address(interface)) as client:
        client.mail(b"joe@sender.test")
        assert client.command(b"RCPT TO:" + shape % b"fred").last.startswith(b"250")
        reply = client.command(b"RCPT TO:" + shape % b"nobody").last
    # Postfix puts words of its own before a policy action's.
    assert (reply[: len(CODES)], reply[-len(TEXT) :]) == (CODES, TEXT)


def test_mail_of_sendmail_1_is_never_held_up(site: Site) -> None:
    """Cleanup would keep the whole of it for one recipient that a milter refuses."""
    folder = site.mta.folder
    subprocess.run(
        ["sendmail", "-f", "joe@sender.test", "fred@example.org", "nobody@example.org"],
        input=b"Subject: x\n\nx\n",
        env={**os.environ, "MAIL_CONFIG": os.path.join(folder, "etc")},
        check=True,
        timeout=60,
    )
    for recipient in ("fred", "nobody"):
        site.gateway.wait_log("skipped", f"recipient={recipient}@example.org", "why=not-by-smtp")
    wait_until(lambda: not site.maildrop(), "nothing stays in maildrop")


def test_a_client_whose_port_is_unknown_is_a_client(site: Site) -> None:
    """Behind a proxy that does not tell it, smtpd says 0, as cleanup does."""
    with Conversation(site.mta.address("milter")) as client:
        client.command(b"EHLO proxy.test")
        client.command(b"XCLIENT ADDR=192.0.2.7 PORT=[UNAVAILABLE]")
        client.command(b"EHLO client.test")
        client.mail(b"joe@sender.test")
        assert client.rcpt(b"nobody@example.org").last == UNKNOWN
