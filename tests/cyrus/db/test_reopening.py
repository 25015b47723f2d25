"""A database that follows its path: repacks, restores, removals, recoveries."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import pytest

from gateway.cyrus.db.base import Database
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.cyrus.db.twoskip.twoskip import Twoskip
from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable
from tests.cyrus.db.replaceable import Store
from tests.rigs.descriptors import open_descriptors
from tests.support.ages import let_age
from tests.support.skiplist_writer import SkiplistWriter, finish


@pytest.fixture
def store(tmp_path: object) -> Store:
    return Store(tmp_path)


def test_nothing_is_opened_before_it_is_needed(store: Store) -> None:
    """The file may come into being after the object."""
    database = store.open()
    assert database.path == store.path
    assert database.format == "twoskip"
    store.commit(fred=b"1")
    assert database.get(b"fred") == b"1"
    database.close()


def test_commits_show_at_once(store: Store) -> None:
    """A commit into the same file needs no refresh; the state tells of it."""
    store.commit(fred=b"1")
    database = store.open()
    first = database.state()
    assert database.state(b"fred") == first
    assert database.get(b"mike") is None
    store.commit(mike=b"2")
    assert database.get(b"mike") == b"2"
    assert database.state() != first
    assert database.changes(first) == frozenset([b"mike"])
    database.close()


def test_commits_are_counted_where_the_state_is_another_one(store: Store) -> None:
    """What is known of the keys' form is looked for again then, and not otherwise."""
    store.commit(fred=b"1")
    database = store.open()
    counts = []
    for name in ("fred", "mike", "anna"):
        store.commit(**{name: b"2"})
        for _ in range(2):
            database.state()
            counts.append(database.commits)
    assert counts[0::2] == counts[1::2]
    assert len(set(counts)) == 3
    database.close()


def test_a_repack_is_followed(store: Store) -> None:
    """After a repack the old file never changes: the state looks at the path and finds the new one."""
    store.commit(fred=b"1")
    database = store.open()
    first = database.state()
    assert database.get(b"fred") == b"1"
    store.repack()
    store.commit(fred=b"2")
    assert database.get(b"fred") == b"1"  # Nobody has looked at the path since.
    second = database.state()
    assert second != first
    assert database.get(b"fred") == b"2"
    assert database.changes(first) is None
    assert database.changes(second) == frozenset()
    store.repack()
    database.refresh()
    store.commit(mike=b"3")
    assert database.get(b"mike") == b"3"
    assert list(database.items(b"m")) == [(b"mike", b"3")]
    database.close()


def test_equal_bytes_in_another_file_are_another_state(store: Store) -> None:
    """The state has the file's identity: a copy of the file is not the file."""
    store.commit(fred=b"1")
    database = store.open()
    first = database.state()
    store.rename(store.writer.image())
    assert database.state() != first
    database.close()


def test_a_removed_file_does_not_go_on_answering(store: Store) -> None:
    """The descriptor would still work; after a refresh the database is missing, until it is back."""
    store.commit(fred=b"1")
    database = store.open()
    assert database.get(b"fred") == b"1"
    os.remove(store.path)
    for ask in (database.refresh, database.state, database.state):
        with pytest.raises(DatabaseMissing):
            ask()
    with pytest.raises(DatabaseMissing):
        database.get(b"fred")
    with pytest.raises(DatabaseMissing):
        list(database.items())
    store.rename(store.writer.image())
    with pytest.raises(DatabaseMissing):
        database.get(b"fred")  # nobody has looked since
    database.refresh()
    assert database.get(b"fred") == b"1"
    database.close()


def test_a_damaged_file_recovers_by_itself(store: Store) -> None:
    """Damage is an error each time, and gone as soon as the file is sound again."""
    store.commit(fred=b"1")
    image = store.writer.image()
    database = store.open()
    assert database.get(b"fred") == b"1"
    for broken in (image[:100], b"", bytes(len(image)), b"\xff" + image[1:]):
        store.overwrite(broken)
        for _ in range(2):
            with pytest.raises((DatabaseDamaged, DatabaseUnavailable)):
                database.get(b"fred")
            with pytest.raises((DatabaseDamaged, DatabaseUnavailable)):
                list(database.items())
        store.overwrite(image)
        assert database.get(b"fred") == b"1"
        assert database.state() == database.state()
    database.close()


def test_another_format_may_come_into_place(store: Store) -> None:
    """cvt_cyrusdb converts under the program's feet; each difference is reported once."""
    store.commit(fred=b"1")
    reports: list[str] = []
    database = ReopeningDatabase(store.path, "skiplist", report=reports.append)
    assert database.get(b"fred") == b"1"
    assert database.format == "twoskip"
    message = f"{store.path} is twoskip, imapd.conf says skiplist; reading it as twoskip"
    assert reports == [message]
    store.repack()
    database.refresh()
    assert database.get(b"fred") == b"1"
    assert reports == [message]
    store.rename(b"fred\t2\n")
    database.refresh()
    assert database.get(b"fred") == b"2"
    assert len(reports) == 2
    assert "is flat, imapd.conf says skiplist" in reports[1]
    assert database.changes(database.state()) is None
    database.close()


def test_no_report_where_the_format_is_the_configured_one(store: Store) -> None:
    """Nothing is said about what is as it should be."""
    store.commit(fred=b"1")
    reports: list[str] = []
    database = ReopeningDatabase(store.path, "twoskip", report=reports.append)
    assert database.get(b"fred") == b"1"
    assert reports == []
    database.close()


def test_only_its_own_states_have_changes(store: Store) -> None:
    """What is not a state of this database gives None."""
    store.commit(fred=b"1")
    database = store.open()
    for token in (None, "state", (), (1, 2), (b"x", (0, 0))):
        assert database.changes(token) is None
    database.close()


def test_quota_roots_are_followed_file_by_file(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With quotalegacy the folder is the database, and each root has its own state."""
    let_age(monkeypatch)
    os.makedirs(f"{tmp_path}/quota/f")
    path = f"{tmp_path}/quota/f/user.fred"
    with open(path, "wb") as file:
        file.write(b"1\n2\n")
    os.utime(path, (1000, 1000))
    database = ReopeningDatabase(f"{tmp_path}/quotas.db", "quotalegacy")
    assert database.get(b"user.fred") == b"1 2"
    assert database.format == "quotalegacy"
    state = database.state(b"user.fred")
    absent = database.state(b"user.mike")
    assert database.state(b"user.fred") == state
    os.remove(path)
    assert database.state(b"user.fred") == absent
    os.rename(f"{tmp_path}/quota", f"{tmp_path}/other")
    assert database.get(b"user.fred") is None
    database.close()


def test_descriptors_do_not_leak(store: Store) -> None:
    """Repacks, faults and closing give all descriptors back."""
    store.commit(fred=b"1")
    before = open_descriptors()
    database = store.open()
    for _ in range(5):
        database.state()
        store.repack()
        assert database.get(b"fred") == b"1"
        database.refresh()
    assert open_descriptors() <= before + 1
    database.close()
    assert open_descriptors() == before


def test_a_file_that_shrinks_has_another_state(store: Store) -> None:
    """Its header is as before; what was read of it is not valid any more, and it is read again."""
    store.commit(fred=b"1", mike=b"2")
    database = store.open()
    before = database.state()
    assert database.get(b"mike") == b"2"
    image = store.writer.image()
    os.truncate(store.path, 200)
    assert database.state() != before
    assert database.changes(before) is None
    with pytest.raises(DatabaseDamaged):
        database.get(b"mike")
    store.overwrite(image)
    assert database.get(b"mike") == b"2"
    database.close()


def test_another_file_is_of_another_lineage(store: Store) -> None:
    """A caller that has learnt something of the records learns it again; a commit keeps it."""
    store.commit(fred=b"1")
    database = store.open()
    before = database.state()
    first = database.lineage
    store.commit(anna=b"1")
    assert database.state() != before
    assert database.changes(before) == frozenset([b"anna"])
    assert database.lineage == first
    store.repack()
    database.state()
    second = database.lineage
    assert second != first
    of_now = database.state()
    assert isinstance(of_now, tuple)
    assert database.changes((b"not a header", *of_now[1:])) is None
    assert database.lineage != second


def test_what_a_format_cannot_do_it_does_not_do(store: Store) -> None:
    """Flat files have nothing to prepare, and no index that would know of an absent record."""
    store.rename(b"fred\t1\n")
    database = store.open("flat")
    assert (database.build_index_step(), database.known_absent(b"mike")) == (False, False)
    assert database.get(b"fred") == b"1"
    assert (database.build_index_step(), database.known_absent(b"mike")) == (False, False)
    database.close()


def test_a_fault_that_preparing_meets_is_left_to_the_next_question(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is nothing more to prepare."""

    def fail(_reader: Twoskip, *, alone: bool) -> bool:
        assert alone
        raise DatabaseUnavailable(store.path, "cannot be read")

    store.commit(fred=b"1")
    database = store.open()
    assert database.get(b"fred") == b"1"
    assert database.build_index_step()
    monkeypatch.setattr(Twoskip, "build_index_step", fail)
    assert not database.build_index_step()
    assert database.get(b"fred") == b"1"
    database.close()


def test_what_imapd_conf_leaves_out_is_off(tmp_path: object) -> None:
    """Neither domains nor full hashes decide where a quota root is, where nothing else is said."""
    os.makedirs(f"{tmp_path}/quota/f")
    with open(f"{tmp_path}/quota/f/a!user.fred", "wb") as file:
        file.write(b"1\n2\n")
    database = ReopeningDatabase(f"{tmp_path}/quotas.db", "quotalegacy")
    assert database.get(b"a!user.fred") == b"1 2"
    database.close()


def test_keys_are_in_plain_order_where_nothing_else_is_said(tmp_path: object) -> None:
    """Mailbox order, in which a dot sorts before a dash, has to be asked for."""
    path = f"{tmp_path}/mailboxes.db"
    keys = [b"fred-x", b"fred.x", b"fred.y"]
    writer = SkiplistWriter(path)
    for key in keys:
        finish(writer.store(key, b"1"))
        finish(writer.commit())
    writer.close()
    plain, mailbox = (
        ReopeningDatabase(path, "skiplist"),
        ReopeningDatabase(path, "skiplist", mboxsort=True),
    )
    assert [key for key, _ in plain.items()] == keys
    assert [key for key, _ in mailbox.items()] == [*keys[1:], keys[0]]
    plain.close()
    mailbox.close()


def test_who_has_asked_for_the_state_is_answered_by_it(tmp_path: Path) -> None:
    """Until the next `refresh`, after which the file is looked at again for each key."""
    asked = []

    class Seen(Database):
        """Says how it is asked."""

        format = "flat"

        def get(self, key: bytes) -> bytes | None:
            asked.append("get")
            return key

        def get_seen(self, key: bytes) -> bytes | None:
            asked.append("get_seen")
            return key

        def state(self, key: bytes | None = None) -> Hashable:
            return key

        def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
            yield prefix, prefix

        def close(self) -> None: ...

        @property
        def path(self) -> str:
            return "list"

    path = tmp_path / "list"
    path.write_bytes(b"")
    database = ReopeningDatabase(str(path), "flat")
    assert database.get(b"a") is None
    database._database = Seen()
    looks: list[Callable[[], object]] = [lambda: None, database.state, database.refresh]
    for look in looks:
        look()
        assert database.get(b"a") == b"a"
    assert asked == ["get", "get_seen", "get"]
