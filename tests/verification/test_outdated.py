"""Verdicts that became invalid all at once, and are let go in pieces: none of them answers again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.verification import cache, largedict
from gateway.verification.kinds import Kind
from tests.stores import dbkey, record
from tests.support.sites import Site, create, delete, repack
from tests.support.twoskip_writer import Writer

NAMES = (b"fred", b"anna", b"over", b"zoe", b"newton", b"nobody")


@pytest.fixture(autouse=True)
def nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there until somebody has time for them."""
    monkeypatch.setattr(largedict, "_RELEASED", 0)


def vanish(site: Site) -> None:
    """The list is not there, as in the middle of a restore."""
    os.rename(site.conf / "mailboxes.db", site.conf / "mailboxes.db.away")
    assert site.ask(b"fred").kind is Kind.STORE_FAULT
    os.rename(site.conf / "mailboxes.db.away", site.conf / "mailboxes.db")


def replace(site: Site) -> None:
    """Another server's list."""
    site.list = Writer(seed=7)
    site.list.fill([(dbkey(b"user.zoe"), record()), (dbkey(b"user.newton"), record())])
    new = site.conf / "mailboxes.db.NEW"
    new.write_bytes(site.list.image())
    new.rename(site.conf / "mailboxes.db")


def overwrite(site: Site) -> None:
    """A backup is copied over it in place."""
    site.list = Writer(seed=8)
    site.list.fill([(dbkey(b"user.anna"), record())])
    with open(site.conf / "mailboxes.db", "r+b") as file:
        file.write(site.list.image())
        file.truncate()


def same(_site: Site) -> None:
    """Nothing happens."""


def fill(site: Site) -> None:
    """A quota root without room."""
    site.quota("zoe", "2048 1", None)


CHANGES: tuple[Callable[[Site], None], ...] = (
    create, delete, repack, vanish, replace, overwrite, same, fill,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.sampled_from(CHANGES), max_size=8), pieces=st.lists(st.booleans()))
def test_they_never_answer_again(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[Callable[[Site], None]],
    pieces: list[bool],
) -> None:
    """Whatever happens to the store, and whether they have been let go meanwhile or not."""
    site = Site(tmp_path_factory.mktemp("outdated"))
    for number, change in enumerate([same, *changes]):
        try:
            change(site)
        except KeyError:
            continue  # nobody of that name is there any more
        if number < len(pieces) and pieces[number]:
            site.cache.build_index_step()
        for name in NAMES:
            site.kind(name)  # compares with a fresh look


def test_they_are_let_go_when_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces; those that have been asked for again stay."""
    site = Site(tmp_path)
    names = [b"u%d" % number for number in range(10)]
    site.list.fill((dbkey(b"user." + name), record()) for name in names)
    site.write_list()
    for name in names:
        site.ask(name)
    entries = site.cache.entries
    assert len(entries) == 10
    repack(site)
    before = site.cache.invalidations
    assert site.ask(b"u3").kind is Kind.DELIVERABLE
    assert site.cache.invalidations == before + 10
    assert list(entries) == [b"u3"]
    monkeypatch.setattr(cache, "_RELEASED", 4)
    left = []
    while aside := sum(map(len, entries._aside)):
        left.append(aside)
        assert site.cache.build_index_step()
    assert left == [10, 6, 2]
    assert list(entries) == [b"u3"]
    assert site.ask(b"u3").kind is site.ask(b"u4").kind is Kind.DELIVERABLE
