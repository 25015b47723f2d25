"""Each recipient that real mail servers are asked about, asked of both authorities at once.

The recipients, their mailboxes and what is true of them are those of tests/interfaces/kinds.py, the one
table, in a store of our own hand; what is on another server is asked there by tests/interfaces.
"""

from __future__ import annotations

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.model import Query
from gateway.verification.verifier import Verifier
from tests.interfaces.kinds import (
    AWAY,
    DAMAGED,
    DENIALS,
    MAILBOXES,
    QUOTAS,
    SETTINGS,
    SMMAPDS,
    VERDICTS,
)
from tests.rigs.cyrus_tools import Mailbox
from tests.stores import US, FlatStore, denial, owner, record

HERE = {title: rcpt for title, rcpt in VERDICTS.items() if rcpt not in AWAY}


def row(mailbox: Mailbox) -> bytes:
    """The mailbox as the list has it; its owner's rights come of themselves."""
    acl = {} if owner(mailbox.name.encode()) else mailbox.acl
    pairs = "\t".join(f"{who}\t{rights}" for who, rights in acl.items())
    return record(pairs.encode(), mailbox.mbtype.encode())


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The store of the table."""
    mailboxes = {each.name.encode(): row(each) for each in MAILBOXES}
    mailboxes |= {key[1:].replace(US, b"."): value for key, value in DAMAGED.items()}
    denials = {
        user.encode(): denial((message or "").encode(), services.encode())
        for user, (services, message) in DENIALS.items()
    }
    root = str(tmp_path_factory.mktemp("kinds"))
    store = FlatStore(root, mailboxes, dict(QUOTAS), denials, dict(SETTINGS))
    store.write()
    return store.conf_path


@pytest.mark.parametrize("answers", ["delivery", "smmapd"])
@pytest.mark.parametrize("title", HERE)
def test_what_each_authority_says(conf: str, title: str, answers: str) -> None:
    """As the table says; smmapd's where it is another."""
    rcpt = VERDICTS[title]
    kind = SMMAPDS.get(title, rcpt.kind) if answers == "smmapd" else rcpt.kind
    store = CyrusStore(imapdconf.load(conf, "smmap"), b"smmap")
    assert Verifier.for_store(store, answers=answers).verify(Query(rcpt.address)).kind is kind


def test_smmapds_own_answers_are_others() -> None:
    """SMMAPDS has no row that says the same."""
    assert all(VERDICTS[title].kind is not kind for title, kind in SMMAPDS.items())
