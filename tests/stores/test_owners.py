"""Users of test stores have the ACL that Cyrus gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources import ROOT
from tests.stores import FlatStore, owned, record

# The records that Cyrus itself has written.
CYRUS = ROOT / "tests/golden/head-flat/conf/mailboxes.db"


@pytest.mark.parametrize(
    ("internal", "acl"),
    [
        (b"user.atlimit", b"atlimit lrswipkxtecdan"),
        (b"user.fred.Sent", b"fred lrswipkxtecdan"),
        (b"user.o^neil", b"o.neil lrswipkxtecdan"),
        (b"example.org!user.vera", b"vera@example.org lrswipkxtecdan"),
        (b"news", b""),
        (b"example.org!news", b""),
    ],
)
def test_a_users_mailbox_has_its_owners_acl(internal: bytes, acl: bytes) -> None:
    """By its name; a shared folder has none that was not given."""
    assert b" A %(" + acl + b")" in owned(internal, record())
    assert owned(internal, record(b"anyone\tl")) == record(b"anyone\tl")


def test_it_is_what_cyrus_has_written(tmp_path: Path) -> None:
    """Of the golden store, and of one that is written here."""
    assert b" A %(atlimit lrswipkxtecdan) " in CYRUS.read_bytes()
    store = FlatStore(str(tmp_path), mailboxes={b"user.atlimit": record()})
    store.write()
    written = (tmp_path / "conf/mailboxes.db").read_bytes()
    assert b" A %(atlimit lrswipkxtecdan)" in written
