"""inotify's queue, its events, and the file systems whose events tell everything."""

from __future__ import annotations

import os
import struct

import pytest

from gateway.cyrus import inotify

# linux/magic.h: the number, whether only this kernel writes there, and whether it alone renames.
FILE_SYSTEMS = [
    ("ext4", 0xEF53, True, True),
    ("xfs", 0x58465342, True, True),
    ("btrfs", 0x9123683E, True, True),
    ("tmpfs", 0x01021994, True, True),
    ("f2fs", 0xF2F52010, True, True),
    ("jfs", 0x3153464A, True, True),
    ("bcachefs", 0xCA451A4E, True, True),
    ("overlayfs", 0x794C7630, False, True),
    ("ramfs", 0x858458F6, False, True),
    ("squashfs", 0x73717368, False, True),
    ("erofs", 0xE0F5E1E2, False, True),
    ("zfs", 0x2FC12FC1, False, False),
    ("nfs", 0x6969, False, False),
    ("smb2", 0xFE534D42, False, False),
    ("cifs", 0xFF534D42, False, False),
    ("fuse", 0x65735546, False, False),
    ("ceph", 0x00C36400, False, False),
    ("9p", 0x01021997, False, False),
    ("gfs2", 0x01161970, False, False),
    ("ocfs2", 0x7461636F, False, False),
    ("unknown", 0, False, False),
]


@pytest.mark.parametrize(("name", "number", "local", "renamed_here"), FILE_SYSTEMS)
def test_file_systems_that_others_change_are_not_trusted(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, local: bool, renamed_here: bool
) -> None:
    """A machine that shares them would change them without an event here."""
    monkeypatch.setattr(inotify, "_file_system", lambda _path: number)
    assert (inotify.is_local(b"/"), inotify.is_renamed_here(b"/")) == (local, renamed_here), name


def test_the_file_system_of_what_is_not_there_is_unknown(tmp_path: object) -> None:
    """And what is unknown is not trusted."""
    assert not inotify.is_local(os.fsencode(f"{tmp_path}/absent"))
    assert not inotify.is_renamed_here(os.fsencode(f"{tmp_path}/absent"))
    assert not inotify.is_renamed_here(b"/proc")


def test_a_queue_neither_waits_nor_is_passed_on() -> None:
    """An empty one says so, and the programs that are started do not get it."""
    queue = inotify.init()
    assert queue is not None
    assert not os.get_blocking(queue)
    assert not os.get_inheritable(queue)
    os.close(queue)


def _event(watch: int, mask: int, name: bytes = b"") -> bytes:
    return struct.pack("=iIII", watch, mask, 0, len(name)) + name


ONE = _event(1, 0x100, b"file\0\0\0\0")
OF_ITSELF = _event(2, 0x8000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (OF_ITSELF, [(2, 0x8000, b"")]),
        (ONE, [(1, 0x100, b"file")]),
        (OF_ITSELF + ONE, [(2, 0x8000, b""), (1, 0x100, b"file")]),
        (ONE + OF_ITSELF, [(1, 0x100, b"file"), (2, 0x8000, b"")]),
        (_event(-1, 0x4000), [(-1, inotify.OVERFLOW, b"")]),
    ],
)
def test_every_event_of_a_queue_is_read(data: bytes, expected: list[object]) -> None:
    """With the name of what is in the folder; of the folder itself there is none."""
    assert list(inotify.events(data)) == expected
