"""One of the store's databases cannot be seen, and another one changes: that shows at once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import AUTHORITIES
from tests.stores import dbkey, denial, record
from tests.support.sites import Site, create
from tests.support.twoskip_writer import Writer


def repack_and_create(site: Site) -> None:
    """As a busy Cyrus does: the mailbox is in another file only."""
    site.list = site.list.repacked()
    site.list.store(dbkey(b"user.newton"), record())
    site.list.commit()
    site.put("mailboxes.db.NEW", site.list)
    (site.conf / "mailboxes.db.NEW").rename(site.conf / "mailboxes.db")


@pytest.mark.parametrize("answers", AUTHORITIES)
@pytest.mark.parametrize("change", [create, repack_and_create])
def test_nobody_is_unknown_by_an_old_list_while_the_quota_roots_are_away(
    tmp_path: Path, answers: str, change: Callable[[Site], None]
) -> None:
    """Their file system is not mounted; only who has no mailbox needs none of them."""
    roots = tmp_path / "roots"
    roots.mkdir()
    site = Site(tmp_path, more=f"quota_db_path: {roots}/quotas.db\n")
    site.verifier = site.verifier.answering(answers)
    site.cache = VerdictCache(site.verifier)

    def kinds() -> list[Kind]:
        return [site.ask(each).kind for each in (b"newton", b"zoe")]

    assert kinds() == [Kind.NONEXISTENT, Kind.DELIVERABLE]
    roots.rename(tmp_path / "away")
    assert kinds() == [Kind.NONEXISTENT, Kind.STORE_FAULT]
    change(site)
    assert kinds() == [Kind.STORE_FAULT] * 2
    (tmp_path / "away").rename(roots)
    assert kinds() == [Kind.DELIVERABLE] * 2


def _failing(monkeypatch: pytest.MonkeyPatch, call: str, path: str) -> None:
    """The next `call` for `path` fails, as where a file server is away for a moment."""
    really = getattr(os, call)
    left = [path]

    def once(place: str | int, *words: int, **more: Any) -> object:
        if left and (place == path or (isinstance(place, int) and _leads_to(place, path))):
            left.clear()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return really(place, *words, **more)

    monkeypatch.setattr(os, call, once)


def _leads_to(descriptor: int, path: str) -> bool:
    return os.readlink(f"/proc/self/fd/{descriptor}") == path


def test_a_moment_without_one_leaves_no_other_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list cannot be looked at once, and somebody has just been blocked in another file."""
    site = Site(tmp_path, more="userdeny_db: twoskip\n")
    site.put("user_deny.db", Writer(seed=2))
    assert [site.kind(b"fred") for _ in range(2)] == [Kind.DELIVERABLE] * 2
    blocked = Writer(seed=3)
    blocked.fill([(b"fred", denial())])
    site.put("user_deny.NEW", blocked)
    (site.conf / "user_deny.NEW").rename(site.conf / "user_deny.db")
    _failing(monkeypatch, "stat", str(site.conf / "mailboxes.db"))
    assert site.ask(b"fred").kind is Kind.DENIED


def test_a_file_that_is_gone_between_two_calls_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system asks its server again for what is open; the next question is answered."""
    site = Site(tmp_path)
    _failing(monkeypatch, "fstat", str(site.conf / "mailboxes.db"))
    verdict = site.verifier.decide(Query(b"fred"))
    assert isinstance(verdict, Verdict)
    assert verdict.kind is Kind.STORE_FAULT
    assert site.kind(b"fred") is Kind.DELIVERABLE
