"""A short dictionary attack while Postfix' table is slow; dictionary.py measures a long one."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import closing

import pytest

from tests.faults.dictionary import attack, slow_site
from tests.faults.undisturbed import GROWTH_KIB, peak_kib
from tests.rigs.clients import PolicyInterface
from tests.rigs.require import require
from tests.rigs.waiting import wait_until
from tests.rigs.witnesses import FRED

pytestmark = pytest.mark.real

RATE, SECONDS, DELAY = 400.0, 1.0, 0.1


def test_good_recipients_are_untouched_and_nobody_is_refused_unasked() -> None:
    """Unknown ones are refused or deferred, few look-ups are made, and it goes on afterwards."""
    require("postfix")
    told: Counter[str] = Counter()
    with (
        slow_site(DELAY) as (managed, table),
        closing(PolicyInterface(managed.path("policy"))) as interface,
    ):
        path, core = managed.path("policy"), managed.pid("core")

        def attacker() -> None:
            told.update(asyncio.run(attack(path, RATE, SECONDS)))

        thread = threading.Thread(target=attacker)
        thread.start()
        while thread.is_alive():
            assert interface.ask(FRED) == b"DUNNO"
        thread.join()
        assert set(told) <= {"DEFER_IF_PERMIT 4.3.0", "550 5.1.1"}
        assert told["DEFER_IF_PERMIT 4.3.0"] > told["550 5.1.1"]
        # Each permanent refusal has been asked for; what is over the bound was not asked at all.
        assert told["550 5.1.1"] <= table.asked < sum(told.values()) / 2
        assert managed.pid("core") == core
        assert peak_kib(core) - managed.usual[core] < GROWTH_KIB
        wait_until(
            lambda: interface.ask(b"afterwards@example.org") == b"550 5.1.1 User unknown",
            "unknown recipients are refused again",
        )
