"""StoreVersion: what verdicts rest on, commit by commit, and where the kernel tells of changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.folderwatch import FolderWatch
from gateway.cyrus.store import CyrusStore
from gateway.verification.model import Kind
from gateway.verification.storeversion import MAX_EPOCHS, StoreVersion
from tests.golden import FOLDER
from tests.verification.sites import Site, create, repack


def keys(site: Site, recipient: bytes) -> set[bytes]:
    """What a verdict on `recipient` rests on."""
    return site.verifier.authority.keys(recipient, Kind.DELIVERABLE)


def test_an_epoch_lasts_until_a_commit(tmp_path: Path) -> None:
    """One whose keys are known leaves the others as they are; after any other nothing stands."""
    site = Site(tmp_path)
    epochs = StoreVersion(site.verifier.store)
    assert (epochs.look(), epochs.epoch) == (False, 1)
    assert (epochs.look(), epochs.epoch) == (True, 1)
    create(site)
    assert (epochs.look(), epochs.epoch) == (True, 2)
    assert epochs.untouched(keys(site, b"fred"), 1)
    assert not epochs.untouched(keys(site, b"newton"), 1)
    assert not epochs.untouched(keys(site, b"fred"), 0)
    assert not epochs.untouched(keys(site, b"fred"), -1)
    repack(site)
    assert (epochs.look(), epochs.epoch) == (False, 3)
    assert not epochs.untouched(keys(site, b"anna"), 1)
    path = site.conf / "mailboxes.db"
    path.rename(site.conf / "kept")
    path.mkdir()
    assert (epochs.look(), epochs.epoch) == (False, 0)
    assert not epochs.untouched(keys(site, b"anna"), 3)
    path.rmdir()
    (site.conf / "kept").rename(path)
    assert (epochs.look(), epochs.epoch) == (False, 4)


def test_the_keys_of_some_commits_are_remembered(tmp_path: Path) -> None:
    """A verdict that was not asked for since is made anew."""
    site = Site(tmp_path)
    epochs = StoreVersion(site.verifier.store)
    epochs.look()
    for _ in range(MAX_EPOCHS):
        create(site)
        epochs.look()
    assert epochs.untouched(keys(site, b"fred"), 1)
    create(site)
    epochs.look()
    assert not epochs.untouched(keys(site, b"fred"), 1)
    assert epochs.untouched(keys(site, b"fred"), 2)


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
    epochs = StoreVersion(CyrusStore(imapdconf.load(os.fspath(conf), "smmap"), b"smmap"))
    watch = FolderWatch()
    epochs.look()
    # A watch tells of what comes after its making.
    assert not epochs.tells(watch)
    epochs.look()
    assert epochs.epoch
    assert epochs.tells(watch) is told
    watch.close()
    assert not epochs.tells(watch)
