"""The one function that opens files."""

from __future__ import annotations

import ast
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import files
from tests.rigs.descriptors import open_descriptors
from tests.sources import SOURCES, dotted, tree


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


MAKERS = {
    "folder": (_folder, "is a folder"),
    "pipe": (_pipe, "is a named pipe (FIFO)"),
    "device": (_device, "is a device"),
    "terminal": (_terminal, "is a device"),
    "socket": (_socket, "is a socket"),
}


@pytest.fixture(params=MAKERS)
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The path of something that is not a file, and how that is said."""
    make: Callable[[Path], None]
    make, words = MAKERS[request.param]
    make(tmp_path / "it")
    yield str(tmp_path / "it"), words


@pytest.mark.slow
def test_what_is_no_file_is_an_error_at_once(strange: tuple[str, str]) -> None:
    """It says what is there; nothing waits, and no descriptor is left."""
    path, words = strange
    before = open_descriptors()
    for read in (
        files.open_file,
        lambda name: files.read_file(name, 10),
    ):
        with pytest.raises(files.NotAFile) as caught:
            read(path)
        assert caught.value.strerror == f"{words}, not a regular file"
    assert open_descriptors() == before


def test_what_takes_the_files_place_after_the_look_is_an_error_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that is put there between the look and the open."""
    path = tmp_path / "it"
    path.write_bytes(b"x")
    look = os.stat

    def swap(name: str) -> os.stat_result:
        found = look(name)
        path.unlink()
        os.mkfifo(path)
        return found

    monkeypatch.setattr(os, "stat", swap)
    with pytest.raises(files.NotAFile):
        files.open_file(str(path))


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    """And one byte more is an error."""
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert files.read_file(str(path), 5) == b"12345"
    with pytest.raises(files.TooLong) as caught:
        files.read_file(str(path), 4)
    assert caught.value.strerror == "has more than 4 bytes"


def test_what_is_missing_or_closed_to_us_stays_what_it_is(tmp_path: Path) -> None:
    """As the system says it."""
    with pytest.raises(FileNotFoundError):
        files.read_file(str(tmp_path / "none"), 5)


# Which modules open what by themselves, and why.
_OWN = {
    "gateway/files.py": "this is the place",
    "gateway/cyrus/db/file.py": "databases: the same flags and checks, and faults of their own",
    "gateway/cyrus/db/reopening.py": "a path's place is held with O_PATH, which opens nothing",
    "gateway/cyrus/db/quotalegacy.py": "quota roots: relative to a folder's descriptor",
    "gateway/cyrus/folderwatch.py": "the kernel's table of mounts",
    "gateway/observability/metrics/recorder.py": "the kernel's account of this process",
    "gateway/observability/admin/page/__init__.py": "our own pages",
    "gateway/supervisor/unixsockets.py": "a folder, and a socket's file with O_PATH",
    "gateway/worker/indexbuilder.py": "what the kernel ends first where memory runs out",
    "smmapd/archive.py": "our own compiled modules",
    "gateway/cli/__init__.py": "/dev/null",
    "gateway/cli/main.py": "/dev/null",
    "gateway/cli/checks/access.py": "tries what another user may open, folders too",
}


# Lists of addresses and logs on a command line: `replay <(zcat log)` is a pipe, and may wait.
_GIVEN_BY_THE_USER = {"gateway/cli/check.py", "gateway/cli/logfiles.py"}


def _opens(module: str) -> bool:
    """Whether it calls `open` or `os.open` on a name of its own."""
    return any(
        isinstance(node, ast.Call)
        and dotted(node.func) in ("open", "os.open")
        # A descriptor that `files` has opened.
        and "open_file(" not in ast.unparse(node)
        for node in ast.walk(tree(module))
    )


def test_files_are_opened_in_one_place() -> None:
    """Other modules that open something are known, with the reason; what a command is given may wait."""
    assert {each for each in SOURCES if _opens(each)} - _OWN.keys() - _GIVEN_BY_THE_USER == set()
