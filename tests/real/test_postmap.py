"""What Debian's postmap gets from smmapd for recipients of every kind, and how it ends.

postmap(1): 0 and the value for a key that is found, 1 for one that is not,
and 1 with a message on standard error where the table cannot answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rigs.cyrus_tools import Mailbox, quota_record
from tests.rigs.postfix import Postfix
from tests.rigs.processes import complete
from tests.rigs.require import require
from tests.rigs.under_master import SERVICE, Serving, serving

pytestmark = pytest.mark.real

MAILBOXES = [
    Mailbox("user.fred.Sent"),
    Mailbox("user.fred.Two Words"),
    Mailbox("user.fred.sub.folder"),
    Mailbox("user.mary^ann"),
    Mailbox("user.denied"),
    Mailbox("user.silent"),
    Mailbox("user.full"),
    Mailbox("virt.example!user.vera"),
    Mailbox("virt.example!user.vera.Sent"),
    Mailbox("virt.example!user.full"),
    Mailbox("open", {"anyone": "lrp"}),
    Mailbox("hidden", {"anyone": "p"}),
    Mailbox("secret", {"fred": "lrp"}),
    Mailbox("open.two words", {"anyone": "p"}),
]

QUOTAS = {
    b"user.fred": quota_record(storage=(1000, 10)),
    b"user.full": quota_record(messages=(5, 5)),
    b"virt.example!user.full": quota_record(storage=(10_241, 10)),
}

FOUND, ABSENT = 0, 1
TROUBLE = 1

CASES: list[tuple[bytes, int, str]] = [
    # Users, with and without the default domain.
    (b"fred", FOUND, ""),
    (b"fred@example.org", FOUND, ""),
    (b"Fred@Example.Org", FOUND, ""),
    (b"mary.ann@example.org", FOUND, ""),
    (b"nobody", ABSENT, ""),
    (b"nobody@example.org", ABSENT, ""),
    (b"fred@other.example", ABSENT, ""),
    # Plus addressing: the folder must exist, in that spelling.
    (b"fred+Sent@example.org", FOUND, ""),
    (b"fred+sent@example.org", ABSENT, ""),
    (b"fred+sub/folder@example.org", FOUND, ""),
    (b"fred+Two Words@example.org", FOUND, ""),
    (b"fred+Nothing@example.org", ABSENT, ""),
    (b"nobody+Sent@example.org", ABSENT, ""),
    # Over quota: by storage, by messages, in a virtual domain, and in a folder below.
    (b"over", TROUBLE, "Over quota"),
    (b"over@example.org", TROUBLE, "Over quota"),
    (b"full@example.org", TROUBLE, "Over quota"),
    (b"full@virt.example", TROUBLE, "Over quota"),
    # Virtual domains.
    (b"vera@virt.example", FOUND, ""),
    (b"vera+Sent@virt.example", FOUND, ""),
    (b"VERA@VIRT.EXAMPLE", FOUND, ""),
    (b"vera", ABSENT, ""),
    (b"vera@example.org", ABSENT, ""),
    # Shared folders.
    (b"+open", FOUND, ""),
    (b"+open@example.org", FOUND, ""),
    (b"+open/two words", FOUND, ""),
    (b"+hidden", FOUND, ""),
    (b"+news", TROUBLE, "Permission denied"),
    (b"+secret", ABSENT, ""),
    (b"+nothing", ABSENT, ""),
    # Denied for this service: not found, whatever the message.
    (b"denied", ABSENT, ""),
    (b"denied@example.org", ABSENT, ""),
    (b"denied+Sent@example.org", ABSENT, ""),
    (b"silent@example.org", FOUND, ""),  # denied for another service
    # What Postfix asks besides addresses.
    (b"example.org", ABSENT, ""),
    (b"virt.example", ABSENT, ""),
    (b"@example.org", ABSENT, ""),
    (b"*", ABSENT, ""),
    # Keys that are odd.
    (b"fred bloggs", ABSENT, ""),
    (b"fr\xc3\xa9d@example.org", ABSENT, ""),
    (b"a" * 9000, ABSENT, ""),
]


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Serving, Postfix]]:
    """A Cyrus with recipients of every kind, and a Postfix that knows nobody."""
    require("cyrus", "postfix")
    settings = {"defaultdomain": "example.org", "auditlog": "yes"}
    with serving("-U 100000", settings=settings) as service:
        tools = service.cyrus.tools
        tools.load_mailboxes(MAILBOXES)
        tools.set_quotas(QUOTAS)
        tools.deny("denied", SERVICE, "Your account is closed")
        tools.deny("silent", "imap", "not here")
        with Postfix() as mta:
            yield service, mta


def postmap(site: tuple[Serving, Postfix], key: bytes, name: str) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of one look-up."""
    service, mta = site
    table = f"socketmap:unix:{service.address}:{name}"
    done = complete(["/usr/sbin/postmap", "-c", mta.configuration, "-q", key, table])
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize(("key", "code", "trouble"), CASES, ids=lambda value: repr(value)[:40])
def test_postmap(site: tuple[Serving, Postfix], key: bytes, code: int, trouble: str) -> None:
    """The value of a key that is found is the key; the reason for a trouble is in the message."""
    returned, out, said = postmap(site, key, "cyrus")
    if trouble:
        assert (returned, out) == (TROUBLE, b"")
        assert trouble in said
    else:
        assert (returned, out) == (code, key + b"\n" if code == FOUND else b"")
        assert said == ""


def test_map_name_is_ignored(site: tuple[Serving, Postfix]) -> None:
    """Whatever Postfix calls the table."""
    for name in ("a", "virtual_mailbox_maps", "x-y"):
        assert postmap(site, b"fred", name) == (FOUND, b"fred\n", "")


def test_key_that_is_no_text_is_not_asked(site: tuple[Serving, Postfix]) -> None:
    """Postfix keeps what is not UTF-8 to itself."""
    code, out, said = postmap(site, b"\xff\xfe", "cyrus")
    assert (code, out) == (ABSENT, b"")
    assert "non-UTF-8 key" in said


def test_one_process_has_answered_all(site: tuple[Serving, Postfix]) -> None:
    """Each postmap is a connection; nothing went wrong between master and the service."""
    service, _ = site
    service.pid()
    assert service.complaints() == []
