"""Stamps: when an unchanged `stat` proves an unchanged file."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from gateway.cyrus.db.stamp import RACY_NS, AbsenceProof, FileProof, Young, is_young, stamp
from gateway.cyrus.folderwatch import Folder, Place


def _status(tmp_path: object, text: bytes = b"x", mtime: int = 10**9) -> os.stat_result:
    path = f"{tmp_path}/file"
    with open(path, "wb") as file:
        file.write(text)
    os.utime(path, ns=(mtime, mtime))
    return os.stat(path)


def test_old_files_have_a_stamp(tmp_path: object) -> None:
    """Two looks at an unchanged old file are equal."""
    status = _status(tmp_path)
    now = status.st_mtime_ns + RACY_NS
    assert stamp(status, now) == stamp(os.stat(f"{tmp_path}/file"), now + 1)


def test_young_files_have_none(tmp_path: object) -> None:
    """Just written, or written in the future of this clock: equal to nothing."""
    status = _status(tmp_path)
    for now in (status.st_mtime_ns + RACY_NS - 1, status.st_mtime_ns, 0):
        token = stamp(status, now)
        assert isinstance(token, Young)
        assert token != stamp(status, now)
        assert (token, 1) != (stamp(status, now), 1)
        assert not token == token  # noqa: SIM201 (that is the point)
        assert len({token, token, stamp(status, now)}) == 2


@pytest.mark.parametrize(("mtime", "racy"), [(10**9, 2 * 10**9), (10**9 + 1, 10**8)])
def test_how_long_a_file_is_young(tmp_path: object, mtime: int, racy: int) -> None:
    """Two seconds where the file system keeps whole ones, else a tenth of one."""
    status = _status(tmp_path, mtime=mtime)
    assert is_young(status, mtime + racy - 1)
    assert not is_young(status, mtime + racy)


def _change(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(("change", "holds"), [(None, True), (_change, False), (os.unlink, False)])
@pytest.mark.parametrize("watched", [True, False])
def test_the_proof_of_a_file(
    tmp_path: object, change: Callable[[str], None] | None, holds: bool, watched: bool
) -> None:
    """It is looked at where nobody watches its folder, or where something has happened there."""
    status = _status(tmp_path)
    path = f"{tmp_path}/file"
    folder = Folder(b"folder", Place(1), []) if watched else None
    proof = FileProof(path.encode(), status, folder)
    assert proof.found
    assert proof.holds()
    if change is not None:
        change(path)
    if folder is not None:
        assert proof.holds()  # nothing has been told
        folder.changes += 1
    assert proof.holds() is holds
    assert proof.holds() is holds


@pytest.mark.parametrize("watched", [True, False])
def test_the_proof_that_there_is_no_file(tmp_path: object, watched: bool) -> None:
    """The same."""
    path = f"{tmp_path}/file"
    folder = Folder(b"folder", Place(1), []) if watched else None
    proof = AbsenceProof(path.encode(), folder)
    assert not proof.found
    assert proof.holds()
    if folder is not None:
        folder.changes += 1
    assert proof.holds()
    _change(path)
    if folder is not None:
        assert proof.holds()  # nothing has been told
        folder.changes += 1
    assert not proof.holds()
    assert not proof.holds()


def test_every_change_shows(tmp_path: object) -> None:
    """Another size, time or file is another stamp, even with an old time put back."""
    now = 10**10
    first = stamp(_status(tmp_path), now)
    assert stamp(_status(tmp_path, b"xx"), now) != first
    assert stamp(_status(tmp_path, mtime=10**9 + 1), now) != first
    os.rename(f"{tmp_path}/file", f"{tmp_path}/kept")
    assert stamp(_status(tmp_path), now) != first
