"""Stamps: when an unchanged `stat` proves an unchanged file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from gateway.cyrus.db.filetoken import (
    RACY_FRACTION_NS,
    RACY_NS,
    AbsenceProof,
    FileProof,
    Young,
    file_token,
    is_young,
)
from gateway.cyrus.folderwatch import Folder, WatchedDirectory

SECOND = 10**9
DAY = 86_400 * SECOND


def _status(tmp_path: object, text: bytes = b"x") -> os.stat_result:
    path = f"{tmp_path}/file"
    with open(path, "wb") as file:
        file.write(text)
    return os.stat(path)


def _of(mtime: int, ctime: int) -> os.stat_result:
    """What `stat` says of a file with these times in nanoseconds."""
    times = (0, mtime // SECOND, ctime // SECOND, 0.0, mtime / SECOND, ctime / SECOND)
    return os.stat_result((0o100644, 1, 1, 1, 0, 0, 1, *times, 0, mtime, ctime))


def test_old_files_have_a_stamp(tmp_path: object) -> None:
    """Two looks at an unchanged old file are equal."""
    status = _status(tmp_path)
    now = status.st_ctime_ns + RACY_NS
    assert file_token(status, now) == file_token(os.stat(f"{tmp_path}/file"), now + 1)


def test_young_files_have_none(tmp_path: object) -> None:
    """Just written, or written in the future of this clock: equal to nothing."""
    status = _status(tmp_path)
    for now in (status.st_mtime_ns + RACY_FRACTION_NS - 1, status.st_mtime_ns, 0):
        token = file_token(status, now)
        assert isinstance(token, Young)
        assert token != file_token(status, now)
        assert (token, 1) != (file_token(status, now), 1)
        assert not token == token  # noqa: SIM201 (that is the point)
        assert len({token, token, file_token(status, now)}) == 2


@pytest.mark.parametrize(
    ("mtime", "ctime", "racy"),
    [
        (DAY, DAY, 2 * SECOND),
        (DAY + 1, DAY + 1, SECOND // 10),
        # An old time of writing, as `cp -p` and `rsync -t` leave it behind.
        (SECOND, DAY + 1, RACY_FRACTION_NS),
        (SECOND + 1, DAY, RACY_NS),
    ],
)
def test_how_long_a_file_is_young(mtime: int, ctime: int, racy: int) -> None:
    """Two seconds where the file system keeps whole ones, else a tenth of one; since any change."""
    status = _of(mtime, ctime)
    assert status.st_ctime_ns == ctime
    assert is_young(status, ctime + racy - 1)
    assert not is_young(status, ctime + racy)


def test_a_time_of_writing_that_is_to_come_makes_a_file_young() -> None:
    """Whatever is written before then may set it to any other one."""
    assert is_young(_of(2 * DAY + 1, DAY + 1), DAY + RACY_NS)
    assert not is_young(_of(2 * DAY + 1, DAY + 1), 2 * DAY + RACY_NS)


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
    folder = Folder(b"folder", WatchedDirectory(1), []) if watched else None
    proof = FileProof(path.encode(), status, status.st_ctime_ns + RACY_NS, folder)
    assert proof.found
    assert proof.conclusive
    assert proof.holds()
    if change is not None:
        change(path)
    if folder is not None:
        assert proof.holds()  # nothing has been told
        folder.changes += 1
    assert proof.holds() is holds
    assert proof.holds() is holds


def test_a_file_that_was_young_when_it_was_read_is_read_again_after_any_event(
    tmp_path: object,
) -> None:
    """Its stamp is also that of what may have been written just after it was read."""
    status = _status(tmp_path)
    path = f"{tmp_path}/file".encode()
    folder = Folder(b"folder", WatchedDirectory(1), [])
    proof = FileProof(path, status, status.st_ctime_ns, folder)
    assert proof.conclusive
    assert proof.holds()
    folder.changes += 1
    assert not proof.holds()
    unwatched = FileProof(path, status, status.st_ctime_ns)
    assert not unwatched.conclusive
    assert not unwatched.holds()


@pytest.mark.parametrize("watched", [True, False])
def test_the_proof_that_there_is_no_file(tmp_path: object, watched: bool) -> None:
    """The same."""
    path = f"{tmp_path}/file"
    folder = Folder(b"folder", WatchedDirectory(1), []) if watched else None
    proof = AbsenceProof(path.encode(), folder)
    assert not proof.found
    assert proof.conclusive
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


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTDIR, errno.ELOOP, errno.EIO])
def test_absence_is_proved_by_enoent_alone(
    number: int, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot look does not know."""

    def stat(path: bytes) -> os.stat_result:
        raise OSError(number, os.strerror(number), path)

    folder = Folder(b"folder", WatchedDirectory(1), []) if watched else None
    proof = AbsenceProof(b"/nowhere/at/all", folder)
    if folder is not None:
        folder.changes += 1
    assert proof.holds()
    if folder is not None:
        folder.changes += 1
    monkeypatch.setattr(os, "stat", stat)
    assert not proof.holds()


def test_nothing_is_proved_by_a_folder_that_is_watched_no_more(tmp_path: object) -> None:
    """Nobody would tell of the next change."""
    status = _status(tmp_path)
    folder = Folder(b"folder", WatchedDirectory(1), [])
    folder.watched = False
    path = f"{tmp_path}/file".encode()
    assert not FileProof(path, status, status.st_ctime_ns + RACY_NS, folder).holds()
    assert not AbsenceProof(path + b"?", folder).holds()


def test_every_change_shows(tmp_path: object) -> None:
    """Another size, time or file is another stamp, even with an old time put back."""
    status = _status(tmp_path)
    now = status.st_ctime_ns + DAY
    first = file_token(status, now)
    path = f"{tmp_path}/file"
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 1))
    assert file_token(os.stat(path), now) != first
    _status(tmp_path, b"xx")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_token(os.stat(path), now) != first
    os.rename(path, f"{tmp_path}/kept")
    assert file_token(_status(tmp_path), now) != first
