"""Throw-away folders that daemons of other users can reach.

mkdtemp(3) makes folders that only their owner may enter; a daemon that has
dropped its privileges, or another one that connects to a socket in the
folder, needs at least the right to pass through.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rigs.processes import Account

# sockaddr_un.sun_path holds 108 bytes with the final NUL; this leaves 60 for what is below.
LONGEST_FOLDER = 47


def make_folder(prefix: str, owner: Account | None = None, *, parent: str | None = None) -> str:
    """Make a new folder (mode 0755) below the temporary folder, or `parent`, for `owner` or root.

    Its path is short enough for sockets: where TMPDIR is a long path, /tmp is taken.
    """
    parent = parent or os.path.realpath(tempfile.gettempdir())
    if len(f"{parent}/{prefix}-12345678") > LONGEST_FOLDER:
        parent = "/tmp"
    path = tempfile.mkdtemp(prefix=prefix + "-", dir=parent)
    os.chmod(path, 0o755)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
    return path


def make_subfolder(parent: str, name: str, owner: Account | None = None, mode: int = 0o755) -> str:
    """Make `parent/name` for `owner` and return its path."""
    path = os.path.join(parent, name)
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
    return path


def write_text(path: str, text: str, mode: int = 0o644) -> str:
    """Write a file that everybody may read and return its path."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


@contextmanager
def folder(prefix: str, owner: Account | None = None) -> Iterator[str]:
    """A folder for the length of a `with`, removed with everything in it."""
    path = make_folder(prefix, owner)
    try:
        yield path
    finally:
        shutil.rmtree(path)
