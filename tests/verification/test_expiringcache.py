"""Answers remembered for a while: how long, how many, and which not."""

from __future__ import annotations

import threading

import pytest

from gateway.verification.expiringcache import ExpiringCache, Lifetimes
from gateway.verification.kinds import KINDS, Kind
from gateway.verification.model import MAX_REASON, MAX_RECIPIENT, Verdict
from tests.interfaces.kinds import expected

TIMES = Lifetimes(yes=100.0, no=10.0, over_quota=1.0, stale=1000.0)
HELD = {"yes": 100.0, "no": 10.0, "over_quota": 1.0, None: 0.0}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_each_kind_has_its_lifetime(kind: Kind) -> None:
    """A temporary failure has none, and a permanent refusal none beyond its time."""
    memory = ExpiringCache(TIMES, 16)
    verdict = Verdict(kind, b"")
    memory.keep(b"fred", verdict, 50.0)
    held = HELD[expected(kind).remembered]
    if not held:
        assert memory.fresh(b"fred", 50.0) is None
        assert memory.stale(b"fred", 50.0) is None
        return
    assert memory.fresh(b"fred", 50.0 + held - 0.01) is verdict
    assert memory.fresh(b"fred", 50.0 + held) is None
    harmless = kind.accepts or kind.temporary
    assert memory.stale(b"fred", 50.0 + held + 999.0) is (verdict if harmless else None)
    assert memory.stale(b"fred", 50.0 + held + 1000.0) is None


def test_a_temporary_failure_leaves_the_old_answer() -> None:
    """It may be served stale."""
    memory = ExpiringCache(TIMES, 16)
    known = Verdict(Kind.DELIVERABLE, b"")
    memory.keep(b"fred", known, 0.0)
    memory.keep(b"fred", Verdict(Kind.UPSTREAM_FAULT, b""), 200.0)
    assert memory.stale(b"fred", 200.0) is known


def test_what_is_not_remembered_replaces_what_was() -> None:
    """With a lifetime of 0 the old answer is wrong, not stale."""
    memory = ExpiringCache(Lifetimes(yes=100.0, no=0.0, over_quota=0.0, stale=1000.0), 16)
    memory.keep(b"fred", Verdict(Kind.DELIVERABLE, b""), 0.0)
    memory.keep(b"fred", Verdict(Kind.NONEXISTENT, b""), 1.0)
    assert memory.stale(b"fred", 1.0) is None


def test_what_no_mail_can_have_is_not_remembered() -> None:
    """A recipient or a reason that is longer than SMTP allows; it replaces what was, too."""
    memory = ExpiringCache(TIMES, 16)
    longest, long_reason = b"x" * MAX_RECIPIENT, b"x" * (MAX_REASON + 1)
    memory.keep(longest + b"x", Verdict(Kind.DELIVERABLE, b""), 0.0)
    assert len(memory) == 0
    memory.keep(longest, Verdict(Kind.DENIED, long_reason[1:]), 0.0)
    assert memory.fresh(longest, 0.0) is not None
    memory.keep(longest, Verdict(Kind.DENIED, long_reason), 0.0)
    assert memory.stale(longest, 0.0) is None


@pytest.mark.parametrize(("most", "left"), [(4, 4), (64, 61)])
def test_a_sixteenth_gives_way(most: int, left: int) -> None:
    """One at least; so that making room is not all that is done."""
    memory = ExpiringCache(TIMES, most)
    for number in range(most + 1):
        assert len(memory) == number
        memory.keep(b"%d" % number, Verdict(Kind.DELIVERABLE, b""), 0.0)
    assert len(memory) == left


def test_memory_is_bounded_and_the_oldest_give_way() -> None:
    """However many recipients are asked for, on however many threads."""
    memory = ExpiringCache(TIMES, 64)

    def fill(name: int) -> None:
        for number in range(2000):
            memory.keep(b"%d-%d" % (name, number), Verdict(Kind.NONEXISTENT, b""), 0.0)

    threads = [threading.Thread(target=fill, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memory) <= 64 + 4
    memory.keep(b"last", Verdict(Kind.DELIVERABLE, b""), 0.0)
    assert memory.fresh(b"last", 1.0) is not None
