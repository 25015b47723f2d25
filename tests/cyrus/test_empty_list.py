"""A mailbox list without any record: a fault of the store, whatever its format."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.mailboxlist import MailboxList
from gateway.cyrus.names import Naming
from gateway.cyrus.store import CyrusStore
from gateway.errors import DatabaseEmpty
from tests.stores import FlatStore, record
from tests.support.memory import MemoryDatabase, ReplacedDatabase

NAMING = Naming(keeps_domains=True, default_domain=b"example.com")
KEY, OLD_KEY = b"Nuser\x1ffred", b"user.fred"


@pytest.mark.parametrize("name", [b"fred", b"+shared", b"+$RACL", b"fred@virt.org"])
def test_an_empty_list_makes_nobody_unknown(name: bytes) -> None:
    """It is a fault, unless the site says that it has no mailbox."""
    mailboxes = MailboxList(MemoryDatabase({}))
    for _ in range(2):
        with pytest.raises(DatabaseEmpty, match=r"memory\.db: has no mailbox.*allow_empty_list"):
            mailboxes.lookup(NAMING.recipient(name))
    assert list(mailboxes.entries()) == []
    empty = MailboxList(MemoryDatabase({}), may_be_empty=True)
    assert empty.lookup(NAMING.recipient(name)) is None


def test_a_list_that_becomes_empty_is_noticed() -> None:
    """In a file whose last record is deleted, and in another one."""
    for database in (MemoryDatabase({KEY: b"%(T e)"}), ReplacedDatabase({OLD_KEY: b"0 p x\tl\t"})):
        mailboxes = MailboxList(database)
        assert mailboxes.lookup(NAMING.recipient(b"fred")) is not None
        assert mailboxes.lookup(NAMING.recipient(b"nobody")) is None
        if isinstance(database, ReplacedDatabase):
            database.replace({})
        else:
            database.records = {}
            database.commits += 1
        with pytest.raises(DatabaseEmpty):
            mailboxes.lookup(NAMING.recipient(b"nobody"))


def test_a_list_that_is_filled_meanwhile_loses_nobody() -> None:
    """The record comes between the look for it and the look at the kind of keys."""
    database = MemoryDatabase({})
    get = database.get

    def slow_get(key: bytes) -> bytes | None:
        found = get(key)
        database.records = {KEY: b"%(T e)", b"Nuser\x1falice": b"%(T e)"}
        return found

    database.get = slow_get  # type: ignore[method-assign]
    assert MailboxList(database).lookup(NAMING.recipient(b"fred")) is not None


def test_a_flat_list_has_no_record_where_its_file_has_no_line(tmp_path: Path) -> None:
    """The other formats are emptied by Cyrus' own tools: tests/real/test_empty_lists.py."""
    flat = FlatStore(str(tmp_path), {b"user.fred": record(b"fred\tlrs")})
    flat.write()
    store = CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap")
    fred = store.naming.recipient(b"fred")
    assert store.mailboxes.lookup(fred) is not None
    flat.mailboxes = {}
    flat.write()
    store.refresh()
    with pytest.raises(DatabaseEmpty):
        store.mailboxes.lookup(fred)
    flat.options = {"smmapd_allow_empty_list": "yes"}
    flat.write()
    store = CyrusStore(imapdconf.load(flat.conf_path, "smmap"), b"smmap")
    assert store.mailboxes.lookup(fred) is None
