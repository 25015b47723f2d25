"""Single records of a twom file: where one can stand, and that it ends in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.twom.walk import Walk
from gateway.errors import DatabaseDamaged
from tests.cyrus.db.test_twom_format import ADD, COMMIT, checksum, record

# Records stand from here on.
START = 96


@pytest.fixture
def view(tmp_path: Path) -> Iterator[FileView]:
    """A file that has nothing but records of 24 bytes, and zeros behind them."""
    path = tmp_path / "file"
    path.write_bytes(bytes(START) + record(COMMIT, pointers=1) * 40 + bytes(1000))
    made = FileView(str(path))
    yield made
    made.close()


@pytest.mark.parametrize("offset", [0, 88, 97, 100, 120 + 4, 1040, 1056, 1064, 5000, 1 << 62])
def test_where_no_record_can_stand(view: FileView, offset: int) -> None:
    """In the header, between the words, too near to where records end, or behind it."""
    end = START + 24 * 40
    with pytest.raises(DatabaseDamaged, match=f"pointer leads to {offset}; records end at {end}"):
        Walk(view, checksum).record(offset, end)


def test_where_one_can(view: FileView) -> None:
    """From behind the header to the last 24 bytes."""
    walk, end = Walk(view, checksum), START + 24 * 40
    for offset in (START, START + 24, end - 24):
        assert walk.record(offset, end).type == COMMIT
    assert [made.offset for made in walk.log(START, end)] == list(range(START, end, 24))


@pytest.mark.parametrize("size", [0, 400, 432, 440, 448, 480, 5000])
def test_a_record_ends_in_time(tmp_path: Path, size: int) -> None:
    """It may be longer than what is read at first, and not than what is committed."""
    whole = record(ADD, b"key", b"v" * size)
    path = tmp_path / "file"
    path.write_bytes(bytes(START) + whole + bytes(1000))
    view = FileView(str(path))
    walk = Walk(view, checksum)
    assert walk.record(START, START + len(whole)).value == b"v" * size
    for short in (8, len(whole) - 24):
        with pytest.raises(DatabaseDamaged, match=f"its {len(whole)} bytes pass"):
            walk.record(START, START + len(whole) - short)
    view.close()
