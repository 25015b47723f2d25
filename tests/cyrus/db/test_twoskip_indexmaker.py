"""When another process is to make an index: where there is none that will do, and none was offered."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip import twoskip
from gateway.cyrus.db.twoskip.indexmaker import ATTEMPTS, IndexMaker
from gateway.cyrus.db.twoskip.keyrun import KeyRun
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.support.twoskip_disk import Disk
from tests.support.twoskip_writer import Writer


@pytest.fixture
def maker(tmp_path: Path) -> IndexMaker:
    """That of a small file."""
    disk = Disk(str(tmp_path / "mailboxes.db"))
    writer = Writer(seed=1)
    writer.fill([(b"user.fred", b"value")])
    disk.apply(writer)
    os.close(disk.fd)
    return IndexMaker(FileView(disk.path))


@pytest.mark.parametrize("failures", [0, ATTEMPTS - 1, ATTEMPTS])
@pytest.mark.parametrize("offered", [False, True])
@pytest.mark.parametrize("outgrown", [None, False, True])
def test_when_one_is_wanted(
    maker: IndexMaker, failures: int, offered: bool, outgrown: bool | None
) -> None:
    """Never for a file that cannot have one."""
    maker._failures = failures
    offer: Any = SimpleNamespace()
    maker._offer = offer if offered else None
    index: Any = SimpleNamespace(outgrown=outgrown) if outgrown is not None else None
    expected = failures < ATTEMPTS and not offered and outgrown is not False
    assert maker.is_wanted(index) is expected


def test_there_is_something_to_do_at_first(maker: IndexMaker) -> None:
    """Until a step says otherwise."""
    assert maker.more


def test_an_empty_run_ends_nowhere() -> None:
    """So it is not given to anybody else."""
    assert KeyRun.empty().end == 0


def test_a_short_file_is_indexed_where_it_is_read(
    maker: IndexMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once it is, there is something to give to others, and nothing is wanted."""
    database = Twoskip(maker._view)
    assert database.index_wanted == ""
    assert database.export_index() is None
    monkeypatch.setattr(twoskip, "SHARED_FROM", 1)
    assert database.index_wanted == database.path
    database.state()
    while database.build_index_step():
        pass
    assert database.index_wanted == ""
    descriptor = database.export_index()
    assert descriptor is not None
    os.close(descriptor)
    database.close()
