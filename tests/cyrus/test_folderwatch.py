"""Watched folders: every change that has returned is known to who takes the news."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cyrus import inotify
from gateway.cyrus.folderwatch import MAX_FOLDERS, FolderWatch


@pytest.fixture
def watch() -> Iterator[FolderWatch]:
    """The watches of one process."""
    made = FolderWatch()
    yield made
    made.close()


def _rename(folder: Path) -> None:
    (folder / "new").write_text("x")
    (folder / "new").rename(folder / "file")


CHANGES: list[Callable[[Path], object]] = [
    lambda folder: (folder / "other").write_text("x"),
    lambda folder: (folder / "file").write_text("longer than before"),
    lambda folder: (folder / "file").unlink(),
    lambda folder: (folder / "file").chmod(0o600),
    lambda folder: os.utime(folder / "file", (1, 1)),
    lambda folder: (folder / "sub").mkdir(),
    _rename,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_counted_once_it_has_returned(
    watch: FolderWatch, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """No waiting: the event is in the queue before the system call returns."""
    (tmp_path / "file").write_text("x")
    folder = watch.folder(os.fsencode(tmp_path))
    assert folder is not None
    watch.drain()
    before = folder.changes
    watch.drain()
    assert folder.changes == before
    change(tmp_path)
    watch.drain()
    assert folder.changes > before


def test_one_folder_is_watched_once(watch: FolderWatch, tmp_path: Path) -> None:
    """Whoever asks for it gets the same count."""
    assert watch.folder(os.fsencode(tmp_path)) is watch.folder(os.fsencode(tmp_path))


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_is_gone_is_watched_no_more(
    watch: FolderWatch, tmp_path: Path, how: str
) -> None:
    """What was seen there counts as changed, and the path can be watched anew."""
    place = tmp_path / "quota"
    place.mkdir()
    folder = watch.folder(os.fsencode(place))
    assert folder is not None
    before = folder.changes
    if how == "removed":
        place.rmdir()
    else:
        place.rename(tmp_path / "elsewhere")
    watch.drain()
    assert folder.changes > before
    assert not folder.watched
    place.mkdir()
    again = watch.folder(os.fsencode(place))
    assert again is not None
    assert again is not folder


def test_what_cannot_be_watched_is_none(watch: FolderWatch, tmp_path: Path) -> None:
    """No folder, a file, a file system that others write to as well."""
    (tmp_path / "file").write_text("x")
    assert watch.folder(os.fsencode(tmp_path / "absent")) is None
    assert watch.folder(os.fsencode(tmp_path / "file")) is None
    assert watch.folder(b"/proc") is None


def test_a_queue_that_overflows_counts_for_all(watch: FolderWatch, tmp_path: Path) -> None:
    """When the kernel could not keep every event, everything may have changed."""
    folders = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        folder = watch.folder(os.fsencode(tmp_path / name))
        assert folder is not None
        folders.append(folder)
    before = [folder.changes for folder in folders]
    watch._changed(-1, inotify.OVERFLOW)
    assert [folder.changes for folder in folders] == [count + 1 for count in before]


def test_the_number_of_watches_is_bounded(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it folders are looked at and not watched."""
    monkeypatch.setattr("gateway.cyrus.folderwatch.MAX_FOLDERS", 1)
    assert MAX_FOLDERS > 1
    (tmp_path / "a").mkdir()
    assert watch.folder(os.fsencode(tmp_path)) is not None
    assert watch.folder(os.fsencode(tmp_path / "a")) is None


def test_without_inotify_nothing_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller then looks at each file."""
    monkeypatch.setattr("gateway.cyrus.inotify.init", lambda: None)
    watch = FolderWatch()
    assert watch.folder(os.fsencode(tmp_path)) is None
    watch.drain()
    watch.close()
