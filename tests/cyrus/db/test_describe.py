"""What a database file says of itself, and how often reading it started over or failed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.cyrus.db import flat
from gateway.cyrus.db.base import Description
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.errors import DatabaseDamaged, DatabaseMissing, StoreError
from tests.golden import FOLDER


def described(path: str, configured: str) -> Description:
    """What the file at `path` says of itself."""
    return ReopeningDatabase(path, configured).describe()


@pytest.mark.parametrize(
    ("name", "configured", "generation"),
    [
        ("head-flat", "flat", None),
        ("head-skiplist", "skiplist", None),
        ("head-twom", "twom", 4),
        ("head-twoskip", "twoskip", 6),
    ],
)
def test_a_file_is_described_by_its_header(
    name: str, configured: str, generation: int | None
) -> None:
    """Format, size, records, and the generation where the format has one."""
    path = os.path.join(FOLDER, name, "conf", "mailboxes.db")
    found = described(path, "twoskip")
    assert (found.format, found.size) == (configured, os.path.getsize(path))
    assert found.generation == generation
    assert found.records


@pytest.mark.parametrize(
    ("name", "told"),
    [("head-flat", True), ("head-skiplist", True), ("head-twom", False), ("head-twoskip", True)],
)
def test_the_kernel_tells_of_what_is_written_by_system_calls(name: str, told: bool) -> None:
    """Of what is written through memory it tells nothing."""
    database = ReopeningDatabase(os.path.join(FOLDER, name, "conf", "mailboxes.db"), "flat")
    database.state()
    assert database.told_by_kernel is told
    database.close()


def test_a_large_flat_file_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads a hundred megabytes for a gauge."""
    path = tmp_path / "mailboxes.db"
    path.write_bytes(b"a\tb\nc\td\n")
    monkeypatch.setattr(flat, "MAX_COUNTED", 8)
    assert described(str(path), "flat") == Description("flat", 8, None, 2)
    monkeypatch.setattr(flat, "MAX_COUNTED", 7)
    assert described(str(path), "flat") == Description("flat", 8, None, None)


@pytest.mark.parametrize(
    ("data", "configured", "expected"),
    [
        (b"", "flat", Description("flat", 0, None, 0)),
        (b"a\tb\n", "flat", Description("flat", 4, None, 1)),
        (b"a\tb\n", "twoskip", Description("flat", 4, None, 1)),
    ],
)
def test_what_looks_like_nothing_is_flat_where_that_is_configured(
    tmp_path: Path, data: bytes, configured: str, expected: Description
) -> None:
    """As when it is read: the others never leave such a file."""
    path = tmp_path / "mailboxes.db"
    path.write_bytes(data)
    assert described(str(path), configured) == expected


def test_another_format_than_flat_is_described_as_what_it_is() -> None:
    """Whatever imapd.conf says."""
    path = os.path.join(FOLDER, "head-twoskip", "conf", "mailboxes.db")
    assert described(path, "flat") == described(path, "twoskip")


def test_many_files_have_no_size(tmp_path: Path) -> None:
    """A quota root a file: nothing is looked at."""
    assert described(str(tmp_path), "quotalegacy") == Description("quotalegacy")


def test_what_cannot_be_described_is_a_fault(tmp_path: Path) -> None:
    """The same faults as when it is read."""
    with pytest.raises(DatabaseMissing):
        described(str(tmp_path / "none"), "twoskip")
    path = tmp_path / "short"
    path.write_bytes(b"\xa1\x02\x8b\x0dtwoskip file")
    with pytest.raises(DatabaseDamaged):
        described(str(path), "twoskip")


def test_faults_are_counted(tmp_path: Path) -> None:
    """Each failed read counts; a file that is not there is no fault of reading."""
    path = tmp_path / "mailboxes.db"
    live = ReopeningDatabase(str(path), "twoskip")
    with pytest.raises(DatabaseMissing):
        live.get(b"key")
    assert live.counts.faults == 0
    path.write_bytes(b"no database at all")
    live.refresh()
    for _ in range(2):
        with pytest.raises(StoreError):
            live.get(b"key")
    assert (live.counts.faults, live.counts.retries) == (2, 0)
