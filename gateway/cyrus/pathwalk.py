"""Follows a path as the kernel does, name by name, through symbolic links.

To know when a path begins to lead to another file, a process has to watch each
folder in which a name of it is looked up, and has to watch it before the name
is looked up there: what changes afterwards is then told.  `follow` therefore
calls `enter` with each folder first.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import AnyStr, TypeVar

    T = TypeVar("T")

# As many symbolic links in one path as Linux follows.
MAX_LINKS = 40


def absolute(path: AnyStr) -> AnyStr:
    """`path` from the root on, with every name of it.

    os.path.abspath takes `link/..` for nothing, and for the kernel that is the
    folder above what the link leads to.
    """
    if os.path.isabs(path):
        return path
    if isinstance(path, bytes):
        return os.path.join(os.getcwdb(), path)
    return os.path.join(os.getcwd(), path)


def follow(
    path: bytes, enter: Callable[[bytes], T | None]
) -> tuple[bytes, list[tuple[T, bytes]]] | None:
    """Where the absolute `path` leads, without links, and the steps: what `enter` gave, a name.

    None where `enter` gives None, nothing is there or there are too many links.
    """
    names = path.split(b"/")[::-1]
    here = b"/"
    steps: list[tuple[T, bytes]] = []
    links = 0
    while names:
        name = names.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            here = os.path.dirname(here)
            continue
        place = enter(here)
        if place is None:
            return None
        steps.append((place, name))
        there = os.path.join(here, name)
        try:
            target = os.readlink(there)
        except OSError as error:
            if error.errno != errno.EINVAL:
                return None
            here = there  # no link
            continue
        links += 1
        if links > MAX_LINKS:
            return None
        if target.startswith(b"/"):
            here = b"/"
        names.extend(target.split(b"/")[::-1])
    return here, steps


def folders_of(place: str) -> tuple[str, ...]:
    """The folder of `place`, and of each file that it leads to where symbolic links are there."""
    found = [os.path.dirname(place)]
    for _ in range(MAX_LINKS):
        try:
            target = os.readlink(place)
        except OSError:
            break  # no link; or nothing, which shows when it is opened
        place = os.path.join(os.path.dirname(place), target)
        found.append(os.path.dirname(place))
    return tuple(dict.fromkeys(found))
