"""A path is followed as the kernel does, and each folder is entered before it is read."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from gateway.cyrus.pathwalk import MAX_LINKS, absolute, follow


@pytest.fixture
def top(tmp_path: Path) -> bytes:
    """A few folders, and links of every kind, as a path without links."""
    (tmp_path / "real" / "sub").mkdir(parents=True)
    for name, target in {
        "link": "real",
        "absolute": str(tmp_path / "real"),
        "chain": "link",
        "up": "real/../real/sub",
        "round": "round",
        "nowhere": "absent/sub",
    }.items():
        (tmp_path / name).symlink_to(target)
    return os.fsencode(tmp_path.resolve())


# The path, where it leads to, and the names that are looked up.
PATHS: list[tuple[bytes, bytes, list[bytes]]] = [
    (b"real/sub", b"real/sub", [b"real", b"sub"]),
    (b"/real//./sub/", b"real/sub", [b"real", b"sub"]),
    (b"link/sub", b"real/sub", [b"link", b"real", b"sub"]),
    (b"absolute/sub", b"real/sub", [b"absolute", b"real", b"sub"]),
    (b"chain", b"real", [b"chain", b"link", b"real"]),
    (b"up", b"real/sub", [b"up", b"real", b"real", b"sub"]),
    (b"link/../real", b"real", [b"link", b"real", b"real"]),
]


@pytest.mark.parametrize(("path", "end", "names"), PATHS)
def test_where_a_path_leads_to(top: bytes, path: bytes, end: bytes, names: list[bytes]) -> None:
    """The same as for the kernel; each name counts, of links as of folders."""
    entered: list[bytes] = []

    def enter(folder: bytes) -> bytes:
        entered.append(folder)
        return folder

    found = follow(top + b"/" + path, enter)
    assert found is not None
    assert found[0] == top + b"/" + end == os.path.realpath(top + b"/" + path)
    assert [folder for folder, _ in found[1]] == entered
    assert [name for folder, name in found[1] if folder.startswith(top)] == names


@pytest.mark.parametrize("path", [b"round", b"nowhere", b"absent"])
def test_a_path_that_leads_nowhere(top: bytes, path: bytes) -> None:
    """A circle of links, a link to nothing, nothing."""
    assert follow(top + b"/" + path, lambda folder: folder) is None


@pytest.mark.parametrize(("links", "leads"), [(40, True), (41, False)])
def test_as_many_links_as_the_kernel_follows(tmp_path: Path, links: int, leads: bool) -> None:
    """A longer chain is one that the kernel does not follow either."""
    (tmp_path / "0").mkdir()
    for number in range(links):
        (tmp_path / f"{number + 1}").symlink_to(f"{number}")
    path = tmp_path.resolve() / f"{links}"
    assert (follow(os.fsencode(path), lambda folder: folder) is not None) is leads
    if leads:
        assert os.listdir(path) == []
    else:
        with pytest.raises(OSError, match="Too many levels"):
            os.listdir(path)


def test_a_folder_that_cannot_be_entered(top: bytes) -> None:
    """Nothing beyond it can be watched."""
    assert follow(top + b"/real/sub", lambda folder: folder if folder != top else None) is None


@pytest.mark.parametrize("path", [b"link/../up", b"./link", b"/link/../up", b"/"])
def test_an_absolute_path_keeps_every_name(
    top: bytes, path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before `..` may be a link."""
    monkeypatch.chdir(os.fsdecode(top))
    expected = path if path.startswith(b"/") else top + b"/" + path
    assert absolute(path) == expected
    assert absolute(os.fsdecode(path)) == os.fsdecode(expected)


def test_an_absolute_path_needs_no_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon's may be gone."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert absolute("/a/path") == "/a/path"


def test_as_many_links_are_followed_as_the_kernel_follows(top: bytes) -> None:
    """One more, and there is nothing to be seen for anybody."""
    chain = [b"real"] + [b"chain%d" % number for number in range(MAX_LINKS + 1)]
    for target, name in itertools.pairwise(chain):
        os.symlink(target, top + b"/" + name)
    found = follow(top + b"/" + chain[-2], lambda folder: folder)
    assert found is not None
    assert found[0] == top + b"/real"
    assert os.path.exists(top + b"/" + chain[-2])
    assert follow(top + b"/" + chain[-1], lambda folder: folder) is None
    assert not os.path.exists(top + b"/" + chain[-1])
