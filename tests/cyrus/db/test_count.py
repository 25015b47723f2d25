"""How many records a file holds, as its header or its lines say."""

from __future__ import annotations

import os

import pytest

from gateway.cyrus.db.formats import open_database
from gateway.cyrus.db.reopening import ReopeningDatabase
from gateway.errors import DatabaseDamaged, DatabaseMissing
from tests.golden import FOLDER


@pytest.mark.parametrize("name", ["head-flat", "head-twom", "head-twoskip"])
def test_the_count_is_that_of_the_records(name: str) -> None:
    """Where every commit writes the number, it is exact."""
    path = os.path.join(FOLDER, name, "conf", "mailboxes.db")
    assert ReopeningDatabase(path, "twoskip").count() == sum(
        1 for _ in open_database(path, "twoskip").items()
    )


def test_skiplist_counts_up_to_its_checkpoint() -> None:
    """A skiplist's header is older than its log, and near enough."""
    path = os.path.join(FOLDER, "head-skiplist", "conf", "mailboxes.db")
    exact = sum(1 for _ in open_database(path, "skiplist").items())
    counted = open_database(path, "skiplist").count()
    assert counted is not None
    assert 0 < counted <= exact


@pytest.mark.parametrize(
    ("path", "configured"), [("head-sql/conf/sql.db", "sql"), ("head-flat/conf", "quotalegacy")]
)
def test_formats_that_do_not_say(path: str, configured: str) -> None:
    """SQL and quotalegacy keep no number."""
    assert open_database(os.path.join(FOLDER, path), configured).count() is None


def test_a_missing_and_a_cut_file_are_faults(tmp_path: os.PathLike[str]) -> None:
    """A missing and a cut file are the faults that they are elsewhere."""
    path = os.path.join(tmp_path, "mailboxes.db")
    with pytest.raises(DatabaseMissing):
        ReopeningDatabase(path, "twoskip").count()
    with open(path, "wb") as file:
        file.write(b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0short")
    with pytest.raises(DatabaseDamaged):
        ReopeningDatabase(path, "twoskip").count()
