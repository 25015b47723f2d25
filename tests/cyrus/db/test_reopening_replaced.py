"""A database whose file is replaced, or fails, while it is opened and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.cyrus.db import formats
from gateway.cyrus.db.reopening import MAX_REPLACED, ReopeningDatabase
from gateway.cyrus.db.twoskip.twoskip import BATCH, Twoskip
from gateway.errors import DatabaseDamaged, DatabaseMissing, DatabaseUnavailable, StoreError
from tests.cyrus.db.replaceable import Store
from tests.support.twoskip_writer import Writer


@pytest.fixture
def store(tmp_path: object) -> Store:
    return Store(tmp_path)


def test_a_file_that_is_emptied_behind_its_successor_is_no_fault(store: Store) -> None:
    """skiplist's checkpoint renames a new file into place and empties the old one: the new one answers."""
    store.commit(fred=b"1")
    database = store.open()
    assert database.get(b"fred") == b"1"
    _checkpoint(store)
    assert database.get(b"fred") == b"1"
    database.refresh()
    _checkpoint(store)
    assert [key for key, _ in database.items()] == [b"fred"]
    database.close()


def test_a_file_without_a_successor_stays_a_fault(store: Store) -> None:
    """What is damaged and still in its place is damaged."""
    store.commit(fred=b"1")
    database = store.open()
    assert database.get(b"fred") == b"1"
    os.truncate(store.path, 0)
    with pytest.raises((DatabaseDamaged, DatabaseUnavailable)):
        database.get(b"fred")
    with pytest.raises((DatabaseDamaged, DatabaseUnavailable)):
        list(database.items())
    database.close()


@pytest.mark.parametrize("rename_at", ["before it is opened", "after it was opened"])
def test_replacement_while_it_is_being_opened_is_seen(
    store: Store, rename_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is what the path's inode is: no inode that was freed in between passes for it."""
    opens = formats.open_database
    answers = [b"2", b"3"]

    def rename() -> None:
        store.writer = Writer(seed=1)
        store.writer.fill([(b"fred", answers.pop(0))])
        store.rename(store.writer.image())

    def slow_open(*words: Any, **options: Any) -> Any:
        if answers and rename_at.startswith("before"):
            rename()
        database = opens(*words, **options)
        if answers:
            rename()
        return database

    store.commit(fred=b"1")
    monkeypatch.setattr(formats, "open_database", slow_open)
    database = store.open()
    assert database.get(b"fred") == b"3"
    database.refresh()
    assert database.get(b"fred") == b"3"
    database.close()


def test_file_that_is_replaced_without_end_is_a_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for a file that stays comes to an end, and the next question begins again."""
    opens = formats.open_database

    def busy_open(*words: Any, **options: Any) -> Any:
        database = opens(*words, **options)
        store.repack()
        return database

    store.commit(fred=b"1")
    database = store.open()
    with monkeypatch.context() as patch:
        patch.setattr(formats, "open_database", busy_open)
        with pytest.raises(DatabaseUnavailable, match="replaced faster than it can be opened"):
            database.get(b"fred")
    assert database.get(b"fred") == b"1"
    database.close()


QUESTIONS: dict[str, Callable[[ReopeningDatabase], object]] = {
    "get": lambda database: database.get(b"fred"),
    "items": lambda database: list(database.items()),
    "state": lambda database: database.state(),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_follows_so_many_files_and_no_more(
    store: Store, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reading meets a file that a checkpoint has just emptied; each successor counts."""
    reads = getattr(Twoskip, question)
    checkpoints = MAX_REPLACED

    def read(reader: Twoskip, *words: Any) -> Any:
        nonlocal checkpoints
        checkpoints -= 1
        if checkpoints >= 0:
            _checkpoint(store)
            raise DatabaseDamaged(store.path, "is empty")
        return reads(reader, *words)

    store.commit(fred=b"1")
    database = store.open()
    monkeypatch.setattr(Twoskip, question, read)
    assert QUESTIONS[question](database)
    assert (database.counts.retries, checkpoints) == (MAX_REPLACED, -1)
    checkpoints = MAX_REPLACED + 1
    with pytest.raises(StoreError):
        QUESTIONS[question](database)
    assert checkpoints == 0
    database.close()


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_file_that_fails_in_its_place_is_asked_once(
    store: Store, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it again would not help, whatever is asked; the next question tries again."""
    asked = []

    def fail(_reader: Twoskip, *words: object) -> Iterator[Any]:
        asked.append(words)
        raise DatabaseUnavailable(store.path, "cannot be read")

    store.commit(fred=b"1")
    database = store.open()
    with monkeypatch.context() as patch:
        patch.setattr(Twoskip, question, fail)
        with pytest.raises(DatabaseUnavailable):
            QUESTIONS[question](database)
    assert (len(asked), database.counts.retries, database.counts.faults) == (1, 0, 1)
    assert QUESTIONS[question](database)
    database.close()


def test_a_list_that_has_begun_does_not_begin_again(store: Store) -> None:
    """What was given already would be given twice."""
    store.commit(**{f"user{number}": b"1" for number in range(BATCH + 1)})
    database = store.open()
    items = database.items()
    next(items)
    _checkpoint(store)
    with pytest.raises(StoreError):
        list(items)
    assert len(list(database.items())) == BATCH + 1
    database.close()


def test_a_damaged_file_that_is_removed_is_damaged_first(store: Store) -> None:
    """A missing database may be a normal state: a fault of reading is not taken for one."""
    store.commit(fred=b"1")
    database = store.open()
    assert database.get(b"fred") == b"1"
    os.truncate(store.path, 0)
    os.remove(store.path)
    with pytest.raises(StoreError) as caught:
        database.get(b"fred")
    assert not isinstance(caught.value, DatabaseMissing)
    assert database.counts.faults == 1
    with pytest.raises(DatabaseMissing):
        database.get(b"fred")
    database.close()


def test_a_file_that_has_come_meanwhile_replaces_nothing(store: Store) -> None:
    """Where the last look found none there is none; only another look finds it."""
    database = store.open()
    with pytest.raises(DatabaseMissing):
        database.refresh()
    store.commit(fred=b"1")
    with pytest.raises(DatabaseMissing):
        database.get(b"fred")
    assert (database.counts.retries, database.counts.faults) == (0, 0)


def test_nothing_that_is_in_a_files_place_can_make_it_wait(store: Store) -> None:
    """A FIFO that nobody writes to is a fault at once."""
    os.mkfifo(store.path)
    database = store.open()
    with pytest.raises(DatabaseUnavailable, match="not a regular file"):
        database.get(b"fred")


def _checkpoint(store: Store) -> None:
    """Rename a new file into place and empty the old one."""
    with open(store.path, "r+b") as old:
        store.repack()
        old.truncate(0)
