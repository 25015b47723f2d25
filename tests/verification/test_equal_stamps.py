"""Two contents with one stamp: what kernels before 6.13 make of two writes within one tick.

`stat` below the readers gives the times of such a kernel.  EQUAL_STAMPS is the number
of rounds of each kind (10 000 in the long run, tests/RELIABILITY.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gateway.verification.kinds import Kind
from tests.rigs.kernels import coarse
from tests.stores import dbkey, escaped, record
from tests.support.sites import OLD, Site

ROUNDS = int(os.environ.get("EQUAL_STAMPS", "300"))

# Of the same length: the stamp's size tells nothing.
FULL, FREE = "2000\n1\n", "1000\n1\n"


def _rename(path: Path, text: str) -> None:
    """As Cyrus commits; the inode of the file before the last is used again."""
    new = path.with_name(path.name + ".NEW")
    new.write_text(text)
    new.rename(path)


def _rename_old(path: Path, text: str) -> None:
    """As `rsync -t` restores."""
    new = path.with_name(path.name + ".NEW")
    new.write_text(text)
    os.utime(new, OLD)
    new.rename(path)


def _edit(path: Path, text: str) -> None:
    """As an administrator does that does not make it shorter first."""
    with open(path, "r+", encoding="ascii") as file:
        file.write(text)


def _copy(path: Path, text: str) -> None:
    """As `cp` does."""
    path.write_text(text)


def _copy_old(path: Path, text: str) -> None:
    """As `cp -p` does."""
    path.write_text(text)
    os.utime(path, OLD)


KINDS: dict[str, Callable[[Path, str], None]] = {
    "renamed": _rename,
    "renamed with old times": _rename_old,
    "edited in place": _edit,
    "copied in place": _copy,
    "copied with old times": _copy_old,
}


@pytest.fixture(params=[True, False], ids=["watched", "unwatched"])
def watched(request: pytest.FixtureRequest) -> bool:
    """Whether the kernel tells of changes."""
    return bool(request.param)


@pytest.fixture(autouse=True)
def _old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stat", "lstat", "fstat"):
        monkeypatch.setattr(os, name, coarse(getattr(os, name)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_quota_root_that_is_written_twice_within_a_tick(
    tmp_path: Path, kind: str, watched: bool
) -> None:
    """What was written within a tick of the last look is read again after an event."""
    site = Site(tmp_path)
    if not watched:
        site.cache.watch.close()
    path = site.conf / "quota" / "f" / "user.fred"
    path.parent.mkdir(parents=True)
    path.write_text(FREE)
    chance = Random(kind)
    wrong = 0
    for _ in range(ROUNDS):
        full = True
        for _ in range(chance.randint(1, 3)):
            full = chance.random() < 0.5
            KINDS[kind](path, FULL if full else FREE)
        expected = Kind.OVER_QUOTA if full else Kind.DELIVERABLE
        wrong += site.ask(b"fred").kind is not expected
    assert wrong == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_flat_list_that_is_written_twice_within_a_tick(
    tmp_path: Path, kind: str, watched: bool
) -> None:
    """A whole database in one file has a stamp, too."""
    site = Site(tmp_path)
    if not watched:
        site.cache.watch.close()
    path = site.conf / "mailboxes.db"
    texts = [
        "".join(
            f"{escaped(dbkey(b'user.' + name)).decode('latin-1')}\t{record().decode()}\n"
            for name in (b"anna", last)
        )
        for last in (b"fred", b"mary")
    ]
    path.unlink()
    path.write_text(texts[0], encoding="latin-1")
    chance = Random(kind)
    wrong = 0
    for _ in range(ROUNDS):
        mary = True
        for _ in range(chance.randint(1, 3)):
            mary = chance.random() < 0.5
            KINDS[kind](path, texts[mary])
        for name, there in ((b"fred", not mary), (b"mary", mary)):
            expected = Kind.DELIVERABLE if there else Kind.NONEXISTENT
            wrong += site.ask(name).kind is not expected
    assert wrong == 0
