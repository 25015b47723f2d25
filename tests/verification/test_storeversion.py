"""StoreVersion: what verdicts rest on, commit by commit, and where the kernel tells of changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.folderwatch import FolderWatch
from gateway.cyrus.store import CyrusStore
from gateway.verification.kinds import Kind
from gateway.verification.storeversion import MAX_VERSIONS, StoreVersion
from tests.golden import FOLDER
from tests.support.sites import Site, create, repack


def keys(site: Site, recipient: bytes) -> set[bytes]:
    """What a verdict on `recipient` rests on."""
    return site.verifier.authority.keys(recipient, Kind.DELIVERABLE)


def test_a_version_lasts_until_a_commit(tmp_path: Path) -> None:
    """One whose keys are known leaves the others as they are; after any other nothing stands."""
    site = Site(tmp_path)
    versions = StoreVersion(site.verifier.store)
    assert (versions.look(), versions.number) == (False, 1)
    assert (versions.look(), versions.number) == (True, 1)
    create(site)
    assert (versions.look(), versions.number) == (True, 2)
    assert versions.untouched(keys(site, b"fred"), 1)
    assert not versions.untouched(keys(site, b"newton"), 1)
    assert not versions.untouched(keys(site, b"fred"), 0)
    assert not versions.untouched(keys(site, b"fred"), -1)
    repack(site)
    assert (versions.look(), versions.number) == (False, 3)
    assert not versions.untouched(keys(site, b"anna"), 1)
    path = site.conf / "mailboxes.db"
    path.rename(site.conf / "kept")
    path.mkdir()
    assert (versions.look(), versions.number) == (False, 0)
    assert not versions.untouched(keys(site, b"anna"), 3)
    path.rmdir()
    (site.conf / "kept").rename(path)
    assert (versions.look(), versions.number) == (False, 4)


def test_the_keys_of_some_commits_are_remembered(tmp_path: Path) -> None:
    """A verdict that was not asked for since is made again."""
    site = Site(tmp_path)
    versions = StoreVersion(site.verifier.store)
    versions.look()
    for _ in range(MAX_VERSIONS):
        create(site)
        versions.look()
    assert versions.untouched(keys(site, b"fred"), 1)
    create(site)
    versions.look()
    assert not versions.untouched(keys(site, b"fred"), 1)
    assert versions.untouched(keys(site, b"fred"), 2)


@pytest.mark.parametrize(
    ("form", "missing", "told"),
    [
        ("twoskip", "flat", True),
        ("skiplist", "flat", True),
        ("flat", "flat", True),
        ("twom", "flat", False),
        ("twoskip", "twom", True),
    ],
)
def test_where_the_kernel_tells_of_changes(
    tmp_path: Path, form: str, missing: str, told: bool
) -> None:
    """Not of twom, which is written through memory; of any file that comes to be."""
    conf = tmp_path / "imapd.conf"
    conf.write_text(f"configdirectory: {tmp_path}\nmboxlist_db: {form}\nuserdeny_db: {missing}\n")
    shutil.copy(f"{FOLDER}/head-{form}/conf/mailboxes.db", tmp_path)
    versions = StoreVersion(CyrusStore(imapdconf.load(os.fspath(conf), "smmap"), b"smmap"))
    watch = FolderWatch()
    versions.look()
    # A watch tells of what comes after its making.
    assert not versions.covered_by(watch)
    versions.look()
    assert versions.number
    assert versions.covered_by(watch) is told
    watch.close()
    assert not versions.covered_by(watch)


def test_a_file_with_another_name_may_change_unseen(tmp_path: Path) -> None:
    """The kernel tells the folder of the name that was used; where the file has gone there is none."""
    site = Site(tmp_path)
    versions, watch = StoreVersion(site.verifier.store), FolderWatch()

    def covered() -> bool:
        versions.look()
        versions.covered_by(watch)  # the first time a folder is watched only now
        return versions.covered_by(watch)

    path, another = site.conf / "mailboxes.db", site.conf / "another"
    assert covered()
    os.link(path, another)
    assert not covered()
    another.unlink()
    assert covered()
    os.link(path, another)
    assert not covered()
    path.unlink()
    assert covered()
    watch.close()
