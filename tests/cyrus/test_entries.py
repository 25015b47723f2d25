"""All records of a store, as lists of it want them."""

from __future__ import annotations

import os

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.mailboxlist import MailboxList, internal_name
from gateway.cyrus.mailboxrecord import MBTYPE_NETNEWS, MBTYPE_REMOTE, MailboxEntry
from gateway.cyrus.quota import QuotaRecord, QuotaRoots
from gateway.cyrus.store import CyrusStore
from gateway.cyrus.userdeny import UserDeny
from gateway.errors import RecordDamaged
from tests.stores import FlatStore, dbkey, denial, quota, record
from tests.support.memory import MemoryDatabase


@pytest.mark.parametrize(
    "internal",
    [b"user.fred", b"user.fred^smith.Work", b"example.org!user.fred", b"shared.news", b"a!b.c"],
)
def test_a_key_gives_its_internal_name_back(internal: bytes) -> None:
    """`^` for a dot within a part, a dot between parts, `!` behind the domain."""
    key = dbkey(internal).replace(b"^", b".")
    assert internal_name(key) == internal


def test_every_mailbox_of_every_type(tmp_path: os.PathLike[str]) -> None:
    """Deleted mailboxes too; a damaged record is one fault and not the end."""
    store = FlatStore(str(tmp_path))
    store.mailboxes = {
        b"user.fred": record(),
        b"user.old": record(mbtype=b"d"),
        b"user.wrong": b"%(T ! P default)",
        b"shared.news": record(b"anyone\tlrsp\t"),
    }
    store.quotas = {b"user.fred": quota((10, 100)), b"user.odd": b"nonsense"}
    store.denials = {b"fred": denial(), b"joe": denial(pattern=b"imap")}
    store.write()
    cyrus = CyrusStore(imapdconf.load(store.conf_path, None), b"smmap")
    mailboxes = list(cyrus.mailboxes.entries())
    assert [e.name for e in mailboxes if isinstance(e, MailboxEntry)] == [
        b"shared.news",
        b"user.fred",
        b"user.old",
    ]
    assert [e.key for e in mailboxes if isinstance(e, RecordDamaged)] == [dbkey(b"user.wrong")]
    roots = list(cyrus.quotas.entries())
    assert [e for e in roots if isinstance(e, QuotaRecord)] == [
        QuotaRecord(b"user.fred", storage_used=10, storage_limit=100 * 1024)
    ]
    assert [e.key for e in roots if isinstance(e, RecordDamaged)] == [b"user.odd"]
    denials = dict(cyrus.denials.entries(b"smmap"))
    assert denials[b"joe"] is None
    assert denials[b"fred"] is not None


def test_an_older_list() -> None:
    """Keys up to Cyrus 3.4 are internal names; Cyrus' notes are not mailboxes."""
    records = {b"$RACL$A$x": b"0 x", b"N": b"0 default", b"user.fred": b"1 there fred\tlrs\t"}
    records[b"$offers"] = b"%(P default F 1)"
    assert list(MailboxList(MemoryDatabase(records)).entries()) == [
        MailboxEntry(b"$offers", partition=b"default"),
        MailboxEntry(b"N", partition=b"default", before_3=True),
        MailboxEntry(
            b"user.fred",
            MBTYPE_REMOTE,
            partition=b"there",
            server=b"there",
            acl=b"fred\tlrs\t",
            before_3=True,
        ),
    ]


def test_a_newer_list() -> None:
    """A number means another type there, and N alone is not a name."""
    records = {b"$RACL$A$x": b"0 x", b"N": b"0 x", b"Nuser\x1ffred": b"1 default fred\tlrs\t"}
    assert list(MailboxList(MemoryDatabase(records)).entries()) == [
        MailboxEntry(b"user.fred", MBTYPE_NETNEWS, partition=b"default", acl=b"fred\tlrs\t")
    ]


def test_no_userdeny_database(tmp_path: os.PathLike[str]) -> None:
    """Nobody is denied where there is no such file; quota roots must be there."""
    store = FlatStore(str(tmp_path))
    store.write()
    os.unlink(os.path.join(store.configdirectory, "user_deny.db"))
    cyrus = CyrusStore(imapdconf.load(store.conf_path, None), b"smmap")
    assert list(UserDeny(cyrus.denials.database).entries(b"smmap")) == []
    assert list(QuotaRoots(cyrus.quotas.database).entries()) == []
