"""What is believed of files: at the first reading, and after a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.frontends import watched
from gateway.frontends.aliases import Aliases, parse
from gateway.frontends.watched import FEW, Trust, Watched
from gateway.protocols.address import Address, parse_bare
from tests.frontends.test_plaintext import WRONG

NEVER_S = 3600.0
MANY = 4 * FEW


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change counts at once, but for the tests that are about that."""
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    monkeypatch.setattr(watched, "SETTLE_EMPTY", 0.0)


def listed(count: int) -> str:
    """A file with so many aliases."""
    return "".join(f"name{number}: fred\n" for number in range(count))


def an(text: str) -> Address:
    """A recipient."""
    found = parse_bare(text.encode())
    assert isinstance(found, Address)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An alias file."""
    path = tmp_path / "aliases"
    path.write_text(listed(MANY))
    return path


SPOILT = {
    **WRONG,
    "more wrong than right": b"sales: fred\nnothing\nat\nall\n",
    "half": listed(MANY // 2 - 1).encode(),
    "nothing": b"",
    "comments alone": b"# sales: fred\n",
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_becomes_unusable_leaves_what_it_said_before(path: Path, what: str) -> None:
    """It is told once; a mended file counts, and so does the next fault."""
    told: list[str] = []
    file = Watched(str(path), parse, told.append)
    before = file.value
    for count in (1, 2):
        path.write_bytes(SPOILT[what])
        for _ in range(3):
            assert not file.refresh()
        assert file.value == before
        assert file.settled
        assert file.refused
        assert len(told) == count
        assert told[-1].startswith(f"{path}:")
        assert told[-1].endswith("; what it said before still counts")
        path.write_text(listed(MANY) + "more: fred\n" * count)
        file.refresh()
        assert not file.refused
        assert b"more" in file.value
        before = file.value


@pytest.mark.parametrize("what", [*WRONG, "more wrong than right"])
def test_at_a_first_start_such_a_file_is_an_error(path: Path, what: str) -> None:
    """There is nothing that it said before; the message says what is wrong."""
    path.write_bytes(SPOILT[what])
    with pytest.raises(ConfigurationError) as caught:
        Watched(str(path), parse)
    assert caught.value.file == str(path)
    assert "more wrong" not in what or "3 lines are wrong and 1 right" in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "most", "believed"),
    [
        (MANY, MANY // 2, 50, True),
        (MANY, MANY // 2 - 1, 50, False),
        (MANY, MANY // 2 - 1, 60, True),
        (MANY, 0, 99, False),
        (FEW, 0, 50, True),  # a comment is left
        (MANY, 0, 100, True),
        (MANY, MANY - 1, 0, True),  # of few nothing is said
        (MANY, MANY - FEW - 1, 0, False),
        (FEW, 1, 50, True),
        (0, 0, 50, True),
        (0, MANY, 50, True),
    ],
)
def test_a_sudden_loss(path: Path, before: int, after: int, most: int, *, believed: bool) -> None:
    """Most of a long list, or all of any, is not believed, however it is spelt."""
    path.write_text(listed(before))
    file = Watched(str(path), parse, trust=Trust(most))
    path.write_text(listed(after) + "# changed\n")
    file.refresh()
    assert file.entries == (after if believed else before)


def test_a_file_that_is_emptied_is_not_believed(path: Path) -> None:
    """However short its list was: a full disk does that, and nobody means it."""
    path.write_text("sales: fred\n")
    file = Watched(str(path), parse)
    for nothing in ("", "\n"):
        path.write_text(nothing)
        file.refresh()
        assert file.refused
        assert file.entries == 1


def test_a_list_may_shrink_step_by_step(path: Path) -> None:
    """Each change is compared with the one before, not with the first."""
    file = Watched(str(path), parse)
    left = MANY
    while left > 1:
        left -= left // 3 or 1
        path.write_text(listed(left))
        assert file.refresh()
    assert file.entries == 1


def test_a_loss_shows_against_what_was_known_before(path: Path) -> None:
    """A process that begins now was told how many entries there were."""
    known = {str(path): 3 * MANY}
    with pytest.raises(ConfigurationError, match=f"has {MANY} entries, and had {3 * MANY}"):
        Watched(str(path), parse, trust=Trust(known=known))
    told: list[str] = []
    file = Watched(str(path), parse, told.append, Trust(known=known, lenient=True))
    assert (file.entries, file.settled, file.refused) == (0, False, True)
    assert told[0].endswith("; recipients that it may hold are deferred")
    path.write_text(listed(2 * MANY))
    assert file.refresh()
    assert (file.entries, file.settled, file.refused) == (2 * MANY, True, False)


@pytest.mark.parametrize("content", [listed(MANY), "", "half a na\0"])
def test_a_file_that_was_changed_just_now_is_not_settled(
    path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it says: it may be half of it, and it is not an error that it is."""
    monkeypatch.setattr(watched, "SETTLE", NEVER_S)
    monkeypatch.setattr(watched, "SETTLE_EMPTY", NEVER_S)
    path.write_text(content)
    file = Watched(str(path), parse)
    for _ in range(2):
        assert not file.refresh()
        assert not file.settled
        assert not file.refused
    monkeypatch.setattr(watched, "SETTLE", 0.0)
    path.write_text(listed(MANY))
    file.refresh()
    assert file.settled
    assert file.entries == MANY


def test_an_empty_file_that_had_nothing_to_lose_counts_soon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has made it for later; one of which more was known may be about to be filled."""
    monkeypatch.setattr(watched, "SETTLE_EMPTY", NEVER_S)
    path.write_text("")
    assert Watched(str(path), parse).settled
    assert Watched(str(path), parse, trust=Trust(known={str(path): 0})).settled
    assert not Watched(str(path), parse, trust=Trust(known={str(path): 1})).settled
    assert not Watched(str(path), parse, trust=Trust(lenient=True)).settled


def test_a_missing_file_is_no_error_for_who_starts_again(tmp_path: Path) -> None:
    """Others have read it; it is read when it is back."""
    told: list[str] = []
    path = tmp_path / "aliases"
    file = Watched(str(path), parse, told.append, Trust(lenient=True))
    assert not file.settled
    file.refresh()
    assert len(told) == 1
    path.write_text("sales: fred\n")
    assert file.refresh()
    assert file.settled


def test_sendmails_wildcards_for_extensions(path: Path) -> None:
    """`+*` any extension, `++` one that is not empty (cf/README); aliases have `name+*`."""
    path.write_text(
        "info+*@a.test fred\nsome++@a.test fred\n+*@b.test fred\n++@c.test fred\nlocal+*: fred\n"
    )
    aliases = Aliases([str(path)])
    yes = (
        "info+x@a.test",
        "info+@a.test",
        "INFO+x@A.test",
        "some+x@a.test",
        "any+x@b.test",
        "any+@b.test",
        "any+x@c.test",
        "local+x@d.test",
        "local+x",
    )
    no = ("info@a.test", "some+@a.test", "some@a.test", "any@b.test", "any+@c.test", "local@d.test")
    assert [each for each in yes if not aliases.covers(an(each))] == []
    assert [each for each in no if aliases.covers(an(each))] == []
