"""What a process still remembers that leaves, and goes on for a few clients only."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cyrus.db.twoskip import twoskip
from gateway.verification import cache
from tests.support.sites import Site


def test_a_process_that_leaves_remembers_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered goes, whatever else holds it, and only a few come after it."""
    monkeypatch.setattr(cache, "FEW_ENTRIES", 8)
    site = Site(tmp_path)
    site.ask(b"fred")
    held = site.cache.entry(b"fred")
    assert held is not None
    assert site.cache.shrink()
    assert not site.cache.is_valid(held)
    while site.cache.shrink():
        pass
    assert not site.cache.entries
    for number in range(20):
        site.ask(b"nobody%d" % number)
    assert len(site.cache._unknown) <= 8
    assert not site.cache.build_index_step()


def test_a_process_that_leaves_wants_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is made for those that stay."""
    monkeypatch.setattr(twoskip, "SHARED_FROM", 1)
    site = Site(tmp_path)
    site.ask(b"fred")
    assert site.cache.index_wanted == str(site.conf / "mailboxes.db")
    site.cache.shrink()
    assert not site.cache.index_wanted
