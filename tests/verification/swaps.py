"""Another store in the place of the one that a gateway has answered from.

A restore, a migration or a mount makes a path lead elsewhere while no file
that was read has changed.  `Swap` makes that of any folder on the way to a
quota root: `prepare` before the first question, `swap` after it.

    unshare --mount python -m tests.verification.swaps FOLDER

mounts and unmounts there, and says what each place came to; run in a mount
namespace of its own it leaves nothing behind.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.sites import Site

# On the way to the root of user.fred, from the folder of everything down.
PLACES = (".", "conf", "conf/quota", "conf/quota/f")

# Turns after which nothing is looked at any more.
CALM = 3


def restored(place: Path) -> Path:
    """A copy of `place`, to be put there: in it, fred is over quota."""
    other = place.with_name(place.name + ".restored")
    shutil.copytree(place, other)
    (root,) = other.rglob("user.fred")
    root.write_text("2000\n1\n")
    return other


def _nothing(_place: Path) -> None:
    """As it is."""


def _rename(place: Path, other: Path) -> None:
    place.rename(place.with_name(place.name + ".old"))
    other.rename(place)


def _link(place: Path) -> None:
    """Make `place` a symbolic link to a symbolic link."""
    first = place.with_name(place.name + ".first")
    place.rename(first)
    between = place.with_name(place.name + ".link")
    between.symlink_to(first.name)
    place.symlink_to(between)


def _replace(link: Path, target: Path) -> None:
    new = link.with_name(link.name + ".NEW")
    new.symlink_to(target)
    new.rename(link)


def _relink(place: Path, other: Path) -> None:
    _replace(place, other)


def _relink_between(place: Path, other: Path) -> None:
    _replace(place.readlink(), other)


HOW: dict[str, tuple[Callable[[Path], None], Callable[[Path, Path], None]]] = {
    "renamed": (_nothing, _rename),
    "linked": (_link, _relink),
    "linked twice": (_link, _relink_between),
}


def calm(site: Site) -> None:
    """Ask until nothing is looked at any more."""
    for _ in range(CALM):
        for name in (b"fred", b"anna"):
            site.kind(name)


def _mount(site: Site, place: Path) -> str:
    """What fred's verdicts were before, under and after a mount over `place`."""
    other = restored(place)
    kinds = [site.kind(b"fred").name]
    # Lazily: files are open there.
    for command in (["mount", "--bind", str(other)], ["umount", "--lazy"]):
        calm(site)
        subprocess.run([*command, str(place)], check=True)
        kinds.append(site.kind(b"fred").name)
    return " ".join(kinds)


def main(folder: Path) -> None:
    """Print what each place came to."""
    for number, name in enumerate(PLACES):
        root = folder / str(number)
        root.mkdir()
        site = Site(root)
        site.quota("fred", "1\n1")
        print(name, _mount(site, root / name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
