"""System calls fail now and then, as on a file server that goes away: nothing but that is said.

A fault shows as a fault, or not at all; whatever else is said is what a look without faults
says, and the first question after the faults is answered like any other.  STORES_DRAWN and
STORES_SEED say which stores are drawn, as in test_drawn_stores.py.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.cyrus import imapdconf
from gateway.cyrus.db.twoskip import twoskip
from gateway.cyrus.store import CyrusStore
from gateway.verification.cache import VerdictCache
from gateway.verification.kinds import Kind
from gateway.verification.model import Query, Verdict
from gateway.verification.verifier import AUTHORITIES, Verifier
from tests.support.drawn_stores import DrawnStore

STORES = int(os.environ.get("STORES_DRAWN", "3"))
SEED = int(os.environ.get("STORES_SEED", "1"))
ROUNDS = 12
ASKED = 12
CALLS = ("stat", "fstat", "open", "pread", "read", "readlink", "listdir")
ERRORS = (errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE)

pytestmark = pytest.mark.slow


class Failures:
    """Every so many calls of the system fail, with a probability of `often`."""

    def __init__(self, random: Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self.often = 0.0
        self.made = 0
        self._random = random
        self._status = os.fstat
        for name in CALLS:
            monkeypatch.setattr(os, name, self._failing(name, getattr(os, name)))

    def _failing(self, name: str, really: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            if self.often and self._random.random() < self.often and not self._spared(name, words):
                self.made += 1
                number = self._random.choice(ERRORS)
                raise OSError(number, os.strerror(number))
            return really(*words, **more)

        return call

    def _spared(self, name: str, words: tuple[Any, ...]) -> bool:
        """The queue of inotify never fails."""
        return name == "read" and not stat.S_ISREG(self._status(words[0]).st_mode)


def _kind(verifier: Verifier | VerdictCache, address: bytes) -> Kind:
    outcome = verifier.decide(Query(address))
    assert isinstance(outcome, Verdict)
    return outcome.kind


@pytest.mark.parametrize("seed", range(SEED, SEED + STORES))
def test_only_faults_are_faults(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both authorities, with changes in between."""
    monkeypatch.setattr(twoskip, "SHARED_FROM", 1 << 60)  # the index is made here
    drawn = DrawnStore(tmp_path, seed)
    random = Random(seed)
    conf = imapdconf.load(drawn.conf, "smmap")
    failures = Failures(random, monkeypatch)
    wrong = []
    for authority in AUTHORITIES:
        cache = VerdictCache(Verifier.for_store(CyrusStore(conf, b"smmap"), answers=authority))
        for number in range(ROUNDS):
            changes = [drawn.change() for _ in range(random.choice((1, 1, 2, 3)))]
            fresh = Verifier.for_store(CyrusStore(conf, b"smmap"), answers=authority)
            for often in (random.choice((0.02, 0.1, 0.3)), random.choice((0.02, 0.1)), 0.0):
                failures.often = often
                cache.expire_tick()
                for address in random.sample(drawn.addresses, ASKED):
                    failures.often = 0.0
                    true = _kind(fresh, address)
                    failures.often = often
                    said = _kind(cache, address)
                    if said is not true and (said is not Kind.STORE_FAULT or not often):
                        wrong.append((number, changes, authority, address, said, true, often))
            failures.often = 0.0
            for database in fresh.store.databases:
                database.close()
    assert failures.made
    assert wrong == [], drawn.options
