"""Remembered verdicts when a path leads elsewhere: restores, links, mounts and rollbacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.verification.kinds import Kind
from tests.rigs.require import missing, require_command, require_root
from tests.stores import dbkey, record
from tests.support.ages import let_age
from tests.support.sites import OLD, Site, delete
from tests.support.twoskip_writer import Writer
from tests.verification.swaps import HOW, PLACES, calm, restored


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with four users."""
    return Site(tmp_path)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("how", HOW)
def test_another_folder_in_the_place_of_one_shows_at_once(
    tmp_path: Path, name: str, how: str
) -> None:
    """A restore: what was read is unchanged, but the path leads elsewhere."""
    root = tmp_path / "site"
    root.mkdir()
    site = Site(root)
    site.quota("fred", "1\n1")
    prepare, swap = HOW[how]
    place = root / name
    prepare(place)
    calm(site)
    assert site.kind(b"fred") is Kind.DELIVERABLE
    swap(place, restored(place))
    assert site.kind(b"fred") is Kind.OVER_QUOTA
    calm(site)
    # What happens there from now on is told.
    site.quota("fred", "1\n1")
    assert site.kind(b"fred") is Kind.DELIVERABLE
    calm(site)
    delete(site)
    assert site.kind(b"fred") is Kind.NONEXISTENT


@pytest.mark.processes
def test_a_mount_over_a_folder_shows_at_once(tmp_path: Path) -> None:
    """And so does its end."""
    require_root("only root may mount")
    unshare = require_command("unshare", "install util-linux")
    alone = [unshare, "--mount", "--propagation", "private"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        missing("mounting is not allowed here: run the tests with CAP_SYS_ADMIN")
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.verification.swaps", str(tmp_path)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = "deliverable over-quota deliverable"
    assert done.stdout.splitlines() == [f"{name} {expected}" for name in PLACES]


def test_a_folder_that_was_away_for_a_while_is_watched_again(site: Site) -> None:
    """The proofs still hold, but nobody would have told of the next change."""
    site.quota("fred", "1\n1")
    calm(site)
    place = site.conf / "quota" / "f"
    place.rename(site.conf / "away")
    (site.conf / "away").rename(place)
    calm(site)


def test_a_quota_root_behind_a_symbolic_link_is_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that is watched is not the one that the file is in."""
    let_age(monkeypatch)
    site.quota("fred", "1\n1")
    there = site.conf.with_name("elsewhere")
    link = site.conf / "quota" / "f" / "user.fred"
    link.rename(there)
    link.symlink_to(there)
    calm(site)
    hits = site.cache.hits
    assert site.kind(b"fred") is Kind.DELIVERABLE
    assert site.cache.hits == hits + 1
    there.write_text("2000\n1\n")
    os.utime(there, OLD)
    assert site.kind(b"fred") is Kind.OVER_QUOTA
    there.unlink()
    calm(site)
    assert site.kind(b"fred") is Kind.DELIVERABLE  # a link to nothing is not a root
    there.write_text("2000\n1\n")
    assert site.kind(b"fred") is Kind.OVER_QUOTA


def test_a_mailbox_list_behind_symbolic_links_is_watched_where_it_is(site: Site) -> None:
    """Each link of a chain may be exchanged, and the file at its end."""
    path = site.conf / "mailboxes.db"
    for name in ("one", "two", "three"):
        (site.conf.parent / name).mkdir()
    between = site.conf.parent / "one" / "link"
    real = site.conf.parent / "two" / "list"
    path.rename(real)
    between.symlink_to("../two/list")
    path.symlink_to(between)
    calm(site)
    site.list.delete(dbkey(b"user.fred"))
    site.list.commit()
    other = site.conf.parent / "three" / "list"
    other.write_bytes(site.list.image())
    between.unlink()
    between.symlink_to(other)
    assert site.kind(b"fred") is Kind.NONEXISTENT
    calm(site)
    site.list.store(dbkey(b"user.fred"), record())
    site.list.commit()
    other.write_bytes(site.list.image())
    assert site.kind(b"fred") is Kind.DELIVERABLE


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("indexed", [False, True])
def test_a_rollback_to_a_list_with_older_keys_is_seen(
    site: Site, *, in_place: bool, indexed: bool
) -> None:
    """Back to Cyrus 3.4: nobody's mailbox is gone, and again from there to 3.6."""
    names = [b"fred", b"anna"] + [b"user%d" % number for number in range(50)]
    for name in (*names, b"nobody"):
        site.ask(name)
    while indexed and site.cache.build_index_step():
        pass
    path = site.conf / "mailboxes.db"
    newer = Writer(seed=3)
    newer.fill((dbkey(b"user." + name), record()) for name in names * 3)
    older = Writer(seed=2)
    older.fill((b"user." + name, b"0 default anyone\tp\t") for name in names)
    for writer in (older, newer):
        new = path if in_place else path.with_name("mailboxes.db.NEW")
        new.write_bytes(writer.image())
        new.rename(path)
        for name in names:
            assert site.ask(name).kind is Kind.DELIVERABLE
            assert not site.cache.known_absent(name)
        assert site.ask(b"nobody").kind is Kind.NONEXISTENT
        while indexed and site.cache.build_index_step():
            pass
        assert not any(site.cache.known_absent(name) for name in names)


def test_the_way_up_from_behind_a_link_is_watched_where_it_leads(tmp_path: Path) -> None:
    """`link/..` is the folder above what the link leads to, for the kernel as for us."""
    far = tmp_path / "far"
    (far / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/sub")
    (tmp_path / "conf").mkdir()  # another one, in which nothing happens
    places = {
        "mboxlist_db_path": "link/../conf/mailboxes.db",
        "userdeny_db_path": "user_deny.db",
        "quota_db_path": "quotas.db",
    }
    lines = [f"{option}: {tmp_path}/{place}\n" for option, place in places.items()]
    site = Site(far, more="".join(lines))
    calm(site)
    delete(site)
    assert site.ask(b"fred").kind is Kind.NONEXISTENT
