"""Stamps: when an unchanged `stat` proves an unchanged file."""

from __future__ import annotations

import os

from gateway.cyrus.db.stamp import RACY_NS, Young, stamp


def _status(tmp_path: object, text: bytes = b"x", mtime: int = 10**9) -> os.stat_result:
    path = f"{tmp_path}/file"
    with open(path, "wb") as file:
        file.write(text)
    os.utime(path, ns=(mtime, mtime))
    return os.stat(path)


def test_old_files_have_a_stamp(tmp_path: object) -> None:
    """Two looks at an unchanged old file are equal."""
    status = _status(tmp_path)
    now = status.st_mtime_ns + RACY_NS
    assert stamp(status, now) == stamp(os.stat(f"{tmp_path}/file"), now + 1)


def test_young_files_have_none(tmp_path: object) -> None:
    """Just written, or written in the future of this clock: equal to nothing."""
    status = _status(tmp_path)
    for now in (status.st_mtime_ns + RACY_NS - 1, status.st_mtime_ns, 0):
        token = stamp(status, now)
        assert isinstance(token, Young)
        assert token != stamp(status, now)
        assert (token, 1) != (stamp(status, now), 1)
        assert not token == token  # noqa: SIM201 (that is the point)
        assert len({token, token, stamp(status, now)}) == 2


def test_every_change_shows(tmp_path: object) -> None:
    """Another size, time or file is another stamp, even with an old time put back."""
    now = 10**10
    first = stamp(_status(tmp_path), now)
    assert stamp(_status(tmp_path, b"xx"), now) != first
    assert stamp(_status(tmp_path, mtime=10**9 + 1), now) != first
    os.rename(f"{tmp_path}/file", f"{tmp_path}/kept")
    assert stamp(_status(tmp_path), now) != first
