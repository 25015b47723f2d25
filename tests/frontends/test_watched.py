"""Files that are read again when they change."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.frontends import watched
from gateway.frontends.watched import MAX_TOLD, LineProblem, Trust, Watched
from tests.rigs.waiting import wait_until

# Seconds that no test lasts.
NEVER_S = 3600.0


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change counts at once, but for the tests that are about that."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)


def words(data: bytes) -> tuple[list[bytes], list[LineProblem]]:
    """A parser: the words of the file; the word `bad` is a problem of its line."""
    problems = [(n, "a bad word") for n, line in enumerate(data.split(b"\n"), 1) if b"bad" in line]
    return data.split(), problems


def replace(path: Path, text: str) -> None:
    """Save a file as editors do: a new one is renamed over it."""
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two words."""
    path = tmp_path / "words"
    path.write_text("one two\n")
    return path


def test_only_a_changed_file_is_read_again(path: Path) -> None:
    """A changed file is read again; an unchanged one is not."""
    file = Watched(str(path), words)
    first = file.value
    assert first == [b"one", b"two"]
    assert not file.refresh()
    assert file.value is first
    replace(path, "six")
    assert file.refresh()
    assert file.value == [b"six"]


def test_same_size_and_time(path: Path) -> None:
    """A new file of the same size and time of change is another file all the same."""
    file = Watched(str(path), words)
    status = path.stat()
    replace(path, "two one\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.refresh()
    assert file.value == [b"two", b"one"]


def test_line_problems_are_reported_once_a_reading(path: Path) -> None:
    """Wrong lines are told with file and line when the file is read, and only then."""
    told: list[str] = []
    path.write_text("good\nbad\n")
    file = Watched(str(path), words, told.append)
    assert told == [f"{path}:2: a bad word"]
    file.refresh()
    assert len(told) == 1


def test_unreadable_at_the_start(tmp_path: Path) -> None:
    """A file that cannot be read at the start is a configuration error that names it."""
    with pytest.raises(ConfigurationError) as caught:
        Watched(str(tmp_path / "none"), words)
    assert str(caught.value) == f"{tmp_path}/none: cannot be read: No such file or directory"


@pytest.mark.parametrize("kind", ["folder", "fifo", "nul"])
def test_no_regular_file(tmp_path: Path, kind: str) -> None:
    """A path that is not a regular file is refused, and nobody waits for it."""
    path = str(tmp_path / kind)
    if kind == "folder":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path += "\0"
    with pytest.raises(ConfigurationError) as caught:
        Watched(path, words)
    assert caught.value.file == path


def test_a_file_beyond_the_limit_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the limit is not read into memory."""
    monkeypatch.setattr(watched, "MAX_SIZE", 3)
    with pytest.raises(ConfigurationError, match="has more than 3 bytes"):
        Watched(str(path), words)


def test_vanished_file_keeps_its_value(path: Path) -> None:
    """A file that becomes unreadable is reported once, and counts as it was until it is back."""
    told: list[str] = []
    file = Watched(str(path), words, told.append)
    path.unlink()
    assert not file.refresh()
    assert not file.refresh()
    assert file.value == [b"one", b"two"]
    problem = "cannot be read: No such file or directory; what it said before still counts"
    assert told == [f"{path}: {problem}"]
    path.write_text("back")
    assert file.refresh()
    assert file.value == [b"back"]
    path.unlink()
    file.refresh()
    assert len(told) == 2


def test_a_file_that_is_being_written_keeps_its_value(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that has just opened it has made it empty, and has not written much yet."""
    file = Watched(str(path), words)
    monkeypatch.setattr(watched, "SETTLE", NEVER_S)
    for text in ("", "th", "three four"):
        path.write_text(text)
        assert not file.refresh()
        assert file.value == [b"one", b"two"]
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    assert file.refresh()
    assert file.value == [b"three", b"four"]


def test_a_file_server_with_another_clock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file's times say nothing, it counts when it has been the same for long enough."""
    monkeypatch.setattr(watched, "_age", lambda _status: -NEVER_S)
    monkeypatch.setattr(watched, "SETTLE", 0.05)
    file = Watched(str(path), words)
    replace(path, "six")
    assert not file.refresh()
    wait_until(file.refresh, "the file counts")
    assert file.value == [b"six"]


def test_a_file_that_was_young_at_the_start_is_read_once_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have been writing it; nothing is told twice where nobody was."""
    told: list[str] = []
    path.write_text("bad\n")
    monkeypatch.setattr(watched, "SETTLE", NEVER_S)
    file = Watched(str(path), words, told.append)
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    assert not file.refresh()
    assert (file.version, len(told)) == (1, 1)


def test_an_empty_file_counts_late(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow program may be about to fill it."""
    file = Watched(str(path), words, trust=Trust(max_loss=100))
    path.write_text("")
    assert not file.refresh()
    assert file.value == [b"one", b"two"]
    monkeypatch.setattr(watched, "SETTLE_EMPTY", 0.0)
    assert file.refresh()
    assert file.value == []


def test_a_large_file_is_read_beside_the_questions(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old value stands until the new one is there."""
    monkeypatch.setattr(watched, "AT_ONCE", 3)
    file = Watched(str(path), words)
    replace(path, "three four five")
    file.refresh()
    wait_until(lambda: file.version == 2, "the file is read")
    assert file.value == [b"three", b"four", b"five"]
    assert not file.refresh()


def test_a_large_file_without_a_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who ask wait, where no thread can be started."""

    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(watched, "AT_ONCE", 3)
    monkeypatch.setattr(threading.Thread, "start", none_left)
    file = Watched(str(path), words)
    replace(path, "three four five")
    assert file.refresh()
    assert file.value == [b"three", b"four", b"five"]


def test_of_many_wrong_lines_some_are_told(path: Path) -> None:
    """Then their number: a binary file must not fill the log."""
    told: list[str] = []
    path.write_text("good good bad\n" * 5000)
    Watched(str(path), words, told.append)
    assert len(told) == MAX_TOLD + 1
    assert told[-1] == f"{path}: {5000 - MAX_TOLD} more lines are wrong and skipped"
