"""What Cyrus' own tools change shows in the very next reply, at every open interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from gateway.verification.kinds import Kind
from tests.interfaces.askers import Askers, expected
from tests.interfaces.conftest import DOMAINS, open_site
from tests.interfaces.kinds import SETTINGS
from tests.interfaces.model import Rcpt
from tests.rigs.cyrus import Cyrus
from tests.rigs.cyrus_tools import MAILBOX_LIST, quota_record
from tests.rigs.imap import Admin
from tests.rigs.require import require

pytestmark = pytest.mark.real

USER = Rcpt(b"newcomer@example.org")
MAILBOX = b"user/newcomer"
FOLDER = Rcpt(b"bb+board@example.org")


@dataclass(frozen=True)
class Living:
    """A store that changes, and clients at all interfaces."""

    cyrus: Cyrus
    admin: Admin
    askers: Askers

    def say(self, rcpt: Rcpt, kind: Kind, reason: bytes = b"") -> None:
        """Every interface must say what follows from `kind`."""
        assert self.askers.replies(rcpt) == expected(rcpt, kind, reason)


@pytest.fixture
def living() -> Iterator[Living]:
    """A store with its imapd, a gateway, MTAs, and a client at each interface before anything happens."""
    require("cyrus", "postfix", "sendmail")
    with ExitStack() as stack:
        cyrus = stack.enter_context(Cyrus(SETTINGS))
        cyrus.add_service("imap", "imapd")
        cyrus.start()
        settings = {"scope": {"domains": list(DOMAINS)}}
        site = stack.enter_context(open_site(cyrus, settings))
        admin = stack.enter_context(cyrus.admin())
        # A list without any record would be a fault of the store.
        admin.create(b"user/somebody")
        yield Living(cyrus, admin, stack.enter_context(Askers(site)))


@pytest.fixture
def user(living: Living) -> Living:
    """The same with a mailbox that was made just now."""
    living.say(USER, Kind.NONEXISTENT)
    living.admin.create(MAILBOX)
    living.say(USER, Kind.DELIVERABLE)
    return living


def test_created_and_deleted(user: Living) -> None:
    """A mailbox is known as soon as CREATE has been answered, and unknown after DELETE."""
    user.admin.delete(MAILBOX)
    user.say(USER, Kind.NONEXISTENT)
    user.admin.create(MAILBOX)
    user.say(USER, Kind.DELIVERABLE)


def test_a_renamed_mailbox_has_only_its_new_name(user: Living) -> None:
    """The old name is gone and the new one is there."""
    user.admin.rename(MAILBOX, b"user/moved")
    user.say(USER, Kind.NONEXISTENT)
    user.say(Rcpt(b"moved@example.org"), Kind.DELIVERABLE)


def test_filled_by_messages(user: Living) -> None:
    """More messages than the limit allows: delivery refuses; at the limit it still delivers."""
    user.admin.setacl(MAILBOX, b"admin", b"lrswipkxtecdan")
    user.admin.append(MAILBOX)
    user.admin.append(MAILBOX)
    user.admin.setquota(MAILBOX, messages=2)
    user.say(USER, Kind.DELIVERABLE)
    user.admin.setquota(MAILBOX, messages=1)
    user.say(USER, Kind.OVER_QUOTA)
    user.admin.setquota(MAILBOX, messages=3)
    user.say(USER, Kind.DELIVERABLE)


def test_filled_by_storage(user: Living) -> None:
    """A limit below what is stored already makes the mailbox full."""
    user.admin.setacl(MAILBOX, b"admin", b"lrswipkxtecdan")
    user.admin.append(MAILBOX, 5000)
    user.admin.setquota(MAILBOX, storage_kib=4)
    user.say(USER, Kind.OVER_QUOTA)
    user.admin.setquota(MAILBOX)
    user.say(USER, Kind.DELIVERABLE)


def test_counted_by_the_quota_tool(user: Living) -> None:
    """A record that cyr_dbtool writes counts, and so does what `quota -f` makes of it."""
    user.admin.setquota(MAILBOX, storage_kib=100)
    user.cyrus.tools.set_quotas({b"user.newcomer": quota_record(storage=(10**6, 100))})
    user.say(USER, Kind.OVER_QUOTA)
    user.cyrus.tools.fix_quotas()
    user.say(USER, Kind.DELIVERABLE)


@pytest.mark.parametrize(
    ("deny", "reason"),
    [
        (lambda living: living.cyrus.tools.deny("newcomer", "smmap", "Not today"), b"Not today"),
        (
            lambda living: living.cyrus.tools.deny("newcomer"),
            b"Access to this service has been blocked",
        ),
    ],
    ids=["with a message", "without one"],
)
def test_cyr_deny_blocks_and_allows_a_user(
    user: Living, deny: Callable[[Living], None], reason: bytes
) -> None:
    """cyr_deny blocks a user, in a database that did not exist before, and cyr_deny -a allows."""
    deny(user)
    user.say(USER, Kind.DENIED, reason)
    user.cyrus.tools.allow("newcomer")
    user.say(USER, Kind.DELIVERABLE)


def test_rights_of_a_shared_folder(living: Living) -> None:
    """SETACL decides who may post, and who may know."""
    living.say(FOLDER, Kind.NONEXISTENT)
    living.admin.create(b"board")
    for rights, kind in (
        (b"lrsp", Kind.DELIVERABLE),
        (b"lrs", Kind.NOT_POSTABLE),
        (b"", Kind.NONEXISTENT),
        (b"p", Kind.DELIVERABLE),
    ):
        living.admin.setacl(b"board", b"anyone", rights)
        living.say(FOLDER, kind)


def test_the_database_is_written_again(user: Living) -> None:
    """A repacked mailbox list is another file with the same answers, and the next change shows."""
    user.cyrus.tools.db_repack(MAILBOX_LIST, "twoskip")
    user.say(USER, Kind.DELIVERABLE)
    user.admin.delete(MAILBOX)
    user.say(USER, Kind.NONEXISTENT)
