"""The modules of a start come from one file, and never an older one than their source."""

from __future__ import annotations

import importlib
import marshal
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smmapd import archive
from tests.golden import configurations

PROJECT = Path(__file__).resolve().parents[2]
WRITER = PROJECT / "contrib" / "writearchive.py"
TWOSKIP = next(c for c in configurations() if c.id == "head-twoskip/default")
_writer = runpy.run_path(str(WRITER))
compiled, write = _writer["compiled"], _writer["_write"]
# A time of change that is long ago, in nanoseconds.
LONG_AGO = 1_600_000_000_123_456_789

# What the launcher does (contrib/launcher.in); at the end it says which modules were looked for.
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from smmapd import archive
archive.use()
from smmapd.main import main
code = main(sys.argv[1:])
for name, module in sys.modules.items():
    if name.partition(".")[0] in ("gateway", "smmapd", "__future__"):
        found = isinstance(module.__spec__.loader, archive.Archive)
        print("archive" if found else "file", name, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module's source that was written long ago, below what the archive takes for its root."""
    path = tmp_path / "sample.py"
    path.write_text("VALUE = 'old'\n")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    monkeypatch.setattr(archive, "ROOT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


@pytest.fixture
def finders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Python's own finders, to which an archive may be added for this test."""
    finders: list[object] = list(sys.meta_path)
    monkeypatch.setattr(sys, "meta_path", finders)
    yield finders
    sys.modules.pop("sample", None)
    importlib.invalidate_caches()


def archived(source: Path) -> archive.Archive:
    """An archive that has the module as it is now."""
    entry = compiled(str(source), str(source.parent), package=False)
    assert entry is not None
    return archive.Archive({"sample": entry})


def loaded(finders: list[object], first: archive.Archive) -> object:
    """The module, imported with the archive in its place."""
    finders.insert(0, first)
    return importlib.import_module("sample")


def test_a_module_comes_from_the_archive(source: Path, finders: list[object]) -> None:
    """It knows its file and its name as any other, and its code says where it was read."""
    first = archived(source)
    module = loaded(finders, first)
    assert vars(module)["VALUE"] == "old"
    assert vars(module)["__file__"] == str(source)
    assert vars(module)["__spec__"].loader is first


def rewritten(text: str, changed: int) -> Callable[[Path], None]:
    """The source gets another text and time of change."""

    def change(path: Path) -> None:
        path.write_text(text)
        os.utime(path, ns=(changed, changed))

    return change


CHANGES = {
    "another text of the same length": rewritten("VALUE = 'new'\n", LONG_AGO + 10**9),
    "within the same second": rewritten("VALUE = 'new'\n", LONG_AGO + 1),
    "an earlier time, as from a backup": rewritten("VALUE = 'new'\n", LONG_AGO - 10**9),
    "another length at the same time": rewritten("VALUE = 'new'\n\n", LONG_AGO),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_source_counts(
    source: Path, finders: list[object], change: Callable[[Path], None]
) -> None:
    """The archive has nothing to say of it any more."""
    first = archived(source)
    change(source)
    # Python's own compiled file would be believed within the same second.
    shutil.rmtree(source.parent / "__pycache__", ignore_errors=True)
    assert first.find_spec("sample") is None
    assert vars(loaded(finders, first))["VALUE"] == "new"


def test_a_removed_source_is_missed(source: Path, finders: list[object]) -> None:
    """A module that an upgrade has taken away is gone."""
    first = archived(source)
    source.unlink()
    with pytest.raises(ModuleNotFoundError):
        loaded(finders, first)


def test_what_is_not_there_is_for_others(source: Path) -> None:
    """It knows the names that it has, and no others."""
    assert archived(source).find_spec("another") is None


def test_a_source_that_has_just_changed_is_left_out(source: Path) -> None:
    """It could change again within one tick of the file system's clock."""
    os.utime(source)
    assert compiled(str(source), str(source.parent), package=False) is None


DAMAGES = {
    "empty": lambda good: b"",
    "cut": lambda good: good[:-5],
    "of another Python": lambda good: b"\0\0" + good[2:],
    "of another version of ours": lambda good: good[:4] + b"0" + marshal.dumps({"sample": ()}),
    "no more than its beginning": lambda good: good[: len(archive.MAGIC)],
    "no table": lambda good: archive.MAGIC + marshal.dumps([1]),
    "no data": lambda good: archive.MAGIC + b"?",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_of_no_use_is_none(
    source: Path,
    finders: list[object],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytes], bytes],
) -> None:
    """The start goes the ordinary way, and the sound file is used."""
    path = source.parent / "start"
    good = archive.MAGIC + marshal.dumps(
        {"sample": compiled(str(source), str(source.parent), package=False)}
    )
    monkeypatch.setattr(archive, "PATH", str(path))
    before = list(finders)
    archive.use()  # there is none
    path.write_bytes(damage(good))
    archive.use()
    assert finders == before
    path.write_bytes(good)
    archive.use()
    assert finders[1:] == before


def test_an_archive_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Packages' folders are removed when they are empty."""
    place = tmp_path / "start"
    place.mkdir()  # a file cannot take its place
    with pytest.raises(OSError, match="start"):
        write(str(place), b"all")
    assert list(tmp_path.iterdir()) == [place]


def copied(folder: Path) -> Path:
    """Our packages as an installation has them, without anything compiled."""
    for name in ("gateway", "smmapd"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.py"):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    subprocess.run([sys.executable, "-BI", str(WRITER), str(folder)], check=True, timeout=60)
    return folder


def asked(folder: Path, conf: Path) -> tuple[bytes, set[str], int]:
    """What the program in `folder` answers, which modules came from files, and how many did not."""
    done = subprocess.run(
        [sys.executable, "-BIS", "-c", PROGRAM.format(root=str(folder)), "-X", "-C", str(conf)],
        input=b"7:m alice,",
        capture_output=True,
        check=True,
        timeout=60,
    )
    places = [line.split() for line in done.stderr.decode().splitlines()]
    files = {name for place, name in places if place == "file"}
    return done.stdout, files, len(places) - len(files)


@pytest.mark.processes
def test_one_question_looks_for_no_module(tmp_path: Path) -> None:
    """All that it needs is in the archive, but for the reader of an old format (userdeny's here).

    The archive follows the program to another folder, as the source does, and no change there is
    overlooked.
    """
    conf = tmp_path / "imapd.conf"
    TWOSKIP.write_conf(str(conf))
    first = copied(tmp_path / "first")
    answer, files, number = asked(first, conf)
    assert answer == b"8:OK alice,"
    assert files == {"smmapd", "smmapd.archive", "gateway.cyrus.db.flat"}
    assert number > 40

    second = tmp_path / "second"
    shutil.copytree(first, second)
    shutil.rmtree(first)
    with (second / "smmapd" / "stdio.py").open("a") as file:
        file.write("\n")
    answer, changed, number_then = asked(second, conf)
    assert answer == b"8:OK alice,"
    assert changed == files | {"smmapd.stdio"}
    assert number_then == number - 1
