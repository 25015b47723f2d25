"""A store with one user behind every door, and what the MTAs say while nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.doors.conftest import DOMAINS, open_house
from tests.doors.load import GOOD
from tests.doors.model import Door
from tests.doors.players import House
from tests.doors.store import SETTINGS
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import Mailbox
from tests.rigs.gateway import Tables
from tests.rigs.require import require
from tests.rigs.smtp import Conversation

TABLES: Tables = {"scope": {"domains": list(DOMAINS)}}
# What each MTA does while nobody answers at its door.
DEFAULTS = {
    Door.POSTFIX_MAPS: b"451 4.3.0 <fred@example.org>: Temporary lookup failure",
    Door.POSTFIX_POLICY: b"450 4.7.1 <fred@example.org>: Recipient address rejected: Access denied",
    Door.POSTFIX_MILTER: b"451 4.7.1 Service unavailable - try again later",
    Door.SENDMAIL_MAP: b"451 4.3.0 smap: try later",
    Door.SENDMAIL_MILTER: b"451 4.3.2 Please try again later",
}


@contextmanager
def small_store() -> Iterator[Cyrus]:
    """A store with the user fred; the test needs all three mail servers."""
    require("cyrus", "postfix", "sendmail")
    with Cyrus(SETTINGS) as store:
        store.tools.load_mailboxes([Mailbox("user.fred")])
        yield store


@contextmanager
def small_house(
    changes: Tables | None = None, *, timeout: int = 10, lenient: bool = False
) -> Iterator[House]:
    """A gateway and MTAs on that store; see `open_house`."""
    with (
        small_store() as store,
        open_house(store, {**TABLES, **(changes or {})}, timeout=timeout, lenient=lenient) as house,
    ):
        yield house


def rcpt(house: House, door: Door, recipient: bytes = GOOD) -> bytes:
    """The reply to a recipient in a session of its own, or that to MAIL if there it ends."""
    with Conversation(house.smtp(door)) as client:
        mail = client.mail(b"joe@sender.test")
        return client.rcpt(recipient).last if mail.code == 250 else mail.last
