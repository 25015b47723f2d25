"""Files of Postfix' configuration: what changes of them show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.mta.configuration import SETTLE, ConfigurationFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration."""
    (tmp_path / "main.cf").write_text("relay_domains = /domains\n")
    (tmp_path / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    (tmp_path / "domains").write_text("example.org\n")
    return tmp_path


def in_place(path: Path) -> None:
    """An editor that writes into the file, and gives it its old times back."""
    before = path.stat()
    path.write_text(path.read_text() + "# more\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_rename(path: Path) -> None:
    """An editor that puts a new file in the old one's place."""
    new = path.with_suffix(".new")
    new.write_text(path.read_text())
    new.rename(path)


@pytest.mark.parametrize("name", ["main.cf", "master.cf", "domains"])
@pytest.mark.parametrize("change", [in_place, by_rename, Path.unlink])
def test_every_change_shows(folder: Path, name: str, change: object) -> None:
    """However it was made; and it stays one."""
    files = ConfigurationFiles(str(folder))
    files.add([str(folder / "domains")])
    files.refresh()
    assert (files.changed, files.version, files.change()) == (False, 0, None)
    assert callable(change)
    change(folder / name)
    files.refresh()
    assert files.changed
    assert files.version == 1


def test_a_file_in_the_making_is_no_news_yet(folder: Path) -> None:
    """It is read again when it has been left alone."""
    now = (folder / "main.cf").stat().st_mtime
    files = ConfigurationFiles(str(folder), clock=lambda: now)
    by_rename(folder / "main.cf")
    now = (folder / "main.cf").stat().st_mtime
    assert files.change() is None
    now += SETTLE + 1
    change = files.change()
    assert change is not None
    assert change[0] == str(folder / "main.cf")
    assert files.change() == change  # the same change has the same name


def test_a_file_that_comes(folder: Path) -> None:
    """What was not there and is now has changed."""
    (folder / "master.cf").unlink()
    files = ConfigurationFiles(str(folder))
    (folder / "master.cf").write_text("\n")
    files.refresh()
    assert files.changed
