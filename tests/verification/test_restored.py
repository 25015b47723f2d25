"""Verdicts that are remembered while an administrator restores a backup over a living file."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import Verifier
from tests.stores import dbkey, record
from tests.support.ages import let_age
from tests.support.sites import Site
from tests.support.twoskip_writer import Writer

NAMES = (b"fred", b"anna", b"mary", b"mark", b"nobody")


@pytest.fixture(params=[True, False], ids=["watched", "unwatched"])
def watched(request: pytest.FixtureRequest) -> bool:
    """Whether the kernel tells of changes."""
    return bool(request.param)


def fresh(site: Site, name: bytes) -> Kind:
    """What an engine says that has never seen the files before."""
    conf = imapdconf.load(os.fspath(site.conf.with_name("imapd.conf")), "smmap")
    verdict = Verifier.for_store(CyrusStore(conf, b"smmap")).verify(Query(name))
    return verdict.kind


def ask(site: Site, name: bytes) -> Kind:
    """What a front end says: unknown recipients by the index, if there is one."""
    site.cache.expire_tick()
    if site.cache.known_absent(name):
        return site.cache.nonexistent.kind
    verdict = site.cache.decide(Query(name))
    assert isinstance(verdict, Verdict)
    return verdict.kind


def check(site: Site) -> None:
    """Everybody's verdict, asked for twice."""
    for _ in range(2):
        assert {name: ask(site, name) for name in NAMES} == {
            name: fresh(site, name) for name in NAMES
        }


@pytest.mark.parametrize("young", [True, False])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_mailbox_list_that_is_restored_in_place_and_committed_to(
    tmp_path: Path, watched: bool, indexed: bool, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much is committed as had been before, so that the file is as long as it was."""
    if not young:
        let_age(monkeypatch)
    site = Site(tmp_path)
    if not watched:
        site.cache.watch.close()
    backup = site.list
    sizes = set()
    for number in range(6):
        # The writer draws the same numbers of pointers each time.
        site.list = copy.deepcopy(backup)
        if number % 3 == 1:
            site.list.delete(dbkey(b"user.anna"))
        else:
            site.list.delete(dbkey(b"user.fred"))
        site.list.commit()
        site.list.store(dbkey(b"user.mary" if number % 2 else b"user.mark"), record())
        site.list.commit()
        site.write_list()
        sizes.add(os.path.getsize(site.conf / "mailboxes.db"))
        if number:  # not looked at before the first
            check(site)
        while indexed and site.cache.build_index_step():
            pass
        check(site)
    assert len(sizes) == 1


@pytest.mark.parametrize("young", [True, False])
def test_a_quota_database_that_is_restored_in_place_and_committed_to(
    tmp_path: Path, watched: bool, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are numbers: the same commits have the same bytes."""
    if not young:
        let_age(monkeypatch)
    site = Site(tmp_path, "twoskip")
    if not watched:
        site.cache.watch.close()
    backup = Writer(seed=5)
    backup.fill((b"user." + name, b"1 1") for name in (b"anna", b"fred", b"over"))
    for number in range(6):
        quotas = copy.deepcopy(backup)
        full, free = (b"fred", b"anna") if number % 2 else (b"anna", b"fred")
        for name, used in ((full, b"2000 1"), (free, b"1000 1"), (b"over", b"1000 1")):
            quotas.store(b"user." + name, used)
            quotas.commit()
        site.put("quotas.db", quotas)
        check(site)
        assert ask(site, full) is Kind.OVER_QUOTA
        assert ask(site, free) is Kind.DELIVERABLE


def test_news_are_looked_at_when_they_come(tmp_path: Path) -> None:
    """Nobody has to ask for that: the sooner, the less can have been done to a file meanwhile."""
    site = Site(tmp_path)
    for _ in range(3):
        check(site)
    site.list.store(dbkey(b"user.mary"), record())
    site.list.commit()
    site.write_list()
    entry = site.cache.entry(b"fred")
    assert entry is not None
    version = site.cache._store_version.number
    site.cache.files_changed()
    assert site.cache._store_version.number == version + 1
    check(site)


def test_a_file_with_another_name_is_looked_at_each_time(tmp_path: Path) -> None:
    """The kernel does not tell of what is written under that."""
    site = Site(tmp_path)
    quota = site.conf / "quota" / "f" / "user.fred"
    site.quota("fred", "1\n1")
    for path in (site.conf / "mailboxes.db", quota):
        os.link(path, tmp_path / path.name)
    for _ in range(3):
        check(site)
    fd = os.open(tmp_path / "mailboxes.db", os.O_WRONLY)
    site.list.store(dbkey(b"user.mary"), record())
    site.list.commit()
    os.pwrite(fd, site.list.image(), 0)
    os.close(fd)
    check(site)
    assert ask(site, b"mary") is Kind.DELIVERABLE
    (tmp_path / "user.fred").write_text("2000\n1\n")
    check(site)
    assert ask(site, b"fred") is Kind.OVER_QUOTA
