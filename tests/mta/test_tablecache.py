"""What tables said is remembered until one of their files changes, or for a short time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.mta import tablecache
from gateway.mta.lookups import Lookup, Lookups
from gateway.mta.tablecache import HOLD, HOLD_FILES, TableCache
from gateway.mta.tables import Run, Table, runs

LDAP = runs("postmap", [Table("ldap", "/etc/ldap.cf")])[0]


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """One that stands."""
    return Clock()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A compiled table that nobody has changed lately."""
    monkeypatch.setattr(tablecache, "SETTLE", 0.0)
    (tmp_path / "t.db").write_bytes(b"one")
    return runs("postmap", [Table("hash", str(tmp_path / "t"))])[0]


def remembers(known: TableCache, run: Run, key: bytes = b"a") -> bool:
    """Whether it has an answer."""
    return not known.recall(Lookups((Lookup(run, key),)))[1]


def learn(known: TableCache, run: Run, **told: bytes | None) -> None:
    """Have it remember."""
    answers = {key.encode(): value for key, value in told.items()}
    known.keep(run, answers or {b"a": None}, known.proof(run))


@pytest.mark.parametrize("value", [b"x", None])
def test_yes_and_no_are_remembered_for_a_while(clock: Clock, value: bytes | None) -> None:
    """What another server says, for seconds."""
    known = TableCache(clock)
    learn(known, LDAP, a=value)
    answers, missing = known.recall(Lookups((Lookup(LDAP, b"a"), Lookup(LDAP, b"b"))))
    assert answers.values == {Lookup(LDAP, b"a"): value}
    assert missing == [Lookup(LDAP, b"b")]
    clock.now += HOLD
    assert not remembers(known, LDAP)


def test_a_table_in_files_is_remembered_for_longer(clock: Clock, table: Run) -> None:
    """Since its files tell when it changes."""
    known = TableCache(clock)
    learn(known, table)
    clock.now += HOLD_FILES - 1
    assert remembers(known, table)
    clock.now += 1
    assert not remembers(known, table)


@pytest.mark.parametrize("change", ["write", "replace", "remove", "touch"])
def test_a_change_of_a_file_ends_it(clock: Clock, table: Run, change: str) -> None:
    """Whichever way the file is changed, and whatever its times say."""
    known = TableCache(clock)
    learn(known, table)
    path = table.files[0]
    status = os.stat(path)
    if change == "write":
        with open(path, "ab") as file:
            file.write(b"x")
    elif change == "replace":
        with open(path + ".new", "wb") as file:
            file.write(b"two")
        os.rename(path + ".new", path)
    elif change == "remove":
        os.remove(path)
    if change in ("replace", "touch"):
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not remembers(known, table)


def test_a_table_that_changes_while_it_is_asked(clock: Clock, table: Run) -> None:
    """What it said may be of before or after."""
    known = TableCache(clock)
    proof = known.proof(table)
    with open(table.files[0], "ab") as file:
        file.write(b"x")
    known.keep(table, {b"a": None}, proof)
    assert not remembers(known, table)


def test_a_table_that_has_just_changed_is_not_believed_twice(clock: Clock, tmp_path: Path) -> None:
    """It may change again within the same tick of its file's clock."""
    (tmp_path / "t.db").write_bytes(b"one")
    run = runs("postmap", [Table("hash", str(tmp_path / "t"))])[0]
    assert os.stat(run.files[0]).st_ctime > time.time() - tablecache.SETTLE
    known = TableCache(clock)
    learn(known, run)
    assert not remembers(known, run)


def test_a_missing_file_is_not_remembered(clock: Clock, table: Run) -> None:
    """postmap would tell of it as a fault."""
    os.remove(table.files[0])
    known = TableCache(clock)
    learn(known, table)
    assert not remembers(known, table)


def test_it_does_not_grow_without_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way, and long values are not kept."""
    monkeypatch.setattr(tablecache, "MAX_ENTRIES", 8)
    known = TableCache(clock)
    for number in range(20):
        learn(known, LDAP, **{f"k{number}": None})
    assert len(known) <= 8
    assert remembers(known, LDAP, b"k19")
    learn(known, LDAP, long=b"x" * (tablecache.MAX_VALUE + 1))
    assert not remembers(known, LDAP, b"long")
