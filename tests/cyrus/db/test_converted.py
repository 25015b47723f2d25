"""A database that is converted to another format and copied over itself, so that the file is the same one.

`cvt_cyrusdb`, and `cp` instead of `mv`: the reader of the old format meets bytes that make no sense
to it, and the file is sound all the same.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cyrus.db.flat import WHOLE
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.errors import StoreError
from tests.support.skiplist_writer import SkiplistWriter
from tests.support.skiplist_writer import finish as finish_skiplist
from tests.support.twom_writer import TwomWriter
from tests.support.twom_writer import finish as finish_twom
from tests.support.twoskip_writer import Writer

Records = dict[bytes, bytes]


def _twoskip(_: Path, records: Records) -> bytes:
    writer = Writer(seed=1)
    writer.fill(records.items())
    return writer.image()


def _skiplist(scratch: Path, records: Records) -> bytes:
    writer = SkiplistWriter(str(scratch))
    for key, value in records.items():
        finish_skiplist(writer.store(key, value))
    finish_skiplist(writer.commit())
    writer.close()
    return scratch.read_bytes()


def _twom(scratch: Path, records: Records) -> bytes:
    writer = TwomWriter(str(scratch))
    for key, value in records.items():
        finish_twom(writer.store(key, value))
    finish_twom(writer.commit())
    writer.close()
    return scratch.read_bytes()


def _flat(_: Path, records: Records) -> bytes:
    return b"".join(b"%b\t%b\n" % record for record in sorted(records.items()))


def _sqlite(scratch: Path, records: Records) -> bytes:
    scratch.unlink(missing_ok=True)
    with closing(sqlite3.connect(scratch)) as link, link:
        link.execute("CREATE TABLE mailboxes_db (dbkey BLOB NOT NULL, data BLOB)")
        link.executemany(
            "INSERT INTO mailboxes_db VALUES (CAST(? AS TEXT), CAST(? AS TEXT))", records.items()
        )
    return scratch.read_bytes()


FORMATS: dict[str, Callable[[Path, Records], bytes]] = {
    "twoskip": _twoskip,
    "skiplist": _skiplist,
    "twom": _twom,
    "flat": _flat,
    "sql": _sqlite,
}
FEW = {b"anna": b"1", b"fred": b"1"}
# A flat file of so many is bisected.
MANY = {**FEW, **{b"user%04d" % each: b"x" * 50 for each in range(WHOLE // 50)}}
AFTER = b"2"


def _copy_over(path: Path, image: bytes) -> None:
    """As cp does: the same file, emptied and written again."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.truncate(0)
        file.write(image)


def _refreshed(database: ReopeningDatabase) -> ReopeningDatabase:
    database.refresh()
    return database


@pytest.mark.parametrize("records", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("new", FORMATS)
@pytest.mark.parametrize("old", FORMATS)
def test_the_first_question_is_answered(
    tmp_path: Path, old: str, new: str, records: Records
) -> None:
    """In whatever order it is asked, and without a fault that is counted."""
    path, scratch = tmp_path / "mailboxes.db", tmp_path / "scratch"
    before = FORMATS[old](scratch, records)
    after = FORMATS[new](scratch, {**records, b"fred": AFTER})
    asked: dict[str, Callable[[ReopeningDatabase], object]] = {
        "get": lambda database: database.get(b"fred"),
        "refresh and get": lambda database: _refreshed(database).get(b"fred"),
        "state and get": lambda database: database.state() and database.get(b"fred"),
        "items": lambda database: dict(database.items(b"fred"))[b"fred"],
        "none": lambda database: database.get(b"nobody") or AFTER,
    }
    said = {}
    for name, ask in asked.items():
        path.unlink(missing_ok=True)
        _copy_over(path, before)
        database = ReopeningDatabase(str(path), old)
        database.state()
        assert database.get(b"fred") == b"1"
        _copy_over(path, after)
        try:
            said[name] = ask(database)
        except StoreError as error:
            said[name] = error
        assert database.counts.faults == 0 or old == new
        database.close()
    assert old == new or said == dict.fromkeys(asked, AFTER)


def test_what_is_no_database_stays_a_fault(tmp_path: Path) -> None:
    """A file that is being copied, or spoilt, says nothing of anybody."""
    path, scratch = tmp_path / "mailboxes.db", tmp_path / "scratch"
    for old, made in FORMATS.items():
        image = made(scratch, FEW)
        for wrong in (b"", b"\xa1\x02\x8b\x0d", os.urandom(8) + bytes(4096)):
            if old == "flat" and not wrong:
                continue  # a flat file of no bytes is an empty database
            path.unlink(missing_ok=True)
            _copy_over(path, image)
            database = ReopeningDatabase(str(path), "twoskip" if old == "flat" else old)
            assert database.get(b"fred") == b"1"
            _copy_over(path, wrong)
            with pytest.raises(StoreError):
                database.get(b"fred")
            assert database.counts.faults == 1
            _copy_over(path, image)
            assert database.get(b"fred") == b"1"
            database.close()
