"""Which format a file has, and opening it as that."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.formats import detect_view, location, open_database
from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable, StoreError
from tests.golden import FOLDER
from tests.rigs.descriptors import open_descriptors

FORMATS = ["twoskip", "twom", "skiplist", "flat"]


def _put(tmp_path: object, data: bytes) -> str:
    path = f"{tmp_path}/mailboxes.db"
    with open(path, "wb") as file:
        file.write(data)
    return path


def _golden(name: str) -> str:
    return f"{FOLDER}/head-{name}/conf/mailboxes.db"


def detect(path: str) -> str:
    """The format of the file at `path`."""
    with closing(FileView(path)) as view:
        return detect_view(view)


@pytest.mark.parametrize("name", FORMATS)
def test_golden_files_say_what_they_are(name: str) -> None:
    """The first bytes tell each format."""
    assert detect(_golden(name)) == name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty"),
        (b"user.fred\t0 default fred\tlrs\n", "flat"),
        (b"x" * 100 + b"\t" + b"y" * 5000, "flat"),
        (b"user.fred\t0 default fred lrs", "unknown"),
        (b"no tabulator\n", "unknown"),
        (b"\n", "unknown"),
        (b"user.fred\t0 default\0fred lrs\n", "unknown"),
        (b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0", "twoskip"),
        (b"\xa1\x02\x8b\x0dtwoskip fil", "unknown"),
        (b"\xa0\x02\x8b\x0dtwoskip file\0\0\0\0\t\n", "unknown"),
        (b"\xa1\x02\x8b\x0dskiplist file\0\0\0", "skiplist"),
        (b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0", "twom"),
        (b"SQLite format 3\0", "sql"),
        (bytes(100), "unknown"),
    ],
)
def test_formats_are_known_by_their_magic_numbers(tmp_path: object, data: bytes, name: str) -> None:
    """Magic numbers decide; flat is what looks like text with a TAB in its first line."""
    assert detect(_put(tmp_path, data)) == name


def _comparable(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The records by name, without what differs between the golden sets: identifiers and times."""

    def same(text: bytes) -> bytes:
        text = re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}", b"ID", text)
        text = re.sub(rb"\b(C|F|M) \d+", b"N", re.sub(rb"\b\d{9,}\b", b"TIME", text))
        return re.sub(rb"\x1f6B[0-9A-F]{6}\b", b"\x1fWHEN", text)

    return {same(key): same(value) for key, value in records.items() if key.startswith(b"N")}


@pytest.mark.parametrize("configured", ["twoskip", "flat"])
@pytest.mark.parametrize("name", [*FORMATS, "twoskip-qtwoskip"])
def test_all_formats_hold_the_same_mailboxes(name: str, configured: str) -> None:
    """The golden sets are one mail store: whatever its format, every record reads the same."""
    reference = open_database(_golden("twoskip"), "twoskip")
    database = open_database(_golden(name), configured)
    assert database.format == name.removesuffix("-qtwoskip")
    records = dict(database.items())
    assert len(records) == 338
    assert _comparable(records) == _comparable(dict(reference.items()))
    for key, value in records.items():
        assert database.get(key) == value
    database.close()
    reference.close()


@pytest.mark.parametrize("configured", ["twoskip", "twom", "skiplist", "sql", "berkeley"])
def test_an_empty_file_is_no_empty_database(tmp_path: object, configured: str) -> None:
    """A mailbox list of no bytes would make every mailbox nonexistent: it is a fault."""
    path = _put(tmp_path, b"")
    with pytest.raises(DatabaseUnavailable, match="is empty"):
        open_database(path, configured)


def test_an_empty_flat_file_is_one(tmp_path: object) -> None:
    """Cyrus leaves flat databases empty: an empty deny list denies nobody."""
    database = open_database(_put(tmp_path, b""), "flat")
    assert database.format == "flat"
    assert database.get(b"fred") is None
    database.close()


@pytest.mark.parametrize("data", [b"no tabulator\n", bytes(4096), b"\xff" * 64])
def test_unknown_files_are_damaged(tmp_path: object, data: bytes) -> None:
    """What looks like nothing is not taken for a flat database."""
    path = _put(tmp_path, data)
    with pytest.raises(DatabaseDamaged, match="not a twoskip database") as caught:
        open_database(path, "twoskip")
    assert caught.value.path == path


def test_a_damaged_magic_number_is_damage(tmp_path: object) -> None:
    """Whichever byte of a database's beginning is wrong, it is not read as something else."""
    with open(_golden("twoskip"), "rb") as file:
        image = file.read()
    for place in range(64):
        for mask in (0x01, 0x80, 0xFF):
            broken = bytearray(image)
            broken[place] ^= mask
            with pytest.raises(StoreError):
                open_database(_put(tmp_path, bytes(broken)), "twoskip").get(b"Nuser\x1fbob")


def test_what_is_in_a_files_place(tmp_path: object) -> None:
    """A folder or a FIFO in a database's place is a fault, and so is nothing at all."""
    path = f"{tmp_path}/mailboxes.db"
    with pytest.raises(DatabaseMissing):
        open_database(path, "twoskip")
    os.mkdir(path)
    with pytest.raises(DatabaseUnavailable, match="regular"):
        open_database(path, "twoskip")
    os.rmdir(path)
    os.mkfifo(path)
    with pytest.raises(DatabaseUnavailable, match="regular"):
        open_database(path, "twoskip")


def test_quotalegacy_is_where_its_file_would_be() -> None:
    """The last part of the path is dropped, as the C program does; a folder is taken as it is."""
    folder = f"{FOLDER}/head-flat/conf"
    for path in (f"{folder}/quotas.db", folder):
        assert location(path, "quotalegacy") == folder
        database = open_database(path, "quotalegacy", virtdomains=True)
        assert database.format == "quotalegacy"
        assert database.get(b"user.zeromsg") == b"%(S (0) M (0 0) AS (0) NF (1) MODSEQ 2)"
    assert location(f"{folder}/quotas.db", "twoskip") == f"{folder}/quotas.db"
    assert location("quotas.db", "quotalegacy") == "."


def test_a_quota_roots_domain_is_part_of_its_name_where_nothing_is_said(tmp_path: Path) -> None:
    """imapd.conf's virtdomains is off where it is left out."""
    (tmp_path / "quota" / "f").mkdir(parents=True)
    (tmp_path / "quota" / "f" / "a!user.fred").write_bytes(b"1\n2\n")
    assert open_database(str(tmp_path), "quotalegacy").get(b"a!user.fred") == b"1 2"


def test_sqlite_in_a_files_place_has_the_table_of_that_file(tmp_path: Path) -> None:
    """Unless another one is named."""
    path = tmp_path / "mailboxes.db"
    path.write_bytes(Path(f"{FOLDER}/head-sql/conf/sql.db").read_bytes())
    derived = open_database(str(path), "twoskip")
    named = open_database(str(path), "sql", table="absent_db")
    assert derived.format == named.format == "sql"
    assert derived.get(b"Nuser\x1fbob") is not None
    with pytest.raises(DatabaseUnavailable, match="no such table: absent_db"):
        named.get(b"Nuser\x1fbob")
    for database in (derived, named):
        database.close()


def test_refused_files_leave_no_descriptor(tmp_path: object) -> None:
    """Opening that fails gives the descriptor back."""
    path = _put(tmp_path, b"no tabulator\n")
    before = open_descriptors()
    for _ in range(5):
        with pytest.raises(DatabaseDamaged):
            open_database(path, "twoskip")
    assert open_descriptors() == before
