"""Files whose keys stand in another order than imapd.conf lets expect.

`improved_mboxlist_sort` orders skiplist and twoskip up to Cyrus 3.4 and is
ignored from 3.6 on, so no reader may believe it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cyrus.db import flat
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.flat import Flat
from gateway.cyrus.db.order import MAILBOX
from gateway.cyrus.db.skiplist.skiplist import Skiplist
from gateway.errors import DatabaseDamaged
from tests.golden import FOLDER
from tests.support.skiplist_writer import SkiplistWriter, finish, rank


def mailbox_rank(key: bytes) -> bytes:
    """improved_mboxlist_sort: TAB, LF, the dot, then all other bytes."""
    return key.translate(MAILBOX)


# As signed and as unsigned numbers, and in mailbox order.
ORDERS = (rank, bytes, mailbox_rank)

# What means something in one order or the other, in users' and folders' names.
BYTES = st.sampled_from([b"a", b"o", b".", b"-", b"+", b" ", b"$", b"\x1d", b"\x1f", b"\xc3", b"^"])
KEYS = st.lists(BYTES, min_size=1, max_size=5).map(b"".join)

NAMES = [b"otto", b"otto.maier", b"otto+Arbeit", b"otto-karl", b"otto maier", b"otto$", b"ott.o"]
USERS = [b"%b%b" % (name, b"%d" % n if n else b"") for name in NAMES for n in range(12)]
NEWER = [b"Nuser\x1f%b" % user for user in USERS] + [b"Nuser\x1f%b\x1fSent" % u for u in USERS]
OLDER = [b"user." + user.replace(b".", b"^") for user in USERS]
OLDER += [name + b".Sent" for name in OLDER] + [name + b"-2" for name in OLDER]


def skiplist(folder: str, order: Callable[[bytes], Any], keys: list[bytes], logged: int) -> str:
    """A file with `keys`, of which the last `logged` are in the log, and one was deleted."""
    writer = SkiplistWriter(f"{folder}/s.db", 3, order=order)
    kept = len(keys) - logged
    for number, key in enumerate(keys):
        if number == kept:
            finish(writer.commit())
            finish(writer.checkpoint())
        finish(writer.store(key, b"value of " + key))
    finish(writer.commit())
    if logged == 0:
        finish(writer.checkpoint())
    writer.close()
    return writer.path


@pytest.mark.parametrize("mboxsort", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("keys", [NEWER, OLDER])
@pytest.mark.parametrize("logged", [0, 5])
def test_a_skiplist_of_any_order(
    tmp_path: Path,
    order: Callable[[bytes], Any],
    keys: list[bytes],
    logged: int,
    mboxsort: bool,
) -> None:
    """Users such as otto, otto.maier and otto+Arbeit are all found, whatever imapd.conf says."""
    path = skiplist(str(tmp_path), order, keys, logged)
    with closing(Skiplist(FileView(path), mboxsort=mboxsort)) as database:
        for key in keys:
            assert database.get(key) == b"value of " + key
            for other in (key + b".", key + b"-", key + b"\x1f", key[:-1] + b"!"):
                assert database.get(other) is None
        assert sorted(key for key, _ in database.items()) == sorted(keys)


@settings(deadline=None)
@given(
    st.sets(KEYS, max_size=30).map(sorted),
    st.lists(KEYS, max_size=10),
    st.sampled_from(ORDERS),
    st.booleans(),
    st.integers(0, 4),
)
def test_any_keys_in_any_order(
    keys: list[bytes],
    others: list[bytes],
    order: Callable[[bytes], Any],
    mboxsort: bool,
    logged: int,
) -> None:
    """What is there is found, what is not there is not, and prefixes are complete."""
    with tempfile.TemporaryDirectory() as folder:
        path = skiplist(folder, order, keys, min(logged, len(keys)))
        for _ in range(2):
            with closing(Skiplist(FileView(path), mboxsort=mboxsort)) as database:
                for key in (*others, *keys, *others):
                    assert (database.get(key) is not None) is (key in keys)
                    found = [name for name, _ in database.items(key[:2])]
                    assert sorted(found) == [name for name in keys if name.startswith(key[:2])]


@pytest.mark.parametrize("mboxsort", [False, True])
def test_what_stands_in_no_order_is_damage(tmp_path: Path, mboxsort: bool) -> None:
    """Not "no such record": neighbours that descend in each order."""

    def backwards(key: bytes) -> list[int]:
        return [-byte for byte in key]

    path = skiplist(str(tmp_path), backwards, [b"user.%02d" % n for n in range(40)], 0)
    database = Skiplist(FileView(path), mboxsort=mboxsort)
    with closing(database), pytest.raises(DatabaseDamaged, match="out of order"):
        database.get(b"user.99")


def test_what_stands_partly_in_one_order_and_partly_in_another_is_damage(tmp_path: Path) -> None:
    """Each order is refuted by another pair of neighbours: nothing that is missed is absent."""
    keys = [b"a.", b"d", b"a!", b"b!", b"b.", b"c.", b"c!"]
    writer = SkiplistWriter(f"{tmp_path}/s.db", 24, order=keys.index)
    for key in keys:
        finish(writer.store(key, b"value"))
    finish(writer.commit())
    finish(writer.checkpoint())
    writer.close()
    database = Skiplist(FileView(writer.path))
    with closing(database), pytest.raises(DatabaseDamaged, match="'d' have no order"):
        database.get(b"d")


@pytest.mark.parametrize("order", [bytes, mailbox_rank])
@pytest.mark.parametrize("keys", [NEWER, OLDER])
def test_a_large_flat_file_of_any_order(
    tmp_path: Path,
    order: Callable[[bytes], Any],
    keys: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list that somebody sorted by bytes is read like one that Cyrus wrote."""
    monkeypatch.setattr(flat, "WHOLE", 0)
    path = tmp_path / "f.db"
    lines = sorted((key + b"\t" for key in keys), key=order)
    path.write_bytes(b"".join(line + b"v" + line[:-1] + b"\n" for line in lines))
    with closing(Flat(FileView(str(path)))) as database:
        for key in keys:
            assert database.get(key) == b"v" + key
            for other in (key + b".", key + b"-", key + b"\x1f", key[:-1] + b"!"):
                assert database.get(other) is None
            names = [name for name, _ in database.items(key)]
            assert sorted(names) == sorted(name for name in keys if name.startswith(key))


@pytest.mark.parametrize("mboxsort", [False, True])
def test_the_file_that_cyrus_wrote_with_either_setting(mboxsort: bool) -> None:
    """Golden: the newest Cyrus, which knows no setting any more."""
    path = f"{FOLDER}/head-skiplist/conf/mailboxes.db"
    with closing(Skiplist(FileView(path), mboxsort=mboxsort)) as database:
        records = dict(database.items())
        assert len(records) == 338
        assert all(database.get(key) == value for key, value in records.items())
