"""One open file: bounds, and what may stand in a database's place."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing

import pytest

from gateway.cyrus.db.file import FileView, ReadCounts, store_fault
from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable
from tests.rigs.descriptors import open_descriptors


@pytest.fixture
def path(tmp_path: object) -> str:
    return f"{tmp_path}/database"


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def test_reads_within_the_file(path: str) -> None:
    """`read` gives exactly what is asked for, `peek` what there is of it."""
    _write(path, b"0123456789")
    view = FileView(path)
    assert view.size() == 10
    assert view.read(3, 4) == b"3456"
    assert view.read(10, 0) == b""
    assert view.peek(8, 5) == b"89"
    assert view.peek(20, 5) == b""
    status = os.stat(path)
    assert view.identity == (status.st_dev, status.st_ino)
    view.close()
    view.close()


def test_what_the_system_reads_in_pieces_is_put_together(path: str) -> None:
    """A signal or a network file system may cut a read short."""

    class Piecemeal(FileView):
        def peek(self, offset: int, length: int) -> bytes:
            return super().peek(offset, min(length, 3))

    _write(path, b"0123456789abcdef")
    view = Piecemeal(path)
    for length in range(12):
        assert view.read(2, length) == b"23456789abcdef"[:length]
    view.close()


def test_readers_may_share_their_counts(path: str) -> None:
    """They begin at nothing; a view that shares none has its own."""
    _write(path, b"x")
    shared = ReadCounts()
    assert (shared.retries, shared.faults) == (0, 0)
    view, other = FileView(path, shared), FileView(path)
    assert view.counts is shared
    assert other.counts is not shared
    view.close()
    other.close()


def test_reading_behind_the_end_is_damage(path: str) -> None:
    """A file that is shorter than its records say is damaged, and the message names it."""
    _write(path, b"0123456789")
    view = FileView(path)
    with pytest.raises(DatabaseDamaged, match="ends at 10") as caught:
        view.read(8, 3)
    assert caught.value.path == path
    view.close()


@pytest.mark.parametrize("length", [1 << 21, 1 << 40, 1 << 62, 1 << 63, 1 << 64])
def test_a_length_that_no_file_has_costs_no_memory(path: str, length: int) -> None:
    """Fuzzing found it: damaged twom files say such lengths."""
    _write(path, b"0123456789")
    with closing(FileView(path)) as view:
        size = view.size()
        assert len(view.peek(1, length)) == size - 1
        assert view.peek(size + 1, length) == b""
        with pytest.raises(DatabaseDamaged, match=f"{length} bytes at 1"):
            view.read(1, length)


@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 8, 1 << 70])
def test_a_place_that_no_file_has(path: str, offset: int) -> None:
    """Pointers of a damaged file may lead anywhere."""
    _write(path, b"0123456789")
    with closing(FileView(path)) as view, pytest.raises(DatabaseDamaged, match=str(offset)):
        view.read(offset, 8)


def test_a_file_that_shrinks_is_noticed(path: str) -> None:
    """What was there when the file was opened and is not any more does not kill the process."""
    _write(path, b"x" * 100_000)
    view = FileView(path)
    os.truncate(path, 10)
    with pytest.raises(DatabaseDamaged, match="ends at 10"):
        view.read(0, 100_000)
    view.close()


def test_a_closed_view_cannot_be_read(path: str) -> None:
    """Reading after `close` is an error of the store, never another file's bytes."""
    _write(path, b"x")
    view = FileView(path)
    view.close()
    with pytest.raises(DatabaseUnavailable, match="Bad file descriptor"):
        view.read(0, 1)
    with pytest.raises(DatabaseUnavailable, match="Bad file descriptor"):
        view.size()


def test_a_missing_file_is_missing(path: str) -> None:
    """ENOENT has its own exception, because it is normal for some databases."""
    with pytest.raises(DatabaseMissing, match=path):
        FileView(path)


def test_what_is_no_file_is_refused(path: str) -> None:
    """A folder, a FIFO, a socket, a device and a loop of links are refused without blocking."""
    os.mkdir(path + ".folder")
    os.mkfifo(path + ".fifo")
    os.symlink(path + ".loop", path + ".loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path + ".socket")
        for name in (path + ".folder", path + ".fifo", path + ".socket", "/dev/null"):
            with pytest.raises(DatabaseUnavailable) as caught:
                FileView(name)
            assert not isinstance(caught.value, DatabaseMissing)
            assert caught.value.path == name
    with pytest.raises(DatabaseUnavailable, match="symbolic links"):
        FileView(path + ".loop")
    with pytest.raises(DatabaseUnavailable, match="not a folder"):
        _write(path, b"")
        FileView(path + "/below")


def test_descriptors_are_not_inherited_and_not_leaked(path: str) -> None:
    """A child does not get the descriptor, and a refused file leaves none open."""
    _write(path, b"x")
    before = open_descriptors()
    view = FileView(path)
    assert not os.get_inheritable(view._fd)
    view.close()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            FileView("/dev/null")
    assert open_descriptors() == before


def test_whatever_a_file_server_says_to_a_close_the_file_is_closed_once(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be another file's by the second time."""
    closed: list[int] = []
    really = os.close

    def close(descriptor: int) -> None:
        closed.append(descriptor)
        really(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    _write(path, b"text")
    view = FileView(path)
    with monkeypatch.context() as failing:
        failing.setattr(os, "close", close)
        view.close()
        view.close()
    assert len(closed) == 1


def test_a_file_that_is_dropped_is_closed(path: str) -> None:
    """An engine that met a defect is lost, and its files with it, but no descriptor."""
    _write(path, b"x")
    before = open_descriptors()
    for _ in range(3):
        FileView(path).read(0, 1)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("number", "advice"),
    [(13, "read it"), (24, "open files"), (23, "file-max"), (5, "kernel's log"), (116, "mount")],
)
def test_every_fault_says_what_to_do(number: int, advice: str) -> None:
    """A fault of the system names the file, the system's words and a remedy."""
    fault = store_fault("/a/file", "cannot be opened", OSError(number, os.strerror(number)))
    assert str(fault).startswith(f"/a/file: cannot be opened: {os.strerror(number)}; ")
    assert advice in str(fault)
    assert type(fault) is DatabaseUnavailable


def test_a_fault_without_a_number_has_no_remedy() -> None:
    """Only its own words."""
    assert str(store_fault("/a/file", "cannot be read", OSError("odd"))) == (
        "/a/file: cannot be read: odd"
    )
