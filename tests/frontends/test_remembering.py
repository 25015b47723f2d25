"""One memory for many threads: as fresh as if each question were asked anew."""

from __future__ import annotations

import threading
from pathlib import Path

from gateway.frontends.remembering import Remembering
from gateway.verification.model import Kind, Query, Verdict
from tests.verification.sites import Site, create


def test_every_answer_is_as_fresh_as_its_question(tmp_path: Path) -> None:
    """A change that has returned shows in the next answer, whichever thread asks."""
    site = Site(tmp_path)
    memory = Remembering(site.cache)
    wrong: list[object] = []
    for round_ in range(30):
        kind = Kind.DELIVERABLE if round_ else Kind.NONEXISTENT
        over = round_ % 2 == 1
        if round_ == 1:
            create(site)
        site.quota("over", "2000\n1" if over else "1\n1", times=None)

        def ask(kind: Kind = kind, over: bool = over) -> None:
            expected = {
                b"newton": kind,
                b"fred": Kind.DELIVERABLE,
                b"over": Kind.OVER_QUOTA if over else Kind.DELIVERABLE,
            }
            for _ in range(20):
                for recipient, wanted in expected.items():
                    verdict = memory.decide(Query(recipient))
                    if not isinstance(verdict, Verdict) or verdict.kind is not wanted:
                        wrong.append((recipient, verdict))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert site.cache.hits > site.cache.misses


def test_many_unknown_recipients_make_an_index(tmp_path: Path) -> None:
    """After that the mailbox list tells at once who is not in it."""
    site = Site(tmp_path)
    memory = Remembering(site.cache)
    memory.decide(Query(b"fred"))
    for number in range(2000):
        verdict = memory.decide(Query(b"nobody%d" % number))
        assert isinstance(verdict, Verdict)
        assert verdict.kind is Kind.NONEXISTENT
    site.cache.again()
    assert site.cache.absent(b"somebody")
