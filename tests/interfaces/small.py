"""A store with one user behind every interface, and what the MTAs say while nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.interfaces.askcases import MailSite
from tests.interfaces.conftest import DOMAINS, open_site
from tests.interfaces.kinds import SETTINGS
from tests.interfaces.load import GOOD
from tests.interfaces.model import Interface
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox
from tests.rigs.gateway import Tables
from tests.rigs.require import require
from tests.rigs.smtp import Conversation

TABLES: Tables = {"scope": {"domains": list(DOMAINS)}}
# What each MTA does while nobody answers at its interface.
DEFAULTS = {
    Interface.POSTFIX_MAPS: b"451 4.3.0 <fred@example.org>: Temporary lookup failure",
    Interface.POSTFIX_POLICY: b"450 4.7.1 <fred@example.org>: Recipient address rejected: Access denied",
    Interface.POSTFIX_MILTER: b"451 4.7.1 Service unavailable - try again later",
    Interface.SENDMAIL_MAP: b"451 4.3.0 smap: try later",
    Interface.SENDMAIL_MILTER: b"451 4.3.2 Please try again later",
}


@contextmanager
def small_store() -> Iterator[Cyrus]:
    """A store with the user fred; the test needs all three mail servers."""
    require("cyrus", "postfix", "sendmail")
    with Cyrus(SETTINGS) as store:
        store.tools.load_mailboxes([Mailbox("user.fred")])
        yield store


@contextmanager
def small_site(
    changes: Tables | None = None, *, timeout: int = 10, lenient: bool = False
) -> Iterator[MailSite]:
    """A gateway and MTAs on that store; see `open_site`."""
    with (
        small_store() as store,
        open_site(store, {**TABLES, **(changes or {})}, timeout=timeout, lenient=lenient) as site,
    ):
        yield site


def rcpt(site: MailSite, interface: Interface, recipient: bytes = GOOD) -> bytes:
    """The reply to a recipient in a session of its own, or that to MAIL if there it ends."""
    with Conversation(site.smtp(interface)) as client:
        mail = client.mail(b"joe@sender.test")
        return client.rcpt(recipient).last if mail.code == 250 else mail.last
