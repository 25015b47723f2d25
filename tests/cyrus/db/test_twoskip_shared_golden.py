"""An index that another process has made, of a mailbox list that Cyrus has written."""

from __future__ import annotations

import os

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from tests.cyrus.db.test_twoskip_index import indexed


def test_golden_files_are_known_completely_by_what_was_shared() -> None:
    """What Cyrus wrote: the shared index and the walk give the same for every key."""
    path = os.path.join("tests", "golden", "head-twoskip", "conf", "mailboxes.db")
    maker = indexed(Twoskip(FileView(path)))
    descriptor = maker.export_index()
    assert descriptor is not None
    plain, fast = Twoskip(FileView(path)), Twoskip(FileView(path))
    fast.offer_index(descriptor)
    os.close(descriptor)
    while fast.build_index_step(alone=False):
        pass
    assert fast._index is not None
    fast.state()
    for key, value in plain.items():
        assert fast.get_seen(key) == value
        for near in (key + b"\0", key[:-1], b"-" + key):
            assert fast.get_seen(near) == plain.get(near)
    for each in (maker, plain, fast):
        each.close()
