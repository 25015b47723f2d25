"""Keys that differ in capitals only, found by way of beginnings."""

from __future__ import annotations

import itertools

import pytest

from gateway.cyrus import spellings as spellings_module
from gateway.cyrus.spellings import MAX_LOOKS, MAX_SPELLINGS, spellings
from tests.support.memory import MemoryDatabase

KEYS = (
    b"Nnews",
    b"NNews",
    b"NnewS",
    b"NNews\x1fold",
    b"Nuser\x1ffred",
    b"Na-b",
    b"NA_b",
    b"Na b",
    b"Nyear.2",
)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (b"Nnews", {b"NNews", b"NnewS"}),
        (b"NNEWS", {b"Nnews", b"NNews", b"NnewS"}),
        (b"Nnews\x1fold", {b"NNews\x1fold"}),
        (b"Nnone", set()),
        (b"Nuser\x1ffred", set()),
        (b"Na-b", set()),
        (b"NYEAR.2", {b"Nyear.2"}),
        (b"Nyear.3", set()),
        (b"N", set()),
    ],
)
def test_the_key_itself_is_not_among_its_spellings(key: bytes, found: set[bytes]) -> None:
    """The key itself is none of them, and the first byte is not looked at."""
    database = MemoryDatabase(dict.fromkeys(KEYS, b"x"))
    assert set(spellings(database, key, fixed=1)) == found


def test_the_first_byte_counts_as_any_other() -> None:
    """In an older list a key is the name itself, without anything in front."""
    database = MemoryDatabase(dict.fromkeys((b"News", b"news", b"NEWS"), b"x"))
    assert set(spellings(database, b"news")) == {b"News", b"NEWS"}


def test_blanks_hyphens_and_underscores_are_alike_in_cyrus_2_5() -> None:
    """Where Cyrus 2.5 searches, blanks, hyphens and underscores are alike."""
    database = MemoryDatabase(dict.fromkeys(KEYS, b"x"))
    assert set(spellings(database, b"Na-b", fixed=1, blanks=True)) == {b"NA_b", b"Na b"}


def test_the_work_has_a_bound() -> None:
    """However many there are, a few are found, and no more looks are taken than said."""
    letters = [bytes(pair) for pair in zip(b"abcdefghijklmn", b"ABCDEFGHIJKLMN", strict=True)]
    keys = {b"N"}
    for pair in letters:
        keys = {key + pair[:1] for key in keys} | {key + pair[1:] for key in keys}
        if len(keys) > MAX_LOOKS:
            break
    length = max(map(len, keys))
    database = MemoryDatabase(dict.fromkeys(sorted(keys), b"x"))
    asked = b"N" + b"abcdefghijklmn"[: length - 1]
    assert len(spellings(database, asked, fixed=1)) == MAX_SPELLINGS


def test_no_more_beginnings_are_tried_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many keys begin as one that is not there, looking for it comes to an end."""
    monkeypatch.setattr(spellings_module, "MAX_LOOKS", 9)
    beginnings = [bytes(letters) for letters in itertools.product(b"aA", b"bB", b"cC", b"dD")]
    database = MemoryDatabase({beginning + b"x": b"x" for beginning in beginnings})
    assert spellings(database, b"abcde") == []
    assert len(database.listed) == 9
