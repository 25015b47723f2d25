"""What is remembered is what a fresh look says, under any combination of options, whatever changes.

STORES_DRAWN says how many stores are drawn, STORES_SEED from which one on; a store takes a second
or two.  One that has failed is drawn again by its seed alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.db.twoskip import twoskip
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Pending, Query, Verdict
from gateway.verification.verifier import AUTHORITIES, DELIVERY, Verifier
from tests.support.drawn_stores import DrawnStore

STORES = int(os.environ.get("STORES_DRAWN", "6"))
SEED = int(os.environ.get("STORES_SEED", "1"))
ROUNDS = 20
# Of the addresses, those that are asked about in a round.
ASKED = 35

pytestmark = pytest.mark.slow


def _store(conf: str) -> CyrusStore:
    return CyrusStore(
        imapdconf.load(conf, "smmap"),
        b"smmap",
        delivery_conf=imapdconf.load(conf, "lmtpunix"),
    )


def _said(outcome: Verdict | Pending) -> tuple[str, bytes]:
    assert isinstance(outcome, Verdict)
    return outcome.kind.name, outcome.reason


@pytest.mark.parametrize("seed", range(SEED, SEED + STORES))
def test_memory_says_what_a_fresh_look_does(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both authorities, addresses as they are and folded, with an index and without."""
    monkeypatch.setattr(twoskip, "SHARED_FROM", 1 << 60)  # the index is made here
    drawn = DrawnStore(tmp_path, seed)
    random = drawn.random
    caches = {
        each: VerdictCache(Verifier.for_store(_store(drawn.conf), answers=each))
        for each in AUTHORITIES
    }
    wrong = []
    for number in range(ROUNDS):
        changes = [drawn.change() for _ in range(random.choice((1, 1, 2, 3)))]
        for authority, cache in caches.items():
            fresh = Verifier.for_store(_store(drawn.conf), answers=authority)
            while random.random() < 0.98 and cache.build_index_step():
                pass
            cache.expire_tick()
            for address in random.sample(drawn.addresses, ASKED):
                absent = random.random() < 0.5 and cache.known_absent(address)
                for folded in (False, True)[: 2 if authority == DELIVERY else 1]:
                    if folded and address != address.lower():
                        continue
                    query = Query(address, folded=folded)
                    true = _said(fresh.decide(query))
                    said = _said(cache.decide(query))
                    if said != true or (absent and not folded and true[0] != Kind.NONEXISTENT.name):
                        wrong.append((number, changes, authority, query, said, true, absent))
            for database in fresh.store.databases:
                database.close()
    assert wrong == [], drawn.options
