"""Watched folders: every change that has returned is known to who takes the count."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cyrus import inotify
from gateway.cyrus.folderwatch import MAX_FOLDERS, FolderWatch
from tests.rigs.descriptors import open_descriptors


@pytest.fixture
def watch() -> Iterator[FolderWatch]:
    """The watches of one process."""
    made = FolderWatch()
    yield made
    made.close()


def _kernels(watch: FolderWatch) -> int:
    """How many watches the kernel keeps for it (proc(5), fdinfo)."""
    with open(f"/proc/self/fdinfo/{watch._queue}", encoding="ascii") as lines:
        return sum(line.startswith("inotify ") for line in lines)


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
    """Each caller gets the same count."""
    assert watch.folder(os.fsencode(tmp_path)) is watch.folder(os.fsencode(tmp_path))


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_is_gone_is_watched_no_more(
    watch: FolderWatch, tmp_path: Path, how: str
) -> None:
    """What was seen there counts as changed, and the path can be watched again."""
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
    watch._changed(-1, inotify.OVERFLOW, b"")
    assert [folder.changes for folder in folders] == [count + 1 for count in before]


def test_after_an_overflow_each_path_is_looked_at(watch: FolderWatch, tmp_path: Path) -> None:
    """What was lost may have been a rename."""
    place = tmp_path / "quota" / "f"
    place.mkdir(parents=True)
    folder = watch.folder(os.fsencode(place))
    assert folder is not None
    place.parent.rename(tmp_path / "old")
    place.mkdir(parents=True)
    watch._changed(-1, inotify.OVERFLOW, b"")
    assert not folder.watched


def test_the_number_of_watches_is_bounded(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it folders are looked at and not watched; those on the way count."""
    assert len(tmp_path.parts) < MAX_FOLDERS
    monkeypatch.setattr("gateway.cyrus.folderwatch.MAX_FOLDERS", len(tmp_path.parts))
    (tmp_path / "a").mkdir()
    assert watch.folder(os.fsencode(tmp_path)) is not None
    assert watch.folder(os.fsencode(tmp_path / "a")) is None


def _modes(place: Path) -> None:
    place.parent.chmod(0o700)


def _back(place: Path) -> None:
    place.parent.rename(place.parent.with_name("away"))
    place.parent.with_name("away").rename(place.parent)


def _top(place: Path) -> None:
    place.parent.parent.rename(place.parent.parent.with_name("away"))


@pytest.mark.parametrize("change", [_modes, _back, _top])
def test_what_happens_on_the_way_is_a_change(
    watch: FolderWatch, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """The path may have led elsewhere, if only for a moment."""
    place = tmp_path / "conf" / "quota" / "f"
    place.mkdir(parents=True)
    folder = watch.folder(os.fsencode(place))
    assert folder is not None
    watch.drain()
    before = folder.changes
    count = watch.change_count
    change(place)
    watch.drain()
    assert watch.change_count > count
    assert folder.changes > before
    assert not folder.watched


def test_what_happens_beside_the_way_is_no_news(watch: FolderWatch, tmp_path: Path) -> None:
    """A busy folder far above costs no look at the files."""
    place = tmp_path / "conf" / "quota"
    place.mkdir(parents=True)
    folder = watch.folder(os.fsencode(place))
    assert folder is not None
    watch.drain()
    count = watch.change_count
    (tmp_path / "other").mkdir()
    (tmp_path / "conf" / "file").write_text("x")
    (tmp_path / "other").rename(tmp_path / "conf2")
    watch.drain()
    assert (watch.change_count, folder.watched) == (count, True)


def test_the_watches_of_a_way_that_is_gone_are_given_back(
    watch: FolderWatch, tmp_path: Path
) -> None:
    """However often a store is moved, there are no more of them."""
    place = tmp_path / "conf" / "quota"
    place.mkdir(parents=True)
    counts = set()
    for number in range(10):
        assert watch.folder(os.fsencode(place)) is not None
        counts.add(_kernels(watch))
        place.parent.rename(tmp_path / str(number))
        place.mkdir(parents=True)
        watch.drain()
        assert _kernels(watch) == 0  # nothing is left to be watched
    assert len(counts) == 1


def test_what_is_watched_still_keeps_its_way(watch: FolderWatch, tmp_path: Path) -> None:
    """Of two folders one goes: the other's way is watched as before, and no more than that."""
    for name in ("a/x", "b/y"):
        (tmp_path / name).mkdir(parents=True)
    stays = watch.folder(os.fsencode(tmp_path / "a" / "x"))
    alone = _kernels(watch)
    goes = watch.folder(os.fsencode(tmp_path / "b" / "y"))
    assert stays is not None
    assert goes is not None
    (tmp_path / "b").rename(tmp_path / "c")
    watch.drain()
    assert (stays.watched, goes.watched) == (True, False)
    assert _kernels(watch) == alone
    path_changes = watch.path_changes
    (tmp_path / "b").mkdir()
    (tmp_path / "c" / "y").rmdir()
    watch.drain()
    assert (watch.path_changes, stays.watched) == (path_changes, True)
    (tmp_path / "a").chmod(0o700)
    watch.drain()
    assert not stays.watched


def test_a_watch_that_the_kernel_takes_back_is_over(watch: FolderWatch, tmp_path: Path) -> None:
    """As it does when the file system is unmounted."""
    folder = watch.folder(os.fsencode(tmp_path))
    assert folder is not None
    before = folder.changes
    inotify.remove(watch._queue, folder.place.watch)
    watch.drain()
    assert not folder.watched
    assert folder.changes > before


def test_all_news_are_taken_at_once(watch: FolderWatch, tmp_path: Path) -> None:
    """However much happened elsewhere before."""
    folders = []
    for name in ("busy", "calm"):
        (tmp_path / name).mkdir()
        folder = watch.folder(os.fsencode(tmp_path / name))
        assert folder is not None
        folders.append(folder)
    names = [f"{number:0200}" for number in range(400)]  # more than is read at a time
    for name in names:
        (tmp_path / "busy" / name).touch()
    (tmp_path / "calm" / "file").touch()
    watch.drain()
    assert folders[0].changes >= len(names)
    assert folders[1].changes >= 1
    count = watch.change_count
    watch.drain()
    assert watch.change_count == count


def test_reading_is_no_news(watch: FolderWatch, tmp_path: Path) -> None:
    """Neither of the files and the folder itself, nor of the folders on the way."""
    (tmp_path / "way" / "folder").mkdir(parents=True)
    (tmp_path / "way" / "folder" / "file").write_text("x")
    folder = watch.folder(os.fsencode(tmp_path / "way" / "folder"))
    assert folder is not None
    watch.drain()
    count = watch.change_count
    assert (tmp_path / "way" / "folder" / "file").read_text() == "x"
    assert os.listdir(tmp_path / "way" / "folder") == ["file"]
    assert os.listdir(tmp_path / "way") == ["folder"]
    watch.drain()
    assert (watch.change_count, watch.path_changes) == (count, 0)


def test_the_path_counts_name_by_name(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A way up from behind a link begins where the link leads; a relative one, here."""
    (tmp_path / "far" / "sub").mkdir(parents=True)
    (tmp_path / "far" / "folder").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("far/sub")
    monkeypatch.chdir(tmp_path)
    for path in (b"link/../folder", os.fsencode(tmp_path) + b"/link/../folder"):
        folder = watch.folder(path)
        assert folder is not None
        before = folder.changes
        (tmp_path / "folder" / "file").touch()
        watch.drain()
        assert folder.changes == before
        (tmp_path / "far" / "folder" / "file").touch()
        watch.drain()
        assert folder.changes > before


def test_a_name_that_others_may_change_cannot_be_watched(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local folder that a link on a network file system leads to."""
    above = os.fsencode(tmp_path)
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("gateway.cyrus.inotify.is_renamed_here", lambda path: path != above)
    assert watch.folder(above + b"/folder") is None


def test_a_folder_that_others_may_write_to_cannot_be_watched(
    watch: FolderWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where only this kernel may rename it."""
    above = os.fsencode(tmp_path)
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("gateway.cyrus.inotify.is_local", lambda path: path == above)
    assert watch.folder(above + b"/folder") is None
    assert watch.folder(above) is not None


def test_without_the_table_of_mounts_nothing_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would tell of a mount."""
    monkeypatch.setattr("gateway.cyrus.folderwatch.MOUNTS", str(tmp_path / "absent"))
    watch = FolderWatch()
    assert watch.descriptor is None
    assert watch.folder(os.fsencode(tmp_path)) is None
    watch.close()


def test_without_inotify_nothing_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller then looks at each file."""
    monkeypatch.setattr("gateway.cyrus.inotify.init", lambda: None)
    watch = FolderWatch()
    assert watch.folder(os.fsencode(tmp_path)) is None
    watch.drain()
    watch.close()


def test_after_the_end_nothing_is_watched(tmp_path: Path) -> None:
    """A held folder shows that it is over, and that it may have changed."""
    watch = FolderWatch()
    folder = watch.folder(os.fsencode(tmp_path))
    assert folder is not None
    before, count = folder.changes, watch.change_count
    watch.close()
    assert not folder.watched
    assert folder.changes > before
    assert watch.change_count > count
    assert watch.folder(os.fsencode(tmp_path)) is None


def test_a_watch_that_is_dropped_is_over() -> None:
    """The kernel has but some queues for each user."""
    before = open_descriptors()
    for _ in range(3):
        FolderWatch().drain()
    assert open_descriptors() == before


def test_taking_the_news_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's question waits meanwhile."""
    waits: list[float] = []

    class Asked:
        def __init__(self) -> None:
            self._real = real()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def poll(self, wait: float, *most: int) -> list[tuple[int, int]]:
            waits.append(wait)
            return self._real.poll(wait, *most)

    real = select.epoll
    monkeypatch.setattr(select, "epoll", Asked)
    watch = FolderWatch()
    watch.drain()
    watch.close()
    assert waits == [0, 0]
