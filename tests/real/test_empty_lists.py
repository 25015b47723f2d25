"""Mailbox lists that Cyrus' own tools empty and make again: nobody is unknown because of them."""

from __future__ import annotations

import os

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Query
from gateway.verification.verifier import Verifier
from tests.rigs.cyrus import Cyrus
from tests.rigs.require import require
from tests.stores import dbkey, record

pytestmark = pytest.mark.real

FRED, ANNA, NOBODY = Query(b"fred"), Query(b"anna"), Query(b"nobody")
FAULT, UNKNOWN, KNOWN = Kind.STORE_FAULT, Kind.NONEXISTENT, Kind.DELIVERABLE


@pytest.mark.parametrize("backend", ["twoskip", "skiplist", "sql"])
def test_an_empty_list_is_a_fault(backend: str) -> None:
    """Whose last record is deleted, that is made again, and that is filled again."""
    require("cyrus")
    with Cyrus() as cyrus:
        options = {"mboxlist_db": backend}
        if backend == "sql":
            options |= {"sql_engine": "sqlite", "sql_database": cyrus.tools.path("sql.db")}
        cyrus.write_imapd_conf(options)
        conf = imapdconf.load(cyrus.imapd_conf, "smmap")
        path = cyrus.tools.path("mailboxes.db")

        def write(*users: bytes) -> None:
            records = {dbkey(b"user." + user): record(user + b"\tlrswip") for user in users}
            cyrus.tools.db_set("mailboxes.db", backend, records)

        write(b"fred", b"anna")
        engine = Verifier.for_store(CyrusStore(conf, b"smmap"))
        site = Verifier.for_store(CyrusStore(conf, b"smmap", empty_list=True))

        def kinds(verifier: Verifier) -> list[Kind]:
            return [verifier.verify(each).kind for each in (FRED, ANNA, NOBODY)]

        assert kinds(engine) == kinds(site) == [KNOWN, KNOWN, UNKNOWN]
        cyrus.tools.db_delete("mailboxes.db", backend, dbkey(b"user.fred"))
        assert kinds(engine) == kinds(site) == [UNKNOWN, KNOWN, UNKNOWN]
        cyrus.tools.db_delete("mailboxes.db", backend, dbkey(b"user.anna"))
        assert kinds(engine) == [FAULT] * 3
        assert kinds(site) == [UNKNOWN] * 3
        fault = engine.verify(FRED).evidence.fault
        assert fault is not None
        assert "has no mailbox at all" in fault
        write(b"fred", b"anna")
        assert kinds(engine) == kinds(site) == [KNOWN, KNOWN, UNKNOWN]
        if backend == "sql":
            return
        # Another file in its place, as a fresh server has it.
        os.unlink(path)
        assert kinds(engine) == [FAULT] * 3
        write(b"x")
        assert kinds(engine) == [UNKNOWN] * 3
        cyrus.tools.db_delete("mailboxes.db", backend, dbkey(b"user.x"))
        assert kinds(engine) == [FAULT] * 3
