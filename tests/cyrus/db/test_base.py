"""A format of databases that says nothing of itself is trusted with nothing."""

from __future__ import annotations

import pytest

from tests.support.memory import MemoryDatabase


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keeps_files", False),
        ("told_by_kernel", False),
        ("reads_consistently", False),
        ("missing", False),
        ("was_there", False),
        ("overwritten", False),
        ("index_wanted", ""),
        ("lineage", None),
        ("history", None),
    ],
)
def test_what_is_taken_for_granted(name: str, value: object) -> None:
    """Records may change with every look, and nothing tells which."""
    assert getattr(MemoryDatabase({}), name) == value


def test_a_look_is_as_good_as_its_parts() -> None:
    """The values that are there, and a record under each beginning that has one."""
    database = MemoryDatabase({b"a1": b"x", b"a2": b"y", b"b": b""})
    found = database.look((b"a2", b"b", b"c"), (b"a", b"c"))
    assert found.values == {b"a2": b"y", b"b": b""}
    assert found.samples == [(b"a1", b"x"), None]


def test_nothing_is_known_of_changes_and_absence() -> None:
    """The caller has to look."""
    database = MemoryDatabase({})
    assert database.changes(database.state()) is None
    assert not database.known_absent(b"a")
    assert not database.build_index_step()
    assert database.count() is None
    assert database.get_proved(b"a") == (None, None)
