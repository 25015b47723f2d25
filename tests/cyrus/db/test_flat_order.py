"""Flat files without order: nothing is missing that Cyrus would find, nor, in a small one, that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gateway.cyrus.db import flat
from gateway.cyrus.db.file import FileView
from gateway.cyrus.db.flat import Flat
from gateway.cyrus.db.order import MAILBOX
from gateway.errors import DatabaseDamaged

LINES = 1200


def _looked_at_by_cyrus(key: bytes, text: bytes) -> tuple[list[int], bool]:
    """The search of bsearch_mem_mbox (lib/bsearch.c): where the lines start that it looks at, and
    whether the last one is found.
    """
    wanted = (key + b"\t").translate(MAILBOX)
    first, last, middle = 0, len(text) - 1, 0
    starts = []
    while first <= last:
        feed = text.find(b"\n", middle, last + 1) if middle else -1
        start = feed + 1
        end = text.find(b"\n", start)
        if (middle and feed < 0) or end < 0:
            last = middle - 1
        else:
            starts.append(start)
            rank = (text[start:end].partition(b"\t")[0] + b"\t").translate(MAILBOX)
            if rank == wanted:
                return starts, True
            if wanted < rank:
                last = middle - 1
            else:
                first = start + 1
        middle = (first + last) // 2
    return starts, False


class _WatchedFlat(Flat):
    """Notes where the lines start that it looks at."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileView(str(path)))
        self.starts: list[int] = []

    def _line(self, start: int, size: int) -> bytes:
        self.starts.append(start)
        return super()._line(start, size)


def test_a_search_looks_at_the_lines_that_cyrus_looks_at(tmp_path: Path) -> None:
    """So what is found does not depend on the order of those that neither looks at."""
    random = Random(7)
    keys = sorted(
        {b"Nuser\x1f%b%d" % (bytes(random.choices(b"abc.-", k=5)), each) for each in range(LINES)},
        key=lambda key: (key + b"\t").translate(MAILBOX),
    )
    text = b"".join(b"%b\t%b\n" % (key, b"v" * random.randrange(40, 90)) for key in keys)
    path = tmp_path / "mailboxes.db"
    path.write_bytes(text)
    database = _WatchedFlat(path)
    for key in (*keys[:4], *keys[-4:], *random.sample(keys, 40), b"A", b"Nuser\x1fbob", b"z"):
        database.starts.clear()
        found = database.get(key) is not None
        assert (database.starts, found) == _looked_at_by_cyrus(key, text)
    database.close()


def _swap(random: Random, keys: list[bytes]) -> None:
    for _ in range(random.randrange(1, 20)):
        one, other = random.sample(range(len(keys)), 2)
        keys[one], keys[other] = keys[other], keys[one]


def _append(random: Random, keys: list[bytes]) -> None:
    for _ in range(random.randrange(1, 10)):
        keys.append(keys.pop(random.randrange(len(keys) - 1)))


def _rotate(random: Random, keys: list[bytes]) -> None:
    at = random.randrange(1, len(keys))
    keys[:] = keys[at:] + keys[:at]


def _reverse(random: Random, keys: list[bytes]) -> None:
    start, end = sorted(random.sample(range(len(keys)), 2))
    keys[start : end + 1] = keys[start : end + 1][::-1]


def _shuffle(random: Random, keys: list[bytes]) -> None:
    random.shuffle(keys)


@pytest.mark.parametrize("checked", [True, False], ids=["looked through", "too large for that"])
@pytest.mark.parametrize("disorder", [_swap, _append, _rotate, _reverse, _shuffle])
def test_what_is_in_a_file_without_order(
    tmp_path: Path,
    disorder: Callable[[Random, list[bytes]], None],
    checked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is found, or the file is at fault; a large one may hold what Cyrus does not find either."""
    if not checked:
        monkeypatch.setattr(flat, "MAX_ORDERED", 0)
    missed = found = 0
    for seed in range(4):
        random = Random(seed)
        keys = [
            b"Nuser\x1f%b%d" % (bytes(random.choices(b"abc.-_ !", k=random.randrange(1, 9))), each)
            for each in range(LINES)
        ]
        keys.sort(key=lambda key: (key + b"\t").translate(MAILBOX))
        disorder(random, keys)
        text = b"".join(b"%b\t%b\n" % (key, b"v" * random.randrange(40, 90)) for key in keys)
        assert len(text) > flat.WHOLE
        path = tmp_path / f"{seed}.db"
        path.write_bytes(text)
        database = Flat(FileView(str(path)))
        for key in (*keys[:5], *keys[-9:], *random.sample(keys, 60)):
            try:
                there = database.get(key) is not None
            except DatabaseDamaged:
                continue
            found += there
            missed += not there
            assert there or not (checked or _looked_at_by_cyrus(key, text)[1])
        database.close()
    assert found
    assert missed == 0 or not checked


def test_a_file_is_looked_through_once(tmp_path: Path) -> None:
    """Until it is another one: a file in order costs nothing more after its first missing key."""
    path = tmp_path / "mailboxes.db"
    lines = [b"%b\t%b\n" % (key, b"v" * flat.WHOLE) for key in (b"anna", b"mike", b"zoe", b"bert")]
    path.write_bytes(b"".join(lines[:3]))
    view = _CountingView(str(path))
    database = Flat(view)
    for _ in range(3):
        assert database.get(b"fred") is None
        assert view.whole == 1
    path.write_bytes(b"".join(lines))
    with pytest.raises(DatabaseDamaged, match="not in order"):
        database.get(b"fred")
    database.close()


class _CountingView(FileView):
    whole = 0

    def read(self, offset: int, length: int) -> bytes:
        self.whole += offset == 0 and length == self.size()
        return super().read(offset, length)
