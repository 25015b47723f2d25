"""Remembered verdicts: given again only while a fresh one would be the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from gateway.cyrus.folderwatch import Folder, FolderWatch
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import MAX_REASON, MAX_RECIPIENT, Pending, Query, Verdict
from gateway.verification.verifier import Verifier
from tests.stores import record
from tests.support.ages import let_age
from tests.support.sites import OLD, Site, create, delete, repack
from tests.support.twoskip_writer import Writer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with four users."""
    return Site(tmp_path)


def test_a_verdict_is_given_from_memory_until_something_changes(site: Site) -> None:
    """The second question is a hit, and says the same."""
    assert site.ask(b"fred").kind is Kind.DELIVERABLE
    assert site.ask(b"nobody").kind is Kind.NONEXISTENT
    assert (site.cache.hits, site.cache.misses) == (0, 2)
    assert site.ask(b"fred").kind is Kind.DELIVERABLE
    assert site.ask(b"nobody").kind is Kind.NONEXISTENT
    assert (site.cache.hits, site.cache.misses) == (2, 2)
    assert site.cache.entry(b"fred") is not None  # with it a front end keeps a reply ready
    assert site.cache.entry(b"nobody") is None


def test_the_first_question_needs_no_turn(site: Site) -> None:
    """Nothing is said before the files have been looked at."""
    for _ in range(2):
        verdict = site.cache.decide(Query(b"fred"))
        assert isinstance(verdict, Verdict)
        assert verdict.kind is Kind.DELIVERABLE
    assert site.cache.hits == 1


def test_what_is_counted(site: Site) -> None:
    """Hits and misses, what was forgotten; the time of each miss is told."""
    told: list[float] = []
    site.cache.timing = told.append
    begun = perf_counter()
    for name in (b"fred", b"anna", b"nobody", b"fred"):
        site.ask(name)
    took = perf_counter() - begun
    assert len(told) == 3
    assert all(0 <= seconds <= took for seconds in told)
    while site.cache.build_index_step():
        pass
    assert site.cache.invalidations == 0
    assert site.cache.known_absent(b"nobody")
    delete(site)
    site.ask(b"fred")
    assert site.cache.invalidations == 1
    site.ask(b"anna")
    repack(site)
    site.ask(b"zoe")
    assert site.cache.invalidations == 2


def _deny(site: Site) -> None:
    (site.conf / "user_deny.db").write_bytes(b"fred\t2\xff\x89*\xff\x89gone\n")


CHANGES: list[tuple[Callable[[Site], None], bytes, Kind]] = [
    (create, b"newton", Kind.DELIVERABLE),
    (delete, b"fred", Kind.NONEXISTENT),
    (repack, b"fred", Kind.NONEXISTENT),
    (_deny, b"fred", Kind.DENIED),
    (lambda site: site.quota("fred", "2000\n1"), b"fred", Kind.OVER_QUOTA),
    (lambda site: site.quota("fred", "%(S (2000 1))"), b"fred", Kind.OVER_QUOTA),
    (lambda site: site.quota("over", "1\n1"), b"over", Kind.DELIVERABLE),
    (lambda site: site.quota("over", None), b"over", Kind.DELIVERABLE),
    (lambda site: (site.conf / "mailboxes.db").unlink(), b"fred", Kind.STORE_FAULT),
    (lambda site: shutil.rmtree(site.conf), b"fred", Kind.STORE_FAULT),
]


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(("change", "recipient", "kind"), CHANGES)
def test_a_change_is_seen_in_the_next_turn(
    site: Site, change: Callable[[Site], None], recipient: bytes, kind: Kind, watched: bool
) -> None:
    """Whatever the verdict rested on has changed: the next one is made again, watched or not."""
    if not watched:
        site.cache.watch.close()
    site.quota("over", "2000\n1")
    for name in (b"fred", b"anna", b"over", b"newton", b"zoe"):
        site.kind(name)
    change(site)
    assert site.kind(recipient) is kind
    for name in (b"fred", b"anna", b"over", b"newton", b"zoe"):
        site.kind(name)


def test_a_commit_leaves_the_verdicts_of_others_alone(site: Site) -> None:
    """The log tells which keys were written: only their verdicts are forgotten."""
    for name in (b"fred", b"anna", b"newton"):
        site.ask(name)
    hits = site.cache.hits
    for _ in range(5):
        create(site)
        assert site.ask(b"fred").kind is Kind.DELIVERABLE
        assert site.ask(b"anna").kind is Kind.DELIVERABLE
    assert site.cache.hits == hits + 10
    assert site.kind(b"newton") is Kind.DELIVERABLE


def test_a_deletion_leaves_the_verdicts_of_others_alone(site: Site) -> None:
    """A delete record names only what follows; that is enough to know who was deleted."""
    for name in (b"fred", b"anna", b"over", b"zoe"):
        site.ask(name)
    hits = site.cache.hits
    delete(site)
    for name in (b"anna", b"zoe"):
        assert site.kind(name) is Kind.DELIVERABLE
    assert site.cache.hits == hits + 2
    assert site.kind(b"fred") is Kind.NONEXISTENT


def test_a_denial_leaves_the_verdicts_of_others_alone(tmp_path: Path) -> None:
    """In a userdeny database whose log tells, only that user's verdict is forgotten."""
    site = Site(tmp_path, more="userdeny_db: twoskip\n")
    denials = Writer(seed=2)
    denials.fill([(b"x", b"2\t*")])
    site.put("user_deny.db", denials)
    for name in (b"fred", b"anna"):
        site.ask(name)
    hits = site.cache.hits
    denials.store(b"fred", b"2\t*\tgone")
    denials.commit()
    site.put("user_deny.db", denials)
    assert site.kind(b"anna") is Kind.DELIVERABLE
    assert site.cache.hits == hits + 1
    assert site.kind(b"fred") is Kind.DENIED


def test_verdicts_that_were_not_asked_for_in_many_commits_are_made_again(site: Site) -> None:
    """What was written is remembered for some commits only."""
    site.ask(b"fred")
    for _ in range(100):
        create(site)
        site.ask(b"anna")
    misses = site.cache.misses
    assert site.kind(b"fred") is Kind.DELIVERABLE
    assert site.cache.misses == misses + 1


def test_a_quota_root_that_was_written_just_now_is_read_each_time(site: Site) -> None:
    """Where folders cannot be watched: so young a file may change without its times showing it."""
    site.cache.watch.close()
    site.quota("fred", "1\n1", times=None)
    assert site.kind(b"fred") is Kind.DELIVERABLE
    site.quota("fred", "2000\n1", times=None)
    assert site.kind(b"fred") is Kind.OVER_QUOTA
    assert site.cache.hits == 0


def test_a_watched_folder_tells_of_changes_that_times_cannot_show(site: Site) -> None:
    """Same size, same times, a moment later: the kernel has told."""
    site.quota("fred", "1\n1")
    assert site.kind(b"fred") is Kind.DELIVERABLE
    hits = site.cache.hits
    assert site.kind(b"fred") is Kind.DELIVERABLE
    assert site.cache.hits == hits + 1
    path = site.conf / "quota" / "f" / "user.fred"
    path.write_text("2000\n1\n")
    os.utime(path, OLD)
    assert site.kind(b"fred") is Kind.OVER_QUOTA
    path.write_text("2\n1\n")
    os.utime(path, OLD)
    assert site.kind(b"fred") is Kind.DELIVERABLE


def test_a_quota_folder_that_cannot_be_watched_is_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while all else is watched and quiet."""
    let_age(monkeypatch)
    really = FolderWatch.folder

    def folder(watch: FolderWatch, path: bytes) -> Folder | None:
        return None if b"/quota/" in path else really(watch, path)

    monkeypatch.setattr(FolderWatch, "folder", folder)
    site.quota("fred", "1\n1")
    for _ in range(3):
        assert site.kind(b"fred") is Kind.DELIVERABLE
    assert site.cache.hits == 2
    site.quota("fred", "2000\n1")
    assert site.kind(b"fred") is Kind.OVER_QUOTA


def test_quota_roots_whose_folder_is_gone_are_a_fault(tmp_path: Path) -> None:
    """What is remembered may rest on roots that cannot be seen any more."""
    moved = tmp_path / "moved"
    site = Site(tmp_path, more=f"mboxlist_db_path: {moved}\n")
    (site.conf / "mailboxes.db").rename(moved)
    assert site.kind(b"fred") is Kind.DELIVERABLE
    shutil.rmtree(site.conf)
    assert site.kind(b"fred") is Kind.STORE_FAULT


def test_without_a_watch_every_change_shows_as_well(site: Site) -> None:
    """Network file systems tell nothing: then each file is looked at."""
    site.cache.watch.close()
    site.quota("fred", "1\n1")
    for text, kind in (("1\n1", Kind.DELIVERABLE), ("2000\n1", Kind.OVER_QUOTA)) * 3:
        site.quota("fred", text)
        assert site.kind(b"fred") is kind
        assert site.kind(b"fred") is kind


def test_faults_are_never_remembered(site: Site) -> None:
    """A temporary failure is over as soon as its cause is."""
    path = site.conf / "mailboxes.db"
    image = path.read_bytes()
    path.write_bytes(b"garbage" * 100)
    assert site.kind(b"fred") is Kind.STORE_FAULT
    path.write_bytes(image)
    assert site.kind(b"fred") is Kind.DELIVERABLE


@pytest.mark.parametrize("watched", [True, False])
def test_within_a_turn_the_files_are_looked_at_once(site: Site, watched: bool) -> None:
    """Between two ticks of the loop time does not pass."""
    if not watched:
        site.cache.watch.close()
    site.ask(b"fred")
    site.ask(b"anna")
    number = site.cache.tick()
    delete(site)
    before = site.cache.decide(Query(b"fred"))
    assert isinstance(before, Verdict)
    assert before.kind is Kind.DELIVERABLE
    assert site.cache.tick() == number
    # As an event loop does: the changes are read, then a tick begins.
    site.cache.watch.drain()
    site.cache.begin_tick()
    after = site.cache.decide(Query(b"fred"))
    assert isinstance(after, Verdict)
    assert after.kind is Kind.NONEXISTENT
    assert site.cache.tick() > number


def test_now_looks_at_the_files(site: Site) -> None:
    """A caller that compares the number of a tick has seen what changed before it."""
    site.ask(b"fred")
    number = site.cache.tick()
    delete(site)
    site.cache.expire_tick()
    assert site.cache.tick() > number


def test_memory_is_bounded_and_the_oldest_give_way(site: Site) -> None:
    """However many recipients are asked for."""
    site.cache = VerdictCache(site.verifier, max_entries=32)
    for number in range(1000):
        site.ask(b"nobody%d" % number)
        assert len(site.cache._unknown) <= 32
    hits = site.cache.hits
    site.ask(b"nobody999")
    assert site.cache.hits == hits + 1


def test_what_no_mail_can_have_is_answered_and_not_remembered(site: Site) -> None:
    """A recipient or a reason that is longer than SMTP allows: memory is bounded in bytes, too."""
    domain = b"@example.org"
    longest = b"fred@" + b"x" * (MAX_RECIPIENT - 5)
    for recipient, remembered in ((longest, True), (longest + b"x", False)):
        hits = site.cache.hits
        assert site.kind(recipient) is site.kind(recipient) is Kind.DELIVERABLE
        assert site.cache.hits == hits + remembered
        assert (recipient in site.cache.entries) is remembered
    assert site.kind(b"nobody" + b"x" * MAX_RECIPIENT + domain) is Kind.NONEXISTENT
    assert not site.cache._unknown
    for length, remembered in ((MAX_REASON, True), (MAX_REASON + 1, False)):
        text = b"x" * length
        (site.conf / "user_deny.db").write_bytes(b"anna\t2\xff\x89*\xff\x89" + text + b"\n")
        assert site.ask(b"anna").reason == text
        assert (b"anna" in site.cache.entries) is remembered


@pytest.mark.parametrize(("most", "left"), [(4, 4), (32, 31)])
def test_a_sixteenth_gives_way(site: Site, most: int, left: int) -> None:
    """One at least; so that making room is not all that is done."""
    site.cache = VerdictCache(site.verifier, max_entries=most)
    for number in range(most + 1):
        assert len(site.cache._unknown) == number
        site.ask(b"nobody%d" % number)
    assert len(site.cache._unknown) == left


def test_unknown_recipients_do_not_push_out_known_ones(site: Site) -> None:
    """A dictionary attack leaves the verdicts of those who get mail where they are."""
    site.cache = VerdictCache(site.verifier, max_entries=32)
    site.ask(b"fred")
    for number in range(1000):
        site.ask(b"nobody%d" % number)
    misses = site.cache.misses
    site.ask(b"fred")
    assert site.cache.misses == misses


def test_with_an_index_the_unknown_are_known_at_no_cost(site: Site) -> None:
    """`absent` is said of those whose fresh verdict is nonexistent, and follows every change."""
    site.ask(b"fred")
    assert not site.cache.known_absent(b"nobody")  # no index yet
    while site.cache.build_index_step():
        pass
    assert site.cache.known_absent(b"nobody")
    assert site.cache.known_absent(b"newton@example.org")
    for known in (b"fred", b"FRED", b"fred@example.org", b"nobody+x", b"a^b", b"\0"):
        assert not site.cache.known_absent(known)
    assert site.cache.known_absent(b"newton")
    create(site)
    site.cache.expire_tick()
    assert not site.cache.known_absent(b"newton")
    # After a commit the list has to show once more that it is there, and of what kind.
    assert site.ask(b"newton").kind is Kind.DELIVERABLE
    (site.conf / "user_deny.db").write_bytes(b"nobody\t2\xff\x89*\xff\x89gone\n")
    site.cache.expire_tick()
    assert not site.cache.known_absent(b"nobody")
    assert site.kind(b"nobody") is Kind.DENIED
    assert site.cache.known_absent(b"nobody2")
    (site.conf / "user_deny.db").write_bytes(b"cut off")
    site.cache.expire_tick()
    assert not site.cache.known_absent(b"nobody2")
    (site.conf / "user_deny.db").unlink()
    site.cache.expire_tick()
    assert not site.cache.known_absent(b"nobody2")  # which user was blocked is not known
    assert site.kind(b"nobody2") is Kind.STORE_FAULT
    (site.conf / "mailboxes.db").write_bytes(b"garbage" * 100)
    site.cache.expire_tick()
    assert not site.cache.known_absent(b"nobody2")


def test_on_a_frontend_of_a_murder_nobody_is_unknown_without_mupdate(tmp_path: Path) -> None:
    """Neither from memory, nor by the index, nor at the first look."""
    site = Site(tmp_path, more="mupdate_server: mupdate.example\n")
    assert site.ask(b"fred").kind is Kind.DELIVERABLE
    while site.cache.build_index_step():
        pass
    for _ in range(2):
        assert not site.cache.known_absent(b"nobody")
        pending = site.cache.decide(Query(b"nobody"))
        assert isinstance(pending, Pending)
        assert pending.server is None


def test_a_question_with_a_size_is_always_asked_anew(site: Site) -> None:
    """What is free changes with each delivery."""
    site.quota("fred", "500\n1")
    for size, kind in ((100, Kind.DELIVERABLE), (1000, Kind.SIZE_OVER_QUOTA)):
        verdict = site.cache.decide(Query(b"fred", size))
        assert isinstance(verdict, Verdict)
        assert verdict.kind is kind


def test_the_index_gives_the_same_answers(site: Site) -> None:
    """With the mailbox list's index made, changes are seen as before."""
    site.ask(b"fred")
    while site.cache.build_index_step():
        pass
    for change, recipient, kind in CHANGES[:3]:
        change(site)
        assert site.kind(recipient) is kind
        site.kind(b"nobody")


def test_other_kinds_of_keys_are_other_verdicts(site: Site) -> None:
    """A shared folder of a list that looks older, until a user's mailbox shows that it is not.

    No commit has written a record that its verdict rests on.
    """
    (site.conf / "mailboxes.db").unlink()
    site.list = Writer(seed=2)
    site.list.fill([(b"$SYNC", b"x"), (b"Nnews", record(b"anyone\tlrsp\t"))])
    site.write_list()
    assert site.kind(b"+news") is Kind.NONEXISTENT
    create(site)
    conf = site.verifier.store.conf
    fresh = Verifier.for_store(CyrusStore(conf, b"smmap")).verify(Query(b"+news"))
    assert fresh.kind is not Kind.NONEXISTENT
    assert site.kind(b"+news") is fresh.kind
